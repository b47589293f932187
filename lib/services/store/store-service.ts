import { toHex } from '../../base/bytes.ts';
import { Semaphore } from '../../base/concurrency.ts';
import { KithError } from '../../base/errors.ts';
import { leafBytes } from '../../base/limits.ts';
import type { Hold } from '../../custody/room-book.ts';
import type { VaultStore } from '../../custody/vault-store.ts';
import { keyRecordBytesMax } from '../../format/key-record.ts';
import { segmentBytesMax } from '../../format/segment.ts';
import { shardHeadBytes } from '../../format/shard-file.ts';
import type { Availability, InventoryEntry, InventoryOptions, Reservation } from '../../holders/holder.ts';
import { asBroken, BrokenPeer, heard } from '../../net/broken-peer.ts';
import type { IncomingCall, OutgoingReply, PeerInfo, Service, ServiceHandler } from '../../net/service.ts';
import {
  compareRefs,
  decodeInventoryAsked,
  digestMatches,
  encodeEntries,
  encodeInventoryPage,
  entriesFitting,
  pageBytesMax,
  pageEntriesMax,
  type InventoryAsked,
  type InventoryPage,
  type InventorySection,
} from './inventory-page.ts';
import {
  decodeLogCursor,
  decodeNumber,
  decodePut,
  decodeRange,
  decodeRef,
  decodeRefs,
  decodeSegmentRef,
  encodeAvailability,
  encodeFound,
  encodeLogPage,
  encodeNumber,
  encodeRoom,
  encodeVerified,
  logPageOf,
  storeMethods,
  storeServiceName,
  storeVersions,
} from './store-codec.ts';
import { toldToFriend } from './told-to-friend.ts';

/** Reservations of one session at a time. */
const reservationsMax = 64;

/** Bytes of one reservation, whatever the quota: sums of them stay exact numbers. */
const reservationBytesMax: number = 2 ** 44;

/** Calls that read or write whole shards or folders: of one owner, and of all together. Each has some 4 MiB in memory. */
const largeCallsOfOwner = 4;
const largeCallsOfAll = 16;

const nothing: OutgoingReply = { body: new Uint8Array(0) };

export interface StoreServiceOptions {
  /** Our device: it signs inventories. */
  readonly device: { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array };
  /** The store of an owner; undefined for one to whom nothing is granted. Asked at the start of a session and when grants change. */
  readonly storeOf: (identity: Uint8Array) => VaultStore | undefined;
  readonly check: () => Promise<Availability>;
  /** An owner's key record was taken in, verified: it may name new devices, and revoke some. Must not throw. */
  readonly onKeyRecord?: (identity: Uint8Array, keyRecord: Uint8Array) => void;
}

interface SharedBySessions {
  readonly largeCalls: Semaphore;
  /** By owner in hex: however many devices it has, its calls take turns. Owners are friends, and few. */
  readonly ownersLargeCalls: Map<string, Semaphore>;
  /** Numbers aren't used again: what a session that has ended reserved is not another's. */
  lastReservation: number;
}

/** `kith/store`: what an owner's device may do with what is kept for it here (docs/formats/store-service.md). */
export function storeService(options: StoreServiceOptions): Service {
  const shared: SharedBySessions = {
    largeCalls: new Semaphore(largeCallsOfAll),
    ownersLargeCalls: new Map(),
    lastReservation: 0,
  };
  return {
    name: storeServiceName,
    versions: storeVersions,
    accept: (peer) => {
      const store = options.storeOf(peer.identity);
      return store === undefined ? undefined : new StoreHandler(options, store, peer, shared);
    },
  };
}

type FolderLister = (firstByte: number, options?: InventoryOptions) => AsyncIterable<InventoryEntry>;

type Method = (call: IncomingCall) => Promise<OutgoingReply>;

/** One owner's session with its store. What it reserved goes with it. */
class StoreHandler implements ServiceHandler {
  readonly #options: StoreServiceOptions;
  readonly #store: VaultStore;
  readonly #owner: Uint8Array;
  readonly #shared: SharedBySessions;
  readonly #ownLarge: Semaphore;
  readonly #reservations = new Map<number, Reservation>();
  #closed = false;
  readonly #methods: ReadonlyMap<number, Method>;

  constructor(options: StoreServiceOptions, store: VaultStore, peer: PeerInfo, shared: SharedBySessions) {
    this.#options = options;
    this.#shared = shared;
    this.#store = store;
    this.#owner = peer.identity.slice();
    const key = toHex(this.#owner);
    this.#ownLarge = shared.ownersLargeCalls.get(key) ?? new Semaphore(largeCallsOfOwner);
    shared.ownersLargeCalls.set(key, this.#ownLarge);
    this.#methods = new Map<number, Method>([
      [storeMethods.check, () => this.#check()],
      [storeMethods.room, async () => ({ body: encodeRoom(await store.room()) })],
      [storeMethods.reserve, ({ body }) => this.#reserve(heard(() => decodeNumber(body)))],
      [storeMethods.release, ({ body }) => this.#release(heard(() => decodeNumber(body)))],
      [storeMethods.put, (call) => this.#put(call)],
      [storeMethods.get, (call) => this.#get(call)],
      [storeMethods.stat, ({ body }) => this.#stat(body)],
      [storeMethods.manifest, async ({ body }) => found(await store.manifest(heard(() => decodeRef(body))))],
      [storeMethods.inventory, (call) => this.#large(call.signal, () => this.#inventory(call))],
      [storeMethods.verify, (call) => this.#verify(call)],
      [storeMethods.settle, (call) => this.#settle(call)],
      [storeMethods.listLogs, (call) => this.#listLogs(call)],
      [storeMethods.putSegment, (call) => this.#putSegment(call)],
      [storeMethods.getSegment, (call) => this.#getSegment(call)],
      [storeMethods.putKeyRecord, (call) => this.#putKeyRecord(call)],
      [storeMethods.getKeyRecord, async () => found(await store.getKeyRecord())],
    ]);
  }

  async handle(call: IncomingCall): Promise<OutgoingReply> {
    const method = this.#methods.get(call.method);
    if (method === undefined) {
      throw new KithError('too-new', `${storeServiceName} has no method ${call.method} here. Update kith.`);
    }
    try {
      const reply = await method(call);
      const bytes = reply.download?.reduce((sum, part) => sum + part.length, 0) ?? 0;
      if (bytes > call.downloadBytesMax) throw new KithError('usage', `the answer has ${bytes} bytes`);
      return reply;
    } catch (error) {
      throw toldToFriend(error);
    }
  }

  closed(): void {
    this.#closed = true;
    for (const reservation of this.#reservations.values()) reservation.release();
    this.#reservations.clear();
  }

  /** Runs what takes much memory or disk, in its turn. */
  async #large<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    return await this.#ownLarge.run(() =>
      this.#shared.largeCalls.run(async () => {
        signal.throwIfAborted();
        return await work();
      }),
    );
  }

  /** Gathers an upload for which there is room, and gives back what of the room isn't used. */
  async #intoRoom(call: IncomingCall, hold: Hold, work: (bytes: Uint8Array) => Promise<void>): Promise<void> {
    try {
      const bytes = call.uploadBytes === 0 ? new Uint8Array(0) : await call.receive({ lent: true });
      await this.#large(call.signal, () => work(bytes));
    } finally {
      hold.release();
    }
  }

  /** What the disk's paths are is none of a friend's business. */
  async #check(): Promise<OutgoingReply> {
    const found = await this.#options.check();
    return {
      body: encodeAvailability(found.available ? found : { ...found, reason: 'its store is not there' }),
    };
  }

  async #reserve(bytes: number): Promise<OutgoingReply> {
    if (bytes > reservationBytesMax) throw tooLarge(bytes, reservationBytesMax);
    if (this.#reservations.size >= reservationsMax) {
      throw new KithError('limit-exceeded', `more than ${reservationsMax} reservations at once`, {
        details: { max: reservationsMax },
      });
    }
    const id = ++this.#shared.lastReservation;
    // Its place is taken before it is made: many at once are counted too.
    this.#reservations.set(id, { bytes: 0, release: () => undefined });
    try {
      const reservation = await this.#store.reserve(bytes);
      if (this.#closed) reservation.release();
      else this.#reservations.set(id, reservation);
    } catch (error) {
      this.#reservations.delete(id);
      throw error;
    }
    return { body: encodeNumber(id) };
  }

  async #release(id: number): Promise<OutgoingReply> {
    this.#reservations.get(id)?.release();
    this.#reservations.delete(id);
    return nothing;
  }

  async #put(call: IncomingCall): Promise<OutgoingReply> {
    const head = heard(() => decodePut(call.body));
    const { packId, index, k, keyEpoch, payloadBytes, leavesBytes, manifestBytes } = head;
    const total = payloadBytes + leavesBytes + manifestBytes;
    if (call.uploadBytes !== total) {
      const cause = new KithError('malformed', `a put of ${total} bytes came with ${call.uploadBytes}`);
      throw new BrokenPeer(cause);
    }
    // One that an earlier session made has ended with it: the room is reserved anew.
    const reservation = this.#reservations.get(head.reservation);
    const fileBytes = shardHeadBytes + total;
    const hold = await this.#store.holdShard({ packId, index }, fileBytes, reservation);
    await this.#intoRoom(call, hold, async (bytes) => {
      const shard = {
        packId,
        index,
        k,
        class: head.class,
        keyEpoch,
        payload: bytes.subarray(0, payloadBytes),
        leaves: bytes.subarray(payloadBytes, payloadBytes + leavesBytes),
        manifest: bytes.subarray(payloadBytes + leavesBytes),
      };
      await this.#store.put(shard, hold.reservation, call.signal);
    });
    return { body: encodeNumber(reservation?.bytes ?? 0) };
  }

  async #get(call: IncomingCall): Promise<OutgoingReply> {
    const { packId, index, firstLeaf, leafCount } = heard(() => decodeRange(call.body));
    if (leafCount * leafBytes > call.downloadBytesMax) {
      throw new KithError('usage', `a range of ${leafCount} leaves needs more credit`);
    }
    const range = await this.#large(call.signal, () =>
      this.#store.get({ packId, index }, firstLeaf, leafCount),
    );
    if (range === undefined) return { body: encodeFound(undefined) };
    return {
      body: encodeFound(range.proof.length),
      download: [range.bytes, range.proof],
      owned: [range.bytes],
    };
  }

  async #stat(body: Uint8Array): Promise<OutgoingReply> {
    return { body: encodeFound((await this.#store.stat(heard(() => decodeRef(body))))?.fileBytes) };
  }

  async #verify({ body, signal }: IncomingCall): Promise<OutgoingReply> {
    const ref = heard(() => decodeRef(body));
    return { body: encodeVerified(await this.#large(signal, () => this.#store.verify(ref))) };
  }

  async #settle({ body, signal }: IncomingCall): Promise<OutgoingReply> {
    const refs = heard(() => decodeRefs(body));
    await this.#large(signal, () => this.#store.settle(refs));
    return nothing;
  }

  async #listLogs({ body, signal }: IncomingCall): Promise<OutgoingReply> {
    const after = heard(() => decodeLogCursor(body));
    const logs = await this.#large(signal, () => this.#store.logs.list());
    return { body: encodeLogPage(logPageOf(logs, after)) };
  }

  async #putSegment(call: IncomingCall): Promise<OutgoingReply> {
    const { logKey, firstIndex } = heard(() => decodeSegmentRef(call.body));
    if (call.uploadBytes > segmentBytesMax) throw tooLarge(call.uploadBytes, segmentBytesMax);
    const hold = await this.#store.holdSegment(logKey, firstIndex, call.uploadBytes);
    await this.#intoRoom(call, hold, (bytes) =>
      this.#store.putSegment(logKey, firstIndex, bytes, hold.reservation),
    );
    return nothing;
  }

  async #getSegment({ body, signal }: IncomingCall): Promise<OutgoingReply> {
    const { logKey, firstIndex } = heard(() => decodeSegmentRef(body));
    return found(await this.#large(signal, () => this.#store.logs.getSegment(logKey, firstIndex)));
  }

  async #putKeyRecord(call: IncomingCall): Promise<OutgoingReply> {
    if (call.uploadBytes > keyRecordBytesMax) throw tooLarge(call.uploadBytes, keyRecordBytesMax);
    const hold = await this.#store.holdKeyRecord(call.uploadBytes);
    await this.#intoRoom(call, hold, async (bytes) => {
      await this.#keepKeyRecord(bytes, hold);
      this.#options.onKeyRecord?.(this.#owner, bytes);
    });
    return nothing;
  }

  /** Its identity signs it, so that one which isn't genuine was made by somebody; segments and shards may have been damaged on a disk. */
  async #keepKeyRecord(bytes: Uint8Array, hold: Hold): Promise<void> {
    try {
      await this.#store.putKeyRecord(bytes, hold.reservation);
    } catch (error) {
      throw asBroken(error);
    }
  }

  async #inventory(call: IncomingCall): Promise<OutgoingReply> {
    const asked = heard(() => decodeInventoryAsked(call.body));
    const page = await this.#store.listing((inventoryOf) => this.#page(asked, inventoryOf, call.signal));
    const { publicKey, secretKey } = this.#options.device;
    const signer = { vaultId: this.#owner, deviceId: publicKey, deviceSecretKey: secretKey };
    return { body: encodeInventoryPage(page, call.body, signer) };
  }

  async #page(asked: InventoryAsked, inventoryOf: FolderLister, signal: AbortSignal): Promise<InventoryPage> {
    const sections: InventorySection[] = [];
    let next: number | undefined;
    let entriesLeft = pageEntriesMax;
    let bytesLeft = pageBytesMax;
    for (let firstByte = asked.from; firstByte < 256; firstByte++) {
      const all: InventoryEntry[] = [];
      for await (const entry of inventoryOf(firstByte, { signal })) all.push(asTold(entry));
      const told = sectionOf(asked, firstByte, all, entriesLeft, bytesLeft);
      if (told === undefined) continue;
      const { section, count } = told;
      const isFull = section.more && count === 0;
      if (!isFull) sections.push(section);
      entriesLeft -= count;
      bytesLeft -= section.entries.length;
      if (section.more) {
        next = firstByte;
        break;
      }
    }
    return { sections, next };
  }
}

/** What a page tells of one folder, of which `all` is there; undefined if there is nothing to tell. */
function sectionOf(
  asked: InventoryAsked,
  firstByte: number,
  all: readonly InventoryEntry[],
  entriesLeft: number,
  bytesLeft: number,
): { readonly section: InventorySection; readonly count: number } | undefined {
  const digest = asked.known.find((folder) => folder.firstByte === firstByte)?.digest;
  const after = asked.from === firstByte ? asked.after : undefined;
  if (after === undefined && digest !== undefined && digestMatches(digest, encodeEntries(all))) {
    return { section: { firstByte, same: true, more: false, entries: new Uint8Array(0) }, count: 0 };
  }
  const rest = after === undefined ? all : all.filter((entry) => compareRefs(entry, after) > 0);
  // An empty folder is told of only where the asker believes that it isn't, or has been told a part of it.
  if (rest.length === 0 && digest === undefined && after === undefined) return undefined;
  const { count, entries } = entriesFitting(rest, entriesLeft, bytesLeft);
  return { section: { firstByte, same: false, more: count < rest.length, entries }, count };
}

/** Why a file is damaged may be told in words with paths in them. */
function asTold(entry: InventoryEntry): InventoryEntry {
  return entry.damaged === undefined ? entry : { ...entry, damaged: 'its file there is damaged' };
}

function tooLarge(bytes: number, max: number): KithError {
  return new KithError('limit-exceeded', `${bytes} bytes are more than ${max}`, { details: { bytes, max } });
}

function found(bytes: Uint8Array | undefined): OutgoingReply {
  return bytes === undefined
    ? { body: encodeFound(undefined) }
    : { body: encodeFound(bytes.length), download: [bytes] };
}
