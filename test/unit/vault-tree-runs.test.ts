import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { idKey, utf8 } from '../../lib/base/bytes.ts';
import { BlobNamer } from '../../lib/format/blob.ts';
import { decodeTree, entryTypes, type TreeEntry } from '../../lib/format/tree.ts';
import type { Content } from '../../lib/format/content.ts';
import {
  FolderRuns,
  sameContent,
  isAsBefore,
  type RunPlace,
  type TreeRun,
} from '../../lib/vault/read/tree-runs.ts';

const splitKey = new Uint8Array(32).fill(7);
const namer = new BlobNamer(new Uint8Array(32).fill(9));

/** Blobs by id key, with how many were stored anew. */
class Store {
  readonly blobs = new Map<string, Uint8Array>();
  readonly asked: string[] = [];
  stored = 0;

  readonly packer = {
    store: (kind: 1 | 2 | 3 | 4 | 5, bytes: Uint8Array): Uint8Array => {
      const id = namer.idOf(kind, bytes);
      if (!this.blobs.has(idKey(id))) this.stored++;
      this.blobs.set(idKey(id), bytes);
      return id;
    },
  };

  readonly isKnown = (id: Uint8Array): boolean => {
    this.asked.push(idKey(id));
    return this.blobs.has(idKey(id));
  };

  runsOf(content: Content): TreeRun[] {
    assert.equal(content.level, 0);
    return content.ids.map((id) => {
      const bytes = this.blobs.get(idKey(id));
      assert.ok(bytes, 'every blob of a content is in the store');
      return { id, entries: decodeTree(bytes) };
    });
  }
}

function fileOf(number: number, ids: number): TreeEntry {
  return {
    name: utf8(`n${String(number).padStart(6, '0')}`),
    type: entryTypes.file,
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtimeNs: 5n,
    ctimeNs: 6n,
    inode: BigInt(number),
    size: ids,
    content: { level: 0, ids: Array.from({ length: ids }, (_, i) => new Uint8Array(32).fill(i)) },
  };
}

function contentOf(store: Store, entries: readonly TreeEntry[], runs: readonly TreeRun[] = []): Content {
  const places = new Map<TreeEntry, RunPlace>();
  for (const [run, { entries: own }] of runs.entries()) {
    for (const [index, entry] of own.entries()) places.set(entry, { runs, run, index });
  }
  const folder = new FolderRuns(store, splitKey);
  for (const entry of entries) folder.add(entry, places.get(entry));
  return folder.finish();
}

function allOf(runs: readonly TreeRun[]): TreeEntry[] {
  return runs.flatMap(({ entries }) => [...entries]);
}

describe('the runs of a folder', () => {
  it('are the parent’s blobs where nothing has changed, and nothing is stored', () => {
    const store = new Store();
    const entries = Array.from({ length: 3000 }, (_, i) => fileOf(i, 20));
    const before = contentOf(store, entries);
    assert.ok(before.ids.length > 3, 'the folder has several runs');
    const runs = store.runsOf(before);
    store.stored = 0;
    const after = contentOf(store, allOf(runs), runs);
    assert.ok(sameContent(before, after));
    assert.equal(store.stored, 0);
    assert.deepEqual(store.asked, before.ids.map(idKey), 'each is asked for, and so counts as needed');
  });

  it('are stored again where the vault no longer has them', () => {
    const store = new Store();
    const before = contentOf(
      store,
      Array.from({ length: 3000 }, (_, i) => fileOf(i, 20)),
    );
    const runs = store.runsOf(before);
    const lost = before.ids[1] ?? new Uint8Array(0);
    store.blobs.delete(idKey(lost));
    store.stored = 0;
    assert.ok(sameContent(before, contentOf(store, allOf(runs), runs)));
    assert.equal(store.stored, 1);
    assert.ok(store.blobs.has(idKey(lost)));
  });

  it('change one blob for one changed entry', () => {
    const store = new Store();
    const before = contentOf(
      store,
      Array.from({ length: 3000 }, (_, i) => fileOf(i, 20)),
    );
    const runs = store.runsOf(before);
    store.stored = 0;
    const entries = allOf(runs).map((entry) => (entry.inode === 1500n ? { ...entry, mtimeNs: 9n } : entry));
    contentOf(store, entries, runs);
    assert.equal(store.stored, 1);
  });

  it('are, whatever came, went or changed, id for id what splitting all anew gives', () => {
    const change = fc.record({
      at: fc.nat(599),
      what: fc.constantFrom('gone', 'changed', 'new before', 'tail gone'),
    });
    const sizes = fc.constantFrom(0, 30, 200);
    fc.assert(
      fc.property(fc.array(change, { maxLength: 6 }), sizes, (changes, ids) => {
        const store = new Store();
        const before = contentOf(
          store,
          Array.from({ length: 600 }, (_, i) => fileOf(2 * i + 1, ids)),
        );
        const runs = store.runsOf(before);
        let entries = allOf(runs);
        for (const { at, what } of changes) {
          const entry = entries[at];
          if (entry === undefined) continue;
          if (what === 'gone') entries.splice(at, 1);
          else if (what === 'changed') entries[at] = { ...entry, ctimeNs: 7n };
          else if (what === 'tail gone') entries = entries.slice(0, at);
          else if (entry.inode % 2n === 1n) entries.splice(at, 0, fileOf(Number(entry.inode) - 1, ids));
        }
        entries = entries.filter(
          (entry, i) => i === 0 || idKey(entry.name) > idKey(entries[i - 1]?.name ?? entry.name),
        );
        const kept = contentOf(store, entries, runs);
        const anew = contentOf(new Store(), entries);
        assert.ok(sameContent(kept, anew));
      }),
      { numRuns: 25 },
    );
  });

  it('of an empty folder are none', () => {
    assert.deepEqual(contentOf(new Store(), []), { level: 0, ids: [] });
  });
});

describe('an entry that is just as it was', () => {
  const base: TreeEntry = {
    ...fileOf(1, 2),
    user: 'u',
    birthtimeNs: 3n,
    hardlink: { device: 1n, inode: 1n, links: 2 },
  };

  it('is known by every field that a walk tells', () => {
    const walked: TreeEntry = { ...base, content: undefined };
    assert.equal(isAsBefore(walked, base, true), true);
    const others: Partial<TreeEntry>[] = [
      { name: utf8('other') },
      { type: entryTypes.fifo },
      { mode: 0o600 },
      { uid: 1 },
      { gid: 1 },
      { user: 'v' },
      { group: 'g' },
      { mtimeNs: 1n },
      { ctimeNs: 1n },
      { inode: 2n },
      { size: 3 },
      { birthtimeNs: undefined },
      { hardlink: undefined },
      { hardlink: { device: 1n, inode: 1n, links: 3 } },
      { error: 'e' },
    ];
    for (const other of others) {
      assert.equal(isAsBefore({ ...walked, ...other }, base, true), false, Object.keys(other).join());
    }
    assert.equal(isAsBefore(walked, { ...base, error: 'e' }, true), false);
  });

  it('is, for a folder, one with the same content, and for a link one with the same target', () => {
    const folder: TreeEntry = { ...base, type: entryTypes.folder, size: 0, hardlink: undefined };
    assert.equal(isAsBefore(folder, { ...folder }, false), true);
    assert.equal(isAsBefore({ ...folder, content: { level: 0, ids: [] } }, folder, false), false);
    assert.equal(
      isAsBefore({ ...folder, content: { level: 1, ids: folder.content?.ids ?? [] } }, folder, false),
      false,
    );
    const xattrs = [{ name: utf8('user.a'), value: utf8('1') }];
    assert.equal(isAsBefore({ ...folder, xattrs }, folder, false), false);
    assert.equal(isAsBefore({ ...folder, xattrs }, { ...folder, xattrs: [...xattrs] }, false), true);
    assert.equal(
      isAsBefore(
        { ...folder, xattrs },
        { ...folder, xattrs: [{ name: utf8('user.a'), value: utf8('2') }] },
        false,
      ),
      false,
    );
    const link: TreeEntry = {
      ...folder,
      type: entryTypes.symlink,
      content: undefined,
      linkTarget: utf8('a'),
    };
    assert.equal(isAsBefore(link, { ...link, linkTarget: utf8('a') }, false), true);
    assert.equal(isAsBefore(link, { ...link, linkTarget: utf8('b') }, false), false);
  });
});
