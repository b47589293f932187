import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmod, link, readFile, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, test, type TestContext } from 'node:test';
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

/** A vault with those files backed up; it is the restore that is on threads here. */
async function stored(
  t: TestContext,
  options: { readonly drives?: number; readonly friends?: readonly string[] },
): Promise<VaultFixture> {
  const fixture = await VaultFixture.create(t, { drives: 0, spread, files: files(), ...options });
  await link(join(fixture.source, 'middle/one'), join(fixture.source, 'middle/other-name'));
  await link(join(fixture.source, 'big/file'), join(fixture.source, 'big/other-name'));
  await symlink('../middle/one', join(fixture.source, 'small/link'));
  await chmod(join(fixture.source, 'small/3'), 0o500);
  Object.assign(fixture.surroundings, { threads: 0 });
  await fixture.backup();
  return fixture;
}

test('files of several chunks are whole where one thread opens several batches, one after the other', async (t) => {
  // Each is a batch of its own, whose chunks lie in the memory that the next batch is opened in.
  const files = Object.fromEntries(Array.from({ length: 4 }, (_, i) => [`f${i}`, noise(i + 1, 3_400_000)]));
  const fixture = await VaultFixture.create(t, { drives: 3, spread, files });
  await fixture.backup();
  await assertWhole(fixture, await restoreOn(fixture, 0));
  // The first of many are opened here as well, before threads are started.
  await fixture.restoresTo();
});

void describe('threads restore from drives', () => {
  void it('what one thread restores, after one that was killed, and in spite of damage', async (t) => {
    const fixture = await stored(t, { drives: 3 });
    await t.test('threads write what one thread writes', () => sameAsAlone(fixture));
    await t.test(
      'a restore that is killed leaves no half file under a real name, and the next one clears up',
      () => killed(fixture),
    );
    // Last: the vault is another one from here on.
    await t.test('a damaged shard is told once, goes into the book, and repair makes it again', () =>
      damaged(fixture),
    );
  });
});

async function sameAsAlone(fixture: VaultFixture): Promise<void> {
  const here = await restoreOn(fixture, 0);
  await assertWhole(fixture, here);
  const { durationMs: _here, stages: _stages, ...counts } = here.summary;
  const there = await restoreOn(fixture, 3);
  await assertWhole(fixture, there);
  assert.deepEqual(there.problems, []);
  const { durationMs: _there, stages: _others, ...others } = there.summary;
  assert.deepEqual(others, counts);
}

async function damaged(fixture: VaultFixture): Promise<void> {
  // Row 0 of every pack, wherever chance put it: it is one that a restore asks for.
  for (const drive of [0, 1, 2]) {
    for (const path of await fixture.shardFiles(drive)) {
      if (/-0+\.shard$/.test(path)) await flipByte(path, shardHeadBytes + leafBytes + 7);
    }
  }
  // One thread is a pool as well.
  const restored = await restoreOn(fixture, 1);
  await assertWhole(fixture, restored);
  assert.ok(restored.summary.shardsReplaced > 0);
  const told = restored.problems.filter(({ code }) => code === 'shard-damaged');
  assert.equal(told.length, restored.summary.shardsReplaced);
  const booked = (await readFile(join(fixture.home, 'damaged'), 'utf8')).trim().split('\n');
  assert.equal(booked.length, told.length);
  assert.ok((await fixture.repair()).summary.shardsDamaged >= told.length);
  assert.deepEqual((await restoreOn(fixture, 2)).problems, []);
}

const names = ['ann', 'ben', 'cleo'];

void describe('threads restore from friends', () => {
  void it('what they need, from those who are there and say what is so', async (t) => {
    const fixture = await stored(t, { friends: names });
    await t.test('one file fetches little more than its frames, also from k of the others', () =>
      oneFile(fixture),
    );
    await t.test('a friend who goes in the middle is replaced by the others', () => gone(fixture));
    // Last: what was a lie is in the damage book.
    await t.test('a friend who lies is found out, and everything comes back', () => liar(fixture));
  });
});

async function oneFile(fixture: VaultFixture): Promise<void> {
  let bytes = 0;
  for (const name of names) {
    fixture.friend(name).holder.lie = (range) => {
      bytes += range.bytes.length;
      return range;
    };
  }
  const what = `latest:${fixture.source}/middle/two`;
  // The index and its trees are small here: a head for each pack that is read, a leaf on both sides of what is cut.
  // The last chunk of the file may be short, and lie in a shared frame of up to a MiB. All files are 14 MB.
  const most = 2_000_000 + 8 * leafBytes + mebi;
  // Directories are in the home's cache by then.
  await restoreOn(fixture, 0, what);
  bytes = 0;
  const { summary, target } = await restoreOn(fixture, 0, what);
  assert.equal(summary.filesRestored, 1);
  assert.deepEqual(new Uint8Array(await readFile(join(target, 'two'))), noise(2, 2_000_000));
  assert.ok(bytes <= most, `${bytes} bytes`);
  fixture.friend('ben').holder.away = true;
  bytes = 0;
  assert.equal((await restoreOn(fixture, 0, what)).summary.filesFailed, 0);
  assert.ok(bytes <= spread.k * most, `${bytes} bytes`);
  fixture.friend('ben').holder.away = false;
  for (const name of names) fixture.friend(name).holder.lie = (range) => range;
}

async function gone(fixture: VaultFixture): Promise<void> {
  const gets = new Map<string, number>();
  let who: string | undefined;
  for (const name of names) {
    const { holder } = fixture.friend(name);
    holder.before = ({ operation }) => {
      if (operation !== 'get') return;
      gets.set(name, (gets.get(name) ?? 0) + 1);
      // The first who is asked for a fourth time: of a dozen ranges and more somebody is.
      if (who === undefined && gets.get(name) === 4) {
        who = name;
        holder.away = true;
      }
    };
  }
  const restored = await restoreOn(fixture, 2);
  assert.ok(who !== undefined);
  await assertWhole(fixture, restored);
  for (const name of names)
    Object.assign(fixture.friend(name).holder, { away: false, before: () => undefined });
}

async function liar(fixture: VaultFixture): Promise<void> {
  // Whoever is asked first: by chance one of them has spare rows alone, of which nobody asks.
  let who: string | undefined;
  for (const name of names) {
    fixture.friend(name).holder.lie = (range) => {
      who ??= name;
      if (who !== name) return range;
      range.bytes[range.bytes.length >> 1] = (range.bytes[range.bytes.length >> 1] ?? 0) ^ 1;
      return range;
    };
  }
  const restored = await restoreOn(fixture, 2);
  await assertWhole(fixture, restored);
  assert.ok(restored.problems.length > 0);
  assert.ok(restored.problems.every(({ item, code }) => item === who && code === 'shard-damaged'));
}

async function killed(fixture: VaultFixture): Promise<void> {
  const target = join(fixture.root, 'killed');
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
}
