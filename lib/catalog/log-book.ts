import { join } from 'node:path';
import { equalBytes, idKey, toHex } from '../base/bytes.ts';
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
import { decodeSegment, logRoles, type LogRole } from '../format/segment.ts';
import { currentEpoch, epochKeys, type DeviceKeys } from '../trust/device.ts';
import { newAppendLog, openAppendKeys, sealAppendKeys, type AppendLog } from './append-keys.ts';
import { CatalogState } from './catalog-state.ts';
import type { LogCarrier, CarriedRecord, LogAuthority, LogHead, LogProblem } from './log-carrier.ts';
import { carriedRecords, SegmentLogs } from './segment-logs.ts';

/** A record to append. */
export interface LogEntry {
  readonly kind: number;
  readonly body: Uint8Array;
}

/** Bytes of records that go into one segment at most; well under the segment's own limit. */
const segmentRecordBytes = 4 * 1024 * 1024;
const segmentRecordsMax = 16_384;

/** Heads that one closing record takes, as pairs. */
const closedHeadsMax = 64;

/** The logs' segments as the home has them, to be read and handed on. */
export type StoredSegments = Pick<LogCarrier, 'length' | 'segments' | 'segmentBytes' | 'settle'>;

/**
 * The vault's logs as the owner sees them: sealed records in, opened records out into the state. Knows which logs this
 * device appends to. What is done with the copies that holders have is in log-copies.ts.
 */
export class LogBook {
  readonly #disk: Disk;
  readonly #home: string;
  readonly #device: DeviceKeys;
  readonly #random: RandomSource;
  readonly #nowNs: () => bigint;
  readonly #state: CatalogState;
  readonly #authority: LogAuthority;
  readonly #onProblem: LogProblem;
  /** Logs (hex) with records that no keys were here for. */
  readonly #unopened = new Set<string>();
  readonly #lock = new Semaphore(1);
  /** Called when records were appended: others may want to hear of them. Must not throw. */
  onAppended: () => void = () => undefined;
  #logs: LogCarrier;
  #current: AppendLog[] = [];
  /** Heads of branches whose records were all written again to other logs. */
  readonly #joined = new Set<string>();
  #stop: KithError | undefined;

  private constructor(options: LogBookOptions, logs: LogCarrier) {
    this.#disk = options.disk;
    this.#home = options.home;
    this.#device = options.device;
    this.#random = options.random;
    this.#nowNs = options.nowNs;
    this.#state = options.state;
    this.#authority = options.authority;
    this.#onProblem = options.onProblem;
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
    if (epochKeys(this.#device, keyEpoch).length === 0) this.#unopened.add(toHex(record.logKey));
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

  /** The device has keys that it didn't have before: records that could not be opened without are read again. */
  async epochsLearned(): Promise<void> {
    if (this.#unopened.size === 0) return;
    await this.#lock.run(async () => {
      const logs = this.#logs.heads().filter(({ logKey }) => this.#unopened.has(toHex(logKey)));
      this.#unopened.clear();
      for (const { logKey } of logs) await this.#replay(logKey, (record) => this.#apply(record));
    });
  }

  /**
   * A device was revoked: what it wrote behind what is trusted of it counts no longer, also where it was read before. Undefined if there
   * was nothing of that; else the ids of packs that only such records named. Reads all logs again then, which takes as long as opening the
   * home.
   */
  async voidRevoked(): Promise<readonly Uint8Array[] | undefined> {
    return await this.#lock.run(async () => {
      if (!this.#logs.cutVoid()) return undefined;
      const fresh = new CatalogState(this.#authority);
      for (const { logKey } of this.#logs.heads()) {
        await this.#replay(logKey, (record) => {
          const entry = this.read(record);
          if (entry === undefined || entry.kind === recordKinds.logOpened) return;
          try {
            fresh.apply(entry.kind, entry.body);
          } catch (error) {
            if (!isKithError(error)) throw error;
          }
        });
      }
      const voided: Uint8Array[] = [];
      for (const { manifest } of this.#state.packs())
        if (fresh.pack(manifest.packId) === undefined) voided.push(manifest.packId.slice());
      this.#state.become(fresh);
      return voided;
    });
  }

  async #replay(logKey: Uint8Array, onRecord: (record: CarriedRecord) => void): Promise<void> {
    for (const place of this.#logs.segments(logKey)) {
      const segment = decodeSegment(await this.#logs.segmentBytes(logKey, place));
      for (const record of carriedRecords(segment)) onRecord(record);
    }
  }

  /** Nothing may be appended any more: this device was revoked. */
  stopWith(error: KithError): void {
    this.#stop ??= error;
  }

  /** Set once a record was met that this kith doesn't know and must not ignore: nothing may go on from here. */
  get stop(): KithError | undefined {
    return this.#stop;
  }

  heads(): LogHead[] {
    return this.#logs.heads();
  }

  get stored(): StoredSegments {
    return this.#logs;
  }

  /** Keys of the logs that this device appends to. */
  currentKeys(): Uint8Array[] {
    return this.#current.map(({ logKey }) => logKey);
  }

  isCurrent(logKey: Uint8Array): boolean {
    return this.#current.some((current) => equalBytes(current.logKey, logKey));
  }

  /**
   * Takes a segment from elsewhere, durably, and applies what it says. False if it is here already. KithErrors of SegmentLogs.put, and
   * `too-new`, which is `stop` from then on, for a record that must not be ignored.
   */
  async takeSegment(bytes: Uint8Array): Promise<boolean> {
    return await this.#logs.put(bytes, (record) => this.#apply(record));
  }

  /** What a record says, or undefined for one that doesn't open or isn't known. KithError `too-new` if it stops us. */
  read(record: CarriedRecord): LogEntry | undefined {
    try {
      return this.#entryOf(record);
    } catch (error) {
      if (!isKithError(error) || error === this.#stop) throw error;
      return undefined;
    }
  }

  /** True for the head of a branch of which all records were written again to other logs. */
  isJoined(head: LogPosition): boolean {
    return this.#joined.has(headKey(head));
  }

  /** Closes heads of branches, once all their records stand in other logs: they aren't joined again. */
  async closeHeads(heads: readonly LogPosition[]): Promise<void> {
    for (let at = 0; at < heads.length; at += closedHeadsMax) {
      const body = encodeLogOpened({
        role: logRoles.catalog,
        openedNs: this.#nowNs(),
        predecessors: heads.slice(at, at + closedHeadsMax),
        reason: 'their branches were joined',
      });
      await this.append(logRoles.catalog, [{ kind: recordKinds.logOpened, body }]);
    }
  }

  /** Appends records to this device's log of a role, durably, and applies them. */
  async append(role: LogRole, entries: readonly LogEntry[]): Promise<void> {
    if (entries.length === 0) return;
    await this.#lock.run(() => this.#append(role, entries));
    this.onAppended();
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
}

function itemOf(record: CarriedRecord): string {
  return `record ${record.index} of log ${toHex(record.logKey).slice(0, 8)}`;
}

function headKey(head: LogPosition): string {
  return idKey(head.logKey) + idKey(head.hash);
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
