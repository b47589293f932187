import { test } from 'node:test';
import { countCrashPoints } from '../support/crash-count.ts';

// Counted crash points with friends as holders (docs/crash-safety.md): a selection. All operations and ways to die are in test/long.

/** They must not shrink without a reason: fewer means that steps are no longer seen, or that an fsync is gone. */
const floors: readonly [string, number][] = [
  ['friends: backup, owner dies', 25],
  ['friends: exchange, friend dies', 17],
];

for (const [scenario, floor] of floors) {
  test(`${scenario} at any step: the vault stays whole`, async (t) => {
    await countCrashPoints(t, scenario, { mode: 'lose-unsynced' }, floor);
  });
}
