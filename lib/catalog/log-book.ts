import { join } from 'node:path';
import { concatBytes, equalBytes, idKey, toHex } from '../base/bytes.ts';
import { KithError, isKithError, messageOf } from '../base/errors.ts';
import { Semaphore } from '../base/concurrency.ts';
import type { RandomSource } from '../crypto/random.ts';
import type { Disk } from '../disk/disk.ts';
import { writeDurably } from '../disk/write-durably.ts';
import { appendKeysBytesMax } from '../format/append-keys.ts';
import { decodeLogOpened, encodeLogOpened } from '../format/catalog-records.ts';
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

/** A log of which a holder has other records than we, from some place on. */
interface Fork {
  readonly logKey: Uint8Array;
  /** The holder's segments from there on, as far as they are authentic. */
  readonly theirs: readonly Segment[];
  /** False if some of them couldn't be read, or weren't. */
  readonly whole: boolean;
}

/** Heads that one closing record takes, as pairs. */
const closedHeadsMax = 64;

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
  /** Heads of branches whose records were all written again to other logs. */
  readonly #joined = new Set<string>();
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

  /** Opens this device's two logs where there are none, or where one is damaged: that one is never gone on with. */
  async ensureCurrent(reason: string): Promise<void> {
    if (this.#current.length === 0) await this.openFreshLogs(reason);
    else if (this.#current.some(({ logKey }) => this.#logs.isBroken(logKey)))
      await this.openFreshLogs('a log of this device is damaged in its home');
  }

  #apply(record: CarriedRecord): void {
    try {
      const entry = this.#entryOf(record);
      if (entry !== undefined) this.#take(entry, record.index);
    } catch (error) {
      if (!isKithError(error) || error === this.#stop) throw error;
      this.#onProblem({ item: itemOf(record), message: `left out: ${messageOf(error)}` });
    }
  }

  /** What a record says; undefined for a kind that is to be skipped. KithError: it doesn't open, or stops us. */
  #entryOf(record: CarriedRecord): LogEntry | undefined {
    const head = readRecordHead(record.bytes);
    const action = unknownKindAction(head.kind, head.flags, head.version);
    if (action === 'skip') return undefined;
    if (action === 'stop') {
      this.#stop = new KithError(
        'too-new',
        `${itemOf(record)} was written by a newer kith and must not be ignored. Update kith.`,
        { details: { kind: head.kind } },
      );
      throw this.#stop;
    }
    return this.#open(record, head.keyEpoch);
  }

  /** Takes in what a record says. A _log opened_ that isn't the first record of its log closes what it names. */
  #take({ kind, body }: LogEntry, index: number): void {
    if (kind !== recordKinds.logOpened) this.#state.apply(kind, body);
    else if (index > 0)
      for (const head of decodeLogOpened(body).predecessors) this.#joined.add(headKey(head));
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
    if (this.#stop !== undefined) throw this.#stop;
    const epoch = currentEpoch(this.#device);
    const key = role === logRoles.catalog ? epoch.catalog : epoch.custody;
    let batch: Uint8Array[] = [];
    let batchBytes = 0;
    let from = 0;
    const flush = async (to: number): Promise<void> => {
      if (batch.length === 0) return;
      const first = this.#logs.length(log.logKey);
      await this.#logs.append(log, batch);
      for (const [i, entry] of entries.slice(from, to).entries()) this.#takeOwn(entry, first + i);
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

  /** The same for a record that is durable already: what it says counts or doesn't, as when it is read again. */
  #takeOwn(entry: LogEntry, index: number): void {
    try {
      this.#take(entry, index);
    } catch (error) {
      if (!isKithError(error)) throw error;
      this.#onProblem({ item: 'a record just written', message: `left out: ${messageOf(error)}` });
    }
  }

  /** Opens a fresh log of each role; their first records name this device's logs that they follow. */
  async openFreshLogs(reason: string): Promise<void> {
    await this.#lock.run(async () => {
      const predecessors = this.#logs
        .heads()
        .filter((head) => equalBytes(head.deviceId, this.#device.deviceId))
        .slice(-64)
        .map((head) => ({ logKey: head.logKey, length: head.length, hash: head.hash }));
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
   * Takes what a holder has and we lack. If it has more of a log that this device appends to, that log is never continued: fresh ones
   * are opened. If it has another branch of a log (a home was put back, and went on before it saw the holder), the records of both
   * branches are written to fresh logs: nothing that either says is lost. What can't be read of one log doesn't keep the others from
   * being heard. KithError `too-new` for a record that must not be ignored: then nothing may go on.
   */
  async hear(holder: Holder): Promise<Heard> {
    const held = await holder.logs.list();
    const forks: Fork[] = [];
    const damaged = new Set<string>();
    let longer = false;
    for (const log of held) {
      const found = await this.#compare(holder, log);
      if (found.state === 'forked') {
        forks.push(found.fork);
        continue;
      }
      if (found.state === 'damaged') damaged.add(`${toHex(log.logKey)}/${found.firstIndex}`);
      if ((await this.#pull(holder, log, damaged)) > 0 && this.#isCurrent(log.logKey)) longer = true;
    }
    if (longer) {
      this.#onProblem({
        item: holder.name,
        message:
          'it has more of this computer’s own log than is here, as after a disk was put back; fresh logs go on from it',
      });
      await this.openFreshLogs('a holder had a longer copy');
    }
    const forked = new Set(forks.map(({ logKey }) => toHex(logKey)));
    const apart = await this.#joinBranches(holder, forks, forked);
    return { held, forked, damaged, apart };
  }

  #isCurrent(logKey: Uint8Array): boolean {
    return this.#current.some((current) => equalBytes(current.logKey, logKey));
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
        await this.#logs.settle(logKey);
        await holder.logs.putSegment(logKey, place.firstIndex, await this.#logs.segmentBytes(logKey, place));
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
   * True if a holder, when it was heard, had all that is known now of the other devices' logs: it bears witness that there was
   * nothing newer. What this device wrote itself is left aside.
   */
  isAbreast(heard: Heard): boolean {
    const own = new Set(
      this.#logs
        .heads()
        .filter(({ deviceId }) => equalBytes(deviceId, this.#device.deviceId))
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
  async #compare(
    holder: Holder,
    log: HeldLog,
  ): Promise<
    | { readonly state: 'same' }
    | { readonly state: 'damaged'; readonly firstIndex: number }
    | { readonly state: 'forked'; readonly fork: Fork }
  > {
    const theirs = new Set(log.segments.map((segment) => segment.firstIndex));
    const common = this.#logs.segments(log.logKey).filter((place) => theirs.has(place.firstIndex));
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
        this.#logs.segments(log.logKey).map(({ firstIndex, hash }) => [firstIndex, hash]),
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
      const ours = equalBytes(head.vaultId, this.#device.vaultId) && this.#authority.isDevice(head.deviceId);
      return ours && equalBytes(head.logKey, logKey) ? segment : undefined;
    } catch (error) {
      if (!isKithError(error)) throw error;
      return undefined;
    }
  }

  /**
   * Writes what stands in only one of two branches to fresh logs, unless that was done before; a record that closes both heads comes
   * last, so that whatever dies before is done again. True if there was something to join.
   */
  async #joinBranches(holder: Holder, forks: readonly Fork[], forked: ReadonlySet<string>): Promise<boolean> {
    const open = forks.filter(
      (fork) => !this.#headsOf(fork).every((head) => this.#joined.has(headKey(head))),
    );
    const entries = new Map<string, LogEntry & { readonly role: LogRole }>();
    const closed: LogPosition[] = [];
    for (const fork of open) {
      const lost = await this.#addEntries(fork, entries);
      this.#onProblem({
        item: holder.name,
        message:
          'it has another branch of one of your logs, as after a disk was put back; both are kept and go on in fresh logs' +
          (lost ? ', but for records that can’t be read; they are kept where they are' : ''),
      });
      if (!lost) closed.push(...this.#headsOf(fork));
    }
    const currentForked = this.#current.some(({ logKey }) => forked.has(toHex(logKey)));
    if (currentForked || (await this.#lacksAny(entries))) {
      await this.openFreshLogs('two branches of one log');
      for (const role of [logRoles.catalog, logRoles.ledger])
        await this.append(
          role,
          [...entries.values()].filter((entry) => entry.role === role),
        );
    }
    for (let at = 0; at < closed.length; at += closedHeadsMax) {
      const body = encodeLogOpened({
        role: logRoles.catalog,
        openedNs: this.#nowNs(),
        predecessors: closed.slice(at, at + closedHeadsMax),
        reason: 'their branches were joined',
      });
      await this.append(logRoles.catalog, [{ kind: recordKinds.logOpened, body }]);
    }
    return open.length > 0;
  }

  /** The heads of both branches. */
  #headsOf({ logKey, theirs }: Fork): LogPosition[] {
    const ours = this.#logs.heads().find((head) => equalBytes(head.logKey, logKey));
    const last = theirs.at(-1);
    const heads: LogPosition[] = ours === undefined ? [] : [{ logKey, length: ours.length, hash: ours.hash }];
    if (last !== undefined) {
      const length = last.head.firstIndex + last.records.length;
      heads.push({ logKey, length, hash: segmentHash(concatBytes(last.signedBytes, last.signature)) });
    }
    return heads;
  }

  /** Adds what the records of both branches say, each once. True if some can't be read, so that the branches must stay open. */
  async #addEntries(
    { logKey, theirs, whole }: Fork,
    entries: Map<string, LogEntry & { readonly role: LogRole }>,
  ): Promise<boolean> {
    let lost = !whole;
    const from = theirs[0]?.head.firstIndex ?? 0;
    const records = theirs.flatMap((segment) => carriedRecords(segment));
    for (const place of this.#logs.segments(logKey)) {
      if (place.firstIndex >= from)
        records.push(...carriedRecords(decodeSegment(await this.#logs.segmentBytes(logKey, place))));
    }
    for (const record of records) {
      const entry = this.#readable(record);
      if (entry === undefined) lost = true;
      else if (!isOpening(entry, record.index))
        entries.set(entryKey(record.role, entry), { ...entry, role: record.role });
    }
    return lost;
  }

  /** What a record says, or undefined for one that doesn't open or isn't known. KithError `too-new` if it stops us. */
  #readable(record: CarriedRecord): LogEntry | undefined {
    try {
      return this.#entryOf(record);
    } catch (error) {
      if (!isKithError(error) || error === this.#stop) throw error;
      return undefined;
    }
  }

  /** True if some of the entries don't stand in the logs that this device appends to. */
  async #lacksAny(entries: ReadonlyMap<string, unknown>): Promise<boolean> {
    const lacking = new Set(entries.keys());
    for (const { logKey } of lacking.size === 0 ? [] : this.#current) {
      for (const place of this.#logs.segments(logKey)) {
        for (const record of carriedRecords(decodeSegment(await this.#logs.segmentBytes(logKey, place)))) {
          const entry = this.#readable(record);
          if (entry !== undefined) lacking.delete(entryKey(record.role, entry));
        }
      }
    }
    return lacking.size > 0;
  }

  #lackedBy({ held, forked, damaged }: Heard): { logKey: Uint8Array; place: SegmentPlace }[] {
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
  async #pull(holder: Holder, log: HeldLog, damaged: Set<string>): Promise<number> {
    let count = 0;
    try {
      for (const segment of log.segments) {
        if (segment.firstIndex < this.#logs.length(log.logKey)) continue;
        const bytes = await this.#fetch(holder, log.logKey, segment.firstIndex);
        if (bytes === undefined) {
          damaged.add(`${toHex(log.logKey)}/${segment.firstIndex}`);
          break;
        }
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

function itemOf(record: CarriedRecord): string {
  return `record ${record.index} of log ${toHex(record.logKey).slice(0, 8)}`;
}

function headKey(head: LogPosition): string {
  return idKey(head.logKey) + idKey(head.hash);
}

function entryKey(role: LogRole, { kind, body }: LogEntry): string {
  return `${role}/${kind}/${idKey(body)}`;
}

/** True for the first record of a log, which says how it began, and that alone. */
function isOpening(entry: LogEntry, index: number): boolean {
  return entry.kind === recordKinds.logOpened && index === 0;
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
