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
  const leastBytes = leastBytesOf(bulk.totalBytes);
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

/** What one look is to see of so many bytes. */
function leastBytesOf(totalBytes: number): number {
  return Math.ceil(totalBytes / paceLooksMax);
}

/** A stream that answers share. */
export class AnswerStream {
  /** Bytes that it was given until now, of whatever kind. */
  readonly sentBytes: () => number;
  /** What all answers on it that are under way must move in a look. */
  leastBytes = 0;

  constructor(sentBytes: () => number) {
    this.sentBytes = sentBytes;
  }
}

/**
 * How far the bulk of an answer has got. While our own rate keeps it back the other side couldn't have read it, nor while it waits behind
 * others on a stream that takes as much as all answers on it must move together.
 */
export class PacedAnswer implements PacedBulk {
  readonly totalBytes: number;
  sentBytes = 0;
  readonly #timers: Timers;
  readonly #stream: AnswerStream;
  /** What went on the stream before messages of this answer that waited for it. */
  #passedBytes = 0;
  /** What had gone on it when the message that waits now came in line. */
  #inLineBytes: number | undefined;
  #heldBackMs = 0;
  #heldSinceMs: number | undefined;

  constructor(totalBytes: number, timers: Timers, stream: AnswerStream) {
    this.totalBytes = totalBytes;
    this.#timers = timers;
    this.#stream = stream;
    stream.leastBytes += leastBytesOf(totalBytes);
  }

  /** It is under way no longer. To be called once. */
  end(): void {
    this.#stream.leastBytes -= leastBytesOf(this.totalBytes);
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

  /** A message of it waits for the stream from now on. */
  lineUp(): void {
    this.#inLineBytes = this.#stream.sentBytes();
  }

  /** It is that message's turn. */
  takeTurn(): void {
    this.#passedBytes = this.#passed();
    this.#inLineBytes = undefined;
  }

  beginLook(leastBytes: number): () => number {
    const [heldBefore, passedBefore, ofAllBefore] = [this.#heldMs(), this.#passed(), this.#stream.leastBytes];
    return () => {
      const part = Math.max(0, 1 - (this.#heldMs() - heldBefore) / paceLookMs);
      const ofAll = Math.min(ofAllBefore, this.#stream.leastBytes);
      return Math.min(leastBytes * part, ofAll * part - (this.#passed() - passedBefore));
    };
  }

  #passed(): number {
    const now = this.#inLineBytes === undefined ? 0 : this.#stream.sentBytes() - this.#inLineBytes;
    return this.#passedBytes + now;
  }

  #heldMs(): number {
    const now = this.#heldSinceMs === undefined ? 0 : this.#timers.nowMs() - this.#heldSinceMs;
    return this.#heldBackMs + now;
  }
}
