import { coderOf, type ErasureCoder } from './erasure-coder.ts';
import { multiply, type Matrix } from './gf256.ts';
import { PatternCache } from './pattern-cache.ts';

export { dataRowsMax, type CodedRow, type ErasureCoder } from './erasure-coder.ts';

/** Rows computed at once: four products of one source byte share a 32-bit word of a table. */
const lanes = 4;

/** Sources summed at once, so that a sum stays in a register for four look-ups. */
const stride = 4;

/** Bytes of each source worked on at a time (a multiple of 4): sums, tables and sources stay in the fastest caches. */
const blockBytes = 4096;

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
 * Words are little-endian: byte-order.ts refuses machines where they are not.
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

/** Words over the whole words of an array, or undefined where it doesn't begin at a word of its buffer. */
function wordsOf(bytes: Uint8Array): Uint32Array | undefined {
  return bytes.byteOffset % 4 === 0
    ? new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2)
    : undefined;
}

/** Up to four output rows of one set of tables. */
function combine(tables: Tables, sources: readonly Uint8Array[], outputs: readonly Uint8Array[]): void {
  const length = (sources[0] as Uint8Array).length;
  const views = outputs.map((output) => wordsOf(output) ?? new Uint32Array(length >>> 2));
  const words = Array.from({ length: lanes }, (_, lane) => views[lane] ?? (views[0] as Uint32Array));
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
  for (const [lane, output] of outputs.entries()) {
    const view = views[lane] as Uint32Array;
    if (view.buffer !== output.buffer) output.set(new Uint8Array(view.buffer));
  }
  finishTail(tables, sources, wholeBytes, outputs);
}

const cache = new PatternCache<readonly Tables[]>();

/** The coder in plain TypeScript: what every faster one is checked against, and what runs where they can't. */
export const plainCoder: ErasureCoder = coderOf((pattern, coefficients, sources, outputs) => {
  const groups = cache.get(pattern, () => tablesOf(coefficients(), sources.length));
  for (const [group, tables] of groups.entries()) {
    combine(tables, sources, outputs.slice(group * lanes, (group + 1) * lanes));
  }
});
