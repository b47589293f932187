import assert from 'node:assert/strict';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Problem } from '../../lib/vault/index.ts';
import { VaultFixture } from './vault-fixture.ts';

/** Copies of the home, to be put back: a restored disk image, a home in a snapshot of a file system. */
export async function keepHome(fixture: VaultFixture): Promise<void> {
  await cp(fixture.home, join(fixture.root, 'kept'), { recursive: true, preserveTimestamps: true });
}

export async function putBack(fixture: VaultFixture): Promise<void> {
  await rm(fixture.home, { recursive: true });
  await cp(join(fixture.root, 'kept'), fixture.home, { recursive: true, preserveTimestamps: true });
}

export async function tagsOf(fixture: VaultFixture): Promise<string[]> {
  return (await fixture.snapshots()).flatMap(({ tags }) => tags);
}

export async function allRestore(fixture: VaultFixture): Promise<void> {
  for (const { id, summary } of await fixture.snapshots()) {
    const { summary: restored } = await fixture.restore(id);
    assert.equal(restored.filesFailed, 0);
    assert.equal(restored.filesRestored, summary.files);
  }
}

export function noFork(problems: readonly Problem[]): void {
  assert.deepEqual(
    problems.filter((problem) => problem.code === 'log-forked'),
    [],
  );
}

/** A home goes two ways, of which one drive knows the longer: the branches are joined when that drive comes back. */
export async function joinsBranches(t: TestContext, away: 0 | 2): Promise<void> {
  const fixture = await VaultFixture.create(t, { drives: 3, spread: { k: 1, n: 2 } });
  await fixture.backup({ tags: ['before'] });
  const others = [0, 1, 2].filter((drive) => drive !== away);
  await keepHome(fixture);
  // The line that will be forgotten: only the one drive sees it, in several segments.
  await fixture.unplug(...others);
  await fixture.write('long.txt', 'the longer line');
  await fixture.backup({ tags: ['long 1'], spread: { k: 1, n: 1 } });
  await fixture.write('long.txt', 'the longer line, and on');
  await fixture.backup({ tags: ['long 2'], spread: { k: 1, n: 1 } });
  await fixture.plugIn(...others);
  await putBack(fixture);
  await fixture.unplug(away);
  await fixture.write('short.txt', 'the shorter line');
  noFork((await fixture.backup({ tags: ['short'] })).problems);
  assert.deepEqual(await tagsOf(fixture), ['before', 'short']);

  await fixture.plugIn(away);
  await fixture.write('joined.txt', 'both');
  const { problems } = await fixture.backup({ tags: ['joined'] });
  noFork(problems);
  const told = problems.filter(({ message }) => message.includes('another branch'));
  assert.ok(
    told.length > 0 && told.every((problem) => problem.item === `drive-${away}`),
    JSON.stringify(problems),
  );
  const all = ['before', 'long 1', 'long 2', 'short', 'joined'];
  assert.deepEqual(await tagsOf(fixture), all);
  await allRestore(fixture);
  await fixture.restoresTo();
  assert.equal((await fixture.repair()).summary.packsLost, 0);
  const again = await fixture.backup({ tags: ['again'] });
  noFork(again.problems);
  assert.equal(again.summary.filesUnmodified, again.summary.totalFilesProcessed);

  // Each drive alone tells a bare machine all of it.
  await fixture.unplug(...others);
  await fixture.recover('bare-1', [away]);
  await fixture.plugIn(...others);
  await fixture.unplug(away);
  await fixture.recover('bare-2', others);
  await fixture.plugIn(away);
  for (const home of ['bare-1', 'bare-2']) {
    assert.deepEqual(await fixture.inHome(home, () => tagsOf(fixture)), [...all, 'again']);
    await fixture.inHome(home, () => allRestore(fixture));
  }
}
