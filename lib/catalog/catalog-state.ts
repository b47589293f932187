import { compareBytes, equalBytes, idKey, toHex } from '../base/bytes.ts';
import { KithError } from '../base/errors.ts';
import {
  decodeForget,
  decodeHolderRecord,
  decodeIndexRecord,
  decodeSetting,
  type HolderRecord,
} from '../format/catalog-records.ts';
import { decodeFriendRecord, type FriendRecord } from '../format/friend-records.ts';
import { decodePackRecord, decodePlacementRecord, type Placement } from '../format/ledger-records.ts';
import { recordKinds } from '../format/log-kinds.ts';
import type { IndexRef } from '../format/index-blob.ts';
import { decodeManifest, verifyManifest, type Manifest } from '../format/manifest.ts';
import { decodeSnapshot, snapshotId, type Snapshot } from '../format/snapshot.ts';
import type { InviteRecord } from '../format/invite-records.ts';
import { InviteTable } from './invite-table.ts';
import { PackTable, type KnownPack } from './pack-table.ts';
import type { LogAuthority } from './log-carrier.ts';

export type { KnownPack } from './pack-table.ts';

/** A published snapshot. */
export interface KnownSnapshot {
  readonly id: string;
  readonly snapshot: Snapshot;
  readonly bytes: Uint8Array;
}

/** The latest record of a friend, and when the first one was written. */
interface FriendLine {
  readonly record: FriendRecord;
  readonly body: Uint8Array;
  readonly firstNs: bigint;
  /** Of the state, when the line became what it is. */
  readonly revision: number;
}

/** Beyond it a time doesn't fit its field. */
const timeNsMax = 2n ** 63n - 1n;

/**
 * What all logs together say: rebuilt by replaying them, in any order of logs. Later times win where records disagree, and of equal
 * times the greater bytes, so that every device comes to the same.
 */
export class CatalogState {
  readonly #authority: LogAuthority;
  #snapshots = new Map<string, KnownSnapshot>();
  #forgotten = new Set<string>();
  #settings = new Map<string, { readonly value: string; readonly at: bigint }>();
  #holders = new Map<string, { readonly record: HolderRecord; readonly body: Uint8Array }>();
  #friends = new Map<string, FriendLine>();
  #invites = new InviteTable();
  #packs = new PackTable();
  #indexRefs = new Map<string, IndexRef>();
  #removedIndex = new Set<string>();
  #indexed = new Set<string>();
  #generation = 0;
  #revision = 0;
  /** When all that was known was replaced. */
  #replacedAt = 0;

  constructor(authority: LogAuthority) {
    this.#authority = authority;
  }

  /** Another number once records have left the state. As long as it stays, what is known only grows. */
  get generation(): number {
    return this.#generation;
  }

  /** Another, higher number once anything else is said of holders, friends, invites or settings. */
  get revision(): number {
    return this.#revision;
  }

  /** Hex of the identities of which the friends book says something else than at that revision; undefined where it may be any. */
  friendsSince(revision: number): ReadonlySet<string> | undefined {
    if (revision < this.#replacedAt) return undefined;
    const changed = new Set<string>();
    for (const [id, line] of this.#friends) if (line.revision > revision) changed.add(id);
    return changed;
  }

  /** Takes the place of all that was known: what another state says is what this one says from now on. The other is of no use after. */
  become(other: CatalogState): void {
    this.#generation++;
    this.#revision = Math.max(this.#revision, other.#revision) + 1;
    this.#replacedAt = this.#revision;
    this.#snapshots = other.#snapshots;
    this.#forgotten = other.#forgotten;
    this.#settings = other.#settings;
    this.#holders = other.#holders;
    this.#friends = other.#friends;
    this.#invites = other.#invites;
    this.#packs = other.#packs;
    this.#indexRefs = other.#indexRefs;
    this.#removedIndex = other.#removedIndex;
    this.#indexed = other.#indexed;
  }

  /** Applies an opened record of a known kind. KithError `malformed` or `not-authentic`: what it says doesn't count. */
  apply(kind: number, body: Uint8Array): void {
    switch (kind) {
      case recordKinds.snapshot:
        this.#applySnapshot(body);
        break;
      case recordKinds.forget:
        for (const id of decodeForget(body).snapshotIds) {
          this.#forgotten.add(toHex(id));
          this.#snapshots.delete(toHex(id));
        }
        break;
      case recordKinds.setting: {
        const { key, value, atNs } = decodeSetting(body);
        const known = this.#settings.get(key);
        if (known !== undefined && (known.at > atNs || (known.at === atNs && known.value > value))) break;
        this.#settings.set(key, { value, at: atNs });
        if (known?.value !== value) this.#revision++;
        break;
      }
      case recordKinds.holder: {
        const own = body.slice();
        const record = decodeHolderRecord(own);
        const id = toHex(record.holderId);
        const known = this.#holders.get(id);
        const at = known?.record.atNs ?? record.atNs - 1n;
        const isLater = at < record.atNs || (at === record.atNs && compareBytes(known?.body ?? own, own) < 0);
        if (!isLater) break;
        this.#holders.set(id, { record, body: own });
        this.#revision++;
        break;
      }
      case recordKinds.friend:
        this.#applyFriend(body.slice());
        break;
      case recordKinds.invite:
        if (this.#invites.apply(body.slice())) this.#revision++;
        break;
      case recordKinds.index:
        this.#applyIndex(body);
        break;
      case recordKinds.pack: {
        const { manifest, placements } = decodePackRecord(body);
        this.#applyManifest(manifest, placements);
        break;
      }
      case recordKinds.placement: {
        const { packId, placements } = decodePlacementRecord(body);
        this.#packs.replaceHints(packId, placements);
        break;
      }
      default:
      // Kinds that other parts read, or that nothing acts on yet.
    }
  }

  #applySnapshot(body: Uint8Array): void {
    const id = toHex(snapshotId(body));
    if (this.#forgotten.has(id) || this.#snapshots.has(id)) return;
    const bytes = body.slice();
    this.#snapshots.set(id, { id, snapshot: decodeSnapshot(bytes), bytes });
  }

  #applyFriend(body: Uint8Array): void {
    const record = decodeFriendRecord(body);
    const id = toHex(record.identity);
    const known = this.#friends.get(id);
    if (known === undefined) {
      this.#friends.set(id, { record, body, firstNs: record.atNs, revision: ++this.#revision });
      return;
    }
    const firstNs = record.atNs < known.firstNs ? record.atNs : known.firstNs;
    const isLater =
      known.record.atNs < record.atNs ||
      (known.record.atNs === record.atNs && compareBytes(known.body, body) < 0);
    if (!isLater && firstNs === known.firstNs) return;
    const latest = isLater ? { record, body } : known;
    this.#friends.set(id, {
      record: latest.record,
      body: latest.body,
      firstNs,
      revision: ++this.#revision,
    });
  }

  #applyIndex(body: Uint8Array): void {
    const record = decodeIndexRecord(body);
    for (const blobId of record.removed) {
      this.#removedIndex.add(idKey(blobId));
      this.#indexRefs.delete(idKey(blobId));
    }
    for (const packId of record.covered) this.#indexed.add(idKey(packId));
    for (const ref of record.added) {
      if (!this.#removedIndex.has(idKey(ref.blobId))) this.#indexRefs.set(idKey(ref.blobId), ref);
    }
  }

  #applyManifest(bytes: Uint8Array, placements: readonly Placement[]): void {
    const manifest = decodeManifest(bytes);
    if (!equalBytes(manifest.vaultId, this.#authority.vaultId))
      throw new KithError('not-authentic', 'a manifest of another vault');
    const known = this.#packs.get(manifest.packId);
    if (known === undefined) this.#packs.set(manifest.packId, bytes);
    else if (!equalBytes(known.manifestBytes, bytes)) this.#replaceManifest(known, manifest, bytes);
    this.#packs.addHints(manifest.packId, placements);
  }

  /**
   * Of two manifests of a pack the higher generation counts, but roots that were signed once stay: shards lie with holders under
   * them. Where the higher doesn't go on from the lower, the lower counts, whichever came first.
   */
  #replaceManifest(known: KnownPack, manifest: Manifest, bytes: Uint8Array): void {
    const before = known.manifest;
    verifyManifest(bytes, this.#authority.isDevice);
    const order = manifest.generation - before.generation || compareBytes(known.manifestBytes, bytes);
    const agree = order > 0 ? goesOnFrom(manifest, before) : goesOnFrom(before, manifest);
    if (order > 0 === agree) this.#packs.set(manifest.packId, bytes);
    if (!agree)
      throw new KithError('malformed', 'two manifests of one pack sign different roots; the older counts');
  }

  snapshot(id: string): KnownSnapshot | undefined {
    return this.#snapshots.get(id);
  }

  isForgotten(id: string): boolean {
    return this.#forgotten.has(id);
  }

  /** By their own times, oldest first; `orderSnapshots` knows better where a clock was wrong. */
  snapshots(): KnownSnapshot[] {
    return [...this.#snapshots.values()].sort((a, b) =>
      a.snapshot.timeNs < b.snapshot.timeNs
        ? -1
        : a.snapshot.timeNs > b.snapshot.timeNs
          ? 1
          : a.id < b.id
            ? -1
            : 1,
    );
  }

  /** The value of a setting, or undefined for the default. */
  setting(key: string): string | undefined {
    const value = this.#settings.get(key)?.value;
    return value === '' ? undefined : value;
  }

  /** The time to write into a record of a setting, so that it counts: a clock that was ahead once must not win for ever. */
  settingTimeNs(key: string, nowNs: bigint): bigint {
    return timeAfter(this.#settings.get(key)?.at, nowNs);
  }

  /** The same for a record of a holder. */
  holderTimeNs(holderId: Uint8Array, nowNs: bigint): bigint {
    return timeAfter(this.#holders.get(toHex(holderId))?.record.atNs, nowNs);
  }

  /** All holders ever recorded, removed ones included. */
  holders(): HolderRecord[] {
    return [...this.#holders.values()].map(({ record }) => record);
  }

  /** The same for a line of the friends book. */
  friendTimeNs(identity: Uint8Array, nowNs: bigint): bigint {
    return timeAfter(this.#friends.get(toHex(identity))?.record.atNs, nowNs);
  }

  /** The friends book, removed ones included: who was added first comes first, on every device. */
  friends(): FriendRecord[] {
    const lines = [...this.#friends.entries()];
    lines.sort(([a, one], [b, other]) =>
      one.firstNs === other.firstNs ? (a < b ? -1 : 1) : one.firstNs < other.firstNs ? -1 : 1,
    );
    return lines.map(([, { record }]) => record);
  }

  /** The last that was recorded of a friend, removed or not. */
  friend(identity: Uint8Array): FriendRecord | undefined {
    return this.#friends.get(toHex(identity))?.record;
  }

  /** Invites that this identity made, closed ones included, the oldest first. */
  invites(): InviteRecord[] {
    return this.#invites.all();
  }

  invite(inviteId: Uint8Array): InviteRecord | undefined {
    return this.#invites.get(inviteId);
  }

  /** A pack by its id. What it gives is read anew from packed bytes: keep it no longer than needed. */
  pack(packId: Uint8Array): KnownPack | undefined {
    return this.#packs.get(packId);
  }

  packs(): IterableIterator<KnownPack> {
    return this.#packs.values();
  }

  /** True if some index blob covers the pack. */
  isIndexed(packId: Uint8Array): boolean {
    return this.#indexed.has(idKey(packId));
  }

  indexRefs(): IndexRef[] {
    return [...this.#indexRefs.values()];
  }
}

function timeAfter(knownNs: bigint | undefined, nowNs: bigint): bigint {
  if (knownNs === undefined || knownNs < nowNs) return nowNs;
  return knownNs < timeNsMax ? knownNs + 1n : timeNsMax;
}

/** True if a manifest says all that an earlier one of its pack said, and more roots at most. */
function goesOnFrom(later: Manifest, earlier: Manifest): boolean {
  return (
    later.k === earlier.k &&
    later.class === earlier.class &&
    later.keyEpoch === earlier.keyEpoch &&
    earlier.roots.every((root, row) => equalBytes(root, later.roots[row] ?? new Uint8Array(0)))
  );
}
