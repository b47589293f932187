import { concatBytes } from '../base/bytes.ts';
import { collectYoung } from '../base/collect.ts';
import { KithError } from '../base/errors.ts';
import { systemRandom } from '../crypto/random.ts';
import { BlobNamer } from '../format/blob.ts';
import { encodePackDirectory } from '../format/pack-directory.ts';
import type { CompiledKernels } from '../kernels/kernel-module.ts';
import { loadKernels, type Kernels } from '../kernels/kernels.ts';
import { BlobPacker } from '../pipeline/blob-packer.ts';
import { codeShards, type UnsignedPack } from '../pipeline/coded-pack.ts';
import { createCompressor } from '../pipeline/compress.ts';
import { PackBuilder, type SealedPack } from '../pipeline/pack-builder.ts';
import { Stages } from '../pipeline/stages.ts';
import type { Spread } from '../placement/spread.ts';
import { localAccounts } from '../source/accounts.ts';
import { sharedBufferOf } from '../kernels/kernel-memory.ts';
import { SharedClaims } from './shared-claims.ts';
import { StoreLane } from './store-lane.ts';
import { laneMemory, SlotTable, slotMemory, type StoreLayout } from './store-memory.ts';
import { StoredBatchBuilder, unpackFiles, type StoredBatch } from './store-codec.ts';
import type { PackNotice, StoreJob, StoredStretch, StoreRest } from './store-messages.ts';
import type { WorkHandler } from './thread.ts';

/** Keys that blobs are named, cut and sealed with. */
export interface StoreKeys {
  readonly blobIdKey: Uint8Array;
  readonly cutKey: Uint8Array;
  readonly keyEpoch: number;
  readonly sealing: Uint8Array;
}

/** What a store thread gets at its start. */
export interface StoreSetup {
  readonly lane: number;
  readonly layout: StoreLayout;
  readonly memory: WebAssembly.Memory;
  readonly kernels: CompiledKernels | undefined;
  readonly slots: SharedArrayBuffer;
  readonly claims: readonly SharedArrayBuffer[];
  readonly keys: StoreKeys;
  readonly spread: Spread;
  readonly spare: number;
}

/** Batches of files between two looks of the garbage collector: some 2 MiB. */
const batchesPerCollection = 1;

/** Where a thread's open packs lie. */
interface OpenSlot {
  readonly slot: number;
  readonly memory: Uint8Array;
}

class StoreThread implements WorkHandler {
  readonly #setup: StoreSetup;
  readonly #notice: (notice: PackNotice) => void;
  readonly #claims: SharedClaims;
  readonly #slots: SlotTable;
  readonly #spares: Uint8Array;
  readonly #buffer: SharedArrayBuffer;
  readonly #kernels: Kernels;
  readonly #stages = new Stages();
  readonly #namer: BlobNamer;
  readonly #compressor = createCompressor();
  readonly #packer: BlobPacker;
  readonly #lane: StoreLane;
  readonly #open = new Map<PackBuilder, OpenSlot>();
  #batches = 0;
  /** Full packs that wait to be coded. */
  #sealed: { readonly pack: SealedPack; readonly builder: PackBuilder }[] = [];

  constructor(setup: StoreSetup, notice: (notice: PackNotice) => void) {
    this.#setup = setup;
    this.#notice = notice;
    this.#claims = new SharedClaims({ buffers: setup.claims });
    this.#slots = new SlotTable(setup.slots);
    this.#namer = new BlobNamer(setup.keys.blobIdKey);
    // Kernels know their memory by this thread's own buffer of it.
    this.#buffer = sharedBufferOf(setup.memory);
    const memory = laneMemory(setup.layout, this.#buffer, setup.lane);
    this.#kernels = loadKernels(setup.kernels, setup.memory, memory.scratchAt);
    this.#spares = memory.spares;
    this.#packer = new BlobPacker({
      namer: this.#namer,
      compressor: this.#compressor,
      stages: this.#stages,
      claim: (blobId) => this.#claims.claim(blobId),
      newPack: () => this.#newPack(),
      capacityBytes: setup.layout.capacityBytes,
      onPack: (pack, builder) => void this.#sealed.push({ pack, builder }),
      memory: memory.packer,
    });
    this.#lane = new StoreLane({
      packer: this.#packer,
      chunker: this.#kernels.chunker(setup.keys.cutKey),
      accounts: localAccounts(),
      stages: this.#stages,
      memory: memory.reading,
      signal: this.#slots,
    });
  }

  async run(job: unknown): Promise<StoredBatch | StoredStretch | StoreRest> {
    const order = job as StoreJob;
    if (order.kind === 'rest') return this.#rest();
    this.#claims.follow(order.claims);
    if (order.kind === 'stretch') {
      const stretch = this.#lane.stretch(order.stretch);
      await this.#sendSealed();
      return stretch;
    }
    const stored = new StoredBatchBuilder();
    const files = [...unpackFiles(order.files)];
    for (const [at, file] of files.entries()) {
      this.#lane.lookAhead(files, at);
      stored.add(await this.#lane.file(file), file.entry.size);
      if (this.#sealed.length > 0) await this.#sendSealed();
    }
    if (++this.#batches % batchesPerCollection === 0) collectYoung();
    return stored.finish();
  }

  async #rest(): Promise<StoreRest> {
    const frames = this.#packer.takeRest();
    await this.#sendSealed();
    for (const { slot } of this.#open.values()) this.#slots.release(slot);
    this.#open.clear();
    return { frames, bytesAdded: this.#packer.bytesAdded, stages: this.#stages.report() };
  }

  #newPack(): PackBuilder {
    const { layout, keys, spread } = this.#setup;
    const slot = this.#slots.aborted ? undefined : (this.#slots.takeFree() ?? this.#waitForSlot());
    if (slot === undefined) throw new KithError('interrupted', 'the backup was given up');
    const slotBytes = slotMemory(layout, this.#buffer, slot);
    const builder = new PackBuilder({
      k: spread.k,
      keyEpoch: keys.keyEpoch,
      sealingKey: keys.sealing,
      random: systemRandom,
      capacityBytes: layout.capacityBytes,
      memory: slotBytes,
    });
    this.#open.set(builder, { slot, memory: slotBytes });
    return builder;
  }

  /** The next slot that is released. Packs that wait to be coded hold slots: those go first, at once. */
  #waitForSlot(): number | undefined {
    for (const { pack, builder } of this.#sealed.splice(0)) {
      const coded = this.#code(pack, builder);
      this.#stages.run('verify', () => builder.verify(pack, this.#namer, this.#compressor));
      this.#tell(coded, pack, builder);
    }
    return this.#stages.run('turn', () => this.#slots.take());
  }

  /** Codes full packs, opens them again, and tells of them. */
  async #sendSealed(): Promise<void> {
    for (const { pack, builder } of this.#sealed.splice(0)) {
      const coded = this.#code(pack, builder);
      await this.#stages.wait('verify', () => builder.verifyInTurns(pack, this.#namer, this.#compressor));
      this.#tell(coded, pack, builder);
    }
  }

  #slotOf(builder: PackBuilder): OpenSlot {
    const open = this.#open.get(builder);
    if (open === undefined) throw new KithError('internal', 'a pack without a slot');
    return open;
  }

  /** Before it is verified: the shards are views of the payload, and a bit that flips before they are hashed would be signed for ever. */
  #code(pack: SealedPack, builder: PackBuilder): UnsignedPack {
    const { spread, spare } = this.#setup;
    const slot = this.#slotOf(builder);
    return this.#stages.run('encode', () =>
      codeShards(pack, {
        n: spread.n,
        spare,
        coder: this.#kernels.coder,
        memory: (row, bytes) => {
          const [memory, at] = row < spread.n ? [slot.memory, row] : [this.#spares, row - spread.n];
          return memory.subarray(at * bytes, (at + 1) * bytes);
        },
      }),
    );
  }

  /** The pack is the main thread's from then on, slot and all. */
  #tell(coded: UnsignedPack, pack: SealedPack, builder: PackBuilder): void {
    const { slot, memory } = this.#slotOf(builder);
    this.#open.delete(builder);
    const shardBytes = pack.payload.length / pack.k;
    this.#notice({
      slot,
      keyEpoch: pack.keyEpoch,
      k: pack.k,
      n: coded.n,
      class: pack.class,
      rowsAt: coded.shards.map((_, row) => memory.byteOffset + row * shardBytes),
      leaves: concatBytes(...coded.shards.map(({ leaves }) => leaves)),
      roots: concatBytes(...coded.roots),
      directory: encodePackDirectory(pack.directory),
    });
  }
}

/** Makes the handler of a store thread. */
export function start(setup: unknown, notice: (notice: unknown) => void): WorkHandler {
  return new StoreThread(setup as StoreSetup, notice);
}
