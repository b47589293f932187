import type { CallFlow } from '../calls/call-flow.ts';
import { DelayProbe } from '../rates/delay-probe.ts';
import { bulkMessageBytes } from '../service.ts';
import type { FriendLanes, Shaper } from '../rates/shaper.ts';
import type { Timers } from '../timers.ts';

/** On this computer itself there is no line to yield on, and its own business looks like a full one. */
function isLoopback(remoteAddress: string): boolean {
  return /^(?:127\.|\[::1\]|\[?::ffff:127\.)/.test(remoteAddress);
}

/** One session's bulk, which goes by its friend's lanes from `bind` on; before, nothing is limited and no bulk is under way. */
export class SessionFlow implements CallFlow {
  readonly #shaper: Shaper;
  readonly #timers: Timers;
  #identityHex = '';
  #lanes: FriendLanes | undefined;
  #probe: DelayProbe | undefined;
  #isEnded = false;

  constructor(shaper: Shaper, timers: Timers) {
    this.#shaper = shaper;
    this.#timers = timers;
  }

  /** It is known whose session it is. */
  bind(identityHex: string, remoteAddress: string, ping: (signal: AbortSignal) => Promise<void>): void {
    if (this.#lanes !== undefined || this.#isEnded) return;
    const lanes = (this.#lanes = this.#shaper.join(identityHex));
    this.#identityHex = identityHex;
    if (isLoopback(remoteAddress)) return;
    this.#probe = new DelayProbe({
      timers: this.#timers,
      lanes,
      ping,
      onHeard: () => this.#shaper.adjust(identityHex),
    });
  }

  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#probe?.end();
    if (this.#lanes !== undefined) this.#shaper.leave(this.#identityHex);
  }

  get sendBytesMax(): number {
    return this.#lanes?.out.pieceBytes ?? bulkMessageBytes;
  }

  get receiveBytesMax(): number {
    const lane = this.#lanes?.in;
    return lane === undefined || lane.rate === Number.POSITIVE_INFINITY
      ? Number.POSITIVE_INFINITY
      : lane.pieceBytes;
  }

  send(bytes: number, isWanted: () => boolean): Promise<void> | undefined {
    if (this.#probe !== undefined && this.#shaper.yields) this.#probe.moved();
    return this.#lanes?.out.take(bytes, isWanted);
  }

  receive(bytes: number, isWanted: () => boolean): Promise<void> | undefined {
    return this.#lanes?.in.take(bytes, isWanted);
  }

  sent(bytes: number): void {
    this.#lanes?.out.spend(bytes);
  }
}
