import { bulkBytesMax } from './service.ts';

/** Bulk bytes of answers that calls of all peers together may hold in memory. */
export const bulkBudgetBytes: number = 64 * 1024 * 1024;

/**
 * Bulk bytes of uploads: fewer, since what comes leaves as much again to the collector on its way. One peer holds three shards with all that
 * belongs to them, and leaves room for the largest upload of another.
 */
export const uploadBudgetBytes: number = 24 * 1024 * 1024;
export const uploadBudgetBytesPerPeer: number = 14 * 1024 * 1024;

/** Bodies of calls under way and of their replies; one peer holds an eighth: some thirty calls at once. */
export const bodyBudgetBytes: number = 128 * 1024 * 1024;
export const bodyBudgetBytesPerPeer: number = 16 * 1024 * 1024;

interface Waiting {
  readonly bytes: number;
  readonly grant: () => void;
}

interface PeerShare {
  held: number;
  readonly waiting: Waiting[];
}

/**
 * Memory for calls, shared by all peers: one peer holds a quarter of it at most, unless told otherwise (or one call's
 * worth, if that is more), and peers that wait take turns, so that one that asks for much or is slow leaves room for the others.
 */
export class BulkBudget {
  readonly #total: number;
  readonly #perPeer: number;
  readonly #peers = new Map<string, PeerShare>();
  /** Peers that wait for room; who was served goes to the end. */
  #turns: string[] = [];
  #held = 0;

  constructor(totalBytes: number = bulkBudgetBytes, perPeerBytes: number = Math.floor(totalBytes / 4)) {
    this.#total = Math.max(totalBytes, bulkBytesMax);
    this.#perPeer = Math.max(perPeerBytes, bulkBytesMax);
  }

  get heldBytes(): number {
    return this.#held;
  }

  /**
   * Waits for room for `bytes`, at most bulkBytesMax; the result gives it back and is harmless when repeated. Rejects
   * with the signal's reason when it fires before that.
   */
  acquire(peer: string, bytes: number, signal: AbortSignal): Promise<() => void> {
    if (bytes > bulkBytesMax) throw new RangeError(`${bytes} bytes of bulk in one call`);
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const share = this.#shareOf(peer);
      const onAbort = (): void => {
        share.waiting.splice(share.waiting.indexOf(waiting), 1);
        this.#serve();
        reject(signal.reason as Error);
      };
      const waiting: Waiting = {
        bytes,
        grant: () => {
          signal.removeEventListener('abort', onAbort);
          resolve(this.#releaser(peer, share, bytes));
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      share.waiting.push(waiting);
      if (!this.#turns.includes(peer)) this.#turns.push(peer);
      this.#serve();
    });
  }

  /** True if another peer waits that could have what this one holds. */
  isWantedFrom(peer: string): boolean {
    return this.#turns.some((other) => other !== peer && this.#mayHold(other));
  }

  #shareOf(peer: string): PeerShare {
    let share = this.#peers.get(peer);
    if (share === undefined) {
      share = { held: 0, waiting: [] };
      this.#peers.set(peer, share);
    }
    return share;
  }

  #releaser(peer: string, share: PeerShare, bytes: number): () => void {
    let released = false;
    return () => {
      if (released) return;
      released = true;
      share.held -= bytes;
      this.#held -= bytes;
      this.#serve();
      this.#forgetIdle(peer, share);
    };
  }

  #forgetIdle(peer: string, share: PeerShare): void {
    if (share.held === 0 && share.waiting.length === 0 && this.#peers.get(peer) === share)
      this.#peers.delete(peer);
  }

  /** Whoever is first among those below their own limit is waited for: small requests don't overtake a large one for ever. */
  #serve(): void {
    this.#turns = this.#turns.filter((peer) => {
      const share = this.#peers.get(peer);
      if (share === undefined) return false;
      this.#forgetIdle(peer, share);
      return share.waiting.length > 0;
    });
    for (;;) {
      const peer = this.#turns.find((candidate) => this.#mayHold(candidate));
      const share = peer === undefined ? undefined : this.#peers.get(peer);
      const next = share?.waiting[0];
      if (peer === undefined || share === undefined || next === undefined) return;
      if (this.#held + next.bytes > this.#total) return;
      share.waiting.shift();
      share.held += next.bytes;
      this.#held += next.bytes;
      this.#turns = this.#turns.filter((other) => other !== peer);
      if (share.waiting.length > 0) this.#turns.push(peer);
      next.grant();
    }
  }

  #mayHold(peer: string): boolean {
    const share = this.#peers.get(peer);
    const next = share?.waiting[0];
    return share !== undefined && next !== undefined && share.held + next.bytes <= this.#perPeer;
  }
}
