/**
 * The gear scan of docs/kernels.md, "Cut points". `table` is the address of its 256 words; bytes are in the same memory. A position
 * is the address of the byte before which a chunk may end; it is found where the state there is below `limit`. The 32 bytes before
 * `from` are readable.
 *
 * The state depends on 32 bytes only, so a block is scanned as four stretches at once, one a lane: states are then added, shifted
 * and compared four at a time, and only the table is looked up byte by byte.
 */

/** Bytes of a block: long enough that the four starting states cost little, short enough that little is scanned past a cut. */
const blockBytes: u32 = 16384;

/** Below this a block isn't worth four starting states. */
const blockBytesMin: u32 = 1024;

/** Places of hits noted for a block; a block with more is scanned again, byte by byte. `hits` has room for this many words. */
const hitsMax: u32 = 32;

function word(table: usize, byte: u32): u32 {
  return load<u32>(table + (byte << 2));
}

/** The state before the byte at `at`, from the window that ends there. */
function stateAt(table: usize, at: usize): u32 {
  let state: u32 = 0;
  for (let p = at - 32; p < at; p++) state = (state << 1) + word(table, load<u8>(p));
  return state;
}

/** The states after the next byte of each lane. */
function next(states: v128, table: usize, a: u32, b: u32, c: u32, d: u32): v128 {
  let words = v128.load_zero<u32>(table + (a << 2));
  words = v128.load_lane<u32>(table + (b << 2), words, 1);
  words = v128.load_lane<u32>(table + (c << 2), words, 2);
  words = v128.load_lane<u32>(table + (d << 2), words, 3);
  return i32x4.add(i32x4.add(states, states), words);
}

/** Notes the hits of one lane in the eight bytes from `at`. Returns how many are noted then. */
function noteHits(table: usize, at: usize, limit: u32, hits: usize, count: u32): u32 {
  let state = stateAt(table, at);
  for (const end = at + 8; at < end; at++) {
    state = (state << 1) + word(table, load<u8>(at));
    if (state >= limit) continue;
    if (count < hitsMax) store<u32>(hits + (count << 2), <u32>at + 1);
    count++;
  }
  return count;
}

/** All hits in four stretches (a multiple of 8 bytes each) from `from`, in no order; more than hitsMax where there are too many. */
function scanBlock(table: usize, from: usize, stretch: u32, limit: u32, hits: usize): u32 {
  let p0 = from;
  let p1 = p0 + stretch;
  let p2 = p1 + stretch;
  let p3 = p2 + stretch;
  let s = i32x4.splat(stateAt(table, p0));
  s = i32x4.replace_lane(s, 1, stateAt(table, p1));
  s = i32x4.replace_lane(s, 2, stateAt(table, p2));
  s = i32x4.replace_lane(s, 3, stateAt(table, p3));
  const last = i32x4.splat(limit - 1);
  let count: u32 = 0;
  for (const end = p1; p0 < end && count <= hitsMax; p0 += 8, p1 += 8, p2 += 8, p3 += 8) {
    s = next(s, table, load<u8>(p0), load<u8>(p1), load<u8>(p2), load<u8>(p3));
    let least = s;
    s = next(s, table, load<u8>(p0, 1), load<u8>(p1, 1), load<u8>(p2, 1), load<u8>(p3, 1));
    least = i32x4.min_u(least, s);
    s = next(s, table, load<u8>(p0, 2), load<u8>(p1, 2), load<u8>(p2, 2), load<u8>(p3, 2));
    least = i32x4.min_u(least, s);
    s = next(s, table, load<u8>(p0, 3), load<u8>(p1, 3), load<u8>(p2, 3), load<u8>(p3, 3));
    least = i32x4.min_u(least, s);
    s = next(s, table, load<u8>(p0, 4), load<u8>(p1, 4), load<u8>(p2, 4), load<u8>(p3, 4));
    least = i32x4.min_u(least, s);
    s = next(s, table, load<u8>(p0, 5), load<u8>(p1, 5), load<u8>(p2, 5), load<u8>(p3, 5));
    least = i32x4.min_u(least, s);
    s = next(s, table, load<u8>(p0, 6), load<u8>(p1, 6), load<u8>(p2, 6), load<u8>(p3, 6));
    least = i32x4.min_u(least, s);
    s = next(s, table, load<u8>(p0, 7), load<u8>(p1, 7), load<u8>(p2, 7), load<u8>(p3, 7));
    least = i32x4.min_u(least, s);
    if (!v128.any_true(i32x4.eq(i32x4.min_u(least, last), least))) continue;
    count = noteHits(table, p0, limit, hits, count);
    count = noteHits(table, p1, limit, hits, count);
    count = noteHits(table, p2, limit, hits, count);
    count = noteHits(table, p3, limit, hits, count);
  }
  return count;
}

/** Bytes of each stretch of the block that begins at `from`, or 0 where too few are left. */
function stretchBytes(from: usize, to: usize): u32 {
  const left = <u32>(to - from);
  return left < blockBytesMin ? 0 : (min(left, blockBytes) >> 2) & ~7;
}

/** Sorts `count` words, ascending: few, so by insertion. */
function sort(words: usize, count: u32): void {
  for (let i: u32 = 1; i < count; i++) {
    const value = load<u32>(words + (i << 2));
    let j = i;
    for (; j > 0 && load<u32>(words + ((j - 1) << 2)) > value; j--) {
      store<u32>(words + (j << 2), load<u32>(words + ((j - 1) << 2)));
    }
    store<u32>(words + (j << 2), value);
  }
}

/** The first position in (from, to], or 0 where there is none; byte by byte, from state to state. */
function scanSlowly(table: usize, from: usize, to: usize, limit: u32): usize {
  let state = stateAt(table, from);
  for (let at = from; at < to; at++) {
    state = (state << 1) + word(table, load<u8>(at));
    if (state < limit) return at + 1;
  }
  return 0;
}

/** The first position in (from, to], or 0 where there is none. */
export function scanFirst(table: usize, from: usize, to: usize, limit: u32, hits: usize): usize {
  for (let stretch: u32; (stretch = stretchBytes(from, to)) > 0; from += stretch << 2) {
    const count = scanBlock(table, from, stretch, limit, hits);
    if (count > hitsMax) return scanSlowly(table, from, from + (stretch << 2), limit);
    if (count > 0) {
      sort(hits, count);
      return load<u32>(hits);
    }
  }
  return scanSlowly(table, from, to, limit);
}
