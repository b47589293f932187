import assert from 'node:assert/strict';
import { toHex } from '../../lib/base/bytes.ts';
import { ByteReader } from '../../lib/base/codec.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { decodeSegment, segmentHash, verifySegment } from '../../lib/format/segment.ts';
import type { FaultDisk } from './fault-disk.ts';

/** Bytes of kind, flags, version and epoch, before what is sealed (docs/formats/log.md). */
const recordHeadBytes = 8;
const nonceBytes = 24;

/** A place of a log at which different authentic records were seen. */
export interface SeenFork {
  readonly logKey: string;
  readonly index: number;
}

/**
 * Remembers every authentic segment that ever lay on any of the disks it is shown, also of those that were rolled back since, and knows
 * what must never be: two records under one nonce.
 */
export class LogWitness {
  readonly #segments = new Set<string>();
  /** Log and index → the records seen there. */
  readonly #places = new Map<string, Set<string>>();
  readonly #nonces = new Map<string, string>();

  /** One that has seen the same and goes on by itself. */
  copy(): LogWitness {
    const copy = new LogWitness();
    for (const hash of this.#segments) copy.#segments.add(hash);
    for (const [place, records] of this.#places) copy.#places.set(place, new Set(records));
    for (const [nonce, whole] of this.#nonces) copy.#nonces.set(nonce, whole);
    return copy;
  }

  /** Records that were seen, each once. */
  get recordCount(): number {
    return this.#nonces.size;
  }

  /**
   * Reads all segments below a folder. Of a disk whose machine has just died, what lies there may be gone when it comes up again, and
   * nobody else ever had it: such a record has used its nonce, and its place is free.
   */
  see(disk: FaultDisk, folder: string, lasting = true): void {
    for (const path of disk.files()) {
      if (!path.startsWith(`${folder}/`) || !path.endsWith('.seg')) continue;
      this.#take(disk.peek(path) ?? new Uint8Array(0), lasting);
    }
  }

  #take(bytes: Uint8Array, lasting: boolean): void {
    const hash = toHex(segmentHash(bytes));
    if (this.#segments.has(hash)) return;
    let segment: ReturnType<typeof decodeSegment>;
    try {
      segment = decodeSegment(bytes);
      verifySegment(segment);
    } catch (error) {
      if (isKithError(error)) return;
      throw error;
    }
    if (lasting) this.#segments.add(hash);
    const { firstIndex } = segment.head;
    const logKey = toHex(segment.head.logKey);
    for (const [i, record] of segment.records.entries()) {
      const place = `${logKey}/${firstIndex + i}`;
      const whole = `${place}/${toHex(record)}`;
      const nonce = nonceOf(record);
      const before = this.#nonces.get(nonce);
      assert.ok(before === undefined || before === whole, `the nonce of ${place} was used before`);
      this.#nonces.set(nonce, whole);
      if (!lasting) continue;
      const seen = this.#places.get(place) ?? new Set();
      this.#places.set(place, seen.add(whole));
    }
  }

  /** Places at which there ever were two records, in order. */
  forks(): SeenFork[] {
    return [...this.#places]
      .filter(([, records]) => records.size > 1)
      .map(([place]) => ({ logKey: place.slice(0, 64), index: Number(place.slice(65)) }));
  }
}

function nonceOf(record: Uint8Array): string {
  const reader = new ByteReader(record, 'record');
  reader.bytes(recordHeadBytes);
  const sealed = reader.blob(2 ** 21);
  assert.ok(sealed.length > nonceBytes);
  return toHex(sealed.subarray(0, nonceBytes));
}
