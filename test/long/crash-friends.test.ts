import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { countCrashPoints } from '../support/crash-count.ts';
import type { CrashMode } from '../support/fault-disk.ts';
import { friendScenarios } from '../support/friend-scenarios.ts';

/**
 * Steps that each operation is cut at, at least, on the owner's disk and on one friend's. Which friend gets what is
 * left to chance, and a shard more or less is some five steps: the numbers leave room for one. A number must not shrink without a reason: fewer means that steps are no longer seen, or that an fsync is gone.
 */
const floors: Readonly<Record<string, { readonly owner: number; readonly friend: number }>> = {
  'first backup': { owner: 18, friend: 16 },
  backup: { owner: 17, friend: 18 },
  repair: { owner: 12, friend: 18 },
  'repair, one given up': { owner: 8, friend: 5 },
  exchange: { owner: 3, friend: 15 },
  'exchange, home put back': { owner: 28, friend: 12 },
  'friend add': { owner: 6, friend: 36 },
};

/** What a killed process leaves is what matters to a second cut, after which things are lost or mixed anyway. */
const kinds: readonly { readonly mode: CrashMode; readonly seed: number; readonly suffix: string }[] = [
  { mode: 'lose-unsynced', seed: 1, suffix: '' },
  { mode: 'mixed', seed: 2, suffix: '' },
  { mode: 'process-killed', seed: 3, suffix: ', cut twice' },
];

describe('whoever of an owner and its friends dies at any step, the vault stays whole', () => {
  it('every scenario has a floor', () => {
    const named = Object.keys(floors).flatMap((name) =>
      ['owner', 'friend'].flatMap((who) => [nameOf(name, who, ''), nameOf(name, who, ', cut twice')]),
    );
    assert.deepEqual(Object.keys(friendScenarios).toSorted(), named.toSorted());
  });
  for (const [name, counts] of Object.entries(floors)) {
    for (const { suffix, ...kind } of kinds) {
      for (const [who, floor] of Object.entries(counts)) {
        const scenario = nameOf(name, who, suffix);
        it(`${scenario}, ${kind.mode}`, (t) => countCrashPoints(t, scenario, kind, floor));
      }
    }
  }
});

function nameOf(operation: string, who: string, suffix: string): string {
  return `friends: ${operation}, ${who} dies${suffix}`;
}
