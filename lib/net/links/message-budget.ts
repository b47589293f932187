/**
 * Messages that a session may bring a second, in the long run. Bulk at 400 MB/s is 1600; empty calls as fast as two processes can make them are
 * 20,000 and more, but those that do something aren't. As many messages that are thrown away cost a third of a core.
 */
export const messagesPerSecondMax = 20_000;

/** How many more may come at first, or after a quiet time: ten seconds' worth. */
export const messageBurst: number = 10 * messagesPerSecondMax;

/** Counts messages of one session: a bucket that fills by the monotonic clock, which is read once for many of them. */
export class MessageBudget {
  readonly #nowMs: () => number;
  #left: number = messageBurst;
  #filledAtMs: number;
  #untilLook = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#filledAtMs = nowMs();
  }

  /** One more has come; false if that is one too many. */
  take(): boolean {
    this.#left--;
    if (--this.#untilLook > 0) return true;
    this.#untilLook = 256;
    const nowMs = this.#nowMs();
    const filled = (Math.max(0, nowMs - this.#filledAtMs) * messagesPerSecondMax) / 1000;
    this.#left = Math.min(messageBurst, this.#left + filled);
    this.#filledAtMs = Math.max(this.#filledAtMs, nowMs);
    return this.#left >= 0;
  }
}
