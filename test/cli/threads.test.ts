import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { after, afterEach, before, describe, it } from 'node:test';
import { World } from './harness.ts';
import { startUp, stopAll } from './running.ts';

describe('threads for files', { skip: process.platform !== 'linux' }, () => {
  let world: World;
  before(async () => {
    world = await World.make();
    await world.start(1);
  });
  afterEach(() => stopAll(world));
  after(() => world.remove());

  async function threadCount(env: Readonly<Record<string, string>>): Promise<number> {
    const up = await startUp(world, ['--no-dht'], env);
    const threads = await readdir(`/proc/${up.pid}/task`);
    up.kill('SIGTERM');
    await up.ended;
    return threads.length;
  }

  it('are sixteen, or as many as the user says', async () => {
    const own = await threadCount({});
    assert.equal(own - (await threadCount({ UV_THREADPOOL_SIZE: '5' })), 16 - 5);
    assert.equal(own - (await threadCount({ UV_THREADPOOL_SIZE: '16' })), 0);
  });
});
