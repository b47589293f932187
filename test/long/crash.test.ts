import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { countCrashPoints } from '../support/crash-count.ts';
import { scenarios } from '../support/crash-scenarios.ts';
import type { CrashMode } from '../support/fault-disk.ts';

/**
 * Steps that each operation is cut at, at least. The counts vary by a few, with what two packs under way at once make
 * twice. A number must not shrink without a reason: fewer means that steps are no longer seen, or that an fsync is gone.
 */
const floors: Readonly<Record<string, number>> = {
  backup: 103,
  'first backup': 88,
  'backup, home lost': 102,
  init: 35,
  'drive add': 85,
  recover: 178,
  repair: 47,
  'repair, damaged': 54,
  'pending backup': 72,
  resume: 177,
  'backup, cut twice': 103,
  'init, cut twice': 35,
  'drive add, cut twice': 85,
  'recover, cut twice': 178,
  'repair, cut twice': 47,
  'pending backup, cut twice': 72,
  'resume, cut twice': 177,
};

const kinds: readonly { readonly mode: CrashMode; readonly seed: number }[] = [
  { mode: 'lose-unsynced', seed: 1 },
  { mode: 'mixed', seed: 2 },
  { mode: 'process-killed', seed: 3 },
];

/**
 * What a killed process leaves is what matters to a second cut, after which things are lost or mixed anyway; a scenario
 * that is also cut twice needn't be killed once besides.
 */
function kindsOf(scenario: string): typeof kinds {
  const isSecond = scenario.endsWith(', cut twice');
  const hasSecond = Object.hasOwn(floors, `${scenario}, cut twice`);
  return kinds.filter(({ mode }) => (mode === 'process-killed' ? !hasSecond : !isSecond));
}

describe('whatever dies at any step leaves a whole vault', () => {
  it('every scenario has a floor', () => {
    assert.deepEqual(Object.keys(scenarios), Object.keys(floors));
  });
  for (const [scenario, floor] of Object.entries(floors)) {
    for (const kind of kindsOf(scenario)) {
      it(`${scenario}, ${kind.mode}`, (t) => countCrashPoints(t, scenario, kind, floor));
    }
  }
  it('backup, keep-all', (t) => countCrashPoints(t, 'backup', { mode: 'keep-all' }, floors['backup'] ?? 0));
});
