import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { Circle, type Member } from '../cli/circle.ts';
import { summaryOf } from '../cli/harness.ts';
import { noise } from '../cli/sample.ts';
import { hostedFiles } from '../support/hosted-files.ts';
import { poll } from '../support/poll.ts';

/** Looks all the time how much lies on a friend's disk for the owner, until it is told to stop; gives the most that it saw. */
function watchDisk(friend: Member, ownerId: string): { stop(): Promise<number> } {
  const state = { over: false, most: 0 };
  const looking = poll(
    'the end of the watch',
    async () => {
      state.most = Math.max(state.most, (await hostedFiles(friend.home, ownerId)).bytes);
      return state.over;
    },
    { limitMs: 600_000 },
  );
  return {
    stop: async () => {
      state.over = true;
      await looking;
      return state.most;
    },
  };
}

async function fileHashes(home: string, ownerId: string): Promise<Map<string, string>> {
  const { shards } = await hostedFiles(home, ownerId);
  const hashes = await Promise.all(
    shards.map(async ({ path }): Promise<[string, string]> => [
      path,
      createHash('sha256')
        .update(await readFile(path))
        .digest('hex'),
    ]),
  );
  return new Map(hashes.sort(([a], [b]) => (a < b ? -1 : 1)));
}

describe('room that friends give', { skip: process.platform === 'win32' }, () => {
  it('is never exceeded by a byte; what doesn’t fit goes elsewhere', async (t) => {
    const circle = await Circle.start(t, ['ann', 'ben', 'cid', 'dot', 'eve', 'fay'], { flags: ['--no-dht'] });
    const { owner } = circle;
    const ann = circle.friend('ann');
    const ownerId = await owner.id();
    const quota = 6_000_000;
    // Room for one shard of the largest kind and not for two.
    await ann.ok(['friend', 'set', 'you', '--quota', String(quota)]);
    await mkdir(owner.path('files'));
    for (let index = 0; index < 3; index++) {
      await writeFile(owner.path('files', `${index}.raw`), noise(9_000_000, 20 + index));
    }
    const watch = watchDisk(ann, ownerId);
    const summary = summaryOf(await owner.ok(['backup', owner.path('files'), '--spread', '2/5', '--json']));
    assert.deepEqual(
      [summary['state'], summary['shards_missing'], summary['packs_below_k']],
      ['complete', 0, 0],
    );
    assert.ok(Number(summary['packs_new']) >= 3);
    const most = await watch.stop();
    assert.ok(most <= quota, `${most} bytes lay at ann's`);
    const mine = await owner.friendSeen('ann');
    const theirs = await ann.friendSeen('you');
    assert.equal(mine.quotaReceived, quota);
    assert.equal(theirs.quotaGiven, quota);
    const { bytes } = await hostedFiles(ann.home, ownerId);
    assert.deepEqual([mine.usedByMe, theirs.usedByThem, theirs.reservedByThem], [bytes, bytes, 0]);
    assert.ok(bytes <= quota);

    // Less than what is there: nothing goes, nothing more comes.
    const before = await fileHashes(ann.home, ownerId);
    await ann.ok(['friend', 'set', 'you', '--quota', '1000']);
    await poll('the owner to be told', async () => (await owner.friendSeen('ann')).quotaReceived === 1000);
    await writeFile(owner.path('files', 'later.raw'), noise(1_000_000, 30));
    await owner.ok(['backup', owner.path('files'), '--spread', '2/5']);
    assert.deepEqual(await fileHashes(ann.home, ownerId), before);
    const shown = await ann.json<Record<string, number>>(['friend', 'show', 'you']);
    assert.equal(shown['quota_bytes'], 1000);
    assert.equal(shown['used_bytes'], (await hostedFiles(ann.home, ownerId)).bytes);
    await owner.ok(['restore', 'latest', '--target', owner.path('back')]);
  });

  it('that is too little for all leaves a backup thin (4) or pending (1), and more room completes it', async (t) => {
    const circle = await Circle.start(t, ['ann', 'ben', 'cid', 'dot', 'eve'], { flags: ['--no-dht'] });
    const { owner, friends } = circle;
    const ownerId = await owner.id();
    await mkdir(owner.path('files'));
    await writeFile(owner.path('files', '0.raw'), noise(1_500_000, 40));
    const [ann, ben] = friends;
    for (const friend of [ann, ben]) await friend?.ok(['friend', 'set', 'you', '--quota', '20000']);
    const thin = await owner.kith(['backup', owner.path('files'), '--spread', '2/5', '--json']);
    const words = thin.stdout + thin.stderr;
    assert.equal(thin.code, 4, words);
    const summary = summaryOf(thin);
    assert.equal(summary['state'], 'complete');
    assert.equal(summary['packs_below_k'], 0);
    assert.ok(Number(summary['shards_missing']) > 0);
    assert.equal(summary['tolerates'], 1);

    for (const friend of friends) {
      const { bytes } = await hostedFiles(friend.home, ownerId);
      await friend.ok(['friend', 'set', 'you', '--quota', String(bytes + 20_000)]);
    }
    await writeFile(owner.path('files', '1.raw'), noise(3_000_000, 41));
    const pending = await owner.kith(['backup', owner.path('files'), '--spread', '2/5', '--json']);
    assert.equal(pending.code, 1, pending.stdout + pending.stderr);
    const second = summaryOf(pending);
    assert.equal(second['state'], 'pending');
    assert.ok(Number(second['packs_below_k']) > 0);
    for (const friend of friends) {
      const shown = await friend.friendSeen('you');
      const { bytes } = await hostedFiles(friend.home, ownerId);
      assert.ok(bytes <= shown.quotaGiven, `${bytes} of ${shown.quotaGiven} at ${friend.name}`);
      assert.equal(shown.usedByThem, bytes);
    }
    assert.notEqual((await owner.json<{ verdict: string }>(['status'])).verdict, 'Safe');

    for (const friend of friends) await friend.ok(['friend', 'set', 'you', '--quota', '1GB']);
    const done = await owner.kith(['backup', owner.path('files'), '--spread', '2/5', '--json']);
    // The new snapshot is whole; what the first one lacks is repair's.
    assert.ok(done.code === 0 || done.code === 4, done.stdout + done.stderr);
    assert.deepEqual([summaryOf(done)['state'], summaryOf(done)['packs_below_k']], ['complete', 0]);
    await owner.ok(['repair']);
    const snapshots = await owner.json<{ state: string }[]>(['snapshots']);
    assert.ok(snapshots.every(({ state }) => state === 'complete'));
    const status = await owner.json<{ verdict: string; tolerates: number }>(['status']);
    assert.deepEqual([status.verdict, status.tolerates], ['Safe', 3]);
  });

  it('is taken back and given again while connected, and both directions are shown on both sides', async (t) => {
    const circle = await Circle.start(t, ['ann', 'ben'], { flags: ['--no-dht'] });
    const { owner } = circle;
    const ann = circle.friend('ann');
    await mkdir(owner.path('files'));
    await writeFile(owner.path('files', '0.raw'), noise(400_000, 50));
    await owner.ok(['backup', owner.path('files'), '--spread', '1/2']);
    await mkdir(ann.path('files'));
    await writeFile(ann.path('files', '1.raw'), noise(200_000, 51));
    await ann.ok(['backup', ann.path('files'), '--spread', '1/1']);

    const both = async (): Promise<void> => {
      const at = { ann: await hostedFiles(ann.home, await owner.id()) };
      const here = await hostedFiles(owner.home, await ann.id());
      assert.ok(at.ann.shards.length > 0 && here.shards.length > 0);
      const mine = await owner.json<Record<string, unknown>>(['friend', 'show', 'ann']);
      const theirs = await ann.json<Record<string, unknown>>(['friend', 'show', 'you']);
      assert.deepEqual([mine['used_by_me'], mine['used_by_them']], [at.ann.bytes, here.bytes]);
      assert.deepEqual([theirs['used_by_me'], theirs['used_by_them']], [here.bytes, at.ann.bytes]);
      assert.deepEqual([mine['quota_given'], mine['quota_received']], [5e9, 5e9]);
      assert.deepEqual([theirs['quota_given'], theirs['quota_received']], [5e9, 5e9]);
    };
    await both();

    const denied = await ann.json<{ allow: string[] }>(['friend', 'set', 'you', '--deny', 'store']);
    assert.deepEqual(denied.allow, ['cards']);
    const away = await poll('the owner to be told', async () => {
      const seen = await owner.friendSeen('ann');
      return seen.reason === null ? undefined : seen;
    });
    assert.equal(away.online, true);
    assert.match(away.reason ?? '', /no room/);
    // The other direction goes on, and what is kept stays.
    assert.equal((await ann.friendSeen('you')).reason, null);
    assert.ok((await hostedFiles(ann.home, await owner.id())).shards.length > 0);
    await writeFile(owner.path('files', '2.raw'), noise(300_000, 52));
    const thin = await owner.kith(['backup', owner.path('files'), '--spread', '1/2', '--json']);
    assert.equal(thin.code, 4, thin.stdout + thin.stderr);
    await ann.ok(['friend', 'set', 'you', '--allow', 'store']);
    await poll('room again', async () => (await owner.friendSeen('ann')).reason === null);
    await owner.ok(['repair']);
    await both();
  });
});
