import { equalBytes, toHex } from '../base/bytes.ts';
import { KithError, isKithError, messageOf } from '../base/errors.ts';
import { decodeSegment, segmentHash, verifySegment, type Segment } from '../format/segment.ts';
import type { HeldLog, Holder } from '../holders/holder.ts';
import type { LogBook, StoredSegments } from './log-book.ts';
import { joinBranches, type Fork } from './log-branches.ts';
import { trustedLengthOf, type LogAuthority, type LogProblem, type SegmentPlace } from './log-carrier.ts';
import { logsMax } from './segment-logs.ts';

/** Logs of one holder that come to nothing, after which it is asked only for those that this device appends to: each costs a call. */
const emptyLogsMax = 256;

/** What a holder had of the logs when it was heard, and what is to be said of it. */
export interface Heard {
  readonly held: readonly HeldLog[];
  /** Logs (hex) of which it has another branch than we: they are left as they are on either side. */
  readonly forked: ReadonlySet<string>;
  /** Its segments that are no good, as `log key/first index`. */
  readonly damaged: Set<string>;
  /** True if it had a branch whose records were new here. */
  readonly apart: boolean;
}

/** What a holder's copy of a log is, beside ours. */
type Comparison =
  | { readonly state: 'same' }
  | { readonly state: 'damaged'; readonly firstIndex: number }
  | { readonly state: 'forked'; readonly fork: Fork };

/**
 * The copies of the vault's logs that holders have: heard, and brought up to date. Sees to it that this device never goes on with a log
 * of which somebody has a longer copy (docs/formats/log.md, "Never forked"). Keeps nothing between calls but the book.
 */
export class LogCopies {
  readonly #book: LogBook;
  readonly #stored: StoredSegments;
  readonly #deviceId: Uint8Array;
  readonly #authority: LogAuthority;
  readonly #onProblem: LogProblem;

  constructor(options: {
    readonly book: LogBook;
    /** This device. */
    readonly deviceId: Uint8Array;
    readonly authority: LogAuthority;
    readonly onProblem: LogProblem;
  }) {
    this.#book = options.book;
    this.#stored = options.book.stored;
    this.#deviceId = options.deviceId;
    this.#authority = options.authority;
    this.#onProblem = options.onProblem;
  }

  /**
   * Takes what a holder has and we lack. If it has more of a log that this device appends to, that log is never continued: fresh ones
   * are opened. If it has another branch of a log (a home was put back, and went on before it saw the holder), the records of both
   * branches are written to fresh logs: nothing that either says is lost. What can't be read of one log doesn't keep the others from
   * being heard. KithError `too-new` for a record that must not be ignored: then nothing may go on.
   */
  async hear(holder: Holder): Promise<Heard> {
    const held = await holder.logs.list();
    if (held.length > logsMax) throw new KithError('limit-exceeded', `it lists ${held.length} logs`);
    const forks: Fork[] = [];
    const damaged = new Set<string>();
    let longer = false;
    let empty = 0;
    for (const log of held) {
      const found = await this.#compare(holder, log);
      if (found.state === 'forked') {
        forks.push(found.fork);
        continue;
      }
      if (this.#isClosed(log.logKey)) continue;
      if (found.state === 'damaged') damaged.add(`${toHex(log.logKey)}/${found.firstIndex}`);
      const isCurrent = this.#book.isCurrent(log.logKey);
      if (empty >= emptyLogsMax && !isCurrent) continue;
      const pulled = await this.#pull(holder, log, damaged);
      if (pulled.isShort) empty++;
      if (pulled.count > 0 && isCurrent) longer = true;
    }
    if (empty >= emptyLogsMax) this.#tellOfEmpty(holder);
    if (longer) {
      this.#onProblem({
        item: holder.name,
        message:
          'it has more of this computer’s own log than is here, as after a disk was put back; fresh logs go on from it',
      });
      await this.#book.openFreshLogs('a holder had a longer copy');
    }
    const forked = new Set(forks.map(({ logKey }) => toHex(logKey)));
    // What stands in another branch of a revoked device's log was perhaps written by whoever has the device now.
    const joined = forks.filter(({ logKey }) => !Number.isFinite(this.#trustedLength(logKey)));
    const apart = await joinBranches(this.#book, joined, (lost) => this.#tellOfFork(holder, lost));
    return { held, forked, damaged, apart };
  }

  /** How many records of a log that is here count. */
  #trustedLength(logKey: Uint8Array): number {
    const head = this.#book.heads().find((one) => equalBytes(one.logKey, logKey));
    if (head === undefined) return Number.POSITIVE_INFINITY;
    return trustedLengthOf(this.#authority, head.deviceId, logKey);
  }

  /** True for a log of which all that counts is here. */
  #isClosed(logKey: Uint8Array): boolean {
    return this.#stored.length(logKey) >= this.#trustedLength(logKey);
  }

  #tellOfEmpty(holder: Holder): void {
    this.#onProblem({
      item: holder.name,
      message: `it lists ${emptyLogsMax} or more logs that it does not have whole; it is not asked for others`,
    });
  }

  #tellOfFork(holder: Holder, lost: boolean): void {
    this.#onProblem({
      item: holder.name,
      message:
        'it has another branch of one of your logs, as after a disk was put back; both are kept and go on in fresh logs' +
        (lost ? ', but for records that can’t be read; they are kept where they are' : ''),
    });
  }

  /**
   * Gives a holder that was heard what it lacks. `thorough` reads all that it has, and replaces what is damaged. A log that it can't
   * take is reported, and the others are given. True if it took all.
   */
  async give(holder: Holder, heard: Heard, options: { readonly thorough?: boolean } = {}): Promise<boolean> {
    if (options.thorough === true) await this.#findDamaged(holder, heard);
    const refused = new Set<string>();
    for (const { logKey, place } of this.#lackedBy(heard)) {
      const key = toHex(logKey);
      if (refused.has(key)) continue;
      try {
        await this.#stored.settle(logKey);
        await holder.logs.putSegment(
          logKey,
          place.firstIndex,
          await this.#stored.segmentBytes(logKey, place),
        );
      } catch (error) {
        if (!isKithError(error, 'io-error', 'damaged', 'limit-exceeded', 'log-forked')) throw error;
        refused.add(key);
        this.#onProblem({
          item: holder.name,
          message: `its copy of log ${key.slice(0, 8)} was not brought up to date: ${messageOf(error)}`,
          code: error.code,
        });
      }
    }
    return refused.size === 0;
  }

  /**
   * Looks at a holder's copies and changes nothing. Of each log the last segment that both have is read, and all of them if `thorough`.
   * Counts our segments that it lacks, those of its that are no good, and logs of which it has another branch.
   */
  async look(
    holder: Holder,
    options: { readonly thorough?: boolean } = {},
  ): Promise<{ readonly lacking: number; readonly damaged: number; readonly forked: number }> {
    const held = await holder.logs.list();
    if (held.length > logsMax) throw new KithError('limit-exceeded', `it lists ${held.length} logs`);
    const forked = new Set<string>();
    const damaged = new Set<string>();
    for (const log of held) {
      const found = await this.#compare(holder, log);
      if (found.state === 'forked') forked.add(toHex(log.logKey));
      if (found.state === 'damaged') damaged.add(`${toHex(log.logKey)}/${found.firstIndex}`);
    }
    const heard = { held, forked, damaged, apart: false };
    if (options.thorough === true) await this.#findDamaged(holder, heard);
    const sizes = new Set(
      held.flatMap(({ logKey, segments }) =>
        segments.map(({ firstIndex }) => `${toHex(logKey)}/${firstIndex}`),
      ),
    );
    const lacking = this.#lackedBy(heard).filter(
      ({ logKey, place }) => !sizes.has(`${toHex(logKey)}/${place.firstIndex}`),
    );
    return { lacking: lacking.length, damaged: damaged.size, forked: forked.size };
  }

  /**
   * True if a holder, when it was heard, had all that is known now of the other devices' logs: it bears witness that there was
   * nothing newer. What this device wrote itself is left aside.
   */
  isAbreast(heard: Heard): boolean {
    const own = new Set(
      this.#book
        .heads()
        .filter(({ deviceId }) => equalBytes(deviceId, this.#deviceId))
        .map(({ logKey }) => toHex(logKey)),
    );
    return !heard.apart && this.#lackedBy(heard).every(({ logKey }) => own.has(toHex(logKey)));
  }

  /** A holder's segment as it lies there, or undefined where it lacks it or can't read it; the latter is reported. */
  async #fetch(holder: Holder, logKey: Uint8Array, firstIndex: number): Promise<Uint8Array | undefined> {
    try {
      return await holder.logs.getSegment(logKey, firstIndex);
    } catch (error) {
      if (!isKithError(error, 'io-error', 'limit-exceeded', 'malformed')) throw error;
      this.#onProblem({
        item: holder.name,
        message: `log ${toHex(logKey).slice(0, 8)} can't be read from record ${firstIndex} on: ${messageOf(error)}`,
        code: error.code,
      });
      return undefined;
    }
  }

  /** Compares a holder's copy of a log with ours at the last segment that both have; the chain vouches for those before. */
  async #compare(holder: Holder, log: HeldLog): Promise<Comparison> {
    const theirs = new Set(log.segments.map((segment) => segment.firstIndex));
    const common = this.#stored.segments(log.logKey).filter((place) => theirs.has(place.firstIndex));
    const last = common.at(-1);
    if (last === undefined) return { state: 'same' };
    const bytes = await this.#fetch(holder, log.logKey, last.firstIndex);
    if (bytes !== undefined && equalBytes(segmentHash(bytes), last.hash)) return { state: 'same' };
    if (this.#authentic(bytes, log.logKey) === undefined)
      return { state: 'damaged', firstIndex: last.firstIndex };
    const branch: Segment[] = [];
    let whole = true;
    for (const { firstIndex } of log.segments.toReversed()) {
      const segmentBytes = await this.#fetch(holder, log.logKey, firstIndex);
      const ours = common.find((place) => place.firstIndex === firstIndex);
      if (
        segmentBytes !== undefined &&
        ours !== undefined &&
        equalBytes(segmentHash(segmentBytes), ours.hash)
      )
        break;
      const segment = this.#authentic(segmentBytes, log.logKey);
      if (segment === undefined) whole = false;
      else branch.unshift(segment);
    }
    return { state: 'forked', fork: { logKey: log.logKey, theirs: branch, whole } };
  }

  /** Adds the segments whose bytes at the holder aren't what they were to `damaged`, as log key and first index. */
  async #findDamaged(holder: Holder, { held, forked, damaged }: Heard): Promise<void> {
    for (const log of held) {
      const key = toHex(log.logKey);
      const hashes = new Map(
        this.#stored.segments(log.logKey).map(({ firstIndex, hash }) => [firstIndex, hash]),
      );
      for (const { firstIndex } of forked.has(key) ? [] : log.segments) {
        const hash = hashes.get(firstIndex);
        if (hash === undefined) continue;
        if (damaged.has(`${key}/${firstIndex}`)) continue;
        const bytes = await this.#fetch(holder, log.logKey, firstIndex);
        if (bytes === undefined || !equalBytes(segmentHash(bytes), hash)) damaged.add(`${key}/${firstIndex}`);
      }
    }
  }

  /** A segment of a log, if these bytes are one that a device of the vault wrote. */
  #authentic(bytes: Uint8Array | undefined, logKey: Uint8Array): Segment | undefined {
    if (bytes === undefined) return undefined;
    try {
      const segment = decodeSegment(bytes);
      verifySegment(segment);
      const { head } = segment;
      const ours =
        equalBytes(head.vaultId, this.#authority.vaultId) && this.#authority.isDevice(head.deviceId);
      return ours && equalBytes(head.logKey, logKey) ? segment : undefined;
    } catch (error) {
      if (!isKithError(error)) throw error;
      return undefined;
    }
  }

  #lackedBy({ held, forked, damaged }: Heard): { logKey: Uint8Array; place: SegmentPlace }[] {
    const sizes = new Map<string, number>();
    for (const log of held) {
      for (const segment of log.segments)
        sizes.set(`${toHex(log.logKey)}/${segment.firstIndex}`, segment.bytes);
    }
    return this.#book
      .heads()
      .filter((head) => !forked.has(toHex(head.logKey)))
      .flatMap((head) => this.#stored.segments(head.logKey).map((place) => ({ logKey: head.logKey, place })))
      .filter(({ logKey, place }) => {
        const key = `${toHex(logKey)}/${place.firstIndex}`;
        return damaged.has(key) || sizes.get(key) !== place.bytes;
      });
  }

  /** Takes the segments of a log that go beyond ours. Says how many, and whether there were fewer than listed. */
  async #pull(
    holder: Holder,
    log: HeldLog,
    damaged: Set<string>,
  ): Promise<{ readonly count: number; readonly isShort: boolean }> {
    let count = 0;
    try {
      for (const segment of log.segments) {
        if (segment.firstIndex < this.#stored.length(log.logKey)) continue;
        const bytes = await this.#fetch(holder, log.logKey, segment.firstIndex);
        if (bytes === undefined) {
          damaged.add(`${toHex(log.logKey)}/${segment.firstIndex}`);
          return { count, isShort: true };
        }
        if (!equalBytes(decodeSegment(bytes).head.logKey, log.logKey))
          throw new KithError('not-authentic', 'a segment lies under the name of another log');
        if (await this.#book.takeSegment(bytes)) count++;
      }
    } catch (error) {
      if (isKithError(error, 'device-revoked')) return { count, isShort: false };
      const passable = isKithError(error, 'malformed', 'not-authentic', 'too-new', 'log-forked');
      if (!passable || error === this.#book.stop) throw error;
      this.#onProblem({
        item: holder.name,
        message: `log ${toHex(log.logKey).slice(0, 8)}: ${messageOf(error)}`,
      });
      return { count, isShort: true };
    }
    return { count, isShort: false };
  }
}
