import type { BulkInbox } from './bulk.ts';
import type { Timers } from '../timers.ts';

/** How often the pace of an upload, and of an answer, is looked at. */
export const paceLookMs = 60_000;

/** What takes longer than so many looks gives way to others. */
export const paceLooksMax = 30;

/** Bulk that holds memory for as long as the other side likes. */
export interface PacedBulk {
  readonly totalBytes: number;
  /** Bytes that have yet to go, or to come; 0 ends the watch. */
  readonly missingBytes: number;
  /** Called when a look begins; the result tells at its end how many of `leastBytes` the other side could have moved in it: what we held back is not its fault. */
  beginLook(leastBytes: number): () => number;
}

/**
 * Looks every minute whether bulk that holds memory makes progress. At the pace of its last minute it must be done within half an hour; else,
 * where `isWanted` says that others wait for the memory, `giveUp` is called, once. Ends by itself when all has moved; the result ends it before.
 */
export function watchBulkPace(options: {
  readonly timers: Timers;
  readonly bulk: PacedBulk;
  readonly isWanted: () => boolean;
  readonly giveUp: () => void;
}): () => void {
  const { timers, bulk, isWanted, giveUp } = options;
  const leastBytes = Math.ceil(bulk.totalBytes / paceLooksMax);
  let callOff = (): void => {};
  const plan = (): void => {
    const missingBefore = bulk.missingBytes;
    const couldMove = bulk.beginLook(leastBytes);
    callOff = timers.after(paceLookMs, () => {
      if (bulk.missingBytes === 0) return;
      const isSlow = missingBefore - bulk.missingBytes < couldMove();
      if (isSlow && isWanted()) giveUp();
      else plan();
    });
  };
  plan();
  return () => callOff();
}

/** An upload as it is watched: no more can come than we gave credit for. */
export function pacedUpload(inbox: Pick<BulkInbox, 'totalBytes' | 'missingBytes' | 'owedBytes'>): PacedBulk {
  return {
    totalBytes: inbox.totalBytes,
    get missingBytes() {
      return inbox.missingBytes;
    },
    beginLook(leastBytes) {
      const couldCome = Math.min(leastBytes, inbox.owedBytes);
      return () => couldCome;
    },
  };
}

/** How far the bulk of an answer has got. While our own rate keeps it back the other side couldn't have read it. */
export class PacedAnswer implements PacedBulk {
  readonly totalBytes: number;
  sentBytes = 0;
  /** Bytes of the message that waits for the stream: no more could go now. 0 where the other side lets none come. */
  offeredBytes = 0;
  readonly #timers: Timers;
  #heldBackMs = 0;
  #heldSinceMs: number | undefined;

  constructor(totalBytes: number, timers: Timers) {
    this.totalBytes = totalBytes;
    this.#timers = timers;
  }

  get missingBytes(): number {
    return this.totalBytes - this.sentBytes;
  }

  /** Waits for the turn that our own rate gives. */
  async heldBack(turn: Promise<void> | undefined): Promise<void> {
    if (turn === undefined) return;
    this.#heldSinceMs = this.#timers.nowMs();
    try {
      await turn;
    } finally {
      this.#heldBackMs = this.#heldMs();
      this.#heldSinceMs = undefined;
    }
  }

  beginLook(leastBytes: number): () => number {
    const before = this.#heldMs();
    const couldGo = this.offeredBytes > 0 ? Math.min(leastBytes, this.offeredBytes) : leastBytes;
    return () => couldGo * Math.max(0, 1 - (this.#heldMs() - before) / paceLookMs);
  }

  #heldMs(): number {
    const now = this.#heldSinceMs === undefined ? 0 : this.#timers.nowMs() - this.#heldSinceMs;
    return this.#heldBackMs + now;
  }
}
