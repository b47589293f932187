import assert from 'node:assert/strict';
import { copyFile, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { copyBytes, toHex, utf8 } from '../../lib/base/bytes.ts';
import { classBytes, leafBytes } from '../../lib/base/limits.ts';
import { blobKinds } from '../../lib/format/blob.ts';
import { decodeShardHead, shardFileLayout, shardHeadBytes } from '../../lib/format/shard-file.ts';
import { entryTypes } from '../../lib/format/tree.ts';
import type { CheckOptions, CheckSummary, Problem, Progress } from '../../lib/vault/index.ts';
import { noise } from '../support/noise.ts';
import { forgedEntry, forgeSnapshot } from '../support/tree-forge.ts';
import { failure, filesBelow, flipByte, item, VaultFixture, type Told } from '../support/vault-fixture.ts';

const spread = { k: 2, n: 3 };

async function check(fixture: VaultFixture, options: CheckOptions = {}): Promise<Told<CheckSummary>> {
  const problems: Problem[] = [];
  const onProblem = (problem: Problem): void => void problems.push(problem);
  return { summary: await fixture.use((vault) => vault.check({ onProblem, ...options })), problems };
}

/** What a check counts that is not as it should be. */
function faults(summary: CheckSummary): Record<string, number> {
  const counts = {
    packsDamaged: summary.packsDamaged,
    packsLost: summary.packsLost,
    shardsDamaged: summary.shardsDamaged,
    shardsMissing: summary.shardsMissing,
    shardsAway: summary.shardsAway,
    shardsUnread: summary.shardsUnread,
    blobsDamaged: summary.blobsDamaged,
    blobsMissing: summary.blobsMissing,
    recordsDamaged: summary.recordsDamaged,
    affected: summary.snapshotsAffected.length,
    notNow: summary.snapshotsNotNow.length,
  };
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}

/** A vault of one snapshot, in so many packs of two data shards each, at three of four drives, that every drive has some. */
async function several(t: TestContext): Promise<VaultFixture> {
  const files = Object.fromEntries(Array.from({ length: 14 }, (_, i) => [`f${i}`, noise(i + 1, 250_000)]));
  const fixture = await VaultFixture.create(t, { drives: 4, spread, files });
  // On threads: check-threads.test.ts.
  Object.assign(fixture.surroundings, { packBytes: 512 * 1024, threads: 0 });
  await fixture.backup();
  return fixture;
}

/** All shard files on drives, by pack (hex), in order of their index. */
async function shardFiles(fixture: VaultFixture, drives: number): Promise<Map<string, string[]>> {
  const packs = new Map<string, string[]>();
  for (let drive = 0; drive < drives; drive++) {
    for (const path of await fixture.shardFiles(drive)) {
      const pack = path.slice(-'-00.shard'.length - 64, -'-00.shard'.length);
      packs.set(pack, [...(packs.get(pack) ?? []), path]);
    }
  }
  for (const paths of packs.values()) paths.sort((a, b) => (a.slice(-9) < b.slice(-9) ? -1 : 1));
  return packs;
}

test('a sound vault: everything is looked at, everything is read, nothing is changed', async (t) => {
  const fixture = await several(t);
  const files = await filesBelow(fixture.root);
  const quick = await check(fixture);
  assert.deepEqual(faults(quick.summary), {});
  assert.deepEqual(quick.problems, []);
  assert.equal(quick.summary.snapshots, 1);
  assert.equal(quick.summary.shardsRead, 0);
  const progress: Progress[] = [];
  const read = await check(fixture, { readData: true, onProgress: (step) => void progress.push(step) });
  assert.deepEqual(faults(read.summary), {});
  assert.deepEqual(read.problems, []);
  const packs = await shardFiles(fixture, 4);
  assert.ok(packs.size >= 2);
  assert.equal(read.summary.packs, packs.size);
  assert.equal(read.summary.packsRead, packs.size);
  assert.equal(read.summary.shardsRead, 3 * packs.size);
  assert.equal(read.summary.blobsRead, read.summary.blobs);
  assert.ok(read.summary.bytesRead > 14 * 250_000 * 1.5);
  assert.deepEqual(await filesBelow(fixture.root), files);
  const last = item(
    progress.filter(({ bytesTotal }) => bytesTotal !== undefined),
    -1,
  );
  assert.equal(last.bytesDone, last.bytesTotal);
});

test('shards that are gone are missing and no damage, and a drive that is away has lost nothing', async (t) => {
  const fixture = await several(t);
  const [paths] = [...(await shardFiles(fixture, 4)).values()];
  await rm(item(paths ?? [], 0));
  for (const options of [{}, { readData: true }]) {
    assert.deepEqual(faults((await check(fixture, options)).summary), { shardsMissing: 1 });
  }
  await fixture.repair();
  await fixture.unplug(0);
  const { summary } = await check(fixture, { readData: true });
  const { shardsAway = 0, ...others } = faults(summary);
  assert.deepEqual(others, {});
  assert.ok(shardsAway > 0);
  assert.deepEqual(summary.away, ['drive-0']);
});

/** Packs (hex) with bytes of files in one leaf of one data shard, and nothing of folders: these are all in the last. */
async function packsWithin(fixture: VaultFixture, row: number, leaf: number): Promise<string[]> {
  return await fixture.session(async ({ index, state }) => {
    const last = toHex(index.get(item(index.snapshotBlobs(), 0))?.packId ?? new Uint8Array(0));
    const found = new Set<string>();
    for (let entry = 0; entry < index.size; entry++) {
      const [place] = index.places(copyBytes(index.entryAt(entry).blobId));
      assert.ok(place !== undefined);
      const shardBytes = classBytes[state.pack(place.packId)?.manifest.class ?? -1] ?? 0;
      const from = row * shardBytes + leaf * leafBytes;
      const isThere = place.offset < from + leafBytes && place.offset + place.sealedLength > from;
      if (isThere && leaf * leafBytes < shardBytes) found.add(toHex(place.packId));
    }
    found.delete(last);
    return await Promise.resolve([...found]);
  });
}

async function layoutOf(path: string): Promise<ReturnType<typeof shardFileLayout>> {
  return shardFileLayout(decodeShardHead((await readFile(path)).subarray(0, shardHeadBytes)));
}

const spoils: readonly (readonly [string, (path: string, other: string) => Promise<void>])[] = [
  ['a byte of the payload', (path) => flipByte(path, shardHeadBytes + 60_017)],
  ['a leaf hash', async (path) => flipByte(path, (await layoutOf(path)).leavesAt + 20)],
  ['a byte of the manifest', (path) => flipByte(path, -100)],
  ['a byte of its signature', (path) => flipByte(path, -3)],
  ['a byte of the head', (path) => flipByte(path, 20)],
  ['the end of the file', async (path) => truncate(path, (await stat(path)).size - 10_000)],
  ['everything', (path) => writeFile(path, '')],
  ['the file, by that of another pack', (path, other) => copyFile(other, path)],
];

test('damage is found, remembered and mended, whatever it takes of a shard', async (t) => {
  const fixture = await several(t);
  // Half of them at once, each on a pack of its own.
  for (const half of [spoils.slice(0, 4), spoils.slice(4)]) {
    const packs = [...(await shardFiles(fixture, 4)).values()];
    assert.ok(packs.length > half.length);
    for (const [number, [, spoil]] of half.entries()) {
      await spoil(item(item(packs, number), 1), item(item(packs, number + 1), 1));
    }
    const what = half.map(([took]) => took).join(', ');
    const all = { packsDamaged: half.length, shardsDamaged: half.length };
    const found = await check(fixture, { readData: true });
    assert.deepEqual(faults(found.summary), all, what);
    assert.ok(found.problems.filter(({ code }) => code === 'shard-damaged').length >= half.length, what);
    const again = await check(fixture);
    assert.deepEqual(faults(again.summary), all, `${what}: remembered`);
    await fixture.repair({ quick: true });
    assert.deepEqual(faults((await check(fixture, { readData: true })).summary), {}, what);
  }
});

test('a shard whose manifest says that a newer kith wrote it is told, never called damaged, and made again elsewhere', async (t) => {
  const fixture = await several(t);
  const [paths = []] = [...(await shardFiles(fixture, 4)).values()];
  const path = item(paths, 1);
  await flipByte(path, (await layoutOf(path)).manifestAt + 8);
  const { summary, problems } = await check(fixture, { readData: true });
  // It may be as good as none: whoever counts on it must know.
  assert.deepEqual(faults(summary), { shardsMissing: 1, shardsUnread: 1 });
  assert.ok(problems.some(({ code }) => code === 'too-new'));
  const before = await readFile(path);
  await fixture.repair();
  assert.deepEqual(await readFile(path), before);
  assert.deepEqual(faults((await check(fixture, { readData: true })).summary), { shardsUnread: 1 });
});

test('what a byte off in every shard takes is told exactly: of each blob, whether a restore would get it', async (t) => {
  const fixture = await several(t);
  const packs = await shardFiles(fixture, 4);
  const [paths = []] = (await packsWithin(fixture, 1, 1)).map((pack) => packs.get(pack));
  // In one place only two of three are left whole, so all can be had; then, in one leaf, one of three.
  await flipByte(item(paths, 0), shardHeadBytes + 3 * leafBytes);
  await flipByte(item(paths, 1), shardHeadBytes + 1 * leafBytes);
  const mended = await check(fixture, { readData: true });
  assert.deepEqual(faults(mended.summary), { packsDamaged: 1, shardsDamaged: 2 });
  await fixture.restoresTo();
  await flipByte(item(paths, 2), shardHeadBytes + 1 * leafBytes);
  const { summary, problems } = await check(fixture, { readData: true });
  assert.equal(summary.packsDamaged, 1);
  assert.equal(summary.shardsDamaged, 3);
  assert.ok(summary.blobsDamaged >= 1);
  assert.equal(summary.snapshotsAffected.length, 1);
  const named = problems.filter(({ item: name }) => name.includes(`:${fixture.source}/f`));
  // What is whole in its own shard can be had, though it is bad in both others.
  const restored = await fixture.restore();
  assert.equal(restored.summary.filesFailed, named.length);
  assert.ok(named.length >= 1 && named.length < 14);
});

test('a pack of which fewer than k shards exist is lost, and one whose drives are away is not', async (t) => {
  const fixture = await several(t);
  const last = await fixture.session(async ({ index }) =>
    Promise.resolve(toHex(index.get(item(index.snapshotBlobs(), 0))?.packId ?? new Uint8Array(0))),
  );
  // The last pack has the trees, and these don't come again as they were.
  const [, paths = []] = [...(await shardFiles(fixture, 4))].find(([pack]) => pack !== last) ?? [];
  const drives = paths.map((path) => Number(/drive-(\d)/.exec(path)?.[1]));
  await fixture.unplug(item(drives, 0), item(drives, 1));
  const away = await check(fixture);
  assert.equal(away.summary.snapshotsNotNow.length, 1);
  assert.equal(away.summary.packsLost, 0);
  assert.deepEqual(away.summary.snapshotsAffected, []);
  await fixture.plugIn(item(drives, 0), item(drives, 1));
  for (const path of paths.slice(0, 2)) await rm(path);
  const { summary } = await check(fixture, { readData: true });
  assert.equal(summary.packsDamaged, 0);
  assert.equal(summary.packsLost, 1);
  assert.equal(summary.shardsMissing, 2);
  assert.equal(summary.snapshotsAffected.length, 1);
  // Its blobs are stored again; nobody needs what is left of it.
  await fixture.backup();
  const again = await check(fixture, { readData: true });
  assert.equal(again.summary.packsLost, 0, JSON.stringify(faults(again.summary)));
  assert.equal(again.summary.snapshotsAffected.length, 0);
});

test('a blob that is not what its name says is found, though every shard is as it was signed', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 4, spread });
  const good = await fixture.backup();
  const { id } = await forgeSnapshot(fixture, spread, async (forge) => {
    const named = new Uint8Array(32).fill(7);
    const body = utf8('not what it is called');
    await forge.plainFrame({ kind: blobKinds.data, blobId: named, body });
    const file = forgedEntry('file', entryTypes.file, {
      size: body.length,
      content: { level: 0, ids: [named] },
    });
    return { level: 0, ids: [await forge.tree([file])] };
  });
  const quick = await check(fixture);
  assert.equal(quick.summary.blobsDamaged, 0);
  const { summary } = await check(fixture, { readData: true });
  assert.equal(summary.packsDamaged, 1);
  assert.equal(summary.shardsDamaged, 0);
  assert.equal(summary.blobsDamaged, 1);
  assert.deepEqual(summary.snapshotsAffected, [id]);
  assert.notEqual(good.summary.snapshotId, id);
});

test('a snapshot whose folder no pack has, or whose file is longer than its content, is told', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 4, spread });
  await fixture.backup();
  const lacking = await forgeSnapshot(fixture, spread, async (forge) => {
    const gone = { level: 0, ids: [new Uint8Array(32).fill(9)] };
    const folder = forgedEntry('folder', entryTypes.folder, { content: gone });
    return { level: 0, ids: [await forge.tree([folder])] };
  });
  const first = await check(fixture);
  assert.equal(first.summary.blobsMissing, 1);
  assert.deepEqual(first.summary.snapshotsAffected, [lacking.id]);
  assert.ok(first.problems.some(({ item: name }) => name === `${lacking.id.slice(0, 8)}:/folder`));
  const wrong = await forgeSnapshot(fixture, spread, async (forge) => {
    const file = await forge.file('file', 'four');
    return { level: 0, ids: [await forge.tree([{ ...file, size: 5 }])] };
  });
  const second = await check(fixture);
  assert.deepEqual([...second.summary.snapshotsAffected].sort(), [lacking.id, wrong.id].sort());
});

test('logs and key records: what a drive lacks is told, what is wrong there is damage, and repair brings both back', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 4, spread });
  await fixture.backup();
  const segments = (await filesBelow(join(fixture.drive(1), 'logs'))).filter((path) => path.endsWith('.seg'));
  await flipByte(item(segments, -1), -1);
  await rm(join(fixture.drive(2), 'logs'), { recursive: true });
  const { summary, problems } = await check(fixture, { readData: true });
  assert.deepEqual(faults(summary), { recordsDamaged: 1 });
  assert.deepEqual(new Set(problems.map(({ item: name }) => name)), new Set(['drive-1', 'drive-2']));
  await fixture.repair();
  const again = await check(fixture, { readData: true });
  assert.deepEqual(faults(again.summary), {});
  assert.deepEqual(again.problems, []);
});

test('a part: a share of it is drawn, fixed parts are all of it together, and anything else is refused', async (t) => {
  const fixture = await several(t);
  const packs = await shardFiles(fixture, 4);
  const share = await check(fixture, { readPart: '1%' });
  assert.equal(share.summary.packsRead, 1);
  assert.match(share.summary.part ?? '', /random/);
  let sum = 0;
  for (const readPart of ['1/3', '2/3', '3/3']) sum += (await check(fixture, { readPart })).summary.packsRead;
  assert.equal(sum, packs.size);
  for (const readPart of ['0%', '101%', '0/3', '4/3', 'half', '1/0', '']) {
    assert.equal((await failure(check(fixture, { readPart }))).code, 'usage', readPart);
  }
});

test('a drive that goes away in the middle is told, and its shards count as away', async (t) => {
  const fixture = await several(t);
  let pulled = false;
  const { disk } = fixture.surroundings;
  Object.assign(fixture.surroundings, {
    disk: {
      ...disk,
      readWhole: async (path: string, bytesMax: number, into?: Uint8Array) => {
        const isShard = path.startsWith(fixture.drive(3)) && path.endsWith('.shard');
        if (isShard && !pulled) {
          pulled = true;
          await fixture.unplug(3);
        }
        return await disk.readWhole(path, bytesMax, into);
      },
    },
  });
  const { summary, problems } = await check(fixture, { readData: true });
  assert.ok(pulled);
  const { shardsAway = 0, ...others } = faults(summary);
  assert.deepEqual(others, {});
  assert.ok(shardsAway > 0);
  assert.deepEqual(summary.away, ['drive-3']);
  assert.equal(problems.filter(({ code }) => code === 'holder-unavailable').length, 1);
});

test('friends: every byte comes over and is held against the signed root, whatever they say of it', async (t) => {
  const fixture = await VaultFixture.create(t, {
    drives: 1,
    friends: ['anna', 'ben', 'cleo'],
    spread: { k: 2, n: 4 },
    files: { a: noise(1, 400_000), b: noise(2, 300_000) },
  });
  await fixture.backup();
  const sound = await check(fixture, { readData: true });
  assert.deepEqual(faults(sound.summary), {});
  assert.equal(sound.summary.shardsRead, 4 * sound.summary.packs);
  const { holder } = fixture.friend('anna');
  holder.lie = (range) => {
    range.bytes[5] = (range.bytes[5] ?? 0) ^ 1;
    return range;
  };
  const lied = await check(fixture, { readData: true });
  assert.equal(lied.summary.shardsDamaged, sound.summary.packs);
  assert.deepEqual(lied.summary.snapshotsAffected, []);
  holder.lie = (range) => range;
  holder.withholds = () => true;
  const withheld = await check(fixture, { readData: true });
  assert.equal(withheld.summary.shardsDamaged, 0);
  assert.equal(withheld.summary.shardsMissing, sound.summary.packs);
  assert.ok(withheld.problems.some(({ code }) => code === 'shard-missing'));
  holder.withholds = () => false;
  assert.deepEqual(
    faults((await check(fixture, { readData: true })).summary),
    {},
    'nothing is held against her',
  );
});

test('what waits on this computer is checked as well, and Ctrl-C ends it', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread, files: { a: noise(1, 300_000) } });
  await fixture.unplug(1, 2);
  assert.equal((await fixture.backup()).summary.state, 'pending');
  assert.deepEqual((await check(fixture, { readData: true })).summary.snapshotsAffected, []);
  const queued = (await filesBelow(join(fixture.home, 'queue'))).filter((path) => path.endsWith('.shard'));
  const before = await readFile(item(queued, 0));
  await flipByte(item(queued, 0), shardHeadBytes + 10);
  const { summary } = await check(fixture, { readData: true });
  assert.equal(summary.packsDamaged, 1);
  await writeFile(item(queued, 0), before);
  const stop = new AbortController();
  const error = await failure(
    check(fixture, { readData: true, signal: stop.signal, onProgress: () => stop.abort() }),
  );
  assert.equal(error.code, 'interrupted');
});

test('packs of the ledger that this index does not agree with are told', async (t) => {
  const fixture = await several(t);
  const [packId] = [...(await shardFiles(fixture, 4)).keys()];
  await fixture.session(async (session) => {
    const { check: run } = await import('../../lib/vault/check/check.ts');
    const pack = [...session.state.packs()].find(({ manifest }) => toHex(manifest.packId) === packId);
    assert.ok(pack !== undefined);
    session.index.removePack(pack.manifest.packId);
    const blob = { kind: blobKinds.data, blobId: new Uint8Array(32), offsetInFrame: 0, length: 1 };
    session.index.addPack(pack.manifest.packId, {
      frames: [{ offset: 48, sealedLength: 100, plainBytes: 1, blobs: [blob] }],
    });
    const { recordsDamaged } = await run(session, {});
    assert.equal(recordsDamaged, 1);
  });
});

void test('a pack with nothing but the record of a snapshot counts as well', async (t) => {
  const fixture = await VaultFixture.create(t, {
    drives: 3,
    spread: { k: 2, n: 3 },
    files: { a: noise(1, 200_000), b: 'hi' },
  });
  await fixture.backup();
  const before = new Set((await fixture.shardFiles(0)).map((path) => basename(path)));
  await fixture.backup();
  let spoiled = 0;
  for (const drive of [0, 1, 2]) {
    for (const path of await fixture.shardFiles(drive)) {
      const packId = basename(path).slice(0, 20);
      if ([...before].some((name) => name.startsWith(packId))) continue;
      await flipByte(path, shardHeadBytes + 7);
      spoiled++;
    }
  }
  assert.equal(spoiled, 3);
  const { summary } = await check(fixture, { readData: true });
  assert.equal(summary.shardsDamaged, 3);
  assert.equal(summary.packsDamaged, 1);
});
