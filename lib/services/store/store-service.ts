import { KithError } from '../../base/errors.ts';
import { leafBytes } from '../../base/limits.ts';
import type { VaultStore } from '../../custody/vault-store.ts';
import type { Availability, InventoryEntry, Reservation } from '../../holders/holder.ts';
import type { IncomingCall, OutgoingReply, PeerInfo, Service, ServiceHandler } from '../../net/service.ts';
import {
  compareRefs,
  decodeInventoryAsked,
  digestMatches,
  encodeEntries,
  encodeInventoryPage,
  pageBytesMax,
  pageEntriesMax,
  type InventoryAsked,
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

/** Reservations of one session at a time. */
const reservationsMax = 64;

const nothing: OutgoingReply = { body: new Uint8Array(0) };

export interface StoreServiceOptions {
  /** Our device: it signs inventories. */
  readonly device: { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array };
  /** The store of an owner; undefined for one to whom nothing is granted. Asked at the start of a session and when grants change. */
  readonly storeOf: (identity: Uint8Array) => VaultStore | undefined;
  readonly check: () => Promise<Availability>;
}

/** `kith/store`: what an owner's device may do with what is kept for it here (docs/formats/store-service.md). */
export function storeService(options: StoreServiceOptions): Service {
  return {
    name: storeServiceName,
    versions: storeVersions,
    accept: (peer) => {
      const store = options.storeOf(peer.identity);
      return store === undefined ? undefined : new StoreHandler(options, store, peer);
    },
  };
}

type Method = (call: IncomingCall) => Promise<OutgoingReply>;

/** One owner's session with its store. What it reserved goes with it. */
class StoreHandler implements ServiceHandler {
  readonly #options: StoreServiceOptions;
  readonly #store: VaultStore;
  readonly #owner: Uint8Array;
  readonly #reservations = new Map<number, Reservation>();
  #lastReservation = 0;
  #closed = false;
  readonly #methods: ReadonlyMap<number, Method>;

  constructor(options: StoreServiceOptions, store: VaultStore, peer: PeerInfo) {
    this.#options = options;
    this.#store = store;
    this.#owner = peer.identity.slice();
    this.#methods = new Map<number, Method>([
      [storeMethods.check, async () => ({ body: encodeAvailability(await options.check()) })],
      [storeMethods.room, async () => ({ body: encodeRoom(await store.room()) })],
      [storeMethods.reserve, (call) => this.#reserve(decodeNumber(call.body))],
      [storeMethods.release, (call) => this.#release(decodeNumber(call.body))],
      [storeMethods.put, (call) => this.#put(call)],
      [storeMethods.get, (call) => this.#get(call)],
      [
        storeMethods.stat,
        async ({ body }) => ({ body: encodeFound((await store.stat(decodeRef(body)))?.fileBytes) }),
      ],
      [storeMethods.manifest, async ({ body }) => found(await store.manifest(decodeRef(body)))],
      [storeMethods.inventory, (call) => this.#inventory(call)],
      [
        storeMethods.verify,
        async ({ body }) => ({ body: encodeVerified(await store.verify(decodeRef(body))) }),
      ],
      [
        storeMethods.settle,
        async ({ body }) => {
          await store.settle(decodeRefs(body));
          return nothing;
        },
      ],
      [
        storeMethods.listLogs,
        async ({ body }) => {
          const after = decodeLogCursor(body);
          return { body: encodeLogPage(logPageOf(await store.logs.list(), after)) };
        },
      ],
      [
        storeMethods.putSegment,
        async (call) => {
          const { logKey, firstIndex } = decodeSegmentRef(call.body);
          await store.logs.putSegment(logKey, firstIndex, await call.receive());
          return nothing;
        },
      ],
      [
        storeMethods.getSegment,
        async ({ body }) => {
          const { logKey, firstIndex } = decodeSegmentRef(body);
          return found(await store.logs.getSegment(logKey, firstIndex));
        },
      ],
      [
        storeMethods.putKeyRecord,
        async (call) => {
          await store.putKeyRecord(await call.receive());
          return nothing;
        },
      ],
      [storeMethods.getKeyRecord, async () => found(await store.getKeyRecord())],
    ]);
  }

  async handle(call: IncomingCall): Promise<OutgoingReply> {
    const method = this.#methods.get(call.method);
    if (method === undefined) {
      throw new KithError('too-new', `${storeServiceName} has no method ${call.method} here. Update kith.`);
    }
    const reply = await method(call);
    const bytes = reply.download?.reduce((sum, part) => sum + part.length, 0) ?? 0;
    if (bytes > call.downloadBytesMax) throw new KithError('usage', `the answer has ${bytes} bytes`);
    return reply;
  }

  closed(): void {
    this.#closed = true;
    for (const reservation of this.#reservations.values()) reservation.release();
    this.#reservations.clear();
  }

  async #reserve(bytes: number): Promise<OutgoingReply> {
    if (this.#reservations.size >= reservationsMax) {
      throw new KithError('limit-exceeded', `more than ${reservationsMax} reservations at once`);
    }
    const id = ++this.#lastReservation;
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
    const head = decodePut(call.body);
    const { packId, index, k, keyEpoch, payloadBytes, leavesBytes, manifestBytes } = head;
    const total = payloadBytes + leavesBytes + manifestBytes;
    if (call.uploadBytes !== total) {
      throw new KithError('malformed', `a put of ${total} bytes came with ${call.uploadBytes}`);
    }
    const reservation = this.#reservations.get(head.reservation);
    if (head.reservation !== 0 && reservation === undefined) {
      throw new KithError('usage', `there is no reservation ${head.reservation} in this session`);
    }
    const bytes = total === 0 ? new Uint8Array(0) : await call.receive();
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
    await this.#store.put(shard, reservation, call.signal);
    return { body: encodeNumber(reservation?.bytes ?? 0) };
  }

  async #get(call: IncomingCall): Promise<OutgoingReply> {
    const { packId, index, firstLeaf, leafCount } = decodeRange(call.body);
    if (leafCount * leafBytes > call.downloadBytesMax) {
      throw new KithError('usage', `a range of ${leafCount} leaves needs more credit`);
    }
    const range = await this.#store.get({ packId, index }, firstLeaf, leafCount);
    if (range === undefined) return { body: encodeFound(undefined) };
    return { body: encodeFound(range.proof.length), download: [range.bytes, range.proof] };
  }

  async #inventory(call: IncomingCall): Promise<OutgoingReply> {
    const asked = decodeInventoryAsked(call.body);
    const sections: InventorySection[] = [];
    let next: number | undefined;
    let entriesLeft = pageEntriesMax;
    let bytesLeft = pageBytesMax;
    for (let firstByte = asked.from; firstByte < 256; firstByte++) {
      if (entriesLeft === 0 || bytesLeft <= 0) {
        next = firstByte;
        break;
      }
      const section = await this.#section(asked, firstByte, entriesLeft, call.signal);
      if (section === undefined) continue;
      sections.push(section.section);
      entriesLeft -= section.count;
      bytesLeft -= section.section.entries.length;
      if (section.section.more) {
        next = firstByte;
        break;
      }
    }
    const { publicKey, secretKey } = this.#options.device;
    const signer = { vaultId: this.#owner, deviceId: publicKey, deviceSecretKey: secretKey };
    return { body: encodeInventoryPage({ sections, next }, call.body, signer) };
  }

  /** One folder as it is on the disk now; undefined if there is nothing to tell of it. */
  async #section(
    asked: InventoryAsked,
    firstByte: number,
    entriesLeft: number,
    signal: AbortSignal,
  ): Promise<{ readonly section: InventorySection; readonly count: number } | undefined> {
    const digest = asked.known.find((folder) => folder.firstByte === firstByte)?.digest;
    const all: InventoryEntry[] = [];
    for await (const entry of this.#store.inventoryOf(firstByte, { signal })) all.push(entry);
    const after = asked.from === firstByte ? asked.after : undefined;
    if (after === undefined && digest !== undefined && digestMatches(digest, encodeEntries(all))) {
      return { section: { firstByte, same: true, more: false, entries: new Uint8Array(0) }, count: 0 };
    }
    const rest = after === undefined ? all : all.filter((entry) => compareRefs(entry, after) > 0);
    // An empty folder is told of only where the asker believes that it isn't, or has been told a part of it.
    if (rest.length === 0 && digest === undefined && after === undefined) return undefined;
    const part = fitting(rest.slice(0, entriesLeft));
    const section = {
      firstByte,
      same: false,
      more: part.length < rest.length,
      entries: encodeEntries(part),
    };
    return { section, count: part.length };
  }
}

/** As many of the entries as a page takes; damaged ones come with words and are longer. Never none of some. */
function fitting(entries: readonly InventoryEntry[]): readonly InventoryEntry[] {
  const longest = 300;
  const safe = Math.floor(pageBytesMax / longest);
  if (entries.length <= safe || encodeEntries(entries).length <= pageBytesMax) return entries;
  return entries.slice(0, safe);
}

function found(bytes: Uint8Array | undefined): OutgoingReply {
  return bytes === undefined
    ? { body: encodeFound(undefined) }
    : { body: encodeFound(bytes.length), download: [bytes] };
}
