import { join } from 'node:path';
import { equalBytes, toHex } from '../base/bytes.ts';
import { KithError, isKithError, messageOf } from '../base/errors.ts';
import { Semaphore } from '../base/concurrency.ts';
import type { RandomSource } from '../crypto/random.ts';
import type { Disk } from '../disk/disk.ts';
import { writeDurably } from '../disk/write-durably.ts';
import { encodeLogOpened } from '../format/catalog-records.ts';
import { recordKinds } from '../format/log-kinds.ts';
import { openLogRecord, readRecordHead, sealLogRecord, unknownKindAction } from '../format/log-record.ts';
import { logRoles, type LogRole } from '../format/segment.ts';
import type { Holder } from '../holders/holder.ts';
import { currentEpoch, epochKeys, type DeviceKeys } from '../trust/identity.ts';
import { appendKeysBytesMax, newAppendLog, openAppendKeys, sealAppendKeys, type AppendLog } from './append-keys.ts';
import type { CatalogState } from './catalog-state.ts';
import { SegmentLogs, type CarriedRecord, type LogAuthority, type LogHead, type LogProblem } from './segment-logs.ts';

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
  readonly #lock = new Semaphore(1);
  #logs: SegmentLogs;
  #current: AppendLog[] = [];

  private constructor(options: LogBookOptions, logs: SegmentLogs) {
    this.#disk = options.disk;
    this.#home = options.home;
    this.#device = options.device;
    this.#random = options.random;
    this.#nowNs = options.nowNs;
    this.#state = options.state;
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
        stop = new KithError('too-new', `${item} was written by a newer kith and must not be ignored. Update kith.`, {
          details: { kind: head.kind },
        });
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
        return openLogRecord(record.bytes, record.role === logRoles.catalog ? epoch.catalog : epoch.custody, place);
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
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
      if (batchBytes + entry.body.length > segmentRecordBytes || batch.length >= segmentRecordsMax) await flush(i);
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
  async openFreshLogs(reason: string): Promise<void> {
    await this.#lock.run(async () => {
      const predecessors = this.#logs
        .heads()
        .filter((head) => equalBytes(head.deviceId, this.#device.deviceId))
        .slice(-64)
        .map((head) => ({ logKey: head.logKey, length: head.length, hash: head.hash }));
      const fresh = [logRoles.catalog, logRoles.ledger].map((role) => newAppendLog(role, this.#device, this.#random));
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
   * Takes what a holder has and we lack, then gives it what it lacks. If it has more of a log that this device appends
   * to, that log is never continued: fresh ones are opened.
   */
  async exchange(holder: Holder): Promise<Exchange> {
    const held = await holder.logs.list();
    let segmentsPulled = 0;
    let forked = false;
    for (const log of held) {
      const ours = this.#current.some((current) => equalBytes(current.logKey, log.logKey));
      const pulled = await this.#pull(holder, log.logKey, log.segments);
      segmentsPulled += pulled.count;
      if (ours && (pulled.count > 0 || pulled.forked)) forked = true;
    }
    const lacking = this.#lackedBy(held);
    const upToDate = lacking.length === 0;
    if (forked) {
      this.#onProblem({
        item: holder.name,
        message: 'this computer’s own log is longer there than here, as after a restored disk; fresh logs go on from it',
      });
      await this.openFreshLogs('a holder had a longer copy');
      lacking.splice(0, lacking.length, ...this.#lackedBy(await holder.logs.list()));
    }
    for (const { logKey, place } of lacking) {
      await holder.logs.putSegment(logKey, place.firstIndex, await this.#logs.segmentBytes(logKey, place));
    }
    return { segmentsPulled, segmentsPushed: lacking.length, upToDate };
  }

  #lackedBy(held: Awaited<ReturnType<Holder['logs']['list']>>): { logKey: Uint8Array; place: SegmentLogsPlace }[] {
    const sizes = new Map<string, number>();
    for (const log of held) {
      for (const segment of log.segments) sizes.set(`${toHex(log.logKey)}/${segment.firstIndex}`, segment.bytes);
    }
    return this.#logs
      .heads()
      .flatMap((head) => this.#logs.segments(head.logKey).map((place) => ({ logKey: head.logKey, place })))
      .filter(({ logKey, place }) => sizes.get(`${toHex(logKey)}/${place.firstIndex}`) !== place.bytes);
  }

  async #pull(
    holder: Holder,
    logKey: Uint8Array,
    segments: readonly { readonly firstIndex: number; readonly bytes: number }[],
  ): Promise<{ count: number; forked: boolean }> {
    let count = 0;
    try {
      for (const segment of segments) {
        if (segment.firstIndex < this.#logs.length(logKey)) continue;
        const bytes = await holder.logs.getSegment(logKey, segment.firstIndex);
        if (bytes === undefined) break;
        if (await this.#logs.put(bytes, (record) => this.#apply(record))) count++;
      }
    } catch (error) {
      if (!isKithError(error) || error.code === 'holder-unavailable' || error.code === 'disk-full') throw error;
      this.#onProblem({ item: holder.name, message: `log ${toHex(logKey).slice(0, 8)}: ${messageOf(error)}` });
      return { count, forked: error.code === 'log-forked' };
    }
    return { count, forked: false };
  }
}

type SegmentLogsPlace = ReturnType<SegmentLogs['segments']>[number];

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
