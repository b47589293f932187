import assert from 'node:assert/strict';
import { readFile, readdir, rename, rm, writeFile, mkdir } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { exitErrorOf, jsonLines, summaryOf, World } from './harness.ts';
import { startUp, stopAll } from './running.ts';
import { noise } from './sample.ts';

describe('kith check', () => {
  let world: World;
  before(async () => {
    world = await World.make();
    await world.start(4);
    await mkdir(world.path('source'));
    await writeFile(world.path('source/file'), noise(700_000, 3));
    await world.ok(['backup', 'source', '--spread', '2/4']);
  });
  after(async () => {
    await stopAll(world);
    await world.remove();
  });

  /** The only shard of a disk. */
  async function shardOf(drive: string): Promise<string> {
    const below = await readdir(world.path(drive, 'shards'), { recursive: true });
    const [name] = below.filter((each) => each.endsWith('.shard'));
    assert.ok(name !== undefined);
    return world.path(drive, 'shards', name);
  }

  it('ends with 0 where all is well, and has the counts that programs go by', async () => {
    const ended = await world.ok(['check', '--read-data', '--json']);
    const summary = summaryOf(ended);
    for (const field of ['packs_damaged', 'shards_missing', 'blobs_damaged', 'snapshots_affected']) {
      assert.equal(summary[field], 0, field);
    }
    assert.equal(summary['packs'], 1);
    assert.equal(summary['shards_read'], 4);
    assert.equal(summary['next_step'], null);
    assert.equal(ended.stderr, '');
    for (const line of jsonLines(ended.stdout)) assert.ok(line['message_type'] !== undefined);
    assert.match((await world.ok(['check'])).stdout, /No damage found; kith check --read-data/);
    assert.match((await world.ok(['check', '--read-data-subset', '5%'])).stdout, /at random/);
  });

  it('refuses a part that is none', async () => {
    const ended = await world.kith(['check', '--read-data-subset', 'half', '--json']);
    assert.equal(ended.code, 2);
    assert.equal(exitErrorOf(ended)['error'], 'usage');
  });

  it('ends with 0 where a piece is only missing, and says what mends it', async () => {
    const shard = await shardOf('d1');
    await rename(shard, world.path('aside'));
    const ended = await world.ok(['check', '--json']);
    const summary = summaryOf(ended);
    assert.equal(summary['shards_missing'], 1);
    assert.equal(summary['packs_damaged'], 0);
    assert.equal(summary['next_step'], 'kith repair');
    assert.match((await world.ok(['check'])).stdout, /kith repair/);
    await rename(world.path('aside'), shard);
  });

  it('ends with 1 where bytes are wrong, also through the daemon, and repair mends it', async () => {
    const shard = await shardOf('d2');
    const bytes = await readFile(shard);
    bytes[5000] = (bytes[5000] ?? 0) ^ 1;
    await writeFile(shard, bytes);
    const running = await startUp(world);
    const ended = await world.kith(['check', '--read-data', '--json']);
    assert.equal(ended.code, 1);
    const summary = summaryOf(ended);
    assert.equal(summary['packs_damaged'], 1);
    assert.equal(summary['snapshots_affected'], 0);
    assert.equal(summary['shards_missing'], 0);
    assert.match(String(exitErrorOf(ended)['message']), /kith repair/);
    assert.ok(
      jsonLines(ended.stderr).some((line) => line['code'] === 'shard-damaged' && line['item'] === 'd2'),
    );
    await world.ok(['repair', '--quick']);
    await world.ok(['check', '--read-data']);
    running.kill('SIGTERM');
    assert.equal(await running.ended, 0);
  });

  it('ends with 1 where nothing can bring it back', async () => {
    for (const drive of ['d1', 'd2', 'd3']) await rm(await shardOf(drive));
    const ended = await world.kith(['check', '--json']);
    assert.equal(ended.code, 1);
    const summary = summaryOf(ended);
    assert.equal(summary['packs_damaged'], 0);
    assert.equal(summary['shards_missing'], 3);
    assert.equal(summary['snapshots_affected'], 1);
    assert.equal(summary['next_step'], 'kith repair, then kith backup PATH');
    const words = await world.kith(['check']);
    assert.match(words.stderr, /kith backup PATH/);
    const status = await world.ok(['status']);
    assert.match(status.stdout, /^Lost: .*\n(.*\n)*Next: kith check .*, then kith backup PATH/);
    assert.match(status.stdout, /parts of it are lost: kith check names them/);
  });
});
