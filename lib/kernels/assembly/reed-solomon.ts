/**
 * Sums of products over GF(2^8) (docs/kernels.md, "Erasure code"). A product of a constant and a byte is the xor of two looked up
 * by the byte's halves: each table has 16 entries and fits a register, so that one swizzle looks up 16 bytes.
 *
 * `tables`: rows × sources of 32 bytes, the products of 0 … 15 and of 0, 16 … 240. `sources` and `outputs`: addresses, one u32 each.
 * No output overlaps a source, a table or another output.
 */

/** Bytes of a pair of tables. */
const pairBytes: u32 = 32;

/** Bytes of each source worked on before the next four rows: they stay in the fastest cache. */
const blockBytes: u32 = 4096;

/** A table's entries by indices that are all below 16: what an index beyond gives is never asked. */
function lookUp(table: v128, indices: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i8x16.relaxed_swizzle(table, indices);
  return i8x16.swizzle(table, indices);
}

function lowHalves(bytes: v128): v128 {
  return v128.and(bytes, i8x16.splat(15));
}

function highHalves(bytes: v128): v128 {
  return v128.and(i16x8.shr_u(bytes, 4), i8x16.splat(15));
}

function product(tables: usize, low: v128, high: v128): v128 {
  return v128.xor(lookUp(v128.load(tables), low), lookUp(v128.load(tables, 16), high));
}

function sourceAt(sources: usize, j: u32, at: u32): usize {
  return load<u32>(sources + (j << 2)) + at;
}

/** Four rows over 32 bytes of each source, from byte `at`. */
function four(tables: usize, k: u32, sources: usize, outputs: usize, at: u32): void {
  const row = k * pairBytes;
  let a0 = i8x16.splat(0);
  let b0 = a0;
  let a1 = a0;
  let b1 = a0;
  let a2 = a0;
  let b2 = a0;
  let a3 = a0;
  let b3 = a0;
  for (let j: u32 = 0; j < k; j++, tables += pairBytes) {
    const source = sourceAt(sources, j, at);
    const a = v128.load(source);
    const b = v128.load(source, 16);
    const al = lowHalves(a);
    const ah = highHalves(a);
    const bl = lowHalves(b);
    const bh = highHalves(b);
    a0 = v128.xor(a0, product(tables, al, ah));
    b0 = v128.xor(b0, product(tables, bl, bh));
    a1 = v128.xor(a1, product(tables + row, al, ah));
    b1 = v128.xor(b1, product(tables + row, bl, bh));
    a2 = v128.xor(a2, product(tables + 2 * row, al, ah));
    b2 = v128.xor(b2, product(tables + 2 * row, bl, bh));
    a3 = v128.xor(a3, product(tables + 3 * row, al, ah));
    b3 = v128.xor(b3, product(tables + 3 * row, bl, bh));
  }
  store32(outputs, 0, at, a0, b0);
  store32(outputs, 1, at, a1, b1);
  store32(outputs, 2, at, a2, b2);
  store32(outputs, 3, at, a3, b3);
}

function three(tables: usize, k: u32, sources: usize, outputs: usize, at: u32): void {
  const row = k * pairBytes;
  let a0 = i8x16.splat(0);
  let b0 = a0;
  let a1 = a0;
  let b1 = a0;
  let a2 = a0;
  let b2 = a0;
  for (let j: u32 = 0; j < k; j++, tables += pairBytes) {
    const source = sourceAt(sources, j, at);
    const a = v128.load(source);
    const b = v128.load(source, 16);
    const al = lowHalves(a);
    const ah = highHalves(a);
    const bl = lowHalves(b);
    const bh = highHalves(b);
    a0 = v128.xor(a0, product(tables, al, ah));
    b0 = v128.xor(b0, product(tables, bl, bh));
    a1 = v128.xor(a1, product(tables + row, al, ah));
    b1 = v128.xor(b1, product(tables + row, bl, bh));
    a2 = v128.xor(a2, product(tables + 2 * row, al, ah));
    b2 = v128.xor(b2, product(tables + 2 * row, bl, bh));
  }
  store32(outputs, 0, at, a0, b0);
  store32(outputs, 1, at, a1, b1);
  store32(outputs, 2, at, a2, b2);
}

function two(tables: usize, k: u32, sources: usize, outputs: usize, at: u32): void {
  const row = k * pairBytes;
  let a0 = i8x16.splat(0);
  let b0 = a0;
  let a1 = a0;
  let b1 = a0;
  for (let j: u32 = 0; j < k; j++, tables += pairBytes) {
    const source = sourceAt(sources, j, at);
    const a = v128.load(source);
    const b = v128.load(source, 16);
    const al = lowHalves(a);
    const ah = highHalves(a);
    const bl = lowHalves(b);
    const bh = highHalves(b);
    a0 = v128.xor(a0, product(tables, al, ah));
    b0 = v128.xor(b0, product(tables, bl, bh));
    a1 = v128.xor(a1, product(tables + row, al, ah));
    b1 = v128.xor(b1, product(tables + row, bl, bh));
  }
  store32(outputs, 0, at, a0, b0);
  store32(outputs, 1, at, a1, b1);
}

function one(tables: usize, k: u32, sources: usize, outputs: usize, at: u32): void {
  let a0 = i8x16.splat(0);
  let b0 = a0;
  for (let j: u32 = 0; j < k; j++, tables += pairBytes) {
    const source = sourceAt(sources, j, at);
    const a = v128.load(source);
    const b = v128.load(source, 16);
    a0 = v128.xor(a0, product(tables, lowHalves(a), highHalves(a)));
    b0 = v128.xor(b0, product(tables, lowHalves(b), highHalves(b)));
  }
  store32(outputs, 0, at, a0, b0);
}

function store32(outputs: usize, row: u32, at: u32, first: v128, second: v128): void {
  const output = sourceAt(outputs, row, at);
  v128.store(output, first);
  v128.store(output, second, 16);
}

/** All rows over 32 bytes of each source, up to four rows at a time. */
function step(tables: usize, k: u32, sources: usize, rows: u32, outputs: usize, at: u32): void {
  if (rows === 4) four(tables, k, sources, outputs, at);
  else if (rows === 3) three(tables, k, sources, outputs, at);
  else if (rows === 2) two(tables, k, sources, outputs, at);
  else one(tables, k, sources, outputs, at);
}

/** One row over bytes [at, end), one by one: for what is shorter than a step. */
function bytewise(tables: usize, k: u32, sources: usize, output: usize, at: u32, end: u32): void {
  for (; at < end; at++) {
    let sum: u32 = 0;
    for (let j: u32 = 0; j < k; j++) {
      const byte = <u32>load<u8>(sourceAt(sources, j, at));
      const pair = tables + j * pairBytes;
      sum ^= (<u32>load<u8>(pair + (byte & 15))) ^ (<u32>load<u8>(pair + (byte >> 4), 16));
    }
    store<u8>(output + at, <u8>sum);
  }
}

/** The rows over bytes [0, length) of every source. */
export function combineRows(
  tables: usize,
  k: u32,
  sources: usize,
  rows: u32,
  outputs: usize,
  length: u32,
): void {
  if (length < 32) {
    for (let r: u32 = 0; r < rows; r++) {
      bytewise(tables + r * k * pairBytes, k, sources, load<u32>(outputs + (r << 2)), 0, length);
    }
    return;
  }
  // The last step ends with the rows, and may do a part of the one before again.
  const lastStep = length - 32;
  for (let block: u32 = 0; block < length; block += blockBytes) {
    const end = min(length, block + blockBytes);
    for (let r: u32 = 0; r < rows; r += 4) {
      const group = min<u32>(4, rows - r);
      const rowTables = tables + r * k * pairBytes;
      const rowOutputs = outputs + (r << 2);
      for (let at = block; at < end; at += 32) {
        step(rowTables, k, sources, group, rowOutputs, min(at, lastStep));
      }
    }
  }
}
