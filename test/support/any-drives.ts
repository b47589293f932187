import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Spread } from '../../lib/placement/spread.ts';
import { subsets, VaultFixture } from './vault-fixture.ts';

/** At a spread any k drives restore, and fewer say which would unlock it. */
export async function anyDrivesRestore(t: TestContext, spread: Spread): Promise<void> {
  const fixture = await VaultFixture.create(t, { drives: spread.n, spread });
  const { summary } = await fixture.backup();
  assert.equal(summary.state, 'complete');
  assert.equal(summary.tolerates, spread.n - spread.k);
  const enough = subsets(spread.n, spread.k);
  const few = subsets(spread.n, spread.k - 1);
  assert.ok(enough.length > 0 && few.length > 0);
  for (const here of enough) {
    const away = subsets(spread.n, 1)
      .flat()
      .filter((drive) => !here.includes(drive));
    await fixture.unplug(...away);
    const { summary: restored, problems } = await fixture.restoresTo();
    assert.deepEqual(problems, [], `with ${here.join(', ')}`);
    assert.equal(restored.shardsReplaced, 0);
    await fixture.plugIn(...away);
  }
  for (const here of few) {
    const away = subsets(spread.n, 1)
      .flat()
      .filter((drive) => !here.includes(drive));
    await fixture.unplug(...away);
    const error = await fixture.cannotRestore();
    assert.deepEqual(
      error.details['away'],
      away.map((drive) => `drive-${drive}`),
    );
    for (const drive of away) assert.match(error.message, new RegExp(`drive-${drive}`));
    await fixture.plugIn(...away);
  }
}
