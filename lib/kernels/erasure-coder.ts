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
 * No call changes or keeps its input. Impossible arguments are a RangeError, and nothing is written then.
 */
export interface ErasureCoder {
  /** The coded rows `rows` (each k … 63) of k data shards of equal length, in the order asked for; fresh arrays. */
  encodeRows(k: number, data: readonly Uint8Array[], rows: readonly number[]): Uint8Array[];
  /** Like encodeRows, into `outputs`: one a row, as long as the data, overlapping neither it nor each other. */
  encodeInto(
    k: number,
    data: readonly Uint8Array[],
    rows: readonly number[],
    outputs: readonly Uint8Array[],
  ): void;
  /**
   * The rows `wanted` (0 … 63, data or coded) from k different rows of equal length, as fresh arrays; what `available` has
   * beyond the first k is not looked at. The bytes must have been verified before: one wrong row makes all results wrong.
   */
  reconstruct(k: number, available: readonly CodedRow[], wanted: readonly number[]): Uint8Array[];
  /** Like reconstruct, into `outputs`: one a row wanted, as long as those, overlapping neither them nor each other. */
  reconstructInto(
    k: number,
    available: readonly CodedRow[],
    wanted: readonly number[],
    outputs: readonly Uint8Array[],
  ): void;
}

/** Data shards a pack may have: with 64 rows, any k are then left twice over. */
export const dataRowsMax = 32;

/**
 * What a version of the coder has to do: output r becomes Σ_j coefficients[r][j] · source j. The arguments were checked: at least
 * one source and one output, all of one length that isn't 0, no output overlapping anything. `pattern` names the coefficients,
 * so that tables made of them can be kept.
 */
export type Combine = (
  pattern: string,
  coefficients: () => Matrix,
  sources: readonly Uint8Array[],
  outputs: readonly Uint8Array[],
) => void;

/** Coefficients of row i over the data rows. */
function rowOf(k: number, i: number): number[] {
  return Array.from({ length: k }, (_, j) => (i < k ? Number(i === j) : invert(i ^ j)));
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

function overlap(a: Uint8Array, b: Uint8Array): boolean {
  if (a.buffer !== b.buffer || a.length === 0 || b.length === 0) return false;
  return a.byteOffset < b.byteOffset + b.length && b.byteOffset < a.byteOffset + a.length;
}

function checkOutputs(
  sources: readonly Uint8Array[],
  rows: readonly number[],
  outputs: readonly Uint8Array[],
): void {
  if (outputs.length !== rows.length)
    throw new RangeError(`${outputs.length} outputs for ${rows.length} rows`);
  for (const [i, output] of outputs.entries()) {
    if (output.length !== sources[0]?.length) throw new RangeError('an output differs in length');
    const others = [...sources, ...outputs.slice(0, i)];
    if (others.some((other) => overlap(output, other))) throw new RangeError('an output overlaps other rows');
  }
}

/** The first k rows at hand, checked. */
function checkedRows(k: number, available: readonly CodedRow[], wanted: readonly number[]): CodedRow[] {
  const used = available.slice(0, k);
  checkSources(
    k,
    used.map((row) => row.bytes),
  );
  for (const { index } of used) checkRow(index, 0);
  const indices = used.map(({ index }) => index);
  if (new Set(indices).size !== k) throw new RangeError(`rows ${indices.join()} are not all different`);
  for (const index of wanted) checkRow(index, 0);
  return used;
}

const freshOutputs = (rows: readonly number[], length: number): Uint8Array[] =>
  rows.map(() => new Uint8Array(length));

/** The coder that sums with `combine`. */
export function coderOf(combine: Combine): ErasureCoder {
  const coder: ErasureCoder = {
    encodeRows(k, data, rows) {
      const outputs = freshOutputs(rows, data[0]?.length ?? 0);
      coder.encodeInto(k, data, rows, outputs);
      return outputs;
    },

    encodeInto(k, data, rows, outputs) {
      checkSources(k, data);
      if (data.length !== k) throw new RangeError(`${data.length} data rows given for k = ${k}`);
      for (const index of rows) checkRow(index, k);
      checkOutputs(data, rows, outputs);
      if (rows.length === 0 || data[0]?.length === 0) return;
      combine(`${k}>${rows.join()}`, () => rows.map((index) => rowOf(k, index)), data, outputs);
    },

    reconstruct(k, available, wanted) {
      const outputs = freshOutputs(wanted, available[0]?.bytes.length ?? 0);
      coder.reconstructInto(k, available, wanted, outputs);
      return outputs;
    },

    reconstructInto(k, available, wanted, outputs) {
      const used = checkedRows(k, available, wanted);
      const sources = used.map(({ bytes }) => bytes);
      checkOutputs(sources, wanted, outputs);
      // A row that is at hand is copied; only the others are computed.
      const missing: number[] = [];
      const computed: Uint8Array[] = [];
      for (const [i, index] of wanted.entries()) {
        const output = outputs[i] as Uint8Array;
        const own = used.find((row) => row.index === index);
        if (own !== undefined) output.set(own.bytes);
        else {
          missing.push(index);
          computed.push(output);
        }
      }
      if (missing.length === 0 || sources[0]?.length === 0) return;
      const indices = used.map(({ index }) => index);
      const coefficients = (): Matrix => coefficientsFrom(k, indices, missing);
      combine(`${k}:${indices.join()}>${missing.join()}`, coefficients, sources, computed);
    },
  };
  return coder;
}
