import type { Clock } from '../../base/clock.ts';
import { KithError } from '../../base/errors.ts';

/** Answers of each holder that are remembered. */
const answersMax = 16;
/** Answers of others without which nobody counts as slow. */
const answersMin = 8;
/** Somebody is slow who takes so many times as long as half of what the others answer … */
const timesMedian = 4;
/** … and longer than this: what comes sooner isn't worth a second question. */
export const patienceMsMin = 500;
/** After so many ranges that were had elsewhere instead, one who fell behind is tried again. */
export const skippedMax = 32;
/** So often in a row others must have been sooner before somebody is no longer asked first. */
const lostMax = 3;
/**
 * What any answer takes, however short, in bytes that come in that time: 256 KiB are 40 ms at 50 Mbit/s. Beyond this share answers are
 * taken to last as long as they have bytes, so that one of 64 KiB says something of one of 4 MiB.
 */
export const latencyBytes: number = 256 * 1024;
/** Bytes that may be asked for twice, in vain: this at least … */
const extraBytesMin = 32 * 1024 * 1024;
/** … and this share of what was read. */
const extraShare = 1 / 4;

/** Time as the pace sees it; tests pass one that they move by hand. */
export interface PaceTime extends Pick<Clock, 'monotonicMs'> {
  /** Runs `work` once after so many ms; the result calls it off. */
  after(ms: number, work: () => void): () => void;
}

const systemTime: PaceTime = {
  monotonicMs: () => performance.now(),
  after(ms, work) {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

interface Record {
  /** How long the last answers took, each in ms for one byte, `latencyBytes` among its bytes. */
  readonly answers: number[];
  /** How often in a row others were sooner. */
  lost: number;
  /** Ranges that were had elsewhere since it fell behind. */
  skipped: number;
}

/**
 * One question to a holder, and the way round it. Each of both is given a signal that fires when the other was sooner: it may reject
 * then.
 */
export interface Question<T> {
  readonly holderId: string;
  /** Bytes of the holder's answer. */
  readonly bytes: number;
  /** Undefined if the holder doesn't give it. */
  readonly ask: (signal: AbortSignal) => Promise<T | undefined>;
  /** The same from others; undefined if they don't give it. */
  readonly others: (signal: AbortSignal) => Promise<T | undefined>;
  /** What `others` costs at most. */
  readonly otherBytes: number;
}

/**
 * How long holders take to answer, so that a reader doesn't wait for one that is much slower than the others: it asks the others as well,
 * and later instead. Measured by the others, since it may be our own line that is slow, and by the bytes of each answer. Whoever is
 * beaten is called off. What is asked for twice is bounded; what is asked of others instead costs k ranges for one.
 */
export class ReadPace {
  readonly #time: PaceTime;
  readonly #records = new Map<string, Record>();
  #bytesRead = 0;
  #extraBytes = 0;

  constructor(time: PaceTime = systemTime) {
    this.#time = time;
  }

  /** Bytes that were asked of others beside a question that wasn't answered yet. */
  get extraBytes(): number {
    return this.#extraBytes;
  }

  /**
   * Runs a question to a holder for so many bytes, and notes how long the answer took, if it is one. One that was called off by the
   * signal counts as well, as if it had come then: it would have taken longer.
   */
  async timed<T>(
    holderId: string,
    bytes: number,
    ask: () => Promise<T | undefined>,
    signal?: AbortSignal,
  ): Promise<T | undefined> {
    const startMs = this.#time.monotonicMs();
    let answer: T | undefined;
    try {
      answer = await ask();
    } catch (error) {
      if (signal?.aborted === true) this.#note(holderId, bytes, startMs);
      throw error;
    }
    if (answer === undefined) return undefined;
    this.#note(holderId, bytes, startMs);
    this.#bytesRead += bytes;
    return answer;
  }

  #note(holderId: string, bytes: number, startMs: number): void {
    const { answers } = this.#recordOf(holderId);
    answers.push((this.#time.monotonicMs() - startMs) / (latencyBytes + bytes));
    if (answers.length > answersMax) answers.shift();
  }

  /** The first of what the holder and the others give; the others are asked when it doesn't give it, is late, or was before. */
  async first<T>(question: Question<T>): Promise<T | undefined> {
    const { holderId } = question;
    const callOff = { own: new AbortController(), others: new AbortController() };
    const ask = (): Promise<T | undefined> => question.ask(callOff.own.signal);
    const others = (): Promise<T | undefined> => question.others(callOff.others.signal);
    if (this.#isSkipped(holderId)) {
      const given = await others();
      if (given !== undefined) return given;
      // The others can't do without it any more: it is asked first again.
      const record = this.#recordOf(holderId);
      record.lost = 0;
      record.skipped = 0;
      return await ask();
    }
    const own = ask();
    if (!(await this.#isLate(question, own))) return (await own) ?? (await others());
    const { answer, isOwn } = await firstGiven(own, others());
    const beaten = isOwn ? callOff.others : callOff.own;
    if (answer === undefined) return undefined;
    beaten.abort(new KithError('interrupted', 'the same was had elsewhere'));
    this.#recordOf(holderId).lost = isOwn ? 0 : this.#recordOf(holderId).lost + 1;
    return answer;
  }

  /** True of one that is no longer asked first. */
  isBehind(holderId: string): boolean {
    return (this.#records.get(holderId)?.lost ?? 0) >= lostMax;
  }

  /** The same, at a question of its own: now and then one that is behind is tried again. */
  #isSkipped(holderId: string): boolean {
    const record = this.#recordOf(holderId);
    if (record.lost < lostMax) return false;
    if (++record.skipped <= skippedMax) return true;
    // One more loss puts it back where it was.
    record.skipped = 0;
    record.lost = lostMax - 1;
    return false;
  }

  /** Settles once the answer is there (false), or is late and there may be a second question (true). Never rejects. */
  #isLate<T>({ holderId, bytes, otherBytes }: Question<T>, own: Promise<unknown>): Promise<boolean> {
    return new Promise((resolve) => {
      const patienceMs = this.#patienceMs(holderId, bytes);
      let isLate = false;
      const onLate = (): void => {
        isLate = this.#extraBytes + otherBytes <= this.#extraBytesMax;
        if (!isLate) return;
        this.#extraBytes += otherBytes;
        resolve(true);
      };
      const callOff = patienceMs === undefined ? undefined : this.#time.after(patienceMs, onLate);
      const answered = (): void => {
        if (isLate) return;
        callOff?.();
        this.#recordOf(holderId).lost = 0;
        resolve(false);
      };
      own.then(answered, answered);
    });
  }

  get #extraBytesMax(): number {
    return Math.max(extraBytesMin, this.#bytesRead * extraShare);
  }

  /** How long so many bytes may take. Undefined where too little is known of the others. */
  #patienceMs(holderId: string, bytes: number): number | undefined {
    const times: number[] = [];
    for (const [id, { answers }] of this.#records) if (id !== holderId) times.push(...answers);
    if (times.length < answersMin) return undefined;
    times.sort((a, b) => a - b);
    const median = (times[Math.floor(times.length / 2)] ?? 0) * (latencyBytes + bytes);
    return Math.max(patienceMsMin, timesMedian * median);
  }

  #recordOf(holderId: string): Record {
    let record = this.#records.get(holderId);
    if (record === undefined) {
      record = { answers: [], lost: 0, skipped: 0 };
      this.#records.set(holderId, record);
    }
    return record;
  }
}

/** The first of two answers that is one; rejects only if neither is and one failed. What comes later is dropped. */
async function firstGiven<T>(
  own: Promise<T | undefined>,
  others: Promise<T | undefined>,
): Promise<{ readonly answer: T | undefined; readonly isOwn: boolean }> {
  return await new Promise((resolve, reject) => {
    let open = 2;
    let failed: { readonly error: unknown } | undefined;
    const ended = (): void => {
      open--;
      if (open > 0) return;
      if (failed !== undefined) reject(failed.error);
      else resolve({ answer: undefined, isOwn: false });
    };
    const watch = (answer: Promise<T | undefined>, isOwn: boolean): void => {
      answer.then(
        (given) => {
          if (given !== undefined) resolve({ answer: given, isOwn });
          ended();
        },
        (error: unknown) => {
          failed ??= { error };
          ended();
        },
      );
    };
    watch(own, true);
    watch(others, false);
  });
}
