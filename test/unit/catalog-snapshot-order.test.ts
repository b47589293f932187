import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { fromHex } from '../../lib/base/bytes.ts';
import { orderSnapshots } from '../../lib/catalog/snapshot-order.ts';
import type { Snapshot } from '../../lib/format/snapshot.ts';

interface Named {
  readonly id: string;
  readonly snapshot: Snapshot;
}

const idOf = (name: string): string => Buffer.from(name).toString('hex').padEnd(64, '0');

function made(name: string, timeNs: number, parent?: string): Named {
  const snapshot = {
    timeNs: BigInt(timeNs),
    parent: parent === undefined ? undefined : fromHex(idOf(parent)),
  } as Snapshot;
  return { id: idOf(name), snapshot };
}

function order(now: number, ...snapshots: Named[]): string {
  return orderSnapshots(snapshots, BigInt(now))
    .map(({ id }) => Buffer.from(id, 'hex').toString().replaceAll('\0', ''))
    .join('');
}

test('snapshots go by their times', () => {
  assert.equal(order(100, made('c', 30), made('a', 10), made('b', 20)), 'abc');
  assert.equal(order(100), '');
});

test('one from the future stands before the first that was made on top of it, else last', () => {
  const wrong = made('w', 9000, 'a');
  assert.equal(order(100, made('a', 10), made('x', 20), wrong), 'axw');
  assert.equal(order(100, made('a', 10), made('x', 20), wrong, made('b', 30, 'w'), made('y', 40)), 'axwby');
  const more = [wrong, made('v', 8000, 'w'), made('b', 30, 'v')];
  assert.equal(order(100, made('a', 10), ...more, made('y', 40)), 'awvby', 'two of them in a row');
  assert.equal(
    order(9000, made('a', 10), wrong, made('x', 20)),
    'axw',
    'once its time has come it is as any other',
  );
});

test('one from a clock that stood in the past comes after its parent all the same', () => {
  assert.equal(order(100, made('a', 10), made('b', 20, 'a'), made('p', 1, 'b'), made('c', 30)), 'abpc');
  assert.equal(order(100, made('a', 10), made('p', 1, 'a'), made('q', 2, 'p')), 'apq');
  assert.equal(order(100, made('b', 20), made('p', 1, 'gone')), 'pb', 'but not after one that nobody has');
});

test('after a clock that was wrong in both directions parents still come first', () => {
  assert.equal(order(1, made('a', 0), made('b', 1, 'a'), made('c', 2, 'b'), made('d', 0, 'c')), 'abcd');
});

test('every snapshot comes once, and after its parent', () => {
  const one = fc.record({ time: fc.integer({ min: 0, max: 200 }), parent: fc.nat({ max: 30 }) });
  fc.assert(
    fc.property(fc.array(one, { maxLength: 20 }), fc.integer({ min: 0, max: 200 }), (list, now) => {
      const all = list.map(({ time, parent }, i) =>
        made(`s${i}`, time, parent < i ? `s${parent}` : undefined),
      );
      const ids = orderSnapshots(all, BigInt(now)).map(({ id }) => id);
      assert.deepEqual(ids.toSorted(), all.map(({ id }) => id).toSorted());
      for (const [i, { parent }] of list.entries())
        if (parent < i) assert.ok(ids.indexOf(idOf(`s${parent}`)) < ids.indexOf(idOf(`s${i}`)));
    }),
  );
});
