import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { compareBytes, concatBytes, equalBytes, toHex, utf8 } from '../../lib/base/bytes.ts';
import { ByteWriter } from '../../lib/base/codec.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { hashIn } from '../../lib/crypto/hash.ts';
import {
  decodeTree,
  encodeTree,
  entryTypes,
  splitEntries,
  TreeSplitter,
  validName,
} from '../../lib/format/tree.ts';
import type { TreeEntry } from '../../lib/format/tree.ts';
import { fuzzDecoder } from '../support/fuzz.ts';
import { checkGolden } from '../support/golden.ts';
import { anyEntry, idOf, idsOf, plainFile, randomIds, sampleEntries, withoutUndefined } from './samples.ts';

const cutKey = idOf('cut key');

function sorted(entries: readonly TreeEntry[]): TreeEntry[] {
  const byName = new Map(entries.map((entry) => [toHex(entry.name), entry]));
  return [...byName.values()].sort((a, b) => compareBytes(a.name, b.name));
}

function isMalformed(error: unknown): boolean {
  return isKithError(error, 'malformed');
}

/** A tree blob around entry bytes that encodeTree would refuse. */
function rawTree(...entries: Uint8Array[]): Uint8Array {
  const writer = new ByteWriter().bytes(utf8('T')).u8(1).varint(0).varint(entries.length);
  for (const entry of entries) writer.blob(entry);
  return writer.finish();
}

/** A FIFO's bytes, with what can be wrong about it. */
function rawEntry(
  name: Uint8Array,
  change: { type?: number; mode?: number; user?: number; size?: number } = {},
): Uint8Array {
  const writer = new ByteWriter()
    .blob(name)
    .u8(change.type ?? entryTypes.fifo)
    .varint(change.mode ?? 0o600);
  writer
    .varint(0)
    .varint(0)
    .varint(change.user ?? 0)
    .varint(0)
    .i64(0n)
    .i64(0n)
    .u64(0n);
  return writer
    .varint(change.size ?? 0)
    .varint(0)
    .finish();
}

const badNames = ['', '.', '..', 'a/b', '/', '/etc', 'a\0', '\0', '../x'].map(utf8);

void describe('tree blobs', () => {
  void it('keep every field of every type', () => {
    const decoded = decodeTree(encodeTree(sampleEntries));
    assert.deepEqual(decoded.map(withoutUndefined), sampleEntries.map(withoutUndefined));
  });

  void it('round-trip whatever the format allows, and only one way', () => {
    fc.assert(
      fc.property(fc.array(anyEntry, { maxLength: 12 }), (entries) => {
        const given = sorted(entries);
        const bytes = encodeTree(given);
        assert.deepEqual(decodeTree(bytes).map(withoutUndefined), given.map(withoutUndefined));
        assert.ok(equalBytes(encodeTree(decodeTree(bytes)), bytes));
      }),
    );
  });

  void it('match their golden vectors', () => {
    checkGolden('tree.json', 'every type and field', () => encodeTree(sampleEntries), decodeTree, encodeTree);
    checkGolden('tree.json', 'empty', () => encodeTree([]), decodeTree, encodeTree);
  });

  void it('give copies: changing the blob changes no entry', () => {
    const bytes = encodeTree(sampleEntries);
    const decoded = decodeTree(bytes);
    bytes.fill(0);
    assert.deepEqual(decoded.map(withoutUndefined), sampleEntries.map(withoutUndefined));
  });

  void it('give an empty content to a file that has none', () => {
    const [entry] = decodeTree(encodeTree([{ ...plainFile('a'), content: undefined }]));
    assert.deepEqual(entry?.content, { level: 0, ids: [] });
  });

  void it('keep each owner name once', () => {
    const one = encodeTree([plainFile('a')]).length;
    const two = encodeTree([plainFile('a'), plainFile('b')]).length;
    const anonymous = { ...plainFile('a'), user: undefined, group: undefined };
    assert.equal(one - encodeTree([anonymous]).length, 'ada'.length + 1 + 'users'.length + 1);
    assert.equal(two - one, one - 'T'.length - 1 - 1 - 'ada_users_'.length - 1);
  });

  void it('refuse names that lead elsewhere, in writing and in reading', () => {
    assert.doesNotThrow(() => decodeTree(rawTree(rawEntry(utf8('fine')))));
    for (const name of badNames) {
      assert.equal(validName(name), false);
      assert.throws(() => encodeTree([{ ...plainFile('a'), name }]), RangeError);
      assert.throws(() => decodeTree(rawTree(rawEntry(name))), isMalformed, toHex(name));
    }
    assert.throws(() => decodeTree(rawTree(rawEntry(new Uint8Array(4097).fill(0x61)))), isMalformed);
    for (const name of ['...', '..a', '.a', ' ', '\\', '\n', 'a'.repeat(4096)])
      assert.ok(validName(utf8(name)), name);
    assert.ok(validName(new Uint8Array([0xff])));
  });

  void it('refuse entries out of order, or twice', () => {
    assert.throws(() => encodeTree([plainFile('b'), plainFile('a')]), RangeError);
    assert.throws(() => encodeTree([plainFile('a'), plainFile('a')]), RangeError);
    const [a, b] = [rawEntry(utf8('a')), rawEntry(utf8('b'))];
    assert.equal(decodeTree(rawTree(a, b)).length, 2);
    assert.throws(() => decodeTree(rawTree(b, a)), isMalformed);
    assert.throws(() => decodeTree(rawTree(a, a)), isMalformed);
  });

  void it('refuse what makes no sense', () => {
    const name = utf8('a');
    for (const change of [
      { type: 0 },
      { type: 9 },
      { mode: 0o10000 },
      { user: 1 },
      { size: 1 },
      { type: entryTypes.symlink },
      { type: entryTypes.blockDevice },
    ]) {
      assert.throws(() => decodeTree(rawTree(rawEntry(name, change))), isMalformed, JSON.stringify(change));
    }
    const file = plainFile('a');
    const wrong: TreeEntry[] = [
      { ...file, linkTarget: utf8('x') },
      { ...file, device: { major: 1, minor: 1 } },
      { ...file, mode: 0o100644 },
      { ...file, size: 10, sparse: [{ offset: 5, length: 6 }] },
      {
        ...file,
        sparse: [
          { offset: 5, length: 6 },
          { offset: 10, length: 1 },
        ],
      },
      { ...file, xattrs: [{ name: utf8('a\0b'), value: utf8('') }] },
      { ...file, type: entryTypes.folder },
    ];
    for (const entry of wrong) assert.throws(() => encodeTree([entry]), RangeError);
  });

  void it('say what is too long to store', () => {
    const isOver = (error: unknown): boolean => isKithError(error, 'limit-exceeded');
    const value = new Uint8Array(2 ** 20);
    assert.throws(
      () => encodeTree([{ ...plainFile('a'), xattrs: [{ name: utf8('user.a'), value }] }]),
      isOver,
    );
    const half = [{ name: utf8('user.a'), value: value.subarray(0, 2 ** 20 - 64) }];
    assert.throws(() => encodeTree([{ ...plainFile('a'), xattrs: half }]), isOver);
    assert.throws(() => encodeTree([{ ...plainFile('a'), user: 'u'.repeat(256) }]), isOver);
  });

  void it('refuse a claim of a million entries, names or ids at once', () => {
    const million = new ByteWriter().bytes(utf8('T')).u8(1).varint(0).varint(1_000_000).finish();
    assert.throws(() => decodeTree(concatBytes(million, new Uint8Array(1000))), isMalformed);
    const allowed = new ByteWriter().bytes(utf8('T')).u8(1).varint(0).varint(65536).finish();
    assert.throws(() => decodeTree(concatBytes(allowed, new Uint8Array(1000))), /65536 items claimed/);
    const names = new ByteWriter().bytes(utf8('T')).u8(1).varint(1_000_000).finish();
    assert.throws(() => decodeTree(names), isMalformed);
  });

  void it('stop at a version or a field of a newer kith', () => {
    const isTooNew = (error: unknown): boolean => isKithError(error, 'too-new');
    assert.throws(() => decodeTree(new Uint8Array([0x54, 2, 0, 0])), isTooNew);
    const entry = { ...plainFile('a'), extra: [{ tag: 128, bytes: utf8('x') }] };
    assert.throws(() => decodeTree(encodeTree([entry])), isTooNew);
  });
});

fuzzDecoder('tree', [encodeTree(sampleEntries), encodeTree([])], decodeTree);

function folderOf(count: number, idCount = 1): TreeEntry[] {
  const entries = Array.from({ length: count }, (_, i) => ({
    ...plainFile(`file ${String(i * 7919).padStart(9, '0')}.txt`),
    content: { level: 0, ids: randomIds(i, idCount) },
  }));
  return sorted(entries);
}

function blobsOf(entries: readonly TreeEntry[]): Set<string> {
  return new Set(splitEntries(entries, cutKey).map((run) => toHex(hashIn('checksum', encodeTree(run)))));
}

void describe('splitEntries', () => {
  const entries = folderOf(6000, 24);
  const runs = splitEntries(entries, cutKey);

  void it('keeps all entries in order, in blobs of about 256 KiB, never over 1 MiB', () => {
    assert.deepEqual(
      runs.flat().map((entry) => toHex(entry.name)),
      entries.map((entry) => toHex(entry.name)),
    );
    const sizes = runs.map((run) => encodeTree(run).length);
    for (const size of sizes) assert.ok(size <= 2 ** 20, `${size} bytes`);
    const mean = sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
    assert.ok(mean > 100 * 1024 && mean < 500 * 1024, `${sizes.length} blobs of ${mean} bytes`);
  });

  void it('cuts an empty folder into nothing, and a small one rarely', () => {
    assert.deepEqual(splitEntries([], cutKey), []);
    assert.equal(splitEntries(folderOf(10), cutKey).length, 1);
  });

  void it('changes at most two blobs for a name that comes, goes or changes', () => {
    const before = blobsOf(entries);
    assert.ok(before.size > 5);
    fc.assert(
      fc.property(fc.nat(entries.length - 1), fc.stringMatching(/^[a-z]{1,8}$/), (place, suffix) => {
        const here = entries[place] ?? plainFile('never');
        const name = concatBytes(here.name, utf8(suffix));
        const after = (change: TreeEntry[]): Set<string> => blobsOf(sorted([...entries, ...change]));
        const added = after([{ ...here, name }]);
        const changed = after([{ ...here, mtimeNs: 1n }]);
        const removed = blobsOf(entries.filter((entry) => entry !== here));
        for (const now of [added, changed, removed]) {
          const lost = [...before].filter((blob) => !now.has(blob));
          const fresh = [...now].filter((blob) => !before.has(blob));
          assert.ok(lost.length <= 2 && fresh.length <= 2, `${lost.length} gone, ${fresh.length} new`);
          assert.ok(fresh.length > 0);
        }
      }),
      { numRuns: 3, seed: 1 },
    );
  });

  void it('stays under 1 MiB where entries are large, and stays local there', () => {
    const large = folderOf(60, 3000);
    const before = blobsOf(large);
    const runs = splitEntries(large, cutKey);
    for (const run of runs) assert.ok(run.length === 1 || encodeTree(run).length <= 2 ** 20);
    const middle = large[30];
    assert.ok(middle !== undefined);
    const now = blobsOf(sorted([...large, { ...middle, name: concatBytes(middle.name, utf8('x')) }]));
    assert.ok([...before].filter((blob) => !now.has(blob)).length <= 2);
  });

  void it('cuts long runs of small draws again', () => {
    // A key under which no name of these begins a run by itself: only the limit cuts.
    const many = Array.from({ length: 6 }, (_, i) => ({
      ...plainFile(`big ${i}`),
      xattrs: [{ name: utf8('user.big'), value: new Uint8Array(200_000).fill(i) }],
    }));
    const keys = idsOf('key', 2000);
    const uncut = keys.find((key) => {
      const splitter = new TreeSplitter(key);
      return many.every((entry) => splitter.add(entry).length === 0);
    });
    assert.ok(uncut !== undefined);
    const runs = splitEntries(many, uncut);
    assert.ok(runs.length > 1);
    assert.equal(runs.flat().length, many.length);
    for (const run of runs) assert.ok(encodeTree(run).length <= 2 ** 20);
  });

  void it('cuts elsewhere under another key', () => {
    const lengths = (key: Uint8Array): number[] => splitEntries(entries, key).map((run) => run.length);
    assert.notDeepEqual(lengths(cutKey), lengths(idOf('another key')));
  });
});
