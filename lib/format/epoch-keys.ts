import { compareBytes, equalBytes } from '../base/bytes.ts';
import { ByteReader, ByteWriter, fileHead, readFileHead } from '../base/codec.ts';
import { KithError } from '../base/errors.ts';
import { hashIn } from '../crypto/hash.ts';
import { readId, writeId } from './fields.ts';

const magic = 'kithepok';
const version = 1;

/** Keys that seal what is stored while an epoch lasts; 32 random bytes each (docs/formats/keys.md). */
export interface EpochKeys {
  /** u32. Two devices may have begun one of the same number. */
  readonly keyEpoch: number;
  readonly createdNs: bigint;
  /** Packs. */
  readonly sealing: Uint8Array;
  /** Records of the catalog. */
  readonly catalog: Uint8Array;
  /** Records of the ledger, which custodians may read. */
  readonly custody: Uint8Array;
  /** Seed of the pair that address records are sealed to. */
  readonly contactSeed: Uint8Array;
}

/** The secret bytes that are sealed to devices and to the phrase; wipe them when their work is done. */
export function encodeEpochKeys(vaultId: Uint8Array, keys: EpochKeys): Uint8Array {
  const writer = new ByteWriter().bytes(fileHead(magic, version));
  writeId(writer, vaultId);
  writer.u32(keys.keyEpoch).i64(keys.createdNs);
  for (const key of [keys.sealing, keys.catalog, keys.custody, keys.contactSeed]) writeId(writer, key);
  return writer.finish();
}

/** Copies of the keys. KithError `malformed`, `too-new`, or `not-authentic` for another vault's. */
export function decodeEpochKeys(bytes: Uint8Array, vaultId: Uint8Array): EpochKeys {
  const reader = new ByteReader(bytes, 'epoch keys');
  readFileHead(reader, magic, version);
  if (!equalBytes(readId(reader), vaultId)) {
    throw new KithError('not-authentic', 'the epoch keys belong to another vault');
  }
  const keys = {
    keyEpoch: reader.u32(),
    createdNs: reader.i64(),
    sealing: readId(reader).slice(),
    catalog: readId(reader).slice(),
    custody: readId(reader).slice(),
    contactSeed: readId(reader).slice(),
  };
  reader.end();
  return keys;
}

/** The public name of one set of epoch keys: tells two epochs of one number apart, and a wrong box from a right one. */
export function epochIdOf(vaultId: Uint8Array, keys: EpochKeys): Uint8Array {
  return hashIn('epochId', encodeEpochKeys(vaultId, keys));
}

/** Order of epochs: by number, then by age, then by keys; the last is the one to seal with. */
export function compareEpochs(a: EpochKeys, b: EpochKeys): number {
  if (a.keyEpoch !== b.keyEpoch) return a.keyEpoch - b.keyEpoch;
  if (a.createdNs !== b.createdNs) return a.createdNs < b.createdNs ? -1 : 1;
  return compareBytes(a.sealing, b.sealing);
}
