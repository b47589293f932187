import { concatBytes } from '../base/bytes.ts';
import { KithError } from '../base/errors.ts';
import { systemRandom } from '../crypto/random.ts';
import { BlobNamer } from '../format/blob.ts';
import { encodePackDirectory } from '../format/pack-directory.ts';
import type { CompiledKernels } from '../kernels/kernel-module.ts';
import { loadKernels, type Kernels } from '../kernels/kernels.ts';
import { BlobPacker } from '../pipeline/blob-packer.ts';
import { codeShards } from '../pipeline/coded-pack.ts';
import { createCompressor } from '../pipeline/compress.ts';
import { PackBuilder, type SealedPack } from '../pipeline/pack-builder.ts';
import { Stages } from '../pipeline/stages.ts';
import type { Spread } from '../placement/spread.ts';
import { localAccounts } from '../source/accounts.ts';
import { sharedBufferOf } from '../kernels/kernel-memory.ts';
import { SharedClaims } from './shared-claims.ts';
import { StoreLane } from './store-lane.ts';
import { laneMemory, SlotTable, slotMemory, type StoreLayout } from './store-memory.ts';
import type { PackNotice, StoredFile, StoreJob, StoredStretch, StoreRest } from './store-messages.ts';
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
      onPack: (pack, builder) => this.#send(pack, builder),
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

  async run(job: unknown): Promise<readonly StoredFile[] | StoredStretch | StoreRest> {
    const order = job as StoreJob;
    if (order.kind === 'rest') return this.#rest();
    this.#claims.follow(order.claims);
    if (order.kind === 'stretch') return this.#lane.stretch(order.stretch);
    const stored: StoredFile[] = [];
    for (const file of order.files) stored.push(await this.#lane.file(file));
    return stored;
  }

  #rest(): StoreRest {
    const frames = this.#packer.takeRest();
    for (const { slot } of this.#open.values()) this.#slots.release(slot);
    this.#open.clear();
    return { frames, bytesAdded: this.#packer.bytesAdded, stages: this.#stages.report() };
  }

  #newPack(): PackBuilder {
    const { layout, keys, spread } = this.#setup;
    const slot = this.#stages.run('turn', () => this.#slots.take());
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

  /** Codes a full pack, opens it again, and tells of it. */
  #send(pack: SealedPack, builder: PackBuilder): void {
    const { spread, spare } = this.#setup;
    const open = this.#open.get(builder);
    if (open === undefined) throw new KithError('internal', 'a pack without a slot');
    this.#open.delete(builder);
    const shardBytes = pack.payload.length / pack.k;
    const coded = this.#stages.run('encode', () =>
      codeShards(pack, {
        n: spread.n,
        spare,
        coder: this.#kernels.coder,
        memory: (row, bytes) => {
          const [memory, at] = row < spread.n ? [open.memory, row] : [this.#spares, row - spread.n];
          return memory.subarray(at * bytes, (at + 1) * bytes);
        },
      }),
    );
    // Only now: the shards are views of the payload, and a bit that flipped before they were hashed would be signed for ever.
    this.#stages.run('verify', () => builder.verify(pack, this.#namer, this.#compressor));
    this.#notice({
      slot: open.slot,
      keyEpoch: pack.keyEpoch,
      k: pack.k,
      n: spread.n,
      class: pack.class,
      rowsAt: coded.shards.map((_, row) => open.memory.byteOffset + row * shardBytes),
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
