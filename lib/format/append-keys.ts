import { ByteReader, ByteWriter, fileHead, readFileHead } from '../base/codec.ts';
import { readChoice, readList, writeFixed, writeList } from './fields.ts';
import { logRoleNumbers, type LogRole } from './log-kinds.ts';

const magic = 'kithcurr';
const version = 1;

/** Logs that one device appends to at a time: one of each role, with room for more. */
const appendLogsMax = 16;
const seedBytes = 32;

/** Bytes of the file `current` at most. */
export const appendKeysBytesMax = 4096;

/** A log that a device appends to: its role and the seed of its append key. */
export interface AppendSeed {
  readonly role: LogRole;
  readonly appendSeed: Uint8Array;
}

/** What stands before the sealed part, and is authenticated with it (docs/formats/store.md, "A home"). */
export function appendKeysHead(): Uint8Array {
  return fileHead(magic, version);
}

/** The plaintext of the sealed part. */
export function encodeAppendKeys(logs: readonly AppendSeed[]): Uint8Array {
  const writer = new ByteWriter();
  writeList(writer, logs, appendLogsMax, 'logs', ({ role, appendSeed }) => {
    writer.u8(role);
    writeFixed(writer, appendSeed, seedBytes);
  });
  return writer.finish();
}

/** Copies; KithError `malformed`. */
export function decodeAppendKeys(plain: Uint8Array): AppendSeed[] {
  const reader = new ByteReader(plain, 'append keys');
  const logs = readList(reader, appendLogsMax, 1 + seedBytes, () => ({
    role: readChoice(reader, logRoleNumbers, 'role'),
    appendSeed: reader.bytes(seedBytes).slice(),
  }));
  reader.end();
  return logs;
}

/** Splits a file `current` into its head, checked, and the sealed part. */
export function splitAppendKeys(bytes: Uint8Array): Uint8Array {
  const reader = new ByteReader(bytes, 'append keys');
  readFileHead(reader, magic, version);
  return reader.rest();
}
