import { utf8 } from '../../lib/base/bytes.ts';
import { blobKinds, type BlobKind } from '../../lib/format/blob.ts';
import type { Content } from '../../lib/format/content.ts';
import { encodePackRecord } from '../../lib/format/ledger-records.ts';
import { recordKinds } from '../../lib/format/log-kinds.ts';
import { logRoles } from '../../lib/format/segment.ts';
import { encodeSnapshot, snapshotId, type Snapshot } from '../../lib/format/snapshot.ts';
import { encodeTree, entryTypes, type EntryType, type TreeEntry } from '../../lib/format/tree.ts';
import { toHex } from '../../lib/base/bytes.ts';
import { BlobWriter } from '../../lib/pipeline/blob-writer.ts';
import { codeShards, signPack } from '../../lib/pipeline/coded-pack.ts';
import { PackBuilder } from '../../lib/pipeline/pack-builder.ts';
import { Stages } from '../../lib/pipeline/stages.ts';
import type { Spread } from '../../lib/placement/spread.ts';
import { currentEpoch } from '../../lib/trust/identity.ts';
import { PackStore } from '../../lib/vault/backup/pack-store.ts';
import { savePending } from '../../lib/vault/shards/pending.ts';
import { prepareWrite } from '../../lib/vault/read/prepare.ts';
import type { Session } from '../../lib/vault/session.ts';
import { ShardPlacer } from '../../lib/vault/shards/shard-placer.ts';

/** An entry with the plainest metadata. */
export function forgedEntry(
  name: string,
  type: EntryType,
  more: Partial<Omit<TreeEntry, 'name' | 'type'>> = {},
): TreeEntry {
  return {
    name: utf8(name),
    type,
    mode: type === entryTypes.folder ? 0o755 : 0o644,
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    mtimeNs: 1_700_000_000_000_000_000n,
    ctimeNs: 1_700_000_000_000_000_000n,
    inode: 1n,
    size: 0,
    ...more,
  };
}

/** A snapshot's id, and those of the packs that were made for it. */
export interface Forged {
  readonly id: string;
  readonly packIds: readonly Uint8Array[];
}

/**
 * Puts into a vault, with its own keys, what no honest backup would: a stolen device, or a mistake of an older kith.
 * Blobs are stored even if the vault has them, so the same forging twice gives two packs with the same blobs.
 */
export class TreeForge {
  readonly #session: Session;
  readonly #spread: Spread;
  readonly #placer: ShardPlacer;
  readonly #store: PackStore;
  readonly #writer: BlobWriter;

  private constructor(session: Session, spread: Spread, placer: ShardPlacer, store: PackStore) {
    this.#session = session;
    this.#spread = spread;
    this.#placer = placer;
    this.#store = store;
    this.#writer = new BlobWriter({
      namer: session.namer,
      compressor: session.compressor,
      stages: new Stages(),
      claim: () => true,
      newPack: (capacityBytes) => this.#newPack(capacityBytes),
      onPack: (pack, builder) => store.take(pack, builder),
      room: () => store.room(),
    });
  }

  static async open(session: Session, spread: Spread): Promise<TreeForge> {
    const ignore = (): void => undefined;
    const { here, census } = await prepareWrite(session, ignore);
    const placer = await ShardPlacer.create(here, ignore);
    const store = new PackStore({ session, placer, spread, stages: new Stages(), census });
    return new TreeForge(session, spread, placer, store);
  }

  #newPack(capacityBytes?: number): PackBuilder {
    const { keyEpoch, sealing } = currentEpoch(this.#session.device);
    const { random } = this.#session.surroundings;
    return new PackBuilder({ k: this.#spread.k, keyEpoch, sealingKey: sealing, random, capacityBytes });
  }

  /** Stores any bytes as a blob of any kind. */
  blob(kind: BlobKind, bytes: Uint8Array): Promise<Uint8Array> {
    return this.#writer.store(kind, bytes);
  }

  /** Stores a tree; `spoil` may change its bytes before they get their name. */
  async tree(entries: readonly TreeEntry[], spoil?: (bytes: Uint8Array) => Uint8Array): Promise<Uint8Array> {
    const bytes = encodeTree(entries);
    return await this.#writer.store(blobKinds.tree, spoil === undefined ? bytes : spoil(bytes));
  }

  async file(name: string, text: string): Promise<TreeEntry> {
    const content = { level: 0, ids: [await this.blob(blobKinds.data, utf8(text))] };
    return forgedEntry(name, entryTypes.file, { size: utf8(text).length, content });
  }

  async folder(name: string, entries: readonly TreeEntry[]): Promise<TreeEntry> {
    const content = { level: 0, ids: [await this.tree(entries)] };
    return forgedEntry(name, entryTypes.folder, { content });
  }

  /** A pack whose one frame claims to hold a blob, and has this body, zstd by its mark. Gives the blob's id. */
  async frame(options: {
    readonly kind: BlobKind;
    readonly blobId: Uint8Array;
    readonly plainBytes: number;
    readonly body: Uint8Array;
  }): Promise<Uint8Array> {
    return await this.#ownPack({ compression: 1, ...options });
  }

  /** The same of a frame that isn't compressed: it opens, and its one blob may be something else than its name says. */
  async plainFrame(options: {
    readonly kind: BlobKind;
    readonly blobId: Uint8Array;
    readonly body: Uint8Array;
  }): Promise<Uint8Array> {
    return await this.#ownPack({ compression: 0, plainBytes: options.body.length, ...options });
  }

  async #ownPack(options: {
    readonly compression: 0 | 1;
    readonly kind: BlobKind;
    readonly blobId: Uint8Array;
    readonly plainBytes: number;
    readonly body: Uint8Array;
  }): Promise<Uint8Array> {
    const { compression, kind, blobId, plainBytes, body } = options;
    const builder = this.#newPack();
    builder.add({
      compression,
      plainBytes,
      body,
      blobs: [{ kind, blobId, offsetInFrame: 0, length: plainBytes }],
    });
    const pack = builder.finish();
    const { coder } = this.#session.surroundings;
    const coded = signPack(codeShards(pack, { n: this.#spread.n, spare: 0, coder }), this.#session.device);
    const { placed } = await this.#placer.place(coded, coded.shards, new Set());
    const record = encodePackRecord({ manifest: coded.manifest, placements: placed });
    await this.#session.logs.append(logRoles.ledger, [{ kind: recordKinds.pack, body: record }]);
    this.#session.index.addPack(coded.packId, pack.directory);
    return blobId;
  }

  /** Places what was forged, and publishes a snapshot of it, or lets it wait for its packs. */
  async publish(root: Content, options: { readonly pending?: boolean } = {}): Promise<Forged> {
    const { device, surroundings } = this.#session;
    const snapshot: Snapshot = {
      vaultId: device.vaultId,
      deviceId: device.deviceId,
      timeNs: surroundings.clock.nowNs(),
      durationNs: 0n,
      host: 'forge',
      user: 'forger',
      partial: false,
      sources: [utf8('/')],
      excludes: [],
      tags: [],
      root,
      summary: {
        filesNew: 0,
        filesChanged: 0,
        filesUnmodified: 0,
        folders: 0,
        symlinks: 0,
        others: 0,
        unreadable: 0,
        bytesProcessed: 0,
        bytesAdded: 0,
      },
    };
    const bytes = encodeSnapshot(snapshot);
    await this.#writer.finish();
    await this.#store.settle();
    const packIds = this.#store.newPacks.map(({ packId }) => packId);
    if (options.pending === true) await savePending(this.#session, bytes, packIds);
    else await this.#session.logs.append(logRoles.catalog, [{ kind: recordKinds.snapshot, body: bytes }]);
    return { id: toHex(snapshotId(bytes)), packIds };
  }
}

/** Forges a snapshot of what `build` makes, in a session of its own. */
export async function forgeSnapshot(
  vault: { session<T>(work: (session: Session) => Promise<T>): Promise<T> },
  spread: Spread,
  build: (forge: TreeForge) => Promise<Content>,
  options: { readonly pending?: boolean } = {},
): Promise<Forged> {
  return await vault.session(async (session) => {
    const forge = await TreeForge.open(session, spread);
    return await forge.publish(await build(forge), options);
  });
}

/**
 * A zstd frame (RFC 8878) that says it holds `claimedBytes` and holds `blocks` runs of 128 KiB of zeros, four bytes each:
 * 4 GiB of them take 128 KiB.
 */
export function zstdBomb(blocks: number, claimedBytes?: number): Uint8Array {
  const head =
    claimedBytes === undefined
      ? // No content size; a window of 128 KiB.
        [0x00, 0x38]
      : // Single segment, content size in four bytes.
        [0xa0, ...new Uint8Array(new Uint32Array([claimedBytes]).buffer)];
  const bytes = new Uint8Array(4 + head.length + blocks * 4);
  bytes.set([0x28, 0xb5, 0x2f, 0xfd, ...head]);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < blocks; i++) {
    const last = i === blocks - 1 ? 1 : 0;
    view.setUint32(4 + head.length + i * 4, (131_072 << 3) | (1 << 1) | last, true);
  }
  return bytes;
}
