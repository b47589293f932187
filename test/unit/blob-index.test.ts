import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { idKey } from '../../lib/base/bytes.ts';
import { BlobIndex } from '../../lib/catalog/blob-index.ts';
import { blobKinds } from '../../lib/format/blob.ts';
import type { PackDirectory } from '../../lib/format/pack-directory.ts';

/** Ids that collide in their first bytes, so that probing is put to the test. */
function blobId(number: number): Uint8Array {
  const id = new Uint8Array(32);
  new DataView(id.buffer).setUint32(0, number % 7, true);
  new DataView(id.buffer).setUint32(20, number, true);
  return id;
}

function packId(number: number): Uint8Array {
  return new Uint8Array(32).fill(number + 1);
}

/** A directory with these blobs, two to a frame; the offset tells pack and place. */
function directory(pack: number, blobs: readonly number[]): PackDirectory {
  const frames = [];
  for (let at = 0; at < blobs.length; at += 2) {
    const inFrame = blobs.slice(at, at + 2).map((blob, i) => ({
      kind: blobKinds.data,
      blobId: blobId(blob),
      offsetInFrame: i * 10,
      length: blob + 1,
    }));
    frames.push({ offset: 48 + at * 100, sealedLength: 90, plainBytes: 20 + pack, blobs: inFrame });
  }
  return { frames };
}

type Step =
  | { readonly kind: 'add' | 'remove'; readonly pack: number }
  | { readonly kind: 'aside'; readonly packs: readonly number[] };

test('model: a Map of lists says the same after any adding, removing and setting aside', () => {
  const pack = fc.nat(5);
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({ kind: fc.constantFrom('add' as const, 'remove' as const), pack }),
    fc.record({ kind: fc.constant('aside' as const), packs: fc.array(pack, { maxLength: 4 }) }),
  );
  const contents = fc.array(fc.uniqueArray(fc.nat(40), { maxLength: 12 }), { minLength: 6, maxLength: 6 });
  fc.assert(
    fc.property(contents, fc.array(step, { maxLength: 30 }), (blobs, steps) => {
      const index = new BlobIndex();
      const present = new Set<number>();
      let aside: readonly number[] = [];
      let asideIds: readonly Uint8Array[] = [];
      let order = index.order({ aside: [], second: [] });
      for (const one of steps) {
        if (one.kind === 'aside') {
          aside = one.packs.filter((number) => present.has(number));
          asideIds = one.packs.map(packId);
          order = index.order({ aside: asideIds, second: [] });
        } else if (one.kind === 'add') {
          index.addPack(packId(one.pack), directory(one.pack, blobs[one.pack] ?? []));
          present.add(one.pack);
        } else {
          index.removePack(packId(one.pack));
          present.delete(one.pack);
          aside = aside.filter((number) => number !== one.pack);
        }
        for (const number of present) assert.ok(index.hasPack(packId(number)));
        for (let blob = 0; blob <= 40; blob++) {
          const holders = [...present].filter((number) => blobs[number]?.includes(blob));
          const preferred = holders.filter((number) => !aside.includes(number));
          const place = index.get(blobId(blob), order);
          assert.equal(index.has(blobId(blob)), holders.length > 0);
          if (place === undefined) {
            assert.deepEqual(holders, []);
            continue;
          }
          const allowed = (preferred.length > 0 ? preferred : holders).map((number) => idKey(packId(number)));
          assert.ok(allowed.includes(idKey(place.packId)));
          assert.equal(place.length, blob + 1);
        }
      }
    }),
    { numRuns: 200 },
  );
});

test('a place is where the directory says', () => {
  const index = new BlobIndex();
  index.addPack(packId(1), directory(1, [5, 6, 7]));
  assert.deepEqual(index.get(blobId(7)), {
    packId: packId(1),
    ordinal: 1,
    offset: 248,
    sealedLength: 90,
    plainBytes: 21,
    offsetInFrame: 0,
    length: 8,
  });
  assert.equal(index.get(blobId(6))?.offsetInFrame, 10);
  assert.equal(index.get(blobId(8)), undefined);
});

test('thousands of blobs keep their places while the arrays grow', () => {
  const index = new BlobIndex();
  const expected = new Map<string, number>();
  for (let pack = 0; pack < 40; pack++) {
    const blobs = Array.from({ length: 100 }, (_, i) => pack * 80 + i);
    index.addPack(packId(pack), directory(pack, blobs));
    for (const blob of blobs) if (!expected.has(idKey(blobId(blob)))) expected.set(idKey(blobId(blob)), pack);
  }
  for (let blob = 0; blob < 39 * 80 + 100; blob++) {
    const place = index.get(blobId(blob));
    assert.ok(place !== undefined);
    assert.equal(
      idKey(place.packId),
      idKey(packId(expected.get(idKey(blobId(blob))) ?? -1)),
      'the first added',
    );
  }
  assert.equal(index.size, 4000);
});

test('losing and finding the same pack over and over takes no more room', () => {
  const index = new BlobIndex();
  for (let round = 0; round < 50; round++) {
    index.addPack(packId(0), directory(0, [1, 2, 3]));
    index.removePack(packId(0));
  }
  assert.equal(index.size, 3);
  assert.equal(index.get(blobId(1)), undefined);
});
