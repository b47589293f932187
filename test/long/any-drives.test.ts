import { test } from 'node:test';
import { formatSpread } from '../../lib/placement/spread.ts';
import { anyDrivesRestore } from '../support/any-drives.ts';
import { storedAgainBut } from '../support/lost-packs.ts';

for (const spread of [
  { k: 3, n: 5 },
  { k: 2, n: 5 },
]) {
  test(`at ${formatSpread(spread)} any ${spread.k} drives restore, and fewer say which would unlock it`, (t) =>
    anyDrivesRestore(t, spread));
}

for (const spared of [1, 2] as const) {
  test(`packs that are lost but for drive ${spared} are stored again while the source is there`, (t) =>
    storedAgainBut(t, spared));
}
