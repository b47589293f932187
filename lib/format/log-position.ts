import type { ByteReader, ByteWriter } from '../base/codec.ts';
import { readId, readU64Number, writeId, writeU64Number } from './fields.ts';

/** A head: how far a log is known, and by what bytes (docs/formats/log.md). */
export interface LogPosition {
  readonly logKey: Uint8Array;
  /** Records. */
  readonly length: number;
  /** segmentHash of the last segment; zeros for an empty log. */
  readonly hash: Uint8Array;
}

/** The bytes that a position takes. */
export const logPositionBytes = 72;

export function writeLogPosition(writer: ByteWriter, position: LogPosition): void {
  writeId(writer, position.logKey);
  writeU64Number(writer, position.length);
  writeId(writer, position.hash);
}

/** Views into the reader's input. */
export function readLogPosition(reader: ByteReader): LogPosition {
  return { logKey: readId(reader), length: readU64Number(reader), hash: readId(reader) };
}
