import { copyBytes } from '../base/bytes.ts';
import { rowCountMax } from '../base/limits.ts';
import { invert, invertMatrix, multiply, type Matrix } from './gf256.ts';

/** One row of a coded pack, or the same byte range of it. */
export interface CodedRow {
  readonly index: number;
  readonly bytes: Uint8Array;
}

/**
 * The code of docs/formats/pack.md: row i < k is data shard i, row i ≥ k is Σ_j data_j / (i ⊕ j) over GF(2^8).
 * Byte x of any row depends on byte x of the others only, so equal ranges of shards go in just as whole ones do.
 * Neither call changes or keeps its input; results are fresh arrays. Impossible arguments are a RangeError.
 */
export interface ErasureCoder {
  /** The coded rows `rows` (each k … 63) of k data shards of equal length, in the order asked for. */
  encodeRows(k: number, data: readonly Uint8Array[], rows: readonly number[]): Uint8Array[];
  /** Like encodeRows, into `outputs`: one a row, as long as the data, overlapping neither it nor each other. */
  encodeInto(
    k: number,
    data: readonly Uint8Array[],
    rows: readonly number[],
    outputs: readonly Uint8Array[],
  ): void;
  /**
   * The rows `wanted` (0 … 63, data or coded) from k different rows of equal length; what `available` has beyond the
   * first k is not looked at. The bytes must have been verified before: one wrong row makes all results wrong.
   */
  reconstruct(k: number, available: readonly CodedRow[], wanted: readonly number[]): Uint8Array[];
}

/** Data shards a pack may have: with 64 rows, any k are then left twice over. */
export const dataRowsMax = 32;

/** Rows computed at once: four products of one source byte share a 32-bit word of a table. */
const lanes = 4;

/** Sources summed at once, so that a sum stays in a register for four look-ups. */
const stride = 4;

/** Bytes of each source worked on at a time (a multiple of 4): sums, tables and sources stay in the fastest caches. */
const blockBytes = 4096;

/** Sets of tables kept: a set is at most 32 KiB for four rows, and a vault sees few spreads and few patterns of loss. */
const cacheEntriesMax = 64;

/** For up to four output rows: one table a source, of 256 words that hold the products of a byte, lane by lane. */
type Tables = readonly Uint32Array[];

/** A run of up to four sources, with their tables; what is missing is made up by tables of zeros. */
interface Quad {
  readonly tables: readonly [Uint32Array, Uint32Array, Uint32Array, Uint32Array];
  readonly sources: readonly [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
}

const zeroTable = new Uint32Array(256);
const noSums = new Uint32Array(blockBytes);
const sums = new Uint32Array(blockBytes);

/** Coefficients of row i over the data rows. */
function rowOf(k: number, i: number): number[] {
  return Array.from({ length: k }, (_, j) => (i < k ? Number(i === j) : invert(i ^ j)));
}

/** One set of tables for every four rows of coefficients. */
function tablesOf(coefficients: Matrix, k: number): Tables[] {
  const groups: Tables[] = [];
  for (let first = 0; first < coefficients.length; first += lanes) {
    const group = coefficients.slice(first, first + lanes);
    const tables = Array.from({ length: k }, (_, j) => {
      const table = new Uint32Array(256);
      for (const [lane, row] of group.entries()) {
        for (let value = 0; value < 256; value++) {
          table[value] = (table[value] as number) | (multiply(row[j] as number, value) << (8 * lane));
        }
      }
      return table;
    });
    groups.push(tables);
  }
  return groups;
}

/** Tables by what they were made for; forgets what was not used for longest. */
const cache = new Map<string, Tables[]>();

function cachedTables(key: string, make: () => Tables[]): Tables[] {
  const tables = cache.get(key) ?? make();
  cache.delete(key);
  cache.set(key, tables);
  for (const oldest of cache.keys()) {
    if (cache.size <= cacheEntriesMax) break;
    cache.delete(oldest);
  }
  return tables;
}

function quadsOf(tables: Tables, sources: readonly Uint8Array[]): Quad[] {
  const quads: Quad[] = [];
  for (let j = 0; j < sources.length; j += stride) {
    const table = (at: number): Uint32Array => tables[at] ?? zeroTable;
    const source = (at: number): Uint8Array => sources[at] ?? (sources[j] as Uint8Array);
    quads.push({
      tables: [table(j), table(j + 1), table(j + 2), table(j + 3)],
      sources: [source(j), source(j + 1), source(j + 2), source(j + 3)],
    });
  }
  return quads;
}

/** sums[x] = before[x] + the products of the sources at `at` + x, for x in [0, count). */
function accumulate(quad: Quad, at: number, count: number, before: Uint32Array): void {
  const [t0, t1, t2, t3] = quad.tables;
  const [s0, s1, s2, s3] = quad.sources;
  for (let x = 0, i = at; x < count; x++, i++) {
    sums[x] =
      (before[x] as number) ^
      (t0[s0[i] as number] as number) ^
      (t1[s1[i] as number] as number) ^
      (t2[s2[i] as number] as number) ^
      (t3[s3[i] as number] as number);
  }
}

/**
 * Like accumulate, but the sums go straight to the outputs: byte `lane` of each to output `lane`, four a word.
 * `count` is a multiple of 4. Lanes that nobody asked for share the array of lane 0, which is written last.
 * Words are little-endian, as on every machine that Node and our native packages run on.
 */
function finish(
  quad: Quad,
  at: number,
  count: number,
  before: Uint32Array,
  out: readonly Uint32Array[],
): void {
  const [t0, t1, t2, t3] = quad.tables;
  const [s0, s1, s2, s3] = quad.sources;
  const [o0, o1, o2, o3] = out as [Uint32Array, Uint32Array, Uint32Array, Uint32Array];
  for (let x = 0, i = at, word = at >>> 2; x < count; x += 4, i += 4, word++) {
    const a =
      (before[x] as number) ^
      (t0[s0[i] as number] as number) ^
      (t1[s1[i] as number] as number) ^
      (t2[s2[i] as number] as number) ^
      (t3[s3[i] as number] as number);
    const b =
      (before[x + 1] as number) ^
      (t0[s0[i + 1] as number] as number) ^
      (t1[s1[i + 1] as number] as number) ^
      (t2[s2[i + 1] as number] as number) ^
      (t3[s3[i + 1] as number] as number);
    const c =
      (before[x + 2] as number) ^
      (t0[s0[i + 2] as number] as number) ^
      (t1[s1[i + 2] as number] as number) ^
      (t2[s2[i + 2] as number] as number) ^
      (t3[s3[i + 2] as number] as number);
    const d =
      (before[x + 3] as number) ^
      (t0[s0[i + 3] as number] as number) ^
      (t1[s1[i + 3] as number] as number) ^
      (t2[s2[i + 3] as number] as number) ^
      (t3[s3[i + 3] as number] as number);
    o3[word] = (a >>> 24) | ((b >>> 16) & 0xff00) | ((c >>> 8) & 0xff0000) | (d & 0xff000000);
    o2[word] = ((a >>> 16) & 0xff) | ((b >>> 8) & 0xff00) | (c & 0xff0000) | ((d & 0xff0000) << 8);
    o1[word] = ((a >>> 8) & 0xff) | (b & 0xff00) | ((c & 0xff00) << 8) | ((d & 0xff00) << 16);
    o0[word] = (a & 0xff) | ((b & 0xff) << 8) | ((c & 0xff) << 16) | (d << 24);
  }
}

/** Like finish, for at most three sources with nothing summed before: small k is common, and this takes half the time. */
function finishFew(quad: Quad, at: number, count: number, out: readonly Uint32Array[]): void {
  const [t0, t1, t2] = quad.tables;
  const [s0, s1, s2] = quad.sources;
  const [o0, o1, o2, o3] = out as [Uint32Array, Uint32Array, Uint32Array, Uint32Array];
  for (let i = at, end = at + count, word = at >>> 2; i < end; i += 4, word++) {
    const a =
      (t0[s0[i] as number] as number) ^ (t1[s1[i] as number] as number) ^ (t2[s2[i] as number] as number);
    const b =
      (t0[s0[i + 1] as number] as number) ^
      (t1[s1[i + 1] as number] as number) ^
      (t2[s2[i + 1] as number] as number);
    const c =
      (t0[s0[i + 2] as number] as number) ^
      (t1[s1[i + 2] as number] as number) ^
      (t2[s2[i + 2] as number] as number);
    const d =
      (t0[s0[i + 3] as number] as number) ^
      (t1[s1[i + 3] as number] as number) ^
      (t2[s2[i + 3] as number] as number);
    o3[word] = (a >>> 24) | ((b >>> 16) & 0xff00) | ((c >>> 8) & 0xff0000) | (d & 0xff000000);
    o2[word] = ((a >>> 16) & 0xff) | ((b >>> 8) & 0xff00) | (c & 0xff0000) | ((d & 0xff0000) << 8);
    o1[word] = ((a >>> 8) & 0xff) | (b & 0xff00) | ((c & 0xff00) << 8) | ((d & 0xff00) << 16);
    o0[word] = (a & 0xff) | ((b & 0xff) << 8) | ((c & 0xff) << 16) | (d << 24);
  }
}

/** The last one to three bytes of a length that is no multiple of 4. */
function finishTail(
  tables: Tables,
  sources: readonly Uint8Array[],
  at: number,
  outputs: readonly Uint8Array[],
): void {
  for (let i = at; i < (sources[0] as Uint8Array).length; i++) {
    let sum = 0;
    for (const [j, source] of sources.entries())
      sum ^= (tables[j] as Uint32Array)[source[i] as number] as number;
    for (const [lane, output] of outputs.entries()) output[i] = sum >>> (8 * lane);
  }
}

/** Up to four output rows of one set of tables; fresh arrays. */
function combine(tables: Tables, sources: readonly Uint8Array[], rowCount: number): Uint8Array[] {
  const length = (sources[0] as Uint8Array).length;
  const outputs = Array.from({ length: rowCount }, () => new Uint8Array(length));
  const words = Array.from({ length: lanes }, (_, lane) => {
    const output = outputs[lane < rowCount ? lane : 0] as Uint8Array;
    return new Uint32Array(output.buffer, 0, length >>> 2);
  });
  const quads = quadsOf(tables, sources);
  const last = quads.pop() as Quad;
  const wholeBytes = length - (length % 4);
  for (let at = 0; at < wholeBytes; at += blockBytes) {
    const count = Math.min(blockBytes, wholeBytes - at);
    let before = noSums;
    for (const quad of quads) {
      accumulate(quad, at, count, before);
      before = sums;
    }
    if (sources.length <= 3) finishFew(last, at, count, words);
    else finish(last, at, count, before, words);
  }
  finishTail(tables, sources, wholeBytes, outputs);
  return outputs;
}

function combineAll(
  groups: readonly Tables[],
  sources: readonly Uint8Array[],
  rowCount: number,
): Uint8Array[] {
  return groups.flatMap((tables, group) =>
    combine(tables, sources, Math.min(lanes, rowCount - group * lanes)),
  );
}

function checkRow(index: number, min: number): void {
  if (!Number.isInteger(index) || index < min || index >= rowCountMax) {
    throw new RangeError(`row ${index} is not in ${min} … ${rowCountMax - 1}`);
  }
}

function checkSources(k: number, sources: readonly (Uint8Array | undefined)[]): void {
  if (!Number.isInteger(k) || k < 1 || k > dataRowsMax)
    throw new RangeError(`k = ${k} is not in 1 … ${dataRowsMax}`);
  if (sources.length < k) throw new RangeError(`${sources.length} rows where ${k} are needed`);
  const length = sources[0]?.length;
  if (sources.some((source) => source?.length !== length)) throw new RangeError('rows differ in length');
}

/** The coefficients that make the wanted rows from the available ones: C_wanted · (C_available)⁻¹. */
function coefficientsFrom(k: number, available: readonly number[], wanted: readonly number[]): number[][] {
  const inverse = invertMatrix(available.map((index) => rowOf(k, index)));
  return wanted.map((index) => {
    const row = rowOf(k, index);
    return available.map((_, column) =>
      row.reduce((sum, value, j) => sum ^ multiply(value, inverse[j]?.[column] as number), 0),
    );
  });
}

/** The coder in plain TypeScript: what every faster one is checked against, and what runs where they can't. */
export const plainCoder: ErasureCoder = {
  encodeRows(k, data, rows) {
    checkSources(k, data);
    if (data.length !== k) throw new RangeError(`${data.length} data rows given for k = ${k}`);
    for (const index of rows) checkRow(index, k);
    const tables = cachedTables(`${k}>${rows.join()}`, () =>
      tablesOf(
        rows.map((index) => rowOf(k, index)),
        k,
      ),
    );
    return combineAll(tables, data, rows.length);
  },

  encodeInto(k, data, rows, outputs) {
    for (const [i, row] of plainCoder.encodeRows(k, data, rows).entries()) outputs[i]?.set(row);
  },

  reconstruct(k, available, wanted) {
    checkSources(
      k,
      available.slice(0, k).map((row) => row.bytes),
    );
    const used = available.slice(0, k);
    for (const { index } of used) checkRow(index, 0);
    const indices = used.map(({ index }) => index);
    if (new Set(indices).size !== k) throw new RangeError(`rows ${indices.join()} are not all different`);
    for (const index of wanted) checkRow(index, 0);
    // A row that is at hand is copied; only the others are computed.
    const missing = wanted.filter((index) => !indices.includes(index));
    const tables = cachedTables(`${k}:${indices.join()}>${missing.join()}`, () =>
      tablesOf(coefficientsFrom(k, indices, missing), k),
    );
    const computed = combineAll(
      tables,
      used.map(({ bytes }) => bytes),
      missing.length,
    );
    let next = 0;
    return wanted.map((index) => {
      const own = used.find((row) => row.index === index);
      return own === undefined ? (computed[next++] as Uint8Array) : copyBytes(own.bytes);
    });
  },
};
