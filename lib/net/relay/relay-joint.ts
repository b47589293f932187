import { KithError } from '../../base/errors.ts';
import type { RelayBudget } from './relay-budget.ts';
import { pipeWindowBytes, relayEnd } from './relay-codec.ts';
import type { RelayRate } from './relay-rate.ts';

/** How long what one end sent before it left may take to reach the other. */
export const farewellMsMax = 30_000;

/** One of the two ends of a pipe, as the relay speaks to it. */
export interface JointEnd {
  readonly identityHex: string;
  /** Sends bytes when it is their turn, if they are still wanted then. Rejects when its session is over. */
  readonly sendData: (bytes: Uint8Array, wanted: () => boolean) => Promise<void>;
  readonly sendCredit: (bytes: number) => void;
  readonly sendEnd: (reason: number) => void;
}

/** What goes from one end to the other. */
interface Flow {
  readonly from: JointEnd;
  readonly to: JointEnd;
  /** Bytes that came and haven't gone on: pipeWindowBytes at most. */
  readonly queue: Uint8Array[];
  /** Bytes that `from` may still send. */
  allowance: number;
  /** Bytes that `to` was sent and hasn't said that it took. */
  unread: number;
  pumping: boolean;
  /** True once the receiver has been sent a byte. */
  moved: boolean;
}

export interface JointOptions {
  /** Who dialled, and who is dialled. */
  readonly dialler: JointEnd;
  readonly dialled: JointEnd;
  readonly budget: RelayBudget;
  readonly rate: RelayRate;
  /** Runs `work` once after so many ms; the result calls it off. */
  readonly after: (ms: number, work: () => void) => () => void;
  /** Once. */
  readonly onOver: () => void;
}

/**
 * A pipe where it is relayed: copies bytes both ways, a window's worth at most in memory for each, within the rate and the budget. It
 * can't read them.
 */
export class RelayJoint {
  readonly #options: JointOptions;
  readonly #flows: readonly [Flow, Flow];
  /** Who has left, while the other is still being sent what it said before. */
  #left: JointEnd | undefined;
  #callOffFarewell: () => void = () => {};
  #isOver = false;

  constructor(options: JointOptions) {
    this.#options = options;
    const { dialler, dialled } = options;
    const flow = (from: JointEnd, to: JointEnd): Flow => ({
      from,
      to,
      queue: [],
      allowance: pipeWindowBytes,
      unread: 0,
      pumping: false,
      moved: false,
    });
    this.#flows = [flow(dialler, dialled), flow(dialled, dialler)];
  }

  /** Bytes in memory. */
  get heldBytes(): number {
    let bytes = 0;
    for (const { queue } of this.#flows) for (const piece of queue) bytes += piece.length;
    return bytes;
  }

  /** Bytes of one end for the other; a view, of which a copy is taken. KithError `malformed` if they are more than it had credit for. */
  data(end: JointEnd, bytes: Uint8Array): void {
    const flow = this.#from(end);
    if (bytes.length > flow.allowance) {
      throw new KithError('malformed', 'the other side sent more on a pipe than it was given credit for');
    }
    flow.allowance -= bytes.length;
    if (this.#isOver || this.#left === flow.to) return;
    flow.queue.push(bytes.slice());
    this.#pump(flow);
  }

  /** One end has taken bytes: the other may send as many more. KithError `malformed` if it was never sent them. */
  credit(end: JointEnd, bytes: number): void {
    const flow = this.#to(end);
    if (bytes > flow.unread) {
      throw new KithError('malformed', 'the other side took more from a pipe than it was sent');
    }
    flow.unread -= bytes;
    flow.allowance += bytes;
    if (!this.#isOver && this.#left !== flow.from) flow.from.sendCredit(bytes);
  }

  /** One end has ended the pipe, or its session is over: what it sent before still goes to the other. */
  leave(end: JointEnd): void {
    if (this.#isOver) return;
    if (this.#left !== undefined) {
      if (this.#left !== end) this.#end();
      return;
    }
    this.#left = end;
    this.#to(end).queue.length = 0;
    const flow = this.#from(end);
    if (flow.queue.length === 0) this.#endFor(flow.to);
    else this.#callOffFarewell = this.#options.after(farewellMsMax, () => this.#endFor(flow.to));
  }

  /** Ends it for both, with one reason. */
  cut(reason: number): void {
    if (this.#isOver) return;
    for (const { to } of this.#flows) if (this.#left !== to) to.sendEnd(reason);
    this.#end();
  }

  #endFor(end: JointEnd): void {
    if (this.#isOver) return;
    const { dialler } = this.#options;
    // Who dialled doesn't learn whether the other isn't here or didn't want it.
    const unanswered = end === dialler && !this.#to(dialler).moved;
    end.sendEnd(unanswered ? relayEnd.notHere : relayEnd.closed);
    this.#end();
  }

  #end(): void {
    this.#isOver = true;
    this.#callOffFarewell();
    for (const { queue } of this.#flows) queue.length = 0;
    this.#options.onOver();
  }

  #from(end: JointEnd): Flow {
    return this.#flows[0].from === end ? this.#flows[0] : this.#flows[1];
  }

  #to(end: JointEnd): Flow {
    return this.#flows[0].to === end ? this.#flows[0] : this.#flows[1];
  }

  #pump(flow: Flow): void {
    if (flow.pumping) return;
    flow.pumping = true;
    void this.#copy(flow).finally(() => {
      flow.pumping = false;
      if (!this.#isOver && flow.queue.length > 0) this.#pump(flow);
    });
  }

  /** Never rejects. */
  async #copy(flow: Flow): Promise<void> {
    const { budget, rate } = this.#options;
    for (let piece = flow.queue[0]; piece !== undefined && !this.#isOver; piece = flow.queue[0]) {
      await rate.take(piece.length);
      if (this.#isOver || flow.queue[0] !== piece) return;
      if (!budget.take([flow.from.identityHex, flow.to.identityHex], piece.length)) {
        this.cut(relayEnd.budgetUsed);
        return;
      }
      const bytes = piece;
      const wanted = (): boolean => {
        if (this.#isOver || flow.queue[0] !== bytes) return false;
        flow.queue.shift();
        flow.unread += bytes.length;
        flow.moved = true;
        return true;
      };
      try {
        await flow.to.sendData(bytes, wanted);
      } catch {
        // Its session is over, which is told by `leave`.
        return;
      }
    }
    if (this.#left === flow.from && flow.queue.length === 0) this.#endFor(flow.to);
  }
}
