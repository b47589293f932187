import type { ErrorCode } from '../base/errors.ts';
import type { LogRole } from '../format/segment.ts';

/** A log as far as this place has it. */
export interface LogHead {
  readonly logKey: Uint8Array;
  readonly deviceId: Uint8Array;
  readonly role: LogRole;
  /** Records. */
  readonly length: number;
  /** Hash of the last segment. */
  readonly hash: Uint8Array;
}

/** One segment on the disk. */
export interface SegmentPlace {
  readonly firstIndex: number;
  readonly count: number;
  readonly bytes: number;
  readonly hash: Uint8Array;
}

/** A record as the log carries it: still sealed. */
export interface CarriedRecord {
  readonly logKey: Uint8Array;
  readonly deviceId: Uint8Array;
  readonly role: LogRole;
  readonly index: number;
  readonly bytes: Uint8Array;
}

/** Something about a log that was left out, and why; `damaged` where no code is given. */
export type LogProblem = (problem: {
  readonly item: string;
  readonly message: string;
  readonly code?: ErrorCode;
}) => void;

/** Who may write logs of this vault. */
export interface LogAuthority {
  readonly vaultId: Uint8Array;
  readonly isDevice: (deviceId: Uint8Array) => boolean;
  /** How many records of a device's log count; all where it is left out, or gives infinity. What is beyond is void (docs/formats/log.md). */
  readonly trustedLength?: (deviceId: Uint8Array, logKey: Uint8Array) => number;
}

/** How many records of this log count. */
export function trustedLengthOf(authority: LogAuthority, deviceId: Uint8Array, logKey: Uint8Array): number {
  return authority.trustedLength?.(deviceId, logKey) ?? Number.POSITIVE_INFINITY;
}

/** A log that its device appends to, with what a carrier needs to sign for it. */
export interface AppendableLog {
  readonly logKey: Uint8Array;
  readonly deviceId: Uint8Array;
  readonly role: LogRole;
  readonly attestation: Uint8Array;
  readonly appendSecretKey: Uint8Array;
}

/**
 * What carries a home's logs: append-only, authentic, in order. Segment files do now (segment-logs.ts); hypercores will
 * sit behind the same interface. Whatever carries them, the records are sealed by kith, and drives get them as segments (docs/formats/log.md).
 */
export interface LogCarrier {
  /** All logs, by key. */
  heads(): LogHead[];
  /** Records of a log; 0 for one that isn't here. */
  length(logKey: Uint8Array): number;
  /** True for a log of which something that was here can't be read any more: it must not be gone on with. */
  isBroken(logKey: Uint8Array): boolean;
  /** A log as the segments that holders get, in order. */
  segments(logKey: Uint8Array): readonly SegmentPlace[];
  /** The bytes of one, checked. KithError `damaged`. */
  segmentBytes(logKey: Uint8Array, place: SegmentPlace): Promise<Uint8Array>;
  /** Makes durable what was found of a log, before anything is built on it. */
  settle(logKey: Uint8Array): Promise<void>;
  /** Takes a segment from elsewhere, verified; durable when it returns. False if it is here already. KithError `malformed`, `log-forked`. */
  put(bytes: Uint8Array, onRecord: (record: CarriedRecord) => void): Promise<boolean>;
  /** Leaves out, from now on, what is void by the authority. True if something was there that is. */
  cutVoid(): boolean;
  /** Appends sealed records; durable when it returns. */
  append(log: AppendableLog, records: readonly Uint8Array[]): Promise<void>;
}
