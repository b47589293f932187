import type { Clock } from '../../base/clock.ts';

/** What a race is run with. */
export interface PutRaceOptions {
  readonly clock: Pick<Clock, 'monotonicMs'>;
  /** Shards that make a pack safe. */
  readonly enough: number;
  /** Milliseconds that the others still have, once enough are through that took so many. */
  readonly patienceMs: (tookMs: number) => number;
  /** True if somebody could take over. */
  readonly hasSpare: () => boolean;
}

/**
 * The puts of one pack. Once enough of them are through, those that are far behind give way to spare holders: measured by the others, since
 * it may be our own line that is slow. Where nobody could take over, the slow are waited for.
 */
export class PutRace {
  readonly #options: PutRaceOptions;
  readonly #startMs: number;
  readonly #underWay = new Set<AbortController>();
  #through = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: PutRaceOptions) {
    this.#options = options;
    this.#startMs = options.clock.monotonicMs();
  }

  /** Runs one put; its controller is aborted when it is too far behind. */
  async run(controller: AbortController, put: () => Promise<void>): Promise<void> {
    this.#underWay.add(controller);
    try {
      await put();
    } finally {
      this.#underWay.delete(controller);
    }
    this.#through++;
    if (this.#through >= this.#options.enough) this.#arm();
  }

  #arm(): void {
    const { clock, patienceMs } = this.#options;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#timeUp(), patienceMs(clock.monotonicMs() - this.#startMs));
  }

  #timeUp(): void {
    if (!this.#options.hasSpare()) return;
    for (const controller of this.#underWay) controller.abort();
  }

  /** No timer is left after this. */
  end(): void {
    clearTimeout(this.#timer);
  }
}
