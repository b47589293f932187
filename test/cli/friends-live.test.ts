import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { Circle } from './circle.ts';
import { makeSample } from './sample.ts';

describe('friends over the network', { skip: process.platform === 'win32' }, () => {
  it('first light', async (t) => {
    const circle = await Circle.start(t, ['ann', 'ben', 'cid', 'dot', 'eve']);
    const { owner } = circle;
    await mkdir(owner.path('files'));
    await makeSample(owner.path('files'));
    const ended = await owner.kith(['backup', owner.path('files'), '--spread', '2/5', '--json']);
    console.log(ended);
    for (const args of [['status'], ['where', 'latest'], ['friend', 'show', 'ann'], ['friend', 'list'],['snapshots']]) {
      console.log((await owner.kith([...args, '--json'])).stdout.slice(0, 2500));
    }
    console.log(await owner.friendsSeen());
    assert.ok(true);
  });
});
