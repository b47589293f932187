import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Problem } from '../../lib/vault/index.ts';
import { noise } from './noise.ts';
import { VaultFixture } from './vault-fixture.ts';

const mebi = 1024 * 1024;

async function vaultOf(t: TestContext, threadModule: URL): Promise<VaultFixture> {
  const files = {
    // Several stretches, several batches, several packs.
    big: noise(1, 33 * mebi),
    ...Object.fromEntries(Array.from({ length: 6 }, (_, i) => [`middle/${i}`, noise(i + 2, 3_000_000)])),
    ...Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`small/${i}`, `${i} `.repeat(i)])),
  };
  const fixture = await VaultFixture.create(t, { drives: 3, spread: { k: 2, n: 3 }, files });
  Object.assign(fixture.surroundings, { threads: 2, threadModule });
  return fixture;
}

function assertToldOnce(problems: readonly Problem[]): void {
  assert.equal(problems.length, 1, JSON.stringify(problems));
  assert.equal(problems[0]?.code, 'failed');
  assert.match(problems[0].message, /^no worker thread could be started \(.+\); all is done in one thread/);
}

/** Backup, restore and check where threads are of a module that never comes up: all is done in this one, and said once. */
export async function worksWithoutThreads(t: TestContext, threadModule: URL): Promise<void> {
  const fixture = await vaultOf(t, threadModule);
  const backup = await fixture.backup();
  assertToldOnce(backup.problems);
  assertToldOnce((await fixture.restoresTo()).problems);
  const problems: Problem[] = [];
  const onProblem = (problem: Problem): void => void problems.push(problem);
  const check = await fixture.use((vault) => vault.check({ readData: true, onProblem }));
  assertToldOnce(problems);
  assert.equal(check.blobsRead, check.blobs);
  assert.equal(check.shardsRead, 3 * check.packs);
  // What was stored so is what threads would have stored: nothing is new to them.
  Object.assign(fixture.surroundings, { threadModule: undefined });
  const again = await fixture.backup();
  assert.deepEqual(again.problems, []);
  assert.equal(again.summary.filesChanged + again.summary.filesNew, 0);
}
