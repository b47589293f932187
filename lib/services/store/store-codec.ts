import { ByteReader, ByteWriter } from '../../base/codec.ts';
import { classBytes, leafBytes, rowCountMax } from '../../base/limits.ts';
import { hashBytes } from '../../crypto/hash.ts';
import { readId, readList, readU64Number, writeId, writeList, writeU64Number } from '../../format/fields.ts';
import { keyRecordBytesMax } from '../../format/key-record.ts';
import { manifestBytesMax } from '../../format/manifest.ts';
import { segmentBytesMax } from '../../format/segment.ts';
import type { Availability, HeldLog, Room, ShardRef } from '../../holders/holder.ts';

/** Bodies of the calls of `kith/store` (docs/formats/store-service.md). Every reader is bounded and ends with `malformed`. */

export const storeServiceName = 'kith/store';
export const storeVersions: { readonly min: number; readonly max: number } = { min: 1, max: 1 };

/** Numbers of the methods; never used again for something else. */
export const storeMethods = {
  check: 1,
  room: 2,
  reserve: 3,
  release: 4,
  put: 5,
  get: 6,
  stat: 7,
  manifest: 8,
  inventory: 9,
  verify: 10,
  settle: 11,
  listLogs: 12,
  putSegment: 13,
  getSegment: 14,
  putKeyRecord: 15,
  getKeyRecord: 16,
} as const;

/** Shards that one settle names. */
export const settleCountMax = 1024;

/** Segments that one page of a listing of logs names. */
export const logPageSegmentsMax = 4096;

/** Logs that one page names. */
const logPageLogsMax = 1024;

/** Leaves of the largest shard. */
export const leafCountMax: number = Math.max(...classBytes) / leafBytes;

/** Bytes of leaf hashes of the largest shard. */
export const leavesBytesMax: number = leafCountMax * hashBytes;

/** Bytes of a proof: two siblings a level at most. */
export const proofBytesMax: number = 2 * Math.ceil(Math.log2(leafCountMax)) * hashBytes;

const reasonBytesMax = 1024;

function finish(write: (writer: ByteWriter) => void): Uint8Array {
  const writer = new ByteWriter();
  write(writer);
  return writer.finish();
}

function whole<T>(bytes: Uint8Array, what: string, read: (reader: ByteReader) => T): T {
  const reader = new ByteReader(bytes, what);
  const value = read(reader);
  reader.end();
  return value;
}

function readFlag(reader: ByteReader): boolean {
  const value = reader.u8();
  if (value > 1) throw reader.fail(`flag ${value}`);
  return value === 1;
}

export function writeShardRef(writer: ByteWriter, { packId, index }: ShardRef): void {
  writeId(writer, packId);
  writer.u8(index);
}

export function readShardRef(reader: ByteReader): ShardRef {
  const packId = readId(reader).slice();
  const index = reader.u8();
  if (index >= rowCountMax) throw reader.fail(`row ${index}`);
  return { packId, index };
}

export function encodeRef(ref: ShardRef): Uint8Array {
  return finish((writer) => writeShardRef(writer, ref));
}

export function decodeRef(bytes: Uint8Array): ShardRef {
  return whole(bytes, 'shard name', readShardRef);
}

export function encodeAvailability(availability: Availability): Uint8Array {
  return finish((writer) => {
    writer.u8(availability.available ? 1 : 0);
    if (availability.available) return;
    writer.u8(availability.foreign ? 1 : 0).text(availability.reason.slice(0, reasonBytesMax / 4));
  });
}

export function decodeAvailability(bytes: Uint8Array): Availability {
  return whole(bytes, 'availability', (reader) => {
    if (readFlag(reader)) return { available: true };
    return { available: false, foreign: readFlag(reader), reason: reader.text(reasonBytesMax) };
  });
}

export function encodeRoom({ quotaBytes, usedBytes, reservedBytes, freeBytes }: Room): Uint8Array {
  return finish((writer) => {
    writer.u8(quotaBytes === undefined ? 0 : 1);
    if (quotaBytes !== undefined) writer.varint(quotaBytes);
    writer.varint(usedBytes).varint(reservedBytes).varint(freeBytes);
  });
}

export function decodeRoom(bytes: Uint8Array): Room {
  return whole(bytes, 'room', (reader) => ({
    quotaBytes: readFlag(reader) ? reader.varint() : undefined,
    usedBytes: reader.varint(),
    reservedBytes: reader.varint(),
    freeBytes: reader.varint(),
  }));
}

/** A count of bytes, or the number of a reservation. */
export function encodeNumber(value: number): Uint8Array {
  return finish((writer) => writer.varint(value));
}

export function decodeNumber(bytes: Uint8Array): number {
  return whole(bytes, 'number', (reader) => reader.varint());
}

/** A put without its bulk: payload, leaf hashes and manifest follow in this order. */
export interface PutHead extends ShardRef {
  readonly k: number;
  readonly class: number;
  readonly keyEpoch: number;
  /** Number of a reservation of this session; 0 for none. */
  readonly reservation: number;
  readonly payloadBytes: number;
  readonly leavesBytes: number;
  readonly manifestBytes: number;
}

export function encodePut(head: PutHead): Uint8Array {
  return finish((writer) => {
    writeShardRef(writer, head);
    writer.u8(head.k).u8(head.class).u32(head.keyEpoch).varint(head.reservation);
    writer.varint(head.payloadBytes).varint(head.leavesBytes).varint(head.manifestBytes);
  });
}

export function decodePut(bytes: Uint8Array): PutHead {
  return whole(bytes, 'put', (reader) => ({
    ...readShardRef(reader),
    k: reader.u8(),
    class: reader.u8(),
    keyEpoch: reader.u32(),
    reservation: reader.varint(),
    payloadBytes: reader.varint(Math.max(...classBytes)),
    leavesBytes: reader.varint(leavesBytesMax),
    manifestBytes: reader.varint(manifestBytesMax),
  }));
}

export interface RangeAsked extends ShardRef {
  readonly firstLeaf: number;
  readonly leafCount: number;
}

export function encodeRange(range: RangeAsked): Uint8Array {
  return finish((writer) => {
    writeShardRef(writer, range);
    writer.varint(range.firstLeaf).varint(range.leafCount);
  });
}

export function decodeRange(bytes: Uint8Array): RangeAsked {
  return whole(bytes, 'range of leaves', (reader) => ({
    ...readShardRef(reader),
    firstLeaf: reader.varint(leafCountMax),
    leafCount: reader.varint(leafCountMax),
  }));
}

/** Whether something is there, and a number about it: the bytes of a file, of a proof. */
export function encodeFound(value: number | undefined): Uint8Array {
  return finish((writer) => {
    writer.u8(value === undefined ? 0 : 1);
    if (value !== undefined) writer.varint(value);
  });
}

export function decodeFound(bytes: Uint8Array): number | undefined {
  return whole(bytes, 'answer', (reader) => (readFlag(reader) ? reader.varint() : undefined));
}

const verdicts = ['good', 'damaged', 'missing'] as const;
export type VerifyResult = (typeof verdicts)[number];

export function encodeVerified(result: VerifyResult): Uint8Array {
  return new Uint8Array([verdicts.indexOf(result)]);
}

export function decodeVerified(bytes: Uint8Array): VerifyResult {
  return whole(bytes, 'result of a verification', (reader) => {
    const number = reader.u8();
    const result = verdicts[number];
    if (result === undefined) throw reader.fail(`result ${number}`);
    return result;
  });
}

export function encodeRefs(refs: readonly ShardRef[]): Uint8Array {
  return finish((writer) =>
    writeList(writer, refs, settleCountMax, 'shards to settle', (ref) => writeShardRef(writer, ref)),
  );
}

export function decodeRefs(bytes: Uint8Array): ShardRef[] {
  return whole(bytes, 'shards to settle', (reader) =>
    readList(reader, settleCountMax, hashBytes + 1, () => readShardRef(reader)),
  );
}

/** A segment by its log and first record; also where a page of a listing of logs goes on: after it. */
export interface SegmentRef {
  readonly logKey: Uint8Array;
  readonly firstIndex: number;
}

export function encodeSegmentRef({ logKey, firstIndex }: SegmentRef): Uint8Array {
  return finish((writer) => {
    writeId(writer, logKey);
    writeU64Number(writer, firstIndex);
  });
}

export function decodeSegmentRef(bytes: Uint8Array): SegmentRef {
  return whole(bytes, 'segment name', (reader) => ({
    logKey: readId(reader).slice(),
    firstIndex: readU64Number(reader),
  }));
}

export function encodeLogCursor(after: SegmentRef | undefined): Uint8Array {
  return after === undefined ? new Uint8Array(0) : encodeSegmentRef(after);
}

export function decodeLogCursor(bytes: Uint8Array): SegmentRef | undefined {
  return bytes.length === 0 ? undefined : decodeSegmentRef(bytes);
}

/** One page of the logs that are kept; logs and segments ascend. A log that is cut by a page's end goes on in the next. */
export interface LogPage {
  readonly logs: readonly HeldLog[];
  readonly more: boolean;
}

export function encodeLogPage({ logs, more }: LogPage): Uint8Array {
  return finish((writer) => {
    writer.u8(more ? 1 : 0);
    writeList(writer, logs, logPageLogsMax, 'logs of a page', ({ logKey, segments }) => {
      writeId(writer, logKey);
      writeList(writer, segments, logPageSegmentsMax, 'segments of a page', ({ firstIndex, bytes }) => {
        writer.varint(firstIndex).varint(bytes);
      });
    });
  });
}

export function decodeLogPage(bytes: Uint8Array): LogPage {
  return whole(bytes, 'page of logs', (reader) => ({
    more: readFlag(reader),
    logs: readList(reader, logPageLogsMax, hashBytes + 1, () => ({
      logKey: readId(reader).slice(),
      segments: readList(reader, logPageSegmentsMax, 2, () => ({
        firstIndex: reader.varint(),
        bytes: reader.varint(),
      })),
    })),
  }));
}

/** The page of a listing that comes after a place. `logs` in any order. */
export function logPageOf(logs: readonly HeldLog[], after: SegmentRef | undefined): LogPage {
  const page: { logKey: Uint8Array; segments: { firstIndex: number; bytes: number }[] }[] = [];
  let left = logPageSegmentsMax;
  const sorted = [...logs].sort((a, b) => Buffer.compare(a.logKey, b.logKey));
  for (const { logKey, segments } of sorted) {
    const order = after === undefined ? 1 : Buffer.compare(logKey, after.logKey);
    if (order < 0) continue;
    const from = order === 0 && after !== undefined ? after.firstIndex : -1;
    const rest = segments
      .filter(({ firstIndex }) => firstIndex > from)
      .toSorted((a, b) => a.firstIndex - b.firstIndex);
    // A log without segments tells nothing: it is left out, where it would have no place to go on after.
    if (rest.length === 0) continue;
    if (left === 0 || page.length === logPageLogsMax) return { logs: page, more: true };
    page.push({ logKey, segments: rest.slice(0, left) });
    if (rest.length > left) return { logs: page, more: true };
    left -= rest.length;
  }
  return { logs: page, more: false };
}

/** Bulk bytes that each kind of answer may bring. */
export const downloadMax: {
  readonly segment: number;
  readonly keyRecord: number;
  readonly manifest: number;
} = {
  segment: segmentBytesMax,
  keyRecord: keyRecordBytesMax,
  manifest: manifestBytesMax,
};
