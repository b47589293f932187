import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmod, link, readFile, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { leafBytes } from '../../lib/base/limits.ts';
import { shardHeadBytes } from '../../lib/format/shard-file.ts';
import { isTempName } from '../../lib/source/restore-sink.ts';
import { openVault, type Problem, type RestoreSummary } from '../../lib/vault/index.ts';
import { noise } from '../support/noise.ts';
import { differences, filesBelow, flipByte, item, VaultFixture } from '../support/vault-fixture.ts';

const spread = { k: 2, n: 3 };
const mebi = 1024 * 1024;

/** Small files that share frames, files of their own frames, and one that several threads write. */
function files(): Record<string, Uint8Array | string> {
  const small = Array.from({ length: 300 }, (_, i): [string, string] => [
    `small/${i % 7}/f${i}`,
    `${i} `.repeat(i),
  ]);
  return {
    ...Object.fromEntries(small),
    empty: '',
    'middle/one': noise(1, 700_000),
    'middle/two': noise(2, 2_000_000),
    'big/file': noise(3, 11 * mebi),
  };
}

interface Restored {
  readonly summary: RestoreSummary;
  readonly problems: Problem[];
  readonly target: string;
}

/** Restores on so many threads; 0: in this one. */
async function restoreOn(fixture: VaultFixture, threads: number, what = 'latest'): Promise<Restored> {
  const problems: Problem[] = [];
  const target = join(fixture.root, `on-${threads}`);
  await rm(target, { recursive: true, force: true });
  const vault = await openVault({
    home: fixture.home,
    surroundings: { ...fixture.surroundings, threads },
    network: fixture.friends,
  });
  try {
    const onProblem = (problem: Problem): void => void problems.push(problem);
    return { summary: await vault.restore({ what, target, onProblem }), problems, target };
  } finally {
    await vault.close();
  }
}

async function assertWhole(fixture: VaultFixture, { summary, target }: Restored): Promise<void> {
  assert.equal(summary.filesFailed, 0);
  assert.deepEqual(await differences(fixture.source, join(target, fixture.source)), []);
}

test('files of several chunks are whole where one thread opens several batches, one after the other', async (t) => {
  // Each is a batch of its own, whose chunks lie in the memory that the next batch is opened in.
  const files = Object.fromEntries(Array.from({ length: 6 }, (_, i) => [`f${i}`, noise(i + 1, 3_400_000)]));
  const fixture = await VaultFixture.create(t, { drives: 3, spread, files });
  await fixture.backup();
  await assertWhole(fixture, await restoreOn(fixture, 0));
  // The first of many are opened here as well, before threads are started.
  await fixture.restoresTo();
});

test('threads write what one thread writes', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread, files: files() });
  await link(join(fixture.source, 'middle/one'), join(fixture.source, 'middle/other-name'));
  await link(join(fixture.source, 'big/file'), join(fixture.source, 'big/other-name'));
  await symlink('../middle/one', join(fixture.source, 'small/link'));
  await chmod(join(fixture.source, 'small/3'), 0o500);
  await fixture.backup();
  const here = await restoreOn(fixture, 0);
  await assertWhole(fixture, here);
  for (const threads of [1, 3]) {
    const there = await restoreOn(fixture, threads);
    await assertWhole(fixture, there);
    assert.deepEqual(there.problems, []);
    const { durationMs: _here, stages: _stages, ...counts } = here.summary;
    const { durationMs: _there, stages: _others, ...others } = there.summary;
    assert.deepEqual(others, counts);
  }
});

test('a damaged shard under threads is told once, goes into the book, and repair makes it again', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread, files: files() });
  await fixture.backup();
  // Row 0 of every pack, wherever chance put it: it is one that a restore asks for.
  for (const drive of [0, 1, 2]) {
    for (const path of await fixture.shardFiles(drive)) {
      if (/-0+\.shard$/.test(path)) await flipByte(path, shardHeadBytes + leafBytes + 7);
    }
  }
  const restored = await restoreOn(fixture, 2);
  await assertWhole(fixture, restored);
  assert.ok(restored.summary.shardsReplaced > 0);
  const told = restored.problems.filter(({ code }) => code === 'shard-damaged');
  assert.equal(told.length, restored.summary.shardsReplaced);
  const booked = (await readFile(join(fixture.home, 'damaged'), 'utf8')).trim().split('\n');
  assert.equal(booked.length, told.length);
  assert.ok((await fixture.repair()).summary.shardsDamaged >= told.length);
  assert.deepEqual((await restoreOn(fixture, 2)).problems, []);
});

test('a friend who lies under threads is found out, and everything comes back', async (t) => {
  const fixture = await VaultFixture.create(t, {
    drives: 0,
    friends: ['ann', 'ben', 'cleo'],
    spread,
    files: files(),
  });
  await fixture.backup();
  // Whoever is asked first: by chance one of them has spare rows alone, of which nobody asks.
  let liar: string | undefined;
  for (const name of ['ann', 'ben', 'cleo']) {
    fixture.friend(name).holder.lie = (range) => {
      liar ??= name;
      if (liar !== name) return range;
      range.bytes[range.bytes.length >> 1] = (range.bytes[range.bytes.length >> 1] ?? 0) ^ 1;
      return range;
    };
  }
  const restored = await restoreOn(fixture, 2);
  await assertWhole(fixture, restored);
  assert.ok(restored.problems.length > 0);
  assert.ok(restored.problems.every(({ item, code }) => item === liar && code === 'shard-damaged'));
});

test('a friend who goes in the middle of a restore on threads is replaced by the others', async (t) => {
  const fixture = await VaultFixture.create(t, {
    drives: 0,
    friends: ['ann', 'ben', 'cleo'],
    spread,
    files: files(),
  });
  await fixture.backup();
  const gets = new Map<string, number>();
  let gone: string | undefined;
  for (const name of ['ann', 'ben', 'cleo']) {
    const { holder } = fixture.friend(name);
    holder.before = ({ operation }) => {
      if (operation !== 'get') return;
      gets.set(name, (gets.get(name) ?? 0) + 1);
      // The first who is asked for a fourth time: of a dozen ranges and more somebody is.
      if (gone === undefined && gets.get(name) === 4) {
        gone = name;
        holder.away = true;
      }
    };
  }
  const restored = await restoreOn(fixture, 2);
  assert.ok(gone !== undefined);
  await assertWhole(fixture, restored);
});

test('one file out of many fetches little more than its frames, also from k of the others', async (t) => {
  const many = Object.fromEntries(Array.from({ length: 24 }, (_, i) => [`f${i}`, noise(i + 9, mebi)]));
  const fixture = await VaultFixture.create(t, {
    drives: 0,
    friends: ['ann', 'ben', 'cleo'],
    spread,
    files: many,
  });
  await fixture.backup();
  let bytes = 0;
  for (const name of ['ann', 'ben', 'cleo']) {
    fixture.friend(name).holder.lie = (range) => {
      bytes += range.bytes.length;
      return range;
    };
  }
  const what = `latest:${fixture.source}/f11`;
  // The index and its trees are small here: a head for each pack that is read, a leaf on both sides of what is cut.
  // The last chunk of the file may be short, and lie in a shared frame of up to a MiB.
  const around = 8 * leafBytes + mebi;
  // Directories are in the home's cache by then.
  await restoreOn(fixture, 0, what);
  bytes = 0;
  const { summary, target } = await restoreOn(fixture, 0, what);
  assert.equal(summary.filesRestored, 1);
  assert.deepEqual(new Uint8Array(await readFile(join(target, 'f11'))), many['f11']);
  assert.ok(bytes <= mebi + around, `${bytes} bytes`);
  fixture.friend('ben').holder.away = true;
  bytes = 0;
  assert.equal((await restoreOn(fixture, 0, what)).summary.filesFailed, 0);
  assert.ok(bytes <= spread.k * (mebi + around), `${bytes} bytes`);
});

test('a restore that is killed leaves no half file under a real name, and the next one clears up', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread, files: files() });
  await fixture.backup();
  const target = join(fixture.root, 'on-2');
  const main = new URL('../../cli/main.js', import.meta.url).pathname;
  const args = [main, '--home', fixture.home, 'restore', 'latest', '--target', target, '--json', '--verbose'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => {
    child.once('exit', (_, signal) => resolve(signal));
  });
  child.stdout.once('data', () => child.kill('SIGKILL'));
  assert.equal(await ended, 'SIGKILL');
  for (const path of await filesBelow(target)) {
    const name = item(path.split('/'), -1);
    if (isTempName(name)) continue;
    assert.deepEqual(await readFile(path), await readFile(path.slice(target.length)), path);
  }
  const vault = await openVault({
    home: fixture.home,
    surroundings: { ...fixture.surroundings, threads: 2 },
  });
  try {
    await vault.restore({ what: 'latest', target });
  } finally {
    await vault.close();
  }
  assert.deepEqual(await differences(fixture.source, join(target, fixture.source)), []);
});
