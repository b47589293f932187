import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { World, exitErrorOf, summaryOf } from './harness.ts';
import { describeFolder, noise } from './sample.ts';

describe('Ctrl-C', { skip: process.platform === 'win32' }, () => {
  let world: World;
  const files = 40;
  before(async () => {
    world = await World.make();
    await world.start(5);
    await mkdir(world.path('source'));
    for (let index = 0; index < files; index++) {
      await writeFile(world.path(`source/file ${index}`), noise(1_000_000, index + 1));
    }
  });
  after(() => world.remove());

  it('in the middle of a backup ends with 130, leaves no broken snapshot, and the next run goes on', async () => {
    let sent = false;
    const ended = await world.kith(['backup', 'source', '--spread', '3/5', '--json', '--verbose'], {
      onStdout: (stdout, kill) => {
        // The first file is read and 39 are still to come.
        if (sent || !stdout.includes('"verbose_status"')) return;
        sent = true;
        kill('SIGINT');
      },
    });
    assert.equal(sent, true);
    assert.equal(ended.code, 130, ended.stderr);
    const error = exitErrorOf(ended);
    assert.equal(error['code'], 130);
    assert.match(String(error['message']), /run the same command again to go on/);

    const snapshots = JSON.parse((await world.ok(['snapshots', '--json'])).stdout) as Record<
      string,
      unknown
    >[];
    assert.ok(snapshots.every((snapshot) => snapshot['state'] !== 'complete'));
    const summary = summaryOf(await world.ok(['backup', 'source', '--spread', '3/5', '--json']));
    assert.equal(summary['state'], 'complete');
    assert.equal(summary['total_files_processed'], files);
    await world.ok(['restore', 'latest', '--target', 'back']);
    const back = await describeFolder(world.path('back', world.path('source')));
    assert.deepEqual(back, await describeFolder(world.path('source')));
  });

  it('in the middle of a check ends with 130 and no verdict, and the next one finds all as it was', async () => {
    let sent = false;
    const ended = await world.kith(['check', '--read-data', '--json'], {
      onStdout: (stdout, kill) => {
        // Nothing is read yet, and 67 MB are to come.
        if (sent || !stdout.includes('"status"')) return;
        sent = true;
        kill('SIGINT');
      },
    });
    assert.equal(sent, true);
    assert.equal(ended.code, 130, ended.stderr);
    assert.equal(exitErrorOf(ended)['code'], 130);
    assert.doesNotMatch(ended.stdout, /"summary"/);
    const summary = summaryOf(await world.ok(['check', '--read-data', '--json']));
    assert.equal(summary['packs_damaged'], 0);
    assert.equal(summary['packs_read'], summary['packs']);
  });
});
