import { compareBytes, equalBytes } from '../base/bytes.ts';
import { ByteReader, ByteWriter } from '../base/codec.ts';
import { KithError } from '../base/errors.ts';
import { boxPublicKeyOf, canSealTo } from '../crypto/sign.ts';
import { readId, readList, writeId, writeList } from './fields.ts';

/** The newest epochs whose keys a friend is given: a carrier may not have heard of the very newest yet. */
export const contactKeysMax = 2;

/** Bytes of the least and of the most that one key takes. */
const keyBytesMin = 4 + 8 + 32 + 1;
export const contactKeysBytesMax: number = 1 + contactKeysMax * (keyBytesMin + 32);

/** The contact key of one epoch of a friend, as the friend gave it (docs/formats/cards-service.md). */
export interface ContactKey {
  readonly keyEpoch: number;
  readonly createdNs: bigint;
  /** Seals where the friend can be met. */
  readonly publicKey: Uint8Array;
  /** Opens it. Undefined for who may carry and not look. */
  readonly secretKey: Uint8Array | undefined;
}

/** The later is the one to seal with; zero only for keys of the same public half. */
export function compareContactKeys(a: ContactKey, b: ContactKey): number {
  if (a.keyEpoch !== b.keyEpoch) return a.keyEpoch - b.keyEpoch;
  if (a.createdNs !== b.createdNs) return a.createdNs < b.createdNs ? -1 : 1;
  return compareBytes(a.publicKey, b.publicKey);
}

/** Keys in their order. KithError `limit-exceeded` for more than contactKeysMax. */
export function encodeContactKeys(keys: readonly ContactKey[]): Uint8Array {
  const writer = new ByteWriter();
  writeList(writer, keys, contactKeysMax, 'contact keys', ({ keyEpoch, createdNs, publicKey, secretKey }) => {
    writer.u32(keyEpoch).i64(createdNs);
    writeId(writer, publicKey);
    writer.u8(secretKey === undefined ? 0 : 1);
    if (secretKey !== undefined) writeId(writer, secretKey);
  });
  return writer.finish();
}

/** Copies, unverified. KithError `malformed`. */
export function decodeContactKeys(bytes: Uint8Array): ContactKey[] {
  const reader = new ByteReader(bytes, 'contact keys');
  let last: ContactKey | undefined;
  const keys = readList(reader, contactKeysMax, keyBytesMin, () => {
    const keyEpoch = reader.u32();
    const createdNs = reader.i64();
    const publicKey = readId(reader).slice();
    const withSecret = reader.u8();
    if (withSecret > 1) throw reader.fail(`flag ${withSecret}`);
    const secretKey = withSecret === 1 ? readId(reader).slice() : undefined;
    const key = { keyEpoch, createdNs, publicKey, secretKey };
    if (last !== undefined && compareContactKeys(last, key) >= 0) throw reader.fail("keys don't ascend");
    last = key;
    return key;
  });
  reader.end();
  return keys;
}

/** KithError `not-authentic` for a secret half that isn't that of its public one, and for a public one that nothing can be sealed to. */
export function verifyContactKeys(keys: readonly ContactKey[]): void {
  for (const { publicKey, secretKey } of keys) {
    if (!canSealTo(publicKey)) {
      throw new KithError('not-authentic', 'a contact key is one that nothing can be sealed to');
    }
    if (secretKey !== undefined && !equalBytes(boxPublicKeyOf(secretKey), publicKey)) {
      throw new KithError('not-authentic', 'the two halves of a contact key do not belong together');
    }
  }
}
