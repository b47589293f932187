import { toHex } from '../../base/bytes.ts';
import { KithError, isKithError, messageOf, type ErrorCode } from '../../base/errors.ts';
import { throwIfAborted } from '../../base/concurrency.ts';
import { leafBytes } from '../../base/limits.ts';
import { formatSize } from '../../base/units.ts';
import type { RandomSource } from '../../crypto/random.ts';
import { hashBytes } from '../../crypto/hash.ts';
import type {
  Availability,
  GetOptions,
  HeldLog,
  Holder,
  HolderLogs,
  InventoryEntry,
  InventoryOptions,
  Reservation,
  Room,
  ShardRange,
  ShardRef,
  ShardToPut,
} from '../../holders/holder.ts';
import { readReply } from '../../net/calls/read-reply.ts';
import type { CallOptions, CallReply, ServiceCaller } from '../../net/service.ts';
import { plainText } from '../../net/calls/wire-error.ts';
import { InFlight } from './in-flight.ts';
import { InventoryMirror } from './inventory-mirror.ts';
import {
  decodeAvailability,
  decodeFound,
  decodeLogPage,
  decodeNumber,
  decodeRoom,
  decodeVerified,
  downloadMax,
  encodeLogCursor,
  encodeNumber,
  encodePut,
  encodeRange,
  encodeRef,
  encodeRefs,
  encodeSegmentRef,
  leafCountMax,
  proofBytesMax,
  settleCountMax,
  storeMethods,
  type SegmentRef,
} from './store-codec.ts';

/**
 * Bytes of puts on their way to one friend: three shards of 4 MiB, so that one comes while another is verified there and a third waits
 * for the disk. A friend holds as much of uploads for each of us.
 */
const inFlightBytesMax: number = 14 * 1024 * 1024;

/** Pages of logs at most: a million segments. */
const logPagesMax = 256;

const noBytes: Uint8Array = new Uint8Array(0);

/** Errors of a friend that mean the same as a drive's; all others say only that it could not be done there now. */
const plainCodes: ReadonlySet<ErrorCode> = new Set([
  'quota-exceeded',
  'disk-full',
  'log-forked',
  'key-record-stale',
  'shard-damaged',
  'io-error',
  'limit-exceeded',
  'malformed',
  'not-authentic',
  'usage',
]);

export interface FriendHolderOptions {
  /** The friend's identity, 64 hex digits. */
  readonly id: string;
  readonly name: string;
  readonly household: string | undefined;
  /** Whose data it is: our own identity. */
  readonly vaultId: Uint8Array;
  readonly caller: ServiceCaller;
  /** Why there is no connection now, in words. */
  readonly whyAway: () => string;
  /** True for a device that the friend's card certifies: it signs inventories. */
  readonly isFriendsDevice: (deviceId: Uint8Array) => boolean;
  /** Why no new data is to be sent there now, in words; undefined where it may. Questions, logs and what is read go on. */
  readonly whyPaused?: () => string | undefined;
  readonly random: RandomSource;
  /** What was learned of its inventory before; it outlives this object where the caller keeps it. */
  readonly mirror?: InventoryMirror;
}

/** A reservation at a friend. It ends with the session in which it was made; then puts reserve anew. */
class FriendReservation implements Reservation {
  readonly owner: FriendHolder;
  readonly number: number;
  bytes: number;
  #released = false;
  readonly #onRelease: (number: number) => void;

  constructor(owner: FriendHolder, number: number, bytes: number, onRelease: (number: number) => void) {
    this.owner = owner;
    this.number = number;
    this.bytes = bytes;
    this.#onRelease = onRelease;
  }

  get released(): boolean {
    return this.#released;
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.bytes = 0;
    this.#onRelease(this.number);
  }
}

/** A friend over the network as a holder (docs/formats/store-service.md). Believed in nothing: shapes and lengths are checked here, bytes by the reader. */
export class FriendHolder implements Holder {
  readonly id: string;
  readonly kind = 'friend' as const;
  readonly name: string;
  readonly household: string | undefined;
  readonly logs: HolderLogs;
  readonly #options: FriendHolderOptions;
  readonly #mirror: InventoryMirror;
  readonly #inFlight = new InFlight(inFlightBytesMax);

  constructor(options: FriendHolderOptions) {
    this.id = options.id;
    this.name = options.name;
    this.household = options.household;
    this.#options = options;
    this.#mirror = options.mirror ?? new InventoryMirror();
    this.logs = {
      list: () => this.#listLogs(),
      putSegment: async (logKey, firstIndex, bytes) => {
        const name = encodeSegmentRef({ logKey, firstIndex });
        await this.#send(storeMethods.putSegment, name, [bytes]);
      },
      getSegment: (logKey, firstIndex) =>
        this.#found(storeMethods.getSegment, encodeSegmentRef({ logKey, firstIndex }), downloadMax.segment),
    };
  }

  async check(): Promise<Availability> {
    if (!this.#options.caller.connected) {
      return { available: false, foreign: false, reason: this.#options.whyAway() };
    }
    try {
      const told = this.#read(await this.#call(storeMethods.check, noBytes), decodeAvailability);
      if (told.available) return told;
      const { foreign } = told;
      return { available: false, foreign, reason: `"${this.name}" says: ${plainText(told.reason, 255)}` };
    } catch (error) {
      if (!isKithError(error)) throw error;
      return { available: false, foreign: false, reason: messageOf(error) };
    }
  }

  async room(): Promise<Room> {
    const room = this.#read(await this.#call(storeMethods.room, noBytes), decodeRoom);
    return this.#options.whyPaused?.() === undefined ? room : { ...room, freeBytes: 0 };
  }

  async reserve(bytes: number): Promise<Reservation> {
    const reply = await this.#call(storeMethods.reserve, encodeNumber(bytes));
    const number = this.#read(reply, (body) => {
      const told = decodeNumber(body);
      if (told === 0) throw malformed('no reservation');
      return told;
    });
    return new FriendReservation(this, number, bytes, (id) => {
      // The session's end releases it as well.
      this.#call(storeMethods.release, encodeNumber(id)).catch(() => undefined);
    });
  }

  async put(shard: ShardToPut, reservation?: Reservation, signal?: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    const paused = this.#options.whyPaused?.();
    if (paused !== undefined)
      throw new KithError('holder-unavailable', paused, { details: { holder: this.id, foreign: false } });
    const own = reservation === undefined ? undefined : this.#own(reservation);
    const { packId, index, k, keyEpoch, payload, leaves, manifest } = shard;
    const head = encodePut({
      packId,
      index,
      k,
      class: shard.class,
      keyEpoch,
      reservation: own === undefined || own.released ? 0 : own.number,
      payloadBytes: payload.length,
      leavesBytes: leaves.length,
      manifestBytes: manifest.length,
    });
    const reply = await this.#send(storeMethods.put, head, [payload, leaves, manifest], signal);
    const left = this.#read(reply, decodeNumber);
    // Nobody gets more by a put than there was.
    if (own !== undefined && !own.released) own.bytes = Math.min(own.bytes, left);
  }

  async get(
    ref: ShardRef,
    firstLeaf: number,
    leafCount: number,
    { signal }: GetOptions = {},
  ): Promise<ShardRange | undefined> {
    if (
      !Number.isInteger(firstLeaf) ||
      !Number.isInteger(leafCount) ||
      firstLeaf < 0 ||
      leafCount < 1 ||
      firstLeaf + leafCount > leafCountMax
    ) {
      throw new KithError('usage', `no range of leaves: ${leafCount} from ${firstLeaf}`);
    }
    const bytes = leafCount * leafBytes;
    const reply = await this.#call(storeMethods.get, encodeRange({ ...ref, firstLeaf, leafCount }), {
      downloadBytesMax: bytes + proofBytesMax,
      ...(signal !== undefined && { signal }),
    });
    const { download } = reply;
    const proofBytes = this.#read(reply, decodeFound);
    if (proofBytes === undefined) return undefined;
    if (download.length !== bytes + proofBytes || proofBytes % hashBytes !== 0) {
      throw new KithError(
        'shard-damaged',
        `"${this.name}" gave ${download.length} bytes of a shard for ${bytes}`,
        {
          details: { holder: this.id, pack: toHex(ref.packId), index: ref.index },
        },
      );
    }
    return { bytes: download.subarray(0, bytes), proof: download.subarray(bytes) };
  }

  async stat(ref: ShardRef): Promise<{ readonly fileBytes: number } | undefined> {
    const fileBytes = this.#read(await this.#call(storeMethods.stat, encodeRef(ref)), decodeFound);
    return fileBytes === undefined ? undefined : { fileBytes };
  }

  manifest(ref: ShardRef): Promise<Uint8Array | undefined> {
    return this.#found(storeMethods.manifest, encodeRef(ref), downloadMax.manifest);
  }

  async *inventory(options: InventoryOptions = {}): AsyncGenerator<InventoryEntry> {
    const { vaultId, isFriendsDevice, random } = this.#options;
    const { signal } = options;
    let reply: CallReply = { body: noBytes, download: noBytes };
    yield* this.#mirror.list({
      vaultId,
      isHolderDevice: isFriendsDevice,
      random,
      signal,
      ask: async (question) => {
        const call = signal === undefined ? {} : { signal };
        reply = await this.#call(storeMethods.inventory, question, call);
        return reply.body;
      },
      read: (work) => this.#read(reply, work),
    });
  }

  async verify(ref: ShardRef): Promise<'good' | 'damaged' | 'missing'> {
    return this.#read(await this.#call(storeMethods.verify, encodeRef(ref)), decodeVerified);
  }

  /** Nothing at a friend goes on the word of a device: release, with its trash, comes with prune. */
  async delete(): Promise<boolean> {
    throw new KithError('not-granted', `"${this.name}" deletes nothing at once`, {
      details: { holder: this.id },
    });
  }

  async settle(refs: readonly ShardRef[]): Promise<void> {
    for (let at = 0; at < refs.length; at += settleCountMax) {
      await this.#call(storeMethods.settle, encodeRefs(refs.slice(at, at + settleCountMax)));
    }
  }

  async putKeyRecord(bytes: Uint8Array): Promise<void> {
    await this.#send(storeMethods.putKeyRecord, noBytes, [bytes]);
  }

  getKeyRecord(): Promise<Uint8Array | undefined> {
    return this.#found(storeMethods.getKeyRecord, noBytes, downloadMax.keyRecord);
  }

  async #listLogs(): Promise<HeldLog[]> {
    const logs: ListedLog[] = [];
    let after: SegmentRef | undefined;
    for (let pages = 0; pages < logPagesMax; pages++) {
      const reply = await this.#call(storeMethods.listLogs, encodeLogCursor(after));
      const next = this.#read(reply, (body) => addLogPage(logs, body));
      if (next === undefined) return logs;
      after = next;
    }
    throw this.#senseless('logs without end');
  }

  async #found(method: number, body: Uint8Array, bytesMax: number): Promise<Uint8Array | undefined> {
    const reply = await this.#call(method, body, { downloadBytesMax: bytesMax });
    return this.#read(reply, (told, download) => {
      const bytes = decodeFound(told);
      if (bytes === undefined) return undefined;
      if (bytes !== download.length) throw malformed(`${download.length} bytes for ${bytes}`);
      return download;
    });
  }

  /** A call with bulk, in its turn. */
  async #send(
    method: number,
    head: Uint8Array,
    parts: readonly Uint8Array[],
    signal?: AbortSignal,
  ): Promise<CallReply> {
    const upload = parts.filter((part) => part.length > 0);
    const bytes = upload.reduce((sum, part) => sum + part.length, 0);
    return await this.#inFlight.run(bytes, signal, async () => {
      const options = { upload, ...(signal !== undefined && { signal }) };
      return await this.#call(method, head, options);
    });
  }

  #own(reservation: Reservation): FriendReservation {
    if (reservation instanceof FriendReservation && reservation.owner === this) return reservation;
    throw new RangeError('the reservation is of another holder');
  }

  /** Makes every error one of this holder's, with its name. */
  async #call(method: number, body: Uint8Array, options: CallOptions = {}): Promise<CallReply> {
    try {
      return await this.#options.caller.call(method, body, options);
    } catch (error) {
      if (!isKithError(error)) throw error;
      const { code, message, details } = error;
      const holder = { holder: this.id, name: this.name, foreign: false };
      if (code === 'holder-unavailable') {
        // Online, but without the grant, is no connection for the caller and something else for a person.
        const why = this.#options.caller.connected ? message : this.#options.whyAway();
        throw new KithError(code, `"${this.name}" can't be used now: ${why}`, {
          details: { ...details, ...holder },
          cause: error,
        });
      }
      if (code === 'interrupted') throw error;
      // What was refused as untrue was ours to say right: the same as at a drive.
      if (plainCodes.has(code)) {
        throw new KithError(code, wordsOf(this.name, error), {
          details: { ...details, ...holder },
          cause: error,
        });
      }
      throw new KithError('holder-unavailable', `"${this.name}" doesn't do it: ${message}`, {
        details: holder,
        cause: error,
      });
    }
  }

  /** Reads an answer; one that makes no sense is as good as none, and ends the session. */
  #read<T>(reply: CallReply, read: (body: Uint8Array, download: Uint8Array) => T): T {
    try {
      return readReply(reply, ({ body, download }) => read(body, download));
    } catch (error) {
      if (!isKithError(error)) throw error;
      throw this.#senseless(error.message, error);
    }
  }

  #senseless(why: string, cause?: unknown): KithError {
    return new KithError('holder-unavailable', `"${this.name}" gave an answer that makes no sense: ${why}`, {
      details: { holder: this.id, name: this.name, foreign: false },
      cause,
    });
  }
}

/** An error as the friend told it, in our words where they can be, else marked as the friend's. */
function wordsOf(name: string, { code, message, details }: KithError): string {
  const { quotaBytes, usedBytes, reservedBytes, bytes } = details;
  const isTold = [quotaBytes, usedBytes, reservedBytes, bytes].every((each) => typeof each === 'number');
  if (code === 'quota-exceeded' && isTold) {
    const taken = Number(usedBytes) + Number(reservedBytes);
    return (
      `"${name}" gives ${formatSize(Math.max(0, Number(quotaBytes)))}, of which ${formatSize(Math.max(0, taken))} are used; ` +
      `${formatSize(Math.max(0, Number(bytes)))} more don't fit`
    );
  }
  if (code === 'disk-full') return `the disk of "${name}" is full`;
  return `"${name}" says: ${message}`;
}

interface ListedLog {
  readonly logKey: Uint8Array;
  readonly segments: { readonly firstIndex: number; readonly bytes: number }[];
}

/** Adds a page to the logs listed so far; gives what the next page is to begin after, undefined after the last. KithError `malformed`. */
function addLogPage(logs: ListedLog[], body: Uint8Array): SegmentRef | undefined {
  const page = decodeLogPage(body);
  for (const { logKey, segments } of page.logs) {
    const last = logs.at(-1);
    const order = last === undefined ? 1 : Buffer.compare(logKey, last.logKey);
    const lowest = order === 0 ? (last?.segments.at(-1)?.firstIndex ?? -1) : -1;
    if (order < 0 || !ascends(segments, lowest)) throw malformed('logs out of order');
    if (order === 0) last?.segments.push(...segments);
    else logs.push({ logKey, segments: [...segments] });
  }
  if (!page.more) return undefined;
  const last = logs.at(-1);
  const end = last?.segments.at(-1);
  if (page.logs.length === 0 || last === undefined || end === undefined) throw malformed('an empty page');
  return { logKey: last.logKey, firstIndex: end.firstIndex };
}

function malformed(why: string): KithError {
  return new KithError('malformed', why);
}

function ascends(segments: readonly { readonly firstIndex: number }[], after: number): boolean {
  let last = after;
  for (const { firstIndex } of segments) {
    if (firstIndex <= last) return false;
    last = firstIndex;
  }
  return true;
}
