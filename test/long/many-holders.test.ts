import assert from 'node:assert/strict';
import { test } from 'node:test';
import { item, VaultFixture } from '../support/vault-fixture.ts';

test('more holders of a pack than a record takes are noted in several, once', async (t) => {
  const drives = [
    ...Array.from({ length: 8 }, () => ({})),
    ...Array.from({ length: 10 }, () => ({ whole: true })),
  ];
  const fixture = await VaultFixture.create(t, { drives, spread: { k: 6, n: 8 } });
  const { summary } = await fixture.backup();
  assert.equal(summary.state, 'complete');
  assert.equal(summary.shardsPlaced, 68);
  const hints = async (): Promise<number> =>
    await fixture.session(async (session) => {
      const pack = item([...session.state.packs()], 0);
      return Promise.resolve([...pack.hints.values()].reduce((sum, ids) => sum + ids.size, 0));
    });
  assert.equal(await hints(), 64);
  await fixture.repair({ quick: true });
  assert.equal(await hints(), 68);
});
