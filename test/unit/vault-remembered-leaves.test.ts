import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leafBytes } from '../../lib/base/limits.ts';
import { RememberedLeaves, type FetchLeaves } from '../../lib/vault/shards/remembered-leaves.ts';

/** Leaves that say which they are, and what was fetched of them. */
function source(): { readonly fetched: [first: number, count: number][]; readonly fetch: FetchLeaves } {
  const fetched: [number, number][] = [];
  const fetch: FetchLeaves = (first, count) => {
    fetched.push([first, count]);
    return Promise.resolve(leavesOf(first, count));
  };
  return { fetched, fetch };
}

function leavesOf(first: number, count: number): Uint8Array {
  return new Uint8Array(count * leafBytes).map((_, at) => first + Math.floor(at / leafBytes));
}

test('only what lies between remembered leaves is fetched, a window at a time', async () => {
  const { fetched, fetch } = source();
  const remembered = new RememberedLeaves(8);
  assert.deepEqual(await remembered.range('a', 4, 2, fetch), leavesOf(4, 2));
  assert.deepEqual(await remembered.range('a', 2, 20, fetch), leavesOf(2, 20));
  assert.deepEqual(fetched, [
    [4, 2],
    [2, 2],
    [6, 8],
    [14, 8],
  ]);
  assert.deepEqual(await remembered.range('a', 5, 3, fetch), leavesOf(5, 3));
  assert.equal(fetched.length, 4);
  await remembered.range('b', 5, 1, fetch);
  assert.deepEqual(fetched[4], [5, 1]);
});

test('who asks while leaves are on their way shares them; what failed is fetched again', async () => {
  const remembered = new RememberedLeaves(8);
  const { fetched, fetch } = source();
  const both = await Promise.all([remembered.range('a', 0, 4, fetch), remembered.range('a', 1, 2, fetch)]);
  assert.deepEqual(both, [leavesOf(0, 4), leavesOf(1, 2)]);
  assert.equal(fetched.length, 1);
  const failing: FetchLeaves = () => Promise.reject(new Error('gone'));
  await assert.rejects(remembered.range('b', 0, 1, failing), /gone/);
  assert.deepEqual(await remembered.range('b', 0, 1, fetch), leavesOf(0, 1));
});

test('who shares leaves on their way that fail for others than its own has its own fetched alone', async () => {
  const remembered = new RememberedLeaves(8);
  const fetched: [number, number][] = [];
  const withoutLeaf3: FetchLeaves = async (first, count) => {
    fetched.push([first, count]);
    await Promise.resolve();
    if (first <= 3 && 3 < first + count) throw new Error('leaf 3 is gone');
    return leavesOf(first, count);
  };
  const [long, inside, beyond, same] = await Promise.allSettled([
    remembered.range('a', 2, 4, withoutLeaf3),
    remembered.range('a', 4, 2, withoutLeaf3),
    remembered.range('a', 5, 3, withoutLeaf3),
    remembered.range('a', 3, 1, withoutLeaf3),
  ]);
  assert.equal(long?.status, 'rejected');
  assert.deepEqual(inside, { status: 'fulfilled', value: leavesOf(4, 2) });
  assert.deepEqual(beyond, { status: 'fulfilled', value: leavesOf(5, 3) });
  assert.equal(same?.status, 'rejected');
  assert.deepEqual(
    fetched.sort(([a], [b]) => a - b),
    [
      [2, 4],
      [3, 1],
      [4, 2],
      [5, 1],
      [6, 2],
    ],
  );
});

test('a range is found only where one run has all of it, and the oldest are forgotten beyond 48 MiB', async () => {
  const { fetch } = source();
  const remembered = new RememberedLeaves(8);
  await remembered.range('old', 0, 8, fetch);
  assert.deepEqual(remembered.found('old', 2, 3), leavesOf(2, 3));
  assert.equal(remembered.found('old', 6, 3), undefined);
  assert.equal(remembered.found('other', 2, 3), undefined);
  for (let i = 0; i < 96; i++) await remembered.range(`new ${i}`, 0, 8, fetch);
  assert.equal(remembered.found('old', 2, 3), undefined);
  assert.deepEqual(remembered.found('new 0', 0, 8), leavesOf(0, 8));
});
