import { ByteReader, ByteWriter } from '../base/codec.ts';
import { pathBytesMax } from '../base/limits.ts';
import { readExtensions, writeExtensions } from './extensions.ts';
import type { Extension } from './extensions.ts';
import {
  nameTextBytesMax,
  readChoice,
  readId,
  readList,
  writeBlob,
  writeChoice,
  writeId,
  writeList,
  writeText,
} from './fields.ts';
import { indexRefBytesMin, readIndexRef, writeIndexRef } from './index-blob.ts';
import type { IndexRef } from './index-blob.ts';
import { logRoleNumbers } from './log-kinds.ts';
import type { LogRole } from './log-kinds.ts';
import { logPositionBytes, readLogPosition, writeLogPosition } from './log-position.ts';
import type { LogPosition } from './log-position.ts';

/**
 * Bodies of records in the catalog (docs/formats/log.md). Decoders give views into what openLogRecord returned, which
 * is the caller's own; they throw KithError `malformed` or `too-new`. Snapshots, key records, certificates and
 * revocations are their own bytes; friends and their devices are in friend-records.ts.
 */

const knownHolderExtensions: ReadonlySet<number> = new Set();
const holderKinds = [1, 2] as const;
const holderStates = [1, 2] as const;
const predecessorCountMax = 64;
const forgetCountMax = 4096;
const settingValueBytesMax = 4096;
const indexCountMax = 65536;

/** The first record of every log. */
export interface LogOpened {
  readonly role: LogRole;
  readonly openedNs: bigint;
  /** Logs that this one goes on from, where they could not be continued themselves. */
  readonly predecessors: readonly LogPosition[];
  /** For people. */
  readonly reason: string;
}

export function encodeLogOpened(record: LogOpened): Uint8Array {
  const writer = new ByteWriter();
  writeChoice(writer, record.role, logRoleNumbers);
  writer.i64(record.openedNs);
  writeList(writer, record.predecessors, predecessorCountMax, 'predecessors of a log', (position) => {
    writeLogPosition(writer, position);
  });
  writeText(writer, record.reason, nameTextBytesMax, 'reason');
  return writer.finish();
}

export function decodeLogOpened(bytes: Uint8Array): LogOpened {
  const reader = new ByteReader(bytes, 'record "log opened"');
  const record = {
    role: readChoice(reader, logRoleNumbers, 'role'),
    openedNs: reader.i64(),
    predecessors: readList(reader, predecessorCountMax, logPositionBytes, () => readLogPosition(reader)),
    reason: reader.text(nameTextBytesMax),
  };
  reader.end();
  return record;
}

/** Snapshots that no longer count. */
export interface Forget {
  readonly snapshotIds: readonly Uint8Array[];
  readonly atNs: bigint;
}

export function encodeForget(record: Forget): Uint8Array {
  const writer = new ByteWriter();
  writeList(writer, record.snapshotIds, forgetCountMax, 'snapshots to forget', (id) => writeId(writer, id));
  return writer.i64(record.atNs).finish();
}

export function decodeForget(bytes: Uint8Array): Forget {
  const reader = new ByteReader(bytes, 'record "forget"');
  const record = {
    snapshotIds: readList(reader, forgetCountMax, 32, () => readId(reader)),
    atNs: reader.i64(),
  };
  reader.end();
  return record;
}

/** A setting of the whole vault; the latest `atNs` counts. */
export interface Setting {
  readonly key: string;
  /** Empty: the default again. */
  readonly value: string;
  readonly atNs: bigint;
}

export function encodeSetting(record: Setting): Uint8Array {
  const writer = new ByteWriter();
  writeText(writer, record.key, nameTextBytesMax, 'setting');
  writeText(writer, record.value, settingValueBytesMax, `value of ${record.key}`);
  return writer.i64(record.atNs).finish();
}

export function decodeSetting(bytes: Uint8Array): Setting {
  const reader = new ByteReader(bytes, 'record "setting"');
  const record = {
    key: reader.text(nameTextBytesMax),
    value: reader.text(settingValueBytesMax),
    atNs: reader.i64(),
  };
  reader.end();
  return record;
}

/** Numbers of a holder's kind and state. */
export const holderKindNumbers = { drive: 1, friend: 2 } as const;
export const holderStateNumbers = { active: 1, removed: 2 } as const;

/** A drive or friend that keeps shards; the latest `atNs` of a holder counts. */
export interface HolderRecord {
  readonly holderId: Uint8Array;
  /** 1 drive, 2 friend. */
  readonly kind: (typeof holderKindNumbers)[keyof typeof holderKindNumbers];
  /** 1 active, 2 removed. */
  readonly state: (typeof holderStateNumbers)[keyof typeof holderStateNumbers];
  readonly name: string;
  /** Empty where unknown: then the holder is a household of its own. */
  readonly household: string;
  /** Bytes; 0 for none. */
  readonly quotaBytes: number;
  /** True if it keeps a whole copy rather than one shard of each pack. */
  readonly whole: boolean;
  /** Where a drive was last seen: raw path bytes, for the device that wrote the record. */
  readonly pathHint: Uint8Array;
  readonly atNs: bigint;
  readonly extensions: readonly Extension[];
}

export function encodeHolderRecord(record: HolderRecord): Uint8Array {
  const writer = new ByteWriter();
  writeId(writer, record.holderId);
  writeChoice(writer, record.kind, holderKinds);
  writeChoice(writer, record.state, holderStates);
  writeText(writer, record.name, nameTextBytesMax, 'name of a holder');
  writeText(writer, record.household, nameTextBytesMax, 'household');
  writer.varint(record.quotaBytes).u8(record.whole ? 1 : 0);
  writeBlob(writer, record.pathHint, pathBytesMax, 'path of a drive');
  writer.i64(record.atNs);
  writeExtensions(writer, record.extensions);
  return writer.finish();
}

export function decodeHolderRecord(bytes: Uint8Array): HolderRecord {
  const reader = new ByteReader(bytes, 'record "holder"');
  const record = {
    holderId: readId(reader),
    kind: readChoice(reader, holderKinds, 'kind of holder'),
    state: readChoice(reader, holderStates, 'state of a holder'),
    name: reader.text(nameTextBytesMax),
    household: reader.text(nameTextBytesMax),
    quotaBytes: reader.varint(),
    whole: readChoice(reader, [0, 1] as const, 'whole') === 1,
    pathHint: reader.blob(pathBytesMax),
    atNs: reader.i64(),
    extensions: readExtensions(reader, knownHolderExtensions),
  };
  reader.end();
  return record;
}

/** Index blobs that came and went. */
export interface IndexRecord {
  readonly added: readonly IndexRef[];
  /** Blob ids of index blobs that others replace. */
  readonly removed: readonly Uint8Array[];
  /** Ids of packs whose directories stand in the added index blobs. */
  readonly covered: readonly Uint8Array[];
}

export function encodeIndexRecord(record: IndexRecord): Uint8Array {
  const writer = new ByteWriter();
  writeList(writer, record.added, indexCountMax, 'index blobs', (ref) => writeIndexRef(writer, ref));
  writeList(writer, record.removed, indexCountMax, 'index blobs', (id) => writeId(writer, id));
  writeList(writer, record.covered, indexCountMax, 'covered packs', (id) => writeId(writer, id));
  return writer.finish();
}

export function decodeIndexRecord(bytes: Uint8Array): IndexRecord {
  const reader = new ByteReader(bytes, 'record "index"');
  const record = {
    added: readList(reader, indexCountMax, indexRefBytesMin, () => readIndexRef(reader)),
    removed: readList(reader, indexCountMax, 32, () => readId(reader)),
    covered: readList(reader, indexCountMax, 32, () => readId(reader)),
  };
  reader.end();
  return record;
}

/** The state that a log had up to a place, so that what is before it need not be kept. Nothing writes one yet. */
export interface Checkpoint {
  readonly predecessor: LogPosition;
  readonly state: readonly IndexRef[];
  readonly atNs: bigint;
}

export function encodeCheckpoint(record: Checkpoint): Uint8Array {
  const writer = new ByteWriter();
  writeLogPosition(writer, record.predecessor);
  writeList(writer, record.state, indexCountMax, 'state blobs', (ref) => writeIndexRef(writer, ref));
  return writer.i64(record.atNs).finish();
}

export function decodeCheckpoint(bytes: Uint8Array): Checkpoint {
  const reader = new ByteReader(bytes, 'record "checkpoint"');
  const record = {
    predecessor: readLogPosition(reader),
    state: readList(reader, indexCountMax, indexRefBytesMin, () => readIndexRef(reader)),
    atNs: reader.i64(),
  };
  reader.end();
  return record;
}
