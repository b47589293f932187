/**
 * GF(2^8) with the polynomial x^8 + x^4 + x^3 + x^2 + 1 (0x11D), in which 2 generates all non-zero elements.
 * Elements are numbers 0 … 255; addition is xor. Tables are 768 bytes, made once.
 */
export const polynomial = 0x11d;

const powers: Uint8Array = new Uint8Array(512);
const logarithms: Uint8Array = new Uint8Array(256);

for (let exponent = 0, value = 1; exponent < 255; exponent++) {
  powers[exponent] = value;
  powers[exponent + 255] = value;
  logarithms[value] = exponent;
  value <<= 1;
  if (value > 255) value ^= polynomial;
}

/** The product of two elements. */
export function multiply(a: number, b: number): number {
  if (a === 0 || b === 0) return 0;
  return powers[(logarithms[a] as number) + (logarithms[b] as number)] as number;
}

/** The inverse of a non-zero element; RangeError for zero. */
export function invert(a: number): number {
  if (a === 0) throw new RangeError('zero has no inverse');
  return powers[255 - (logarithms[a] as number)] as number;
}

/** A matrix over the field, by rows. */
export type Matrix = readonly (readonly number[])[];

/** The inverse of a square matrix by Gauss and Jordan, a fresh one; RangeError if it has none. */
export function invertMatrix(matrix: Matrix): number[][] {
  const size = matrix.length;
  const rows = matrix.map((row, i) => {
    if (row.length !== size) throw new RangeError('matrix is not square');
    return [...row, ...Array.from({ length: size }, (_, j) => (i === j ? 1 : 0))];
  });
  for (let column = 0; column < size; column++) {
    const found = rows.findIndex((row, i) => i >= column && row[column] !== 0);
    const pivot = rows[found];
    if (pivot === undefined) throw new RangeError('matrix has no inverse');
    rows[found] = rows[column] as number[];
    const factor = invert(pivot[column] as number);
    const scaled = pivot.map((value) => multiply(value, factor));
    rows[column] = scaled;
    for (const [i, row] of rows.entries()) {
      const weight = row[column] as number;
      if (i === column || weight === 0) continue;
      rows[i] = row.map((value, j) => value ^ multiply(weight, scaled[j] as number));
    }
  }
  return rows.map((row) => row.slice(size));
}
