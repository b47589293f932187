import assert from 'node:assert/strict';
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { backupOutcome } from '../../cli/commands/backup.ts';
import { asNobody } from '../support/as-nobody.ts';
import { differences, failure, filesBelow, VaultFixture, type Told } from '../support/vault-fixture.ts';
import type { BackupSummary } from '../../lib/vault/index.ts';

const spread = { k: 1, n: 1 };

/** When b.txt is seen by the walk and not yet opened; open and not yet read; open once more. */
const moments = { seen: 0, open: 1, again: 2 } as const;

async function vaultOf(t: Parameters<typeof VaultFixture.create>[0]): Promise<VaultFixture> {
  const files = { 'a.txt': 'first', 'b.txt': 'second', 'c.txt': 'third' };
  return await VaultFixture.create(t, { drives: 1, spread, files });
}

/**
 * Backs up while something happens to b.txt: `meddle` is called once a.txt is stored, and whenever the backup looks for an
 * interruption after that, which it does each time that a file is open. The moments are counted.
 */
async function backupWhile(
  fixture: VaultFixture,
  meddle: (b: string, time: number) => void,
): Promise<Told<BackupSummary>> {
  const controller = new AbortController();
  const b = join(fixture.source, 'b.txt');
  let times = 0;
  let armed = false;
  Object.defineProperty(controller.signal, 'aborted', {
    get: () => {
      if (armed) meddle(b, times++);
      return false;
    },
  });
  const told = await fixture.backup({
    signal: controller.signal,
    onProgress: ({ phase, current }) => {
      if (phase !== 'read') return;
      if (!armed && current?.endsWith('a.txt') === true) {
        armed = true;
        meddle(b, times++);
      } else if (current?.endsWith('b.txt') === true) armed = false;
    },
  });
  assert.ok(times > moments.seen, 'the meddler had its chance');
  return told;
}

test('a file that vanishes once it is seen is told; the rest is stored', async (t) => {
  const fixture = await vaultOf(t);
  const { summary, problems } = await backupWhile(fixture, (b, time) => {
    if (time === moments.seen) rmSync(b);
  });
  assert.equal(summary.state, 'complete');
  assert.equal(summary.filesNew, 2);
  assert.equal(summary.filesUnreadable, 1);
  assert.deepEqual(
    problems.map(({ code }) => code),
    ['source-unreadable'],
  );
  assert.match(problems[0]?.item ?? '', /b\.txt$/);
  const { problems: atRestore, target } = await fixture.restore();
  assert.deepEqual(
    atRestore.map(({ code }) => code),
    ['source-unreadable'],
  );
  assert.deepEqual(await readdir(join(target, fixture.source)), ['a.txt', 'c.txt']);
});

/** Restores and compares, but for the mtime of the folder in which something was replaced after it was listed. */
async function restoresBut(fixture: VaultFixture): Promise<void> {
  const { target } = await fixture.restore();
  const found = await differences(fixture.source, join(target, fixture.source));
  assert.deepEqual(
    found.filter((difference) => !difference.startsWith('the folder itself: mtime')),
    [],
  );
}

test('a file that is replaced before it is opened is read as it is then', async (t) => {
  const fixture = await vaultOf(t);
  const { summary, problems } = await backupWhile(fixture, (b, time) => {
    if (time !== moments.seen) return;
    writeFileSync(`${b}.saved`, 'second, better');
    renameSync(`${b}.saved`, b);
  });
  assert.deepEqual(problems, []);
  assert.equal(summary.filesNew, 3);
  await restoresBut(fixture);
});

test('a file that is replaced each time it is opened is told', async (t) => {
  const fixture = await vaultOf(t);
  const { summary, problems } = await backupWhile(fixture, (b, time) => {
    if (time < moments.seen) return;
    writeFileSync(`${b}.saved`, `version ${time}`);
    renameSync(`${b}.saved`, b);
  });
  assert.equal(summary.filesNew + summary.filesUnreadable, 3);
  assert.ok(problems.every((problem) => problem.item.endsWith('b.txt')));
  assert.equal((await fixture.backup()).summary.filesUnreadable, 0);
  await fixture.restoresTo();
});

test('a file that becomes a symlink is stored as one, and where it leads is not read', async (t) => {
  const fixture = await vaultOf(t);
  const { summary } = await backupWhile(fixture, (b, time) => {
    if (time !== moments.seen) return;
    rmSync(b);
    symlinkSync('/etc/passwd', b);
  });
  assert.equal(summary.filesNew, 2);
  assert.equal(summary.filesUnreadable, 0);
  await restoresBut(fixture);
});

test('a file that becomes a folder is told, and is there the next time', async (t) => {
  const fixture = await vaultOf(t);
  const { summary } = await backupWhile(fixture, (b, time) => {
    if (time !== moments.seen) return;
    rmSync(b);
    mkdirSync(b);
    writeFileSync(join(b, 'inside'), 'x');
  });
  assert.equal(summary.filesUnreadable, 1);
  assert.equal((await fixture.backup()).summary.filesUnreadable, 0);
  await fixture.restoresTo();
});

test('a file that changes once while it is read is read again', async (t) => {
  const fixture = await vaultOf(t);
  const { summary, problems } = await backupWhile(fixture, (b, time) => {
    if (time === moments.open) appendFileSync(b, ' and more');
  });
  assert.deepEqual(problems, []);
  assert.equal(summary.filesNew, 3);
  await fixture.restoresTo();
});

test('a file that changes whenever it is read is stored with a warning', async (t) => {
  const fixture = await vaultOf(t);
  const { summary, problems } = await backupWhile(fixture, (b) => appendFileSync(b, '.'));
  assert.deepEqual(
    problems.map(({ code }) => code),
    ['source-changed'],
  );
  assert.equal(summary.filesNew, 3);
  assert.equal(summary.filesUnreadable, 0);
  assert.equal(summary.filesChangedWhileRead, 1);
  assert.equal(backupOutcome(summary, false)?.exit, 3);
  const { target, summary: restored } = await fixture.restore();
  assert.equal(restored.filesFailed, 0);
  assert.match(readFileSync(join(target, fixture.source, 'b.txt'), 'utf8'), /^second\.*$/);
  // It differs from what was noted, so the next backup reads it again.
  const { summary: next } = await fixture.backup();
  assert.equal(next.filesChanged, 1);
  assert.equal(next.filesChangedWhileRead, 0);
  assert.equal(backupOutcome(next, false), undefined);
  await fixture.restoresTo();
});

test('a file that shrinks to nothing while it is read is stored as it ends up', async (t) => {
  const fixture = await vaultOf(t);
  const { problems } = await backupWhile(fixture, (b, time) => {
    if (time === moments.open) writeFileSync(b, '');
  });
  assert.deepEqual(problems, []);
  await fixture.restoresTo();
});

test('a folder that is not there is an error that names it, and nothing is written', async (t) => {
  const fixture = await vaultOf(t);
  const before = await filesBelow(fixture.drive(0));
  const home = await filesBelow(fixture.home);
  const missing = join(fixture.root, 'no-such-folder');
  const error = await failure(fixture.backup({ paths: [fixture.source, missing] }));
  assert.equal(error.code, 'source-missing');
  assert.match(error.message, /no-such-folder/);
  assert.deepEqual(await fixture.snapshots(), []);
  assert.deepEqual(await filesBelow(fixture.drive(0)), before);
  assert.deepEqual(await filesBelow(fixture.home), home);
});

test('no drive at all is an error with the next step', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 0 });
  const error = await failure(fixture.backup());
  assert.equal(error.code, 'no-holders');
  assert.match(error.message, /kith drive add/);
});

test('the home and the drives are never part of a source', async (t) => {
  const fixture = await vaultOf(t);
  const { summary } = await fixture.backup({ paths: [fixture.root] });
  assert.equal(summary.filesNew, 3);
  const { target } = await fixture.restore();
  const top = (await readdir(join(target, fixture.root))).sort();
  assert.ok(!top.includes('home') || (await readdir(join(target, fixture.root, 'home'))).length === 0);
  assert.deepEqual(await filesBelow(join(target, fixture.root, 'drive-0')), []);
  await rm(target, { recursive: true });
});

test('a file without the right to read it is told, the rest is stored (as another user)', async (t) => {
  const result = await asNobody(
    t,
    `
    const { initVault, openVault } = await load('lib/vault/index.ts');
    const { mkdtempSync, mkdirSync, writeFileSync, rmSync, readdirSync, chmodSync, existsSync } = await import('node:fs');
    const { join } = await import('node:path');
    const { tmpdir } = await import('node:os');
    becomeNobody();
    const root = mkdtempSync(join(tmpdir(), 'kith-test-nobody-'));
    try {
      const home = join(root, 'home');
      const source = join(root, 'source');
      mkdirSync(join(source, 'closed'), { recursive: true });
      writeFileSync(join(source, 'good.txt'), 'good');
      writeFileSync(join(source, 'secret.txt'), 'secret', { mode: 0 });
      writeFileSync(join(source, 'closed', 'inside.txt'), 'x');
      chmodSync(join(source, 'closed'), 0);
      await initVault({ home, name: 'nobody' });
      writeFileSync(join(home, 'kith.toml'), 'free.floor = "0"');
      const vault = await openVault({ home });
      const problems = [];
      await vault.driveAdd({ path: join(root, 'drive') });
      const summary = await vault.backup({ paths: [source], onProblem: (problem) => problems.push(problem) });
      const target = join(root, 'target');
      await vault.restore({ what: 'latest', target, onProblem: () => undefined });
      await vault.close();
      const back = readdirSync(join(target, source)).sort();
      const { filesNew, filesUnreadable, state } = summary;
      report({ filesNew, filesUnreadable, state, codes: problems.map((problem) => problem.code), back });
    } finally {
      for (const folder of [root, join(root, 'target', root)]) {
        const closed = join(folder, 'source', 'closed');
        if (existsSync(closed)) chmodSync(closed, 0o700);
      }
      rmSync(root, { recursive: true, force: true });
    }
    `,
  );
  if (result === undefined) return;
  assert.deepEqual(result, {
    filesNew: 1,
    filesUnreadable: 2,
    state: 'complete',
    codes: ['source-unreadable', 'source-unreadable'],
    back: ['closed', 'good.txt'],
  });
});
