import type { GivenRates, RateSetting } from '../base/rate.ts';
import { parseRate } from '../base/rate.ts';
import { localTimeOf, parseSchedule, ratesAt, type Rates } from '../base/rate-schedule.ts';
import type { RateLimits } from '../net/rates/shaper.ts';

/** How often the clock is looked at: a rule of the schedule is felt that much late at most, and a clock that jumps does no harm. */
const lookMs = 20_000;

export interface NodeLimitsOptions {
  /** A setting's value: `limits.upload` and so on. */
  readonly setting: (key: string) => string;
  /** What was said of one friend, by identity in hex. Asked anew at each `apply`. */
  readonly friends: () => ReadonlyMap<string, Partial<RateLimits>>;
  /** What the command line that began this process said: it holds in the place of the settings. */
  readonly given: GivenRates;
  readonly setMetered: (isMetered: boolean) => void;
  /** Our own line was metered and no longer is. */
  readonly onBulkFree: () => void;
  readonly set: (limits: RateLimits, of: (identityHex: string) => Partial<RateLimits>) => void;
  readonly now?: () => Date;
}

/** The lower of two; what yields is lower than no limit, and not than a number. */
function lower(a: RateSetting | undefined, b: RateSetting): RateSetting {
  if (a === undefined) return b;
  if (a === 'auto') return b === Number.POSITIVE_INFINITY ? a : b;
  if (b === 'auto') return a === Number.POSITIVE_INFINITY ? b : a;
  return Math.min(a, b);
}

/** Which rates hold now, by settings, schedule, time of day and command line; and tells the network when that changes. */
export class NodeLimits {
  readonly #options: NodeLimitsOptions;
  /** Of commands that are at work. */
  readonly #held = new Set<GivenRates>();
  #timer: NodeJS.Timeout | undefined;
  #isMetered = false;
  #rates: Rates = { upload: 'auto', download: 'auto' };

  constructor(options: NodeLimitsOptions) {
    this.#options = options;
  }

  /** Sets what holds now, and looks again and again from then on until `close`. */
  start(): void {
    this.apply();
    this.#timer ??= setInterval(() => this.#look(), lookMs);
    this.#timer.unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** What holds for all friends together now. */
  get rates(): Rates {
    return this.#rates;
  }

  /** Bytes a second that were given as a number, both ways; infinity for none and for `auto`. */
  get numbers(): { readonly upload: number; readonly download: number } {
    const numberOf = (rate: Rates['upload']): number => (rate === 'auto' ? Number.POSITIVE_INFINITY : rate);
    return { upload: numberOf(this.#rates.upload), download: numberOf(this.#rates.download) };
  }

  /** Settings or friends have changed. */
  apply(): void {
    const { friends, set } = this.#options;
    const of = friends();
    this.#rates = this.#current();
    this.#lookWhetherMetered();
    set(this.#rates, (identityHex) => of.get(identityHex) ?? {});
  }

  /** For as long as a command is at work its rates hold in the place of the settings; of several the lowest. The result ends it. */
  hold(given: GivenRates): () => void {
    if (given.upload === undefined && given.download === undefined) return () => undefined;
    const one = { ...given };
    this.#held.add(one);
    this.apply();
    return () => {
      if (this.#held.delete(one)) this.apply();
    };
  }

  #lookWhetherMetered(): void {
    const { setting, setMetered, onBulkFree } = this.#options;
    const isMetered = setting('net.metered') === 'yes';
    if (isMetered === this.#isMetered) return;
    this.#isMetered = isMetered;
    setMetered(isMetered);
    if (!isMetered) onBulkFree();
  }

  #look(): void {
    const { upload, download } = this.#current();
    this.#lookWhetherMetered();
    if (upload !== this.#rates.upload || download !== this.#rates.download) this.apply();
  }

  #current(): Rates {
    const { setting, given, now = () => new Date() } = this.#options;
    const otherwise = {
      upload: parseRate(setting('limits.upload')),
      download: parseRate(setting('limits.download')),
    };
    const rates = {
      ...ratesAt(parseSchedule(setting('limits.schedule')), localTimeOf(now()), otherwise),
      ...given,
    };
    let upload: RateSetting | undefined;
    let download: RateSetting | undefined;
    for (const held of this.#held) {
      if (held.upload !== undefined) upload = lower(upload, held.upload);
      if (held.download !== undefined) download = lower(download, held.download);
    }
    return { upload: upload ?? rates.upload, download: download ?? rates.download };
  }
}
