import { KithError } from '../../base/errors.ts';
import type { Timers } from '../timers.ts';

/** How long a side may take nothing while more waits for it. */
export const stuckMsMax = 60_000;

/** A message that waits for its turn. */
interface Waiting {
  readonly write: () => boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Bulk gives way to everything else: a question and its answer don't wait behind somebody's shards. */
export type SendClass = 'small' | 'bulk';

/**
 * Lets messages onto a stream one by one as it takes them, small ones before bulk, each class in order: what is queued behind a slow
 * reader is one message for each who waits, and no more than one in the stream itself.
 */
export class SendGate {
  readonly #timers: Timers;
  readonly #onStuck: () => void;
  #open = true;
  #ended: KithError | undefined;
  #small: Waiting[] = [];
  #bulk: Waiting[] = [];
  #cancelStuck: (() => void) | undefined;

  /** `onStuck` is told when the stream has taken nothing for stuckMsMax though something waited. */
  constructor(timers: Timers, onStuck: () => void) {
    this.#timers = timers;
    this.#onStuck = onStuck;
  }

  /** Messages that wait. */
  get waiting(): number {
    return this.#small.length + this.#bulk.length;
  }

  /**
   * Runs `write` when it is its turn; `write` returns whether the stream wants more. Who waits here keeps its one
   * message back until then, and looks in `write` whether it is still wanted.
   */
  send(write: () => boolean, kind: SendClass = 'small'): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) {
        reject(this.#ended);
        return;
      }
      (kind === 'bulk' ? this.#bulk : this.#small).push({ write, resolve, reject });
      this.#go();
    });
  }

  /** The stream has room again. */
  drained(): void {
    this.#open = true;
    this.#cancelStuck?.();
    this.#cancelStuck = undefined;
    this.#go();
  }

  /** All who wait fail with `error`, and all who come. */
  end(error: KithError): void {
    this.#ended ??= error;
    this.#cancelStuck?.();
    this.#cancelStuck = undefined;
    const waiting = [...this.#small, ...this.#bulk];
    this.#small = [];
    this.#bulk = [];
    for (const { reject } of waiting) reject(this.#ended);
  }

  #go(): void {
    while (this.#open && this.#ended === undefined) {
      const next = this.#small.shift() ?? this.#bulk.shift();
      if (next === undefined) return;
      try {
        this.#open = next.write();
        next.resolve();
      } catch (error) {
        next.reject(error);
      }
    }
    if (this.waiting > 0 && this.#ended === undefined) {
      this.#cancelStuck ??= this.#timers.after(stuckMsMax, this.#onStuck);
    }
  }
}
