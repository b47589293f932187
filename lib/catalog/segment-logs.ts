import { join } from 'node:path';
import { equalBytes, fromHex, toHex } from '../base/bytes.ts';
import { KithError, isKithError, messageOf } from '../base/errors.ts';
import type { Disk } from '../disk/disk.ts';
import { writeDurably } from '../disk/write-durably.ts';
import {
  decodeSegment,
  encodeSegment,
  parseSegmentFileName,
  segmentBytesMax,
  segmentFileName,
  segmentHash,
  verifySegment,
  type LogRole,
  type Segment,
} from '../format/segment.ts';
import { trustedLengthOf } from './log-carrier.ts';
import type {
  AppendableLog,
  CarriedRecord,
  LogAuthority,
  LogCarrier,
  LogHead,
  LogProblem,
  SegmentPlace,
} from './log-carrier.ts';

interface KnownLog {
  readonly logKey: Uint8Array;
  readonly deviceId: Uint8Array;
  readonly role: LogRole;
  readonly attestation: Uint8Array;
  readonly segments: SegmentPlace[];
  length: number;
}

/** Logs of a vault at most: bounds a folder that somebody stuffed. */
export const logsMax = 4096;

const noHash: Uint8Array = new Uint8Array(32);

/**
 * Logs as folders of immutable segment files (docs/formats/log.md): `<folder>/<log key>/<first>.seg`. The home's carrier for
 * now; drives keep the same files. Every segment is verified when it is read: signature, attestation, device, chain.
 */
export class SegmentLogs implements LogCarrier {
  readonly #disk: Disk;
  readonly #folder: string;
  readonly #tempFolder: string;
  readonly #authority: LogAuthority;
  readonly #logs = new Map<string, KnownLog>();
  /** Logs of which all names are durable, or are being made so. */
  readonly #settled = new Map<string, Promise<void>>();
  readonly #broken = new Set<string>();

  private constructor(disk: Disk, folder: string, tempFolder: string, authority: LogAuthority) {
    this.#disk = disk;
    this.#folder = folder;
    this.#tempFolder = tempFolder;
    this.#authority = authority;
  }

  /**
   * Reads and verifies all logs of a folder and hands every record to `onRecord`, in order within each log. A log ends
   * where a segment is missing or not authentic; what follows is reported, not used.
   */
  static async open(options: {
    readonly disk: Disk;
    readonly folder: string;
    readonly tempFolder: string;
    readonly authority: LogAuthority;
    readonly onProblem: LogProblem;
    readonly onRecord: (record: CarriedRecord) => void;
  }): Promise<SegmentLogs> {
    const logs = new SegmentLogs(options.disk, options.folder, options.tempFolder, options.authority);
    const entries = (await options.disk.list(options.folder)) ?? [];
    const names = entries
      .filter((entry) => entry.isFolder && /^[0-9a-f]{64}$/.test(entry.name))
      .map((e) => e.name);
    if (names.length > logsMax)
      throw new KithError('limit-exceeded', `more than ${logsMax} logs in ${options.folder}`);
    for (const name of names.sort()) await logs.#load(name, options.onProblem, options.onRecord);
    return logs;
  }

  async #load(name: string, onProblem: LogProblem, onRecord: (record: CarriedRecord) => void): Promise<void> {
    const logKey = fromHex(name);
    if (logKey === undefined) return;
    const folder = join(this.#folder, name);
    const firsts = ((await this.#disk.list(folder)) ?? [])
      .map((entry) => parseSegmentFileName(entry.name))
      .filter((first) => first !== undefined)
      .sort((a, b) => a - b);
    for (const first of firsts) {
      try {
        const bytes = await this.#disk.readWhole(join(folder, segmentFileName(first)), segmentBytesMax);
        if (bytes === undefined) continue;
        const segment = this.#accept(bytes, logKey);
        for (const [i, record] of segment.records.entries()) onRecord(carried(segment, i, record));
      } catch (error) {
        if (!isKithError(error)) throw error;
        // What is void by a revocation is left where it is, and ends the log.
        if (error.code === 'device-revoked') return;
        this.#broken.add(name);
        onProblem({
          item: `log ${name.slice(0, 8)}`,
          message: `ends at record ${this.#lengthOf(name)}: ${messageOf(error)}`,
        });
        return;
      }
    }
  }

  /**
   * True if, when the folder was read, the log ended at a segment that is no good, or before one that doesn't follow: it must not be
   * appended to, since others may have what is lost here, and what lies behind the gap would stand in the way.
   */
  isBroken(logKey: Uint8Array): boolean {
    return this.#broken.has(toHex(logKey));
  }

  #lengthOf(name: string): number {
    return this.#logs.get(name)?.length ?? 0;
  }

  /** Verifies a segment and takes it as the next of its log. KithError if it isn't that. */
  #accept(bytes: Uint8Array, expectedKey?: Uint8Array): Segment {
    const segment = decodeSegment(bytes);
    const { head } = segment;
    if (expectedKey !== undefined && !equalBytes(head.logKey, expectedKey)) {
      throw new KithError('not-authentic', 'a segment lies under the name of another log');
    }
    if (!equalBytes(head.vaultId, this.#authority.vaultId))
      throw new KithError('not-authentic', 'a segment of another vault');
    if (!this.#authority.isDevice(head.deviceId))
      throw new KithError('not-authentic', 'a segment by an unknown device');
    verifySegment(segment);
    const trusted = trustedLengthOf(this.#authority, head.deviceId, head.logKey);
    if (head.firstIndex + segment.records.length > trusted) {
      throw new KithError(
        'device-revoked',
        'a segment that a revoked device wrote behind what is trusted of it',
      );
    }
    const key = toHex(head.logKey);
    const known = this.#logs.get(key);
    const length = known?.length ?? 0;
    if (known !== undefined && (known.role !== head.role || !equalBytes(known.deviceId, head.deviceId))) {
      throw new KithError('not-authentic', 'a segment that changes what its log is');
    }
    if (head.firstIndex !== length || !equalBytes(head.previous, known?.segments.at(-1)?.hash ?? noHash)) {
      throw new KithError(
        'malformed',
        `a segment at ${head.firstIndex} does not continue the log at ${length}`,
      );
    }
    const log = known ?? {
      logKey: head.logKey.slice(),
      deviceId: head.deviceId.slice(),
      role: head.role,
      attestation: head.attestation.slice(),
      segments: [],
      length: 0,
    };
    log.segments.push({
      firstIndex: head.firstIndex,
      count: segment.records.length,
      bytes: bytes.length,
      hash: segmentHash(bytes),
    });
    log.length += segment.records.length;
    this.#logs.set(key, log);
    return segment;
  }

  /** All logs, by key. */
  heads(): LogHead[] {
    return [...this.#logs.values()].map((log) => ({
      logKey: log.logKey,
      deviceId: log.deviceId,
      role: log.role,
      length: log.length,
      hash: log.segments.at(-1)?.hash ?? noHash,
    }));
  }

  /** A log's length; 0 for one that isn't here. */
  length(logKey: Uint8Array): number {
    return this.#lengthOf(toHex(logKey));
  }

  /** A log's segments, in order. */
  segments(logKey: Uint8Array): readonly SegmentPlace[] {
    return this.#logs.get(toHex(logKey))?.segments ?? [];
  }

  /**
   * Makes durable what was found of a log: a process that died may have named its last segment and not made the name
   * last. Before anybody else gets a copy, or a power cut could leave us with the shorter one. Once for each log, and not for
   * one that was written to: its folder was made durable then, with all names in it. Those who ask at once share it.
   */
  async settle(logKey: Uint8Array): Promise<void> {
    const key = toHex(logKey);
    let settled = this.#settled.get(key);
    if (settled === undefined) {
      settled = this.#settle(join(this.#folder, key)).catch((error: unknown) => {
        this.#settled.delete(key);
        throw error;
      });
      this.#settled.set(key, settled);
    }
    await settled;
  }

  async #settle(folder: string): Promise<void> {
    await this.#disk.makeFolder(folder, 0o700);
    await this.#disk.syncFolder(folder);
  }

  /** The bytes of a segment, checked against the hash they had when they were verified. KithError `damaged` otherwise. */
  async segmentBytes(logKey: Uint8Array, place: SegmentPlace): Promise<Uint8Array> {
    const path = join(this.#folder, toHex(logKey), segmentFileName(place.firstIndex));
    const bytes = await this.#disk.readWhole(path, segmentBytesMax);
    if (bytes === undefined || !equalBytes(segmentHash(bytes), place.hash)) {
      throw new KithError('damaged', `${path} changed while kith was running`);
    }
    return bytes;
  }

  /**
   * Takes a segment from elsewhere: verified, written durably. False if it is here already. KithError `malformed` for
   * one that doesn't continue its log, `log-forked` for other authentic bytes in the place of one that is here.
   */
  async put(bytes: Uint8Array, onRecord: (record: CarriedRecord) => void): Promise<boolean> {
    const { head } = decodeSegment(bytes);
    const here = this.segments(head.logKey).find((place) => place.firstIndex === head.firstIndex);
    if (here !== undefined) {
      if (equalBytes(here.hash, segmentHash(bytes))) return false;
      throw new KithError(
        'log-forked',
        `two different segments stand at record ${head.firstIndex} of one log`,
      );
    }
    const segment = this.#accept(bytes);
    try {
      await this.#write(head.logKey, head.firstIndex, bytes);
    } catch (error) {
      this.#retract(head.logKey);
      throw error;
    }
    for (const [i, record] of segment.records.entries()) onRecord(carried(segment, i, record));
    return true;
  }

  /**
   * Takes segments out that are void now: a revocation was learned. Their files stay. A segment that goes beyond the trusted length is
   * void whole: the length is where a segment ends.
   */
  cutVoid(): boolean {
    let cut = false;
    for (const log of this.#logs.values()) {
      const trusted = trustedLengthOf(this.#authority, log.deviceId, log.logKey);
      while (log.length > trusted) {
        const last = log.segments.pop();
        if (last === undefined) break;
        log.length -= last.count;
        cut = true;
      }
    }
    return cut;
  }

  #retract(logKey: Uint8Array): void {
    const log = this.#logs.get(toHex(logKey));
    const last = log?.segments.pop();
    if (log !== undefined && last !== undefined) log.length -= last.count;
  }

  /** Appends sealed records as one durable segment. KithError `damaged` for a log that is broken. */
  async append(log: AppendableLog, records: readonly Uint8Array[]): Promise<void> {
    if (this.isBroken(log.logKey)) throw new KithError('damaged', 'a broken log is not appended to');
    const firstIndex = this.length(log.logKey);
    const bytes = encodeSegment(
      {
        vaultId: this.#authority.vaultId,
        deviceId: log.deviceId,
        logKey: log.logKey,
        role: log.role,
        firstIndex,
        previous: this.segments(log.logKey).at(-1)?.hash ?? noHash,
        attestation: log.attestation,
      },
      records,
      log.appendSecretKey,
    );
    await this.#write(log.logKey, firstIndex, bytes);
    this.#accept(bytes, log.logKey);
  }

  async #write(logKey: Uint8Array, firstIndex: number, bytes: Uint8Array): Promise<void> {
    const folder = join(this.#folder, toHex(logKey));
    await this.#disk.makeFolder(folder, 0o700);
    await writeDurably(this.#disk, {
      tempFolder: this.#tempFolder,
      path: join(folder, segmentFileName(firstIndex)),
      parts: [bytes],
      mode: 0o600,
    });
    this.#settled.set(toHex(logKey), Promise.resolve());
  }
}

function carried(segment: Segment, offset: number, bytes: Uint8Array): CarriedRecord {
  const { logKey, deviceId, role, firstIndex } = segment.head;
  return { logKey, deviceId, role, index: firstIndex + offset, bytes };
}

/** The records of a segment with their places in the log. */
export function carriedRecords(segment: Segment): CarriedRecord[] {
  return segment.records.map((record, i) => carried(segment, i, record));
}
