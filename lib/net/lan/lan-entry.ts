import { concatBytes, equalBytes, utf8 } from '../../base/bytes.ts';
import { deriveKey, Hasher } from '../../crypto/hash.ts';
import { pairSecret } from '../../crypto/pair-secret.ts';
import { wipeBytes } from '../../crypto/secret.ts';
import { bareAddress } from './lan-places.ts';
import type { Beacon } from './lan-beacon.ts';
import type { KeyPair } from '../links/link.ts';

const tagBytes = 8;
const portAt = tagBytes;
const checkAt = portAt + 2;
const checkBytes = 8;

/** What every entry of one packet is made over (docs/formats/beacon.md): salt, hour, and the address that it is sent from. */
export interface EntryContext {
  readonly forTag: Uint8Array;
  readonly forCheck: Uint8Array;
}

/** `address` is an IP address as text; a zone behind `%` is left out. */
export function entryContext({ salt, hour }: Pick<Beacon, 'salt' | 'hour'>, address: string): EntryContext {
  const head = new Uint8Array(5 + salt.length);
  head.set(salt, 1);
  new DataView(head.buffer).setUint32(1 + salt.length, hour, true);
  head[0] = 1;
  const forTag = concatBytes(head, utf8(bareAddress(address)));
  const forCheck = forTag.slice();
  forCheck[0] = 2;
  return { forTag, forCheck };
}

function portBytes(port: number): Uint8Array {
  return new Uint8Array([port & 0xff, port >> 8]);
}

function numberAt(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
}

/** The entries of a packet by the first four bytes of their tags; of two alike the last, which nobody makes on purpose. */
export function entriesByTag(entries: readonly Uint8Array[]): ReadonlyMap<number, Uint8Array> {
  return new Map(entries.map((entry) => [numberAt(entry), entry]));
}

/** The keys that two devices have between them, one for each direction. */
export class PairKeys {
  readonly #toThem: Hasher;
  readonly #fromThem: Hasher;

  private constructor(toThem: Hasher, fromThem: Hasher) {
    this.#toThem = toThem;
    this.#fromThem = fromThem;
  }

  /** Undefined for a device id that is no key. Some 100 µs: keep them. */
  static between(own: KeyPair, deviceId: Uint8Array): PairKeys | undefined {
    const secret = pairSecret(own, deviceId);
    if (secret === undefined) return undefined;
    const direction = (sender: Uint8Array, receiver: Uint8Array): Hasher => {
      const material = concatBytes(secret, sender, receiver);
      const key = deriveKey('lanPair', material);
      wipeBytes(material);
      const hasher = Hasher.keyed(key);
      wipeBytes(key);
      return hasher;
    };
    const keys = new PairKeys(direction(own.publicKey, deviceId), direction(deviceId, own.publicKey));
    wipeBytes(secret);
    return keys;
  }

  /** Our entry for them, fresh: where we listen; port 0 asks them to say where they do. */
  seal({ forTag, forCheck }: EntryContext, port: number): Uint8Array {
    const mask = this.#toThem.hash(forTag);
    const plain = portBytes(port);
    const sealed = plain.map((byte, at) => byte ^ (mask[portAt + at] ?? 0));
    const check = this.#toThem.hash(forCheck, plain);
    return concatBytes(mask.subarray(0, tagBytes), sealed, check.subarray(0, checkBytes));
  }

  /** The port that they say to us, if one of the entries is theirs. One hash where none is. */
  open({ forTag, forCheck }: EntryContext, entries: ReadonlyMap<number, Uint8Array>): number | undefined {
    const entry = entries.get(this.#fromThem.hashNumber(forTag));
    if (entry === undefined) return undefined;
    const mask = this.#fromThem.hash(forTag);
    if (!equalBytes(mask.subarray(0, tagBytes), entry.subarray(0, tagBytes))) return undefined;
    const plain = entry.slice(portAt, checkAt).map((byte, at) => byte ^ (mask[portAt + at] ?? 0));
    const check = this.#fromThem.hash(forCheck, plain);
    if (!equalBytes(check.subarray(0, checkBytes), entry.subarray(checkAt))) return undefined;
    return (plain[0] ?? 0) + 256 * (plain[1] ?? 0);
  }
}
