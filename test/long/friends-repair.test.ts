import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { Circle, type Member } from '../cli/circle.ts';
import { exitErrorOf, summaryOf } from '../cli/harness.ts';
import { describeFolder, noise } from '../cli/sample.ts';
import { poll } from '../support/poll.ts';

interface Shard {
  readonly index: number;
  readonly holder: string | null;
  readonly state: string;
}

/** Shards by the owner's word: all packs of the latest snapshot. */
async function placesOf(owner: Member): Promise<readonly { readonly shards: readonly Shard[] }[]> {
  return (await owner.json<{ packs: { shards: Shard[] }[] }>(['where', 'latest'])).packs;
}

function heldBy(shards: readonly Shard[]): string[] {
  return shards.filter(({ state }) => state === 'held').flatMap(({ holder }) => holder ?? []);
}

describe('repair over the network', { skip: process.platform === 'win32' }, () => {
  it('the daemon makes anew what a friend held who is away longer than the grace, and counts it again when it is back', async (t) => {
    const circle = await Circle.start(t, ['ann', 'ben', 'cid', 'dot'], { flags: ['--no-dht'] });
    const { owner } = circle;
    await mkdir(owner.path('files'));
    await writeFile(owner.path('files', 'film'), noise(12_000_000, 3));
    await owner.ok(['backup', owner.path('files'), '--spread', '2/3']);
    const [gone] = heldBy((await placesOf(owner)).flatMap(({ shards }) => shards));
    assert.ok(gone !== undefined);
    await owner.ok(['config', 'set', 'repair.grace', '1s']);
    await circle.friend(gone).kill();
    const others = circle.friends.filter(({ name }) => name !== gone).map(({ name }) => name);
    // Nobody runs a command that repairs: the daemon does it by itself.
    const whole = await poll('whole without the one that is gone', async () => {
      const packs = await placesOf(owner);
      const on = packs.map(({ shards }) => new Set(heldBy(shards)));
      return on.every((holders) => holders.size === 3 && others.every((name) => holders.has(name)))
        ? packs
        : undefined;
    });
    assert.ok(whole.length > 0);
    await circle.friend(gone).up(['--no-dht']);
    const counted = await poll('counted again', async () => {
      const packs = await placesOf(owner);
      return packs.some(({ shards }) => heldBy(shards).includes(gone)) ? packs : undefined;
    });
    for (const { shards } of counted) assert.ok(new Set(heldBy(shards)).size >= 3);
    const repaired = summaryOf(await owner.ok(['repair', '--json']));
    assert.deepEqual([repaired['shards_missing'], repaired['shards_rebuilt']], [0, 0]);
    await owner.ok(['restore', 'latest', '--target', 'back', '--verify']);
    assert.deepEqual(
      await describeFolder(owner.path('back', owner.path('files'))),
      await describeFolder(owner.path('files')),
    );
  });

  it('too few friends: exit 5 names those who would unlock it, and --wait goes on when one is back', async (t) => {
    const circle = await Circle.start(t, ['ann', 'ben', 'cid'], { flags: ['--no-dht'] });
    const { owner } = circle;
    await mkdir(owner.path('files'));
    await writeFile(owner.path('files', 'film'), noise(3_000_000, 4));
    await owner.ok(['backup', owner.path('files'), '--spread', '2/3']);
    await circle.friend('ben').kill();
    await circle.friend('cid').kill();
    await owner.misses('ben', 'cid');
    const refused = await owner.kith(['restore', 'latest', '--target', 'back', '--json']);
    assert.equal(refused.code, 5, refused.stderr);
    assert.match(String(exitErrorOf(refused)['message']), /ben or cid/);
    const waiting = owner.ok(['restore', 'latest', '--target', 'back', '--wait']);
    await circle.friend('cid').up(['--no-dht']);
    await waiting;
    assert.deepEqual(
      await describeFolder(owner.path('back', owner.path('files'))),
      await describeFolder(owner.path('files')),
    );
  });
});
