import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { watch } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Circle, type Member } from '../cli/circle.ts';
import { summaryOf } from '../cli/harness.ts';
import { describeFolder, noise } from '../cli/sample.ts';
import { filesBelow, hostedFiles } from '../support/hosted-files.ts';
import { poll } from '../support/poll.ts';

const idleBytesMax = 120e6;

/** Some 40 MB that don't compress. */
async function makeFiles(folder: string, seed: number): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (let index = 0; index < 4; index++) {
    await writeFile(join(folder, `${seed}-${index}.raw`), noise(10_000_000, seed * 10 + index));
  }
}

const underWay = (friend: Member): ReturnType<typeof filesBelow> =>
  filesBelow(join(friend.home, 'hosted', 'tmp'));

/** Resolves at the moment when a friend begins to write something that was sent to it. */
async function beginsToWrite(friend: Member): Promise<void> {
  const watcher = watch(join(friend.home, 'hosted', 'tmp'));
  try {
    await once(watcher, 'change', { signal: AbortSignal.timeout(60_000) });
  } finally {
    watcher.close();
  }
}

/** Every shard that the owner's logs speak of is where they say, and its bytes are right: repair reads them all. */
async function allSound(owner: Member): Promise<void> {
  const repaired = summaryOf(await owner.ok(['repair', '--json']));
  assert.equal(repaired['shards_damaged'] ?? 0, 0);
  const again = summaryOf(await owner.ok(['repair', '--json']));
  assert.deepEqual([again['shards_missing'], again['shards_rebuilt']], [0, 0]);
}

describe('friends who go in the middle', { skip: process.platform === 'win32' }, () => {
  it('SIGTERM while a friend serves ends it in order, and the backup goes on', async (t) => {
    const circle = await Circle.start(t, ['ann', 'ben', 'cid', 'dot'], { flags: ['--no-dht'] });
    const { owner } = circle;
    const ann = circle.friend('ann');
    await makeFiles(owner.path('files'), 1);
    const writing = beginsToWrite(ann);
    const backup = owner.kith(['backup', owner.path('files'), '--spread', '2/3', '--json']);
    await writing;
    const { daemon } = ann;
    await ann.down();
    assert.equal(daemon?.exitCode, 0, 'it ended in good order');
    const ended = await backup;
    assert.ok(ended.code === 0 || ended.code === 4, `${ended.code}: ${ended.stdout}${ended.stderr}`);
    assert.equal(summaryOf(ended)['state'], 'complete');
    await owner.misses('ann');
    await ann.up(['--no-dht']);
    await owner.sees('ann');
    await allSound(owner);

    // While it is read from.
    const restore = owner.kith(['restore', 'latest', '--target', owner.path('back'), '--json']);
    await poll('the restore to begin', async () => (await filesBelow(owner.path('back'))).length > 0);
    await ann.down();
    const restored = await restore;
    assert.equal(restored.code, 0, restored.stdout + restored.stderr);
    assert.deepEqual(
      await describeFolder(owner.path('back', owner.path('files'))),
      await describeFolder(owner.path('files')),
    );
  });

  it('kill -9 while a friend stores leaves nothing half done that stays', async (t) => {
    const circle = await Circle.start(t, ['ann', 'ben', 'cid', 'dot'], { flags: ['--no-dht'] });
    const { owner } = circle;
    const ann = circle.friend('ann');
    const ownerId = await owner.id();
    for (let round = 1; round <= 3; round++) {
      await makeFiles(owner.path('files'), round);
      const writing = beginsToWrite(ann);
      const backup = owner.kith(['backup', owner.path('files'), '--spread', '2/3', '--json']);
      await writing;
      await ann.kill();
      // It died before or after the rename, who knows: a leftover is there in any case.
      const leftover = `${randomUUID()}.tmp`;
      await writeFile(join(ann.home, 'hosted', 'tmp', leftover), noise(100_000, round));
      const ended = await backup;
      assert.ok(ended.code === 0 || ended.code === 4, `${ended.code}: ${ended.stdout}${ended.stderr}`);
      assert.equal(summaryOf(ended)['state'], 'complete');
      await ann.up(['--no-dht']);
      await owner.sees('ann');
      await writeFile(owner.path('files', `small-${round}`), noise(50_000, 100 + round));
      await owner.ok(['backup', owner.path('files'), '--spread', '1/4']);
      assert.deepEqual(await underWay(ann), [], 'leftovers after a write');
      await allSound(owner);
      const { bytes } = await hostedFiles(ann.home, ownerId);
      assert.equal((await owner.friendSeen('ann')).usedByMe, bytes);
    }
  });
});

describe('an idle daemon', { skip: process.platform !== 'linux' }, () => {
  it('with six friends online takes at most 120 MB', async (t) => {
    const circle = await Circle.start(t, ['ann', 'ben', 'cid', 'dot', 'eve', 'fay']);
    const { owner, friends } = circle;
    await owner.restart();
    await circle.online(...friends);
    let last = 0;
    const resident = await poll('memory that no longer grows', async () => {
      const before = last;
      last = await owner.memory('VmRSS');
      return last <= before ? last : undefined;
    });
    t.diagnostic(`idle with six friends: ${(resident / 1e6).toFixed(1)} MB`);
    assert.ok(resident <= idleBytesMax, `${resident} bytes`);
  });
});
