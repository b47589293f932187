import { DelayMeter } from './delay-meter.ts';
import type { FriendLanes } from './shaper.ts';
import type { Timers } from '../timers.ts';

/** How often an answer is asked for while bulk goes out. */
export const probeMs = 200;

/** So many times without bulk, and the asking ends. */
const idleTicksMax = 5;

/** An answer that takes longer counts as having taken so long. */
const answerMsMax = 10_000;

export interface DelayProbeOptions {
  readonly timers: Timers;
  readonly lanes: FriendLanes;
  /** Resolves when the other side has answered. */
  readonly ping: (signal: AbortSignal) => Promise<void>;
  /** What the line bears may have changed. */
  readonly onHeard: () => void;
}

/** Asks the other side for a sign of life while bulk goes out, and tells the friend's rate how long that takes. Idle otherwise. */
export class DelayProbe {
  readonly #options: DelayProbeOptions;
  readonly #meter = new DelayMeter();
  #callOff: (() => void) | undefined;
  #asking: AbortController | undefined;
  #askedAtMs = 0;
  #heardAtMs: number | undefined;
  #sentBefore = 0;
  #idleTicks = 0;
  #tickBytes = 0;

  constructor(options: DelayProbeOptions) {
    this.#options = options;
  }

  /** Bulk goes out. Costs nothing while it is asking already. */
  moved(): void {
    if (this.#callOff !== undefined) return;
    this.#idleTicks = 0;
    this.#heardAtMs = undefined;
    this.#tickBytes = this.#options.lanes.out.spentBytes;
    this.#tick();
  }

  end(): void {
    this.#callOff?.();
    this.#callOff = undefined;
    this.#asking?.abort(new Error('the session has ended'));
  }

  #tick(): void {
    const { timers, lanes } = this.#options;
    this.#callOff = timers.after(probeMs, () => {
      this.#callOff = undefined;
      const { spentBytes } = lanes.out;
      this.#idleTicks =
        spentBytes === this.#tickBytes && lanes.out.waiting.length === 0 ? this.#idleTicks + 1 : 0;
      this.#tickBytes = spentBytes;
      if (this.#idleTicks < idleTicksMax) this.#tick();
    });
    if (this.#asking === undefined) void this.#ask();
    else this.#measured(timers.nowMs() - this.#askedAtMs, true);
  }

  /** Never rejects. */
  async #ask(): Promise<void> {
    const { timers, ping } = this.#options;
    const asking = (this.#asking = new AbortController());
    const askedAtMs = (this.#askedAtMs = timers.nowMs());
    const callOff = timers.after(answerMsMax, () => asking.abort(new Error('no answer')));
    try {
      await ping(asking.signal);
      this.#measured(timers.nowMs() - askedAtMs, false);
    } catch {
      // Too many pings, or the session is over: somebody else's concern.
    } finally {
      callOff();
      if (this.#asking === asking) this.#asking = undefined;
    }
  }

  /** One that hasn't been answered yet counts only once it is later than the base: it will have taken at least so long. */
  #measured(ms: number, isOpen: boolean): void {
    const { timers, lanes, onHeard } = this.#options;
    const nowMs = timers.nowMs();
    const base = this.#meter.baseMs;
    if (isOpen && (base === undefined || ms <= base)) return;
    const delayMs = this.#meter.measured(nowMs, ms);
    const { spentBytes } = lanes.out;
    const elapsedMs = this.#heardAtMs === undefined ? 0 : nowMs - this.#heardAtMs;
    const sentBytes = spentBytes - this.#sentBefore;
    this.#heardAtMs = nowMs;
    this.#sentBefore = spentBytes;
    if (delayMs === undefined || elapsedMs === 0) return;
    lanes.auto.heard({ nowMs, elapsedMs, delayMs, sentBytes });
    onHeard();
  }
}
