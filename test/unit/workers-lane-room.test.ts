import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { utf8 } from '../../lib/base/bytes.ts';
import { localAccounts } from '../../lib/source/accounts.ts';
import { lookAgain } from '../../lib/source/walk-tree.ts';
import { FakeTime } from '../support/fake-time.ts';
import { noise } from '../support/noise.ts';
import { storeLane } from '../support/store-lane.ts';
import { tempFolder } from '../support/temp-folder.ts';

const mebi = 1024 * 1024;

test('a lane in the main thread makes no more packs of one file than there is room for', async (t) => {
  const onTheirWay: (() => void)[] = [];
  let packs = 0;
  let packsAtOnce = 0;
  const atOnceMax = 2;
  let waiting: (() => void) | undefined;
  const room = async (): Promise<void> => {
    while (onTheirWay.length >= atOnceMax) await new Promise<void>((resolve) => (waiting = resolve));
  };
  const lane = storeLane({ room }, () => {
    packs++;
    onTheirWay.push(() => waiting?.());
    packsAtOnce = Math.max(packsAtOnce, onTheirWay.length);
  });
  const path = join(await tempFolder(t), 'big');
  writeFileSync(path, noise(1, 40 * mebi));
  const file = { path: utf8(path), ...lookAgain(utf8(path), utf8('big'), localAccounts()) };
  const state = { ended: false };
  const storing = lane.file(file).finally(() => (state.ended = true));
  const time = new FakeTime();
  // One pack after the other finds its place, each only when nothing more happens without that.
  while (!state.ended) {
    await time.settle();
    onTheirWay.shift()?.();
  }
  assert.equal((await storing).outcome, 'stored');
  assert.ok(packs > 2 * atOnceMax, `${packs} packs`);
  assert.equal(packsAtOnce, atOnceMax);
});
