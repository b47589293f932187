import { join } from 'node:path';
import { concatBytes, equalBytes, toHex } from '../base/bytes.ts';
import { KithError, isKithError, messageOf } from '../base/errors.ts';
import { Semaphore } from '../base/concurrency.ts';
import type { RandomSource } from '../crypto/random.ts';
import type { Disk } from '../disk/disk.ts';
import { writeDurably } from '../disk/write-durably.ts';
import { appendKeysBytesMax } from '../format/append-keys.ts';
import { encodeLogOpened } from '../format/catalog-records.ts';
import { recordKinds } from '../format/log-kinds.ts';
import { openLogRecord, readRecordHead, sealLogRecord, unknownKindAction } from '../format/log-record.ts';
import type { LogPosition } from '../format/log-position.ts';
import {
  decodeSegment,
  logRoles,
  segmentHash,
  verifySegment,
  type LogRole,
  type Segment,
} from '../format/segment.ts';
import type { HeldLog, Holder } from '../holders/holder.ts';
import { currentEpoch, epochKeys, type DeviceKeys } from '../trust/identity.ts';
import { newAppendLog, openAppendKeys, sealAppendKeys, type AppendLog } from './append-keys.ts';
import type { CatalogState } from './catalog-state.ts';
import {
  carriedRecords,
  SegmentLogs,
  type CarriedRecord,
  type LogAuthority,
  type LogHead,
  type LogProblem,
  type SegmentPlace,
} from './segment-logs.ts';

/** A record to append. */
export interface LogEntry {
  readonly kind: number;
  readonly body: Uint8Array;
}

/** Bytes of records that go into one segment at most; well under the segment's own limit. */
const segmentRecordBytes = 4 * 1024 * 1024;
const segmentRecordsMax = 16_384;

/** What an exchange of logs with a holder did. */
export interface Exchange {
  readonly segmentsPulled: number;
  readonly segmentsPushed: number;
  /** True if the holder had the same heads or longer ones before anything was pushed. */
  readonly upToDate: boolean;
}

/**
 * The vault's logs as the owner sees them: sealed records in, opened records out into the state. Knows which logs this
 * device appends to, and never goes on with one of which somebody has a longer copy (docs/formats/log.md, "Never forked").
 */
export class LogBook {
  readonly #disk: Disk;
  readonly #home: string;
  readonly #device: DeviceKeys;
  readonly #random: RandomSource;
  readonly #nowNs: () => bigint;
  readonly #state: CatalogState;
  readonly #onProblem: LogProblem;
  readonly #authority: LogAuthority;
  readonly #lock = new Semaphore(1);
  #logs: SegmentLogs;
  #current: AppendLog[] = [];
  #stop: KithError | undefined;

  private constructor(options: LogBookOptions, logs: SegmentLogs) {
    this.#disk = options.disk;
    this.#home = options.home;
    this.#device = options.device;
    this.#random = options.random;
    this.#nowNs = options.nowNs;
    this.#state = options.state;
    this.#onProblem = options.onProblem;
    this.#authority = options.authority;
    this.#logs = logs;
  }

  /** Replays all logs of the home into the state. Makes nothing new: `ensureCurrent` does. */
  static async open(options: LogBookOptions): Promise<LogBook> {
    const carriedRecords: CarriedRecord[] = [];
    const logs = await SegmentLogs.open({
      disk: options.disk,
      folder: join(options.home, 'logs'),
      tempFolder: join(options.home, 'tmp'),
      authority: options.authority,
      onProblem: options.onProblem,
      onRecord: (record) => carriedRecords.push(record),
    });
    const book = new LogBook(options, logs);
    for (const record of carriedRecords) book.#apply(record);
    const bytes = await options.disk.readWhole(join(options.home, 'current'), appendKeysBytesMax);
    if (bytes !== undefined) {
      try {
        book.#current = openAppendKeys(bytes, options.device);
      } catch (error) {
        if (!isKithError(error)) throw error;
        options.onProblem({ item: 'current', message: `${messageOf(error)}; fresh logs are opened` });
      }
    }
    return book;
  }

  /** Opens this device's two logs where there are none. */
  async ensureCurrent(reason: string): Promise<void> {
    if (this.#current.length === 0) await this.openFreshLogs(reason);
  }

  #apply(record: CarriedRecord): void {
    const item = `record ${record.index} of log ${toHex(record.logKey).slice(0, 8)}`;
    let stop: KithError | undefined;
    try {
      const head = readRecordHead(record.bytes);
      const action = unknownKindAction(head.kind, head.flags, head.version);
      if (action === 'skip') return;
      if (action === 'stop') {
        stop = new KithError(
          'too-new',
          `${item} was written by a newer kith and must not be ignored. Update kith.`,
          {
            details: { kind: head.kind },
          },
        );
        this.#stop = stop;
        throw stop;
      }
      const opened = this.#open(record, head.keyEpoch);
      this.#state.apply(opened.kind, opened.body);
    } catch (error) {
      if (error === stop || !isKithError(error)) throw error;
      this.#onProblem({ item, message: `left out: ${messageOf(error)}` });
    }
  }

  #open(record: CarriedRecord, keyEpoch: number): { kind: number; body: Uint8Array } {
    const place = {
      vaultId: this.#device.vaultId,
      deviceId: record.deviceId,
      logKey: record.logKey,
      index: record.index,
    };
    let failure: unknown = new KithError('not-authentic', `no keys of epoch ${keyEpoch}`);
    for (const epoch of epochKeys(this.#device, keyEpoch)) {
      try {
        return openLogRecord(
          record.bytes,
          record.role === logRoles.catalog ? epoch.catalog : epoch.custody,
          place,
        );
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  /** Set once a record was met that this kith doesn't know and must not ignore: nothing may go on from here. */
  get stop(): KithError | undefined {
    return this.#stop;
  }

  heads(): LogHead[] {
    return this.#logs.heads();
  }

  /** Appends records to this device's log of a role, durably, and applies them. */
  async append(role: LogRole, entries: readonly LogEntry[]): Promise<void> {
    if (entries.length === 0) return;
    await this.#lock.run(() => this.#append(role, entries));
  }

  async #append(role: LogRole, entries: readonly LogEntry[]): Promise<void> {
    const log = this.#current.find((candidate) => candidate.role === role);
    if (log === undefined) throw new KithError('internal', 'no log to append to');
    const epoch = currentEpoch(this.#device);
    const key = role === logRoles.catalog ? epoch.catalog : epoch.custody;
    let batch: Uint8Array[] = [];
    let batchBytes = 0;
    let from = 0;
    const flush = async (to: number): Promise<void> => {
      if (batch.length === 0) return;
      await this.#logs.append(log, batch);
      for (const entry of entries.slice(from, to)) this.#state.apply(entry.kind, entry.body);
      batch = [];
      batchBytes = 0;
      from = to;
    };
    for (const [i, entry] of entries.entries()) {
      if (batchBytes + entry.body.length > segmentRecordBytes || batch.length >= segmentRecordsMax)
        await flush(i);
      const place = {
        vaultId: this.#device.vaultId,
        deviceId: this.#device.deviceId,
        logKey: log.logKey,
        index: this.#logs.length(log.logKey) + batch.length,
      };
      batch.push(sealLogRecord(entry.kind, epoch.keyEpoch, key, place, entry.body, this.#random));
      batchBytes += entry.body.length;
    }
    await flush(entries.length);
  }

  /** Opens a fresh log of each role; their first records name all logs of the vault that they follow. */
  async openFreshLogs(reason: string, alsoClosed: readonly LogPosition[] = []): Promise<void> {
    await this.#lock.run(async () => {
      const own = this.#logs
        .heads()
        .filter((head) => equalBytes(head.deviceId, this.#device.deviceId))
        .slice(-63)
        .map((head) => ({ logKey: head.logKey, length: head.length, hash: head.hash }));
      const predecessors = [...alsoClosed, ...own].slice(0, 64);
      const fresh = [logRoles.catalog, logRoles.ledger].map((role) =>
        newAppendLog(role, this.#device, this.#random),
      );
      await writeDurably(this.#disk, {
        tempFolder: join(this.#home, 'tmp'),
        path: join(this.#home, 'current'),
        parts: [sealAppendKeys(fresh, this.#device, this.#random)],
        mode: 0o600,
      });
      this.#current = fresh;
      for (const log of fresh) {
        const body = encodeLogOpened({ role: log.role, openedNs: this.#nowNs(), predecessors, reason });
        await this.#append(log.role, [{ kind: recordKinds.logOpened, body }]);
      }
    });
  }

  /**
   * Takes what a holder has and we lack, then gives it what it lacks. If it has more of a log that this device appends to, that log is
   * never continued: fresh ones are opened. If it has another branch of a log (a home was put back, and went on before it saw the
   * holder), the records of both branches are written to fresh logs: nothing that either says is lost.
   */
  async exchange(holder: Holder, options: { readonly thorough?: boolean } = {}): Promise<Exchange> {
    const held = await holder.logs.list();
    const forked = new Set<string>();
    const damaged = new Set<string>();
    let segmentsPulled = 0;
    let longer = false;
    for (const log of held) {
      const found = await this.#compare(holder, log);
      if (found.state === 'forked') {
        forked.add(toHex(log.logKey));
        await this.#joinBranches(holder, log.logKey, found.branch);
        continue;
      }
      if (found.state === 'damaged') damaged.add(`${toHex(log.logKey)}/${found.firstIndex}`);
      const pulled = await this.#pull(holder, log);
      segmentsPulled += pulled;
      if (pulled > 0 && this.#current.some((current) => equalBytes(current.logKey, log.logKey)))
        longer = true;
    }
    if (longer) {
      this.#onProblem({
        item: holder.name,
        message:
          'it has more of this computer’s own log than is here, as after a disk was put back; fresh logs go on from it',
      });
      await this.openFreshLogs('a holder had a longer copy');
    }
    if (options.thorough === true) await this.#findDamaged(holder, held, forked, damaged);
    const lacking = this.#lackedBy(held, forked, damaged);
    for (const { logKey, place } of lacking) {
      await this.#logs.settle(logKey);
      await holder.logs.putSegment(logKey, place.firstIndex, await this.#logs.segmentBytes(logKey, place));
    }
    return { segmentsPulled, segmentsPushed: lacking.length, upToDate: lacking.length === 0 };
  }

  /** Compares a holder's copy of a log with ours at the last segment that both have; the chain vouches for those before. */
  async #compare(
    holder: Holder,
    log: HeldLog,
  ): Promise<
    | { readonly state: 'same' }
    | { readonly state: 'damaged'; readonly firstIndex: number }
    | { readonly state: 'forked'; readonly branch: readonly Segment[] }
  > {
    const theirs = new Set(log.segments.map((segment) => segment.firstIndex));
    const common = this.#logs.segments(log.logKey).filter((place) => theirs.has(place.firstIndex));
    const last = common.at(-1);
    if (last === undefined) return { state: 'same' };
    const bytes = await holder.logs.getSegment(log.logKey, last.firstIndex);
    if (bytes !== undefined && equalBytes(segmentHash(bytes), last.hash)) return { state: 'same' };
    if (this.#authentic(bytes, log.logKey) === undefined)
      return { state: 'damaged', firstIndex: last.firstIndex };
    const branch: Segment[] = [];
    for (const { firstIndex } of log.segments.toReversed()) {
      const segmentBytes = await holder.logs.getSegment(log.logKey, firstIndex);
      const ours = common.find((place) => place.firstIndex === firstIndex);
      if (
        segmentBytes !== undefined &&
        ours !== undefined &&
        equalBytes(segmentHash(segmentBytes), ours.hash)
      )
        break;
      const segment = this.#authentic(segmentBytes, log.logKey);
      if (segment !== undefined) branch.unshift(segment);
    }
    return { state: 'forked', branch };
  }

  /** Adds the segments whose bytes at the holder aren't what they were to `damaged`, as log key and first index. */
  async #findDamaged(
    holder: Holder,
    held: readonly HeldLog[],
    forked: ReadonlySet<string>,
    damaged: Set<string>,
  ): Promise<void> {
    for (const log of held) {
      const key = toHex(log.logKey);
      const hashes = new Map(
        this.#logs.segments(log.logKey).map(({ firstIndex, hash }) => [firstIndex, hash]),
      );
      for (const { firstIndex } of forked.has(key) ? [] : log.segments) {
        const hash = hashes.get(firstIndex);
        if (hash === undefined) continue;
        const bytes = await holder.logs.getSegment(log.logKey, firstIndex);
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
      const ours = equalBytes(head.vaultId, this.#device.vaultId) && this.#authority.isDevice(head.deviceId);
      return ours && equalBytes(head.logKey, logKey) ? segment : undefined;
    } catch (error) {
      if (!isKithError(error)) throw error;
      return undefined;
    }
  }

  /** Writes the records that stand in only one of two branches to fresh logs, unless that was done before. */
  async #joinBranches(holder: Holder, logKey: Uint8Array, branch: readonly Segment[]): Promise<void> {
    const first = branch[0];
    const last = branch.at(-1);
    if (first === undefined || last === undefined) return;
    const head = {
      logKey,
      length: last.head.firstIndex + last.records.length,
      hash: segmentHash(concatBytes(last.signedBytes, last.signature)),
    };
    if (this.#state.isClosed(head)) return;
    this.#onProblem({
      item: holder.name,
      message:
        'it has another branch of one of your logs, as after a disk was put back; both are kept and go on in fresh logs',
    });
    const sealed = branch.flatMap((segment) => carriedRecords(segment));
    for (const place of this.#logs.segments(logKey)) {
      if (place.firstIndex < first.head.firstIndex) continue;
      sealed.push(...carriedRecords(decodeSegment(await this.#logs.segmentBytes(logKey, place))));
    }
    const entries: LogEntry[] = [];
    for (const record of sealed) {
      const entry = this.#opened(record);
      if (entry !== undefined && entry.kind !== recordKinds.logOpened) entries.push(entry);
    }
    await this.openFreshLogs('two branches of one log', [head]);
    await this.append(first.head.role, entries);
  }

  /** A record's kind and body, or undefined for one that doesn't open or isn't known. */
  #opened(record: CarriedRecord): LogEntry | undefined {
    try {
      const head = readRecordHead(record.bytes);
      if (unknownKindAction(head.kind, head.flags, head.version) !== 'known') return undefined;
      return this.#open(record, head.keyEpoch);
    } catch (error) {
      if (!isKithError(error)) throw error;
      return undefined;
    }
  }

  #lackedBy(
    held: readonly HeldLog[],
    forked: ReadonlySet<string>,
    damaged: ReadonlySet<string>,
  ): { logKey: Uint8Array; place: SegmentPlace }[] {
    const sizes = new Map<string, number>();
    for (const log of held) {
      for (const segment of log.segments)
        sizes.set(`${toHex(log.logKey)}/${segment.firstIndex}`, segment.bytes);
    }
    return this.#logs
      .heads()
      .filter((head) => !forked.has(toHex(head.logKey)))
      .flatMap((head) => this.#logs.segments(head.logKey).map((place) => ({ logKey: head.logKey, place })))
      .filter(({ logKey, place }) => {
        const key = `${toHex(logKey)}/${place.firstIndex}`;
        return damaged.has(key) || sizes.get(key) !== place.bytes;
      });
  }

  /** Takes the segments of a log that go beyond ours. Returns how many. */
  async #pull(holder: Holder, log: HeldLog): Promise<number> {
    let count = 0;
    try {
      for (const segment of log.segments) {
        if (segment.firstIndex < this.#logs.length(log.logKey)) continue;
        const bytes = await holder.logs.getSegment(log.logKey, segment.firstIndex);
        if (bytes === undefined) break;
        if (await this.#logs.put(bytes, (record) => this.#apply(record))) count++;
      }
    } catch (error) {
      const passable = isKithError(error, 'malformed', 'not-authentic', 'too-new', 'log-forked');
      if (!passable || error === this.#stop) throw error;
      this.#onProblem({
        item: holder.name,
        message: `log ${toHex(log.logKey).slice(0, 8)}: ${messageOf(error)}`,
      });
    }
    return count;
  }
}

/** What a log book is opened with. */
export interface LogBookOptions {
  readonly disk: Disk;
  readonly home: string;
  readonly device: DeviceKeys;
  readonly authority: LogAuthority;
  readonly random: RandomSource;
  readonly nowNs: () => bigint;
  readonly state: CatalogState;
  readonly onProblem: LogProblem;
}
