import { ByteReader, ByteWriter, fileHead, readFileHead } from '../base/codec.ts';
import { copyId } from './blob.ts';
import { readList, writeBlob, writeId, writeList } from './fields.ts';
import { snapshotBytesMax } from './snapshot.ts';

const magic = 'kithpend';
const version = 1;

/** Packs that one snapshot waits for at most: more than any queue holds. */
const waitingPacksMax = 1_000_000;

/** Bytes of a file in `pending/` at most. */
export const pendingBytesMax: number = 40 * 1024 * 1024;

/** A snapshot that is not published yet, and the packs that it waits for (docs/formats/store.md, "A home"). */
export interface PendingRecord {
  /** The snapshot's stored bytes. */
  readonly snapshot: Uint8Array;
  readonly packs: readonly Uint8Array[];
}

/** What stands before the sealed part, and is authenticated with it. */
export function pendingHead(): Uint8Array {
  return fileHead(magic, version);
}

/** The plaintext of the sealed part. */
export function encodePending(record: PendingRecord): Uint8Array {
  const writer = new ByteWriter();
  writeBlob(writer, record.snapshot, snapshotBytesMax, 'snapshot');
  writeList(writer, record.packs, waitingPacksMax, 'packs', (packId) => writeId(writer, packId));
  return writer.finish();
}

/** Copies; KithError `malformed`. The snapshot's own bytes are checked by its decoder. */
export function decodePending(plain: Uint8Array): PendingRecord {
  const reader = new ByteReader(plain, 'pending snapshot');
  const snapshot = reader.blob(snapshotBytesMax).slice();
  const packs = readList(reader, waitingPacksMax, 32, () => copyId(reader));
  reader.end();
  return { snapshot, packs };
}

/** Checks the head of a file in `pending/` and gives its sealed part. */
export function splitPending(bytes: Uint8Array): Uint8Array {
  const reader = new ByteReader(bytes, 'pending snapshot');
  readFileHead(reader, magic, version);
  return reader.rest();
}
