import { rowCountMax } from '../base/limits.ts';
import { coderOf, type ErasureCoder } from './erasure-coder.ts';
import { multiply, type Matrix } from './gf256.ts';
import { PatternCache } from './pattern-cache.ts';
import { pairBytes, stagingBytes, type KernelScratch } from './scratch.ts';

/** For every coefficient its products with 0 … 15, then with 0, 16 … 240: the halves of a byte (assembly/reed-solomon.ts). */
function tablesOf(coefficients: Matrix): Uint8Array {
  return Uint8Array.from(
    coefficients.flatMap((row) =>
      row.flatMap((coefficient) => [
        ...Array.from({ length: 16 }, (_, half) => multiply(coefficient, half)),
        ...Array.from({ length: 16 }, (_, half) => multiply(coefficient, half << 4)),
      ]),
    ),
  );
}

/**
 * The coder on WASM. Rows in the kernels' memory are worked on where they are; those elsewhere a block at a time, on copies. Rows
 * are those of plainCoder.
 */
export function wasmCoder(scratch: KernelScratch): ErasureCoder {
  const cache = new PatternCache<Uint8Array>();
  const { at, exports, bytes, words } = scratch;
  let inPlace: Uint8Array | undefined;
  let inPlaceFrom = 0;

  /** Puts the tables of up to rowCountMax rows into the scratch. */
  function useTables(tables: Uint8Array, from: number, to: number): void {
    if (inPlace === tables && inPlaceFrom === from) return;
    bytes.set(tables.subarray(from, to), at.tables);
    inPlace = tables;
    inPlaceFrom = from;
  }

  /** Combines with the tables in place: at most rowCountMax outputs. */
  function combine(sources: readonly Uint8Array[], outputs: readonly Uint8Array[]): void {
    const rows = [...sources, ...outputs];
    const length = (sources[0] as Uint8Array).length;
    const away = rows.filter((row) => !scratch.holds(row)).length;
    const blockBytes = away === 0 ? length : Math.floor(stagingBytes / away / 64) * 64;
    for (let from = 0; from < length; from += blockBytes) {
      const to = Math.min(length, from + blockBytes);
      let staged = at.staging;
      const address = (row: Uint8Array): number => {
        if (scratch.holds(row)) return row.byteOffset + from;
        staged += blockBytes;
        return staged - blockBytes;
      };
      for (const [j, source] of sources.entries()) {
        const place = address(source);
        words[at.sources / 4 + j] = place;
        if (!scratch.holds(source)) bytes.set(source.subarray(from, to), place);
      }
      for (const [r, output] of outputs.entries()) words[at.outputs / 4 + r] = address(output);
      exports.combineRows(at.tables, sources.length, at.sources, outputs.length, at.outputs, to - from);
      for (const [r, output] of outputs.entries()) {
        const place = words[at.outputs / 4 + r] as number;
        if (!scratch.holds(output)) output.set(bytes.subarray(place, place + to - from), from);
      }
    }
  }

  return coderOf((pattern, coefficients, sources, outputs) => {
    const tables = cache.get(pattern, () => tablesOf(coefficients()));
    const rowBytes = sources.length * pairBytes;
    for (let first = 0; first < outputs.length; first += rowCountMax) {
      const group = outputs.slice(first, first + rowCountMax);
      useTables(tables, first * rowBytes, (first + group.length) * rowBytes);
      combine(sources, group);
    }
  });
}
