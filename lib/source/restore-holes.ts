import { viewAsBuffer } from '../base/bytes.ts';
import type { DataRun } from './sparse-map.ts';

const zeros = Buffer.alloc(64 * 1024);

/** A part of bytes to write, by places in them. */
export interface Part {
  readonly start: number;
  readonly end: number;
}

/**
 * The parts of `bytes`, which belong at `offset` of a new file, that have to be written: all of them but zeros where the
 * file has a hole by its sparse map. A map that is wrong costs room, never a byte. Cost: a search in the map and a
 * comparison of what lies in holes.
 */
export function partsToWrite(
  map: readonly DataRun[] | undefined,
  bytes: Uint8Array,
  offset: number,
): readonly Part[] {
  if (map === undefined) return [{ start: 0, end: bytes.length }];
  const parts: { start: number; end: number }[] = [];
  const take = (start: number, end: number): void => {
    const last = parts.at(-1);
    if (last?.end === start) last.end = end;
    else parts.push({ start, end });
  };
  let next = firstRunAfter(map, offset);
  for (let at = 0; at < bytes.length;) {
    const run = map[next];
    const runStart = run === undefined ? bytes.length : Math.max(0, run.offset - offset);
    const holeEnd = Math.min(bytes.length, runStart);
    if (holeEnd > at && !isZero(bytes.subarray(at, holeEnd))) take(at, holeEnd);
    at = Math.max(at, holeEnd);
    if (run === undefined || at === bytes.length) break;
    const end = Math.min(bytes.length, run.offset + run.length - offset);
    take(at, end);
    at = end;
    next++;
  }
  return parts;
}

/** The first run that ends behind an offset. */
function firstRunAfter(map: readonly DataRun[], offset: number): number {
  let low = 0;
  let high = map.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const run = map[middle];
    if (run !== undefined && run.offset + run.length <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

function isZero(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += zeros.length) {
    const piece = viewAsBuffer(bytes.subarray(at, at + zeros.length));
    if (!piece.equals(zeros.subarray(0, piece.length))) return false;
  }
  return true;
}
