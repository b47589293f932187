import { join } from 'node:path';
import { concatBytes, equalBytes } from '../base/bytes.ts';
import type { Clock } from '../base/clock.ts';
import { ByteReader, fileHead, readFileHead } from '../base/codec.ts';
import { Semaphore } from '../base/concurrency.ts';
import { KithError, isKithError } from '../base/errors.ts';
import type { Disk } from '../disk/disk.ts';
import { writeDurably } from '../disk/write-durably.ts';
import { encodeAddressBody } from '../format/address-body.ts';
import type { AddressEndpoint } from '../format/address-body.ts';
import {
  decodeAddressRecord,
  encodeAddressRecord,
  signAddressRecord,
  verifyAddressRecord,
} from '../format/friend-records.ts';
import type { AddressRecord } from '../format/friend-records.ts';
import { bodyOf } from './card.ts';
import type { DeviceKeys } from './device.ts';

const magic = 'kithmyad';
const version = 1;
const fileBytesMax = 8192;

export interface OwnAddressOptions {
  readonly disk: Disk;
  readonly home: string;
  /** On the same file system; it must exist. */
  readonly tempFolder: string;
  readonly device: Pick<DeviceKeys, 'vaultId' | 'deviceId' | 'deviceSecretKey'>;
  readonly clock: Clock;
}

function readRecord(
  bytes: Uint8Array,
  { vaultId, deviceId }: OwnAddressOptions['device'],
): AddressRecord | undefined {
  try {
    const reader = new ByteReader(bytes, 'own address');
    readFileHead(reader, magic, version);
    const record = decodeAddressRecord(reader.rest());
    verifyAddressRecord(vaultId, record);
    return equalBytes(record.deviceId, deviceId) ? record : undefined;
  } catch (error) {
    // What is lost here is only made anew, above the clock and above all that we are shown.
    if (isKithError(error, 'malformed', 'too-new', 'not-authentic')) return undefined;
    throw error;
  }
}

/**
 * This device's address record, kept in the home (file `address`, docs/formats/card.md). The counter only grows: above the last
 * one, above the clock (for when the home was lost or put back from an old copy), and above every record of this
 * device that others have shown it.
 */
export class OwnAddress {
  readonly #options: OwnAddressOptions;
  readonly #writing: Semaphore = new Semaphore(1);
  #record: AddressRecord | undefined;
  #shown = -1;

  private constructor(options: OwnAddressOptions, record: AddressRecord | undefined) {
    this.#options = options;
    this.#record = record;
  }

  /** Reads what the home has. A damaged file is as good as none. */
  static async open(options: OwnAddressOptions): Promise<OwnAddress> {
    const path = join(options.home, 'address');
    let bytes: Uint8Array | undefined;
    try {
      bytes = await options.disk.readWhole(path, fileBytesMax);
    } catch (error) {
      if (!isKithError(error, 'limit-exceeded')) throw error;
    }
    return new OwnAddress(options, bytes === undefined ? undefined : readRecord(bytes, options.device));
  }

  /** The last record that was made; undefined if there is none yet. */
  get record(): AddressRecord | undefined {
    return this.#record;
  }

  /** Where this device could be met when it last listened. */
  get endpoints(): readonly AddressEndpoint[] {
    return this.#record === undefined ? [] : (bodyOf(this.#record)?.endpoints ?? []);
  }

  /**
   * Says that somebody showed a record of this very device, with this counter, that verifyCard has taken. If it is above ours,
   * true: then `publish` will make a new one, above it.
   */
  sawOwn(counter: number): boolean {
    this.#shown = Math.max(this.#shown, counter);
    return this.#shown > (this.#record?.counter ?? -1);
  }

  #nextCounter(): number {
    const nowMs = Number(this.#options.clock.nowNs() / 1_000_000n);
    const next = Math.max(nowMs, (this.#record?.counter ?? -1) + 1, this.#shown + 1, 0);
    if (Number.isSafeInteger(next)) return next;
    throw new KithError(
      'limit-exceeded',
      'the counter of this device’s addresses is used up; recover into a new home',
    );
  }

  /**
   * The record that says this and nothing else: the one there is, if it does and nobody has a newer, or a new one, which is
   * durable before it is returned. KithError `limit-exceeded` for a long name or too many endpoints.
   */
  async publish(name: string, endpoints: readonly AddressEndpoint[]): Promise<AddressRecord> {
    const sealed = encodeAddressBody({ name, endpoints, extensions: [] });
    return await this.#writing.run(async () => {
      const known = this.#record;
      if (known !== undefined && known.counter >= this.#shown && equalBytes(known.sealed, sealed))
        return known;
      const { disk, home, tempFolder, device } = this.#options;
      const record = signAddressRecord(
        device.vaultId,
        { deviceId: device.deviceId, counter: this.#nextCounter(), sealed },
        device.deviceSecretKey,
      );
      const parts = [concatBytes(fileHead(magic, version), encodeAddressRecord(record))];
      await writeDurably(disk, { tempFolder, path: join(home, 'address'), parts, mode: 0o600 });
      this.#record = record;
      return record;
    });
  }
}
