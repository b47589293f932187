import { packerMemoryBytes } from '../pipeline/blob-packer.ts';
import { packCapacity } from '../pipeline/pack-builder.ts';
import type { Spread } from '../placement/spread.ts';
import { laneReadBytes } from './store-lane.ts';

/** Bytes of shared memory that a backup takes at most. */
const memoryBytesMax = 288 * 1024 * 1024;

/** Pack slots beyond one a lane: packs on their way to holders. */
const slotsBeyondLanes = 3;

/** Everything begins at a multiple of it. */
const alignment = 65536;

/** What lies where in the memory that store threads share. */
export interface StoreLayout {
  readonly lanes: number;
  readonly slots: number;
  readonly laneBytes: number;
  /** Bytes at the end of a lane's memory for its kernels. */
  readonly scratchBytes: number;
  readonly slotBytes: number;
  /** Bytes of a full pack. */
  readonly capacityBytes: number;
  /** Bytes of the largest row. */
  readonly rowBytes: number;
  readonly totalBytes: number;
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / alignment) * alignment;
}

/**
 * A layout for up to `threads` lanes: fewer where rows are so large, or so many, that memory would not do. `scratchBytes` are for
 * a lane's kernels.
 */
export function layoutFor(options: {
  readonly threads: number;
  readonly spread: Spread;
  readonly spare: number;
  readonly scratchBytes: number;
  readonly packBytes?: number | undefined;
}): StoreLayout {
  const { threads, spread, spare, scratchBytes } = options;
  const capacityBytes = options.packBytes ?? packCapacity(spread.k);
  const rowBytes = capacityBytes / spread.k;
  const slotBytes = aligned(spread.n * rowBytes);
  const laneBytes =
    aligned(packerMemoryBytes) + aligned(laneReadBytes) + aligned(spare * rowBytes) + aligned(scratchBytes);
  const fitting = Math.floor((memoryBytesMax - slotsBeyondLanes * slotBytes) / (slotBytes + laneBytes));
  const lanes = Math.max(1, Math.min(threads, fitting));
  const slots = lanes + slotsBeyondLanes;
  return {
    lanes,
    slots,
    laneBytes,
    scratchBytes: aligned(scratchBytes),
    slotBytes,
    capacityBytes,
    rowBytes,
    totalBytes: lanes * laneBytes + slots * slotBytes,
  };
}

/** The parts of a lane's own memory. */
export interface LaneMemory {
  readonly packer: Uint8Array;
  readonly reading: Uint8Array;
  readonly spares: Uint8Array;
  /** Where the kernels' scratch begins. */
  readonly scratchAt: number;
}

export function laneMemory(layout: StoreLayout, buffer: SharedArrayBuffer, lane: number): LaneMemory {
  const at = lane * layout.laneBytes;
  const readingAt = at + aligned(packerMemoryBytes);
  const sparesAt = readingAt + aligned(laneReadBytes);
  const scratchAt = at + layout.laneBytes - layout.scratchBytes;
  return {
    packer: new Uint8Array(buffer, at, packerMemoryBytes),
    reading: new Uint8Array(buffer, readingAt, laneReadBytes),
    spares: new Uint8Array(buffer, sparesAt, scratchAt - sparesAt),
    scratchAt,
  };
}

/** A slot's memory: room for n rows of the largest class. */
export function slotMemory(layout: StoreLayout, buffer: SharedArrayBuffer, slot: number): Uint8Array {
  return new Uint8Array(buffer, layout.lanes * layout.laneBytes + slot * layout.slotBytes, layout.slotBytes);
}

const taken = 1;
const free = 0;
/** Words before those of the slots: the number of releases so far, and whether all stop. */
const signalWords = 2;

/** Which slots are taken, and whether all are to stop: words that threads share. */
export class SlotTable {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(from: number | SharedArrayBuffer) {
    this.buffer = typeof from === 'number' ? new SharedArrayBuffer((signalWords + from) * 4) : from;
    this.#words = new Int32Array(this.buffer);
  }

  get aborted(): boolean {
    return Atomics.load(this.#words, 1) !== 0;
  }

  /** Makes all threads stop at their next step. */
  abort(): void {
    Atomics.store(this.#words, 1, 1);
    this.#wake();
  }

  /** Takes a free slot, waiting for one in this thread; undefined once all are to stop. */
  take(): number | undefined {
    for (;;) {
      const releases = Atomics.load(this.#words, 0);
      if (this.aborted) return undefined;
      const slot = this.takeFree();
      if (slot !== undefined) return slot;
      Atomics.wait(this.#words, 0, releases);
    }
  }

  /** Takes a free slot; undefined where there is none. */
  takeFree(): number | undefined {
    for (let slot = 0; signalWords + slot < this.#words.length; slot++) {
      if (Atomics.compareExchange(this.#words, signalWords + slot, free, taken) === free) return slot;
    }
    return undefined;
  }

  release(slot: number): void {
    Atomics.store(this.#words, signalWords + slot, free);
    this.#wake();
  }

  #wake(): void {
    Atomics.add(this.#words, 0, 1);
    Atomics.notify(this.#words, 0);
  }
}
