/** The least delay of so many minutes counts as what the line takes by itself: routes change. */
const baseMinutes = 5;
const minuteMs = 60_000;

/** Of so many answers in a row the quickest counts: a computer that is busy for a moment is no full line. */
const recentCount = 3;

/** How much longer than at best a message takes there and back: the queues on the way, and on both computers. Pure. */
export class DelayMeter {
  /** The least of each minute, the newest last. */
  #minutes: { readonly minute: number; ms: number }[] = [];
  #recent: number[] = [];

  /** The least that was measured in the last minutes; undefined before anything was. */
  get baseMs(): number | undefined {
    return this.#minutes.length === 0 ? undefined : Math.min(...this.#minutes.map(({ ms }) => ms));
  }

  /** A message took so many ms, by the monotonic clock. The delay above the base, once there are enough of them. */
  measured(nowMs: number, ms: number): number | undefined {
    const minute = Math.floor(nowMs / minuteMs);
    const last = this.#minutes.at(-1);
    if (last?.minute === minute) last.ms = Math.min(last.ms, ms);
    else this.#minutes.push({ minute, ms });
    this.#minutes = this.#minutes.filter((each) => each.minute > minute - baseMinutes);
    this.#recent = [...this.#recent, ms].slice(-recentCount);
    if (this.#recent.length < recentCount) return undefined;
    return Math.max(0, Math.min(...this.#recent) - (this.baseMs ?? 0));
  }
}
