import { idKey, toHex } from '../base/bytes.ts';
import {
  decodeForget,
  decodeHolderRecord,
  decodeIndexRecord,
  decodeLogOpened,
  decodeSetting,
  type HolderRecord,
} from '../format/catalog-records.ts';
import type { LogPosition } from '../format/log-position.ts';
import { decodePackRecord, decodePlacementRecord, type Placement } from '../format/ledger-records.ts';
import { recordKinds } from '../format/log-kinds.ts';
import type { IndexRef } from '../format/index-blob.ts';
import { decodeManifest, type Manifest } from '../format/manifest.ts';
import { decodeSnapshot, snapshotId, type Snapshot } from '../format/snapshot.ts';

/** A pack of the vault: its signed manifest (highest generation seen) and where shards were put, as hints. */
export interface KnownPack {
  readonly manifest: Manifest;
  readonly manifestBytes: Uint8Array;
  /** Shard index → ids (hex) of holders that acknowledged it. The truth is each holder's inventory. */
  readonly hints: ReadonlyMap<number, ReadonlySet<string>>;
}

interface MutablePack {
  manifest: Manifest;
  manifestBytes: Uint8Array;
  readonly hints: Map<number, Set<string>>;
}

/** A published snapshot. */
export interface KnownSnapshot {
  readonly id: string;
  readonly snapshot: Snapshot;
  readonly bytes: Uint8Array;
}

/** What all logs together say: rebuilt by replaying them, in any order of logs. Later times win where records disagree. */
export class CatalogState {
  readonly #snapshots = new Map<string, KnownSnapshot>();
  readonly #forgotten = new Set<string>();
  readonly #settings = new Map<string, { readonly value: string; readonly at: bigint }>();
  readonly #holders = new Map<string, HolderRecord>();
  readonly #packs = new Map<string, MutablePack>();
  readonly #indexRefs = new Map<string, IndexRef>();
  readonly #removedIndex = new Set<string>();
  readonly #indexed = new Set<string>();
  #keyRecords: Uint8Array[] = [];

  readonly #closed = new Set<string>();

  /** Applies an opened record of a known kind. KithError `malformed` leaves the state as it was. */
  apply(kind: number, body: Uint8Array): void {
    switch (kind) {
      case recordKinds.logOpened:
        for (const { logKey, hash } of decodeLogOpened(body).predecessors)
          this.#closed.add(idKey(logKey) + idKey(hash));
        break;
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
        if (known === undefined || known.at <= atNs) this.#settings.set(key, { value, at: atNs });
        break;
      }
      case recordKinds.holder: {
        const record = decodeHolderRecord(body);
        const id = toHex(record.holderId);
        const known = this.#holders.get(id);
        if (known === undefined || known.atNs <= record.atNs) this.#holders.set(id, record);
        break;
      }
      case recordKinds.keyRecord:
        this.#keyRecords = [...this.#keyRecords.slice(-15), body.slice()];
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
        const pack = this.#packs.get(idKey(packId));
        if (pack !== undefined) replaceHints(pack, placements);
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
    const manifestBytes = bytes.slice();
    const manifest = decodeManifest(manifestBytes);
    const key = idKey(manifest.packId);
    const known = this.#packs.get(key);
    if (known === undefined) {
      const pack: MutablePack = { manifest, manifestBytes, hints: new Map() };
      addHints(pack, placements);
      this.#packs.set(key, pack);
      return;
    }
    if (manifest.generation > known.manifest.generation) {
      known.manifest = manifest;
      known.manifestBytes = manifestBytes;
    }
    addHints(known, placements);
  }

  /** True if some log goes on from this head of another: what the head's branch says has been taken over. */
  isClosed(head: LogPosition): boolean {
    return this.#closed.has(idKey(head.logKey) + idKey(head.hash));
  }

  snapshot(id: string): KnownSnapshot | undefined {
    return this.#snapshots.get(id);
  }

  isForgotten(id: string): boolean {
    return this.#forgotten.has(id);
  }

  /** Oldest first. */
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

  /** All holders ever recorded, removed ones included. */
  holders(): HolderRecord[] {
    return [...this.#holders.values()];
  }

  pack(packId: Uint8Array): KnownPack | undefined {
    return this.#packs.get(idKey(packId));
  }

  packs(): IterableIterator<KnownPack> {
    return this.#packs.values();
  }

  get packCount(): number {
    return this.#packs.size;
  }

  /** True if some index blob covers the pack. */
  isIndexed(packId: Uint8Array): boolean {
    return this.#indexed.has(idKey(packId));
  }

  indexRefs(): IndexRef[] {
    return [...this.#indexRefs.values()];
  }

  /** Key records seen in logs, unverified; the newest last. */
  keyRecords(): readonly Uint8Array[] {
    return this.#keyRecords;
  }
}

function addHints(pack: MutablePack, placements: readonly Placement[]): void {
  for (const { shardIndex, holderId } of placements) {
    const holders = pack.hints.get(shardIndex) ?? new Set<string>();
    holders.add(toHex(holderId));
    pack.hints.set(shardIndex, holders);
  }
}

function replaceHints(pack: MutablePack, placements: readonly Placement[]): void {
  for (const { shardIndex } of placements) pack.hints.delete(shardIndex);
  addHints(pack, placements);
}
