import assert from 'node:assert/strict';
import { readFile, rename, rm, stat } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { World, jsonLines, summaryOf } from '../cli/harness.ts';
import { describeFolder, makeSample } from '../cli/sample.ts';

// One story, told in order: each test needs those before it.
describe('a folder goes out to six drives, two of them and the home die, and it all comes back', () => {
  let world: World;
  let original = new Map<string, string>();
  before(async () => {
    world = await World.make();
    await makeSample(world.path('source'));
    original = await describeFolder(world.path('source'));
  });
  after(() => world.remove());

  it('init writes the phrase to a file that only its owner reads, and never over another', async () => {
    const made = await world.ok(['init', '--name', 'tess', '--phrase-out', 'phrase.txt', '--json']);
    const document = JSON.parse(made.stdout) as Record<string, unknown>;
    assert.match(String(document['id']), /^[0-9a-f]{64}$/);
    assert.equal(document['name'], 'tess');
    assert.equal(document['phrase_file'], world.path('phrase.txt'));
    assert.ok(!('phrase' in document));
    assert.equal((await stat(world.path('phrase.txt'))).mode & 0o777, 0o600);
    const phrase = await readFile(world.path('phrase.txt'), 'utf8');
    assert.equal(phrase.trim().split(/\s+/).length, 24);

    const env = { KITH_HOME: world.path('other home') };
    const refused = await world.kith(['init', '--phrase-out', 'phrase.txt'], { env });
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /exists already/);
    assert.equal(await readFile(world.path('phrase.txt'), 'utf8'), phrase);
    assert.equal((await world.kith(['status'], { env })).code, 10, 'nothing was made');

    const again = await world.kith(['init', '--phrase-out', 'second.txt']);
    assert.equal(again.code, 1, 'the home has an identity already');
    await assert.rejects(stat(world.path('second.txt')), 'no phrase file is left behind');
  });

  it('drives are added, listed and named', async () => {
    const added = await world.ok(['drive', 'add', 'd1', '--json']);
    const drive = JSON.parse(added.stdout) as Record<string, unknown>;
    assert.equal(drive['name'], 'd1', 'named by its folder');
    assert.equal(drive['path'], world.path('d1'));
    assert.match((await world.ok(['disk', 'add', 'd2', '--quota', '5GB'])).stdout, /room for 5\.00 GB/);
    await world.addDrives('d3', 'd4', 'd5', 'd6');
    const listed = JSON.parse((await world.ok(['drive', 'list', '--json'])).stdout) as Record<
      string,
      unknown
    >[];
    assert.deepEqual(
      new Set(listed.map((drive) => drive['name'])),
      new Set(['d1', 'd2', 'd3', 'd4', 'd5', 'd6']),
    );
    assert.equal(listed.length, 6);
    assert.ok(listed.every((drive) => drive['available'] === true));
    assert.equal(listed.find((drive) => drive['name'] === 'd3')?.['path'], world.path('d3'));
    assert.match((await world.ok(['disk', 'list'])).stdout, /^disk +state +used +free/);
  });

  it('backup reports what the contract promises', async () => {
    const ended = await world.ok(['backup', 'source', '--spread', '3/5', '--tag', 'first', '--json']);
    const summary = summaryOf(ended);
    const files = [...original.values()].filter((entry) => entry.startsWith('file')).length;
    assert.equal(summary['files_new'], files);
    assert.equal(summary['files_changed'], 0);
    assert.equal(summary['files_unmodified'], 0);
    assert.equal(summary['total_files_processed'], files);
    assert.ok(Number(summary['total_bytes_processed']) > 10_000_000);
    assert.ok(Number(summary['data_added']) > 5_000_000, 'the photo is new');
    assert.ok(Number(summary['data_added']) < 9_000_000, 'its copy is not');
    assert.ok(Number(summary['data_stored']) > 5_000_000 * (5 / 3));
    assert.ok(Number(summary['packs_new']) > 0);
    assert.equal(summary['shards_placed'], Number(summary['packs_new']) * 5);
    assert.equal(summary['shards_missing'], 0);
    assert.equal(summary['packs_below_k'], 0);
    assert.equal(summary['state'], 'complete');
    assert.equal(summary['spread'], '3/5');
    assert.equal(summary['tolerates'], 2);
    assert.match(String(summary['snapshot_id']), /^[0-9a-f]{64}$/);
    assert.equal(typeof summary['total_duration'], 'number');
    const types = new Set(jsonLines(ended.stdout).map((line) => line['message_type']));
    assert.ok([...types].every((type) => type === 'status' || type === 'summary'));
    assert.equal(ended.stderr, '');
  });

  it('a second backup stores next to nothing, and says so in plain words', async () => {
    const human = await world.ok(['backup', 'source', '--spread', '3/5']);
    assert.match(human.stdout, /0 new, 0 changed, [0-9]+ as before/);
    assert.match(human.stdout, /Any 2 of your 6 disks may be lost/);
    assert.doesNotMatch(human.stdout, /\b(pack|shard)s?\b/);
    assert.equal(human.stderr, '', 'no progress where there is no terminal');
    const quiet = await world.ok(['backup', 'source', '--spread', '3/5', '--quiet']);
    assert.equal(quiet.stdout + quiet.stderr, '');
  });

  it('snapshots, ls, where and status show it', async () => {
    const list = JSON.parse((await world.ok(['snapshots', '--json'])).stdout) as Record<string, unknown>[];
    assert.equal(list.length, 3);
    const [first] = list;
    assert.equal(String(first?.['id']).startsWith(String(first?.['short_id'])), true);
    assert.match(String(first?.['time']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
    assert.deepEqual(first?.['paths'], [world.path('source')]);
    assert.deepEqual(first?.['tags'], ['first']);
    assert.equal(first?.['state'], 'complete');
    const tagged = JSON.parse(
      (await world.ok(['snapshots', '--tag', 'first', '--json'])).stdout,
    ) as unknown[];
    assert.equal(tagged.length, 1);
    assert.match((await world.ok(['snapshots'])).stdout, /^id +time +computer/);

    const entries = JSON.parse((await world.ok(['ls', 'latest', '--json'])).stdout) as Record<
      string,
      unknown
    >[];
    const script = entries.find((entry) => String(entry['path']).endsWith('/deeper/script.sh'));
    assert.equal(script?.['path'], world.path('source/texts/deep/deeper/script.sh'));
    assert.equal(script?.['permissions'], '-rwxr-xr-x');
    assert.equal(script?.['size'], 10);
    const lines = (await world.ok(['ls', `latest:${world.path('source')}`])).stdout;
    assert.doesNotMatch(lines.replaceAll('\n', ''), /\p{Cc}/u, 'a hostile name does not drive the terminal');
    assert.match(lines, /line\\nbreak \\x1b\]0;title\\x07/);
    assert.match(lines, /-rw------- .* 2001-09-09 01:46 .*\/private\n/);

    const where = JSON.parse((await world.ok(['where', 'latest', '--json'])).stdout) as {
      packs: { pack_id: string; spread: string; generation: number; shards: Record<string, unknown>[] }[];
    };
    assert.ok(where.packs.length > 0);
    for (const pack of where.packs) {
      assert.equal(pack.spread, '3/5');
      const holders = pack.shards
        .filter((shard) => shard['state'] === 'held')
        .map((shard) => shard['holder']);
      assert.equal(new Set(holders).size, 5, 'five shards on five drives');
      assert.deepEqual(Object.keys(pack.shards[0] ?? {}).sort(), [
        'holder',
        'holder_id',
        'index',
        'kind',
        'state',
      ]);
    }
    assert.match((await world.ok(['where', 'latest'])).stdout, /any 3 of 5 disks restore it; 2 may be lost/);

    const status = JSON.parse((await world.ok(['status', '--json'])).stdout) as Record<string, unknown>;
    assert.equal(status['verdict'], 'Safe');
    assert.equal(status['tolerates'], 2);
    assert.equal(status['name'], 'tess');
    assert.deepEqual(status['friends'], []);
    assert.equal((status['drives'] as unknown[]).length, 6);
    assert.ok(
      (status['snapshots'] as Record<string, unknown>[]).every((snapshot) => snapshot['restorable'] === true),
    );
  });

  it('after two drives, the home and the source are gone, phrase and one drive bring it back', async () => {
    await rm(world.path('d2'), { recursive: true });
    await rm(world.path('d5'), { recursive: true });
    await rm(world.path('home'), { recursive: true });
    await rename(world.path('source'), world.path('moved away'));

    const recovered = await world.ok(['recover', '--phrase-file', 'phrase.txt', '--drive', 'd4', '--json']);
    const summary = summaryOf(recovered);
    assert.equal(summary['name'], 'tess');
    assert.equal(summary['snapshots'], 3);

    const restored = await world.ok(['restore', 'latest', '--target', 'back', '--json']);
    const counts = summaryOf(restored);
    const files = [...original.values()].filter((entry) => entry.startsWith('file')).length;
    assert.equal(counts['files_restored'], files);
    assert.equal(counts['files_skipped'], 0);
    assert.equal(counts['files_failed'], 0);
    assert.ok(Number(counts['bytes_restored']) > 10_000_000);
    assert.equal(typeof counts['total_duration'], 'number');
    const back = await describeFolder(world.path('back', world.path('source')));
    assert.deepEqual(back, original);
  });

  it('restores a folder into a folder, and one file by its name', async () => {
    await world.ok(['restore', `latest:${world.path('source/texts/deep')}`, '--target', 'part']);
    assert.ok((await stat(world.path('part/deeper/script.sh'))).mode & 0o100);
    await world.ok(['restore', `latest:${world.path('source/private')}`, '--target', 'one']);
    assert.equal(await readFile(world.path('one/private'), 'utf8'), 'mine');
  });

  it('a drive that is away is only away; one that is given up is rebuilt elsewhere', async () => {
    const before = JSON.parse((await world.ok(['status', '--json'])).stdout) as Record<string, unknown>;
    assert.notEqual(before['verdict'], 'Safe');
    assert.equal((await world.kith(['status', '--check'])).code, 1);
    await world.addDrives('d7');
    const waiting = summaryOf(await world.kith(['repair', '--json']));
    assert.deepEqual(waiting['away'], ['d2', 'd5']);
    assert.equal(waiting['shards_rebuilt'], 0);

    await world.ok(['drive', 'remove', 'd2']);
    await world.ok(['drive', 'remove', 'd5']);
    const summary = summaryOf(await world.ok(['repair', '--json']));
    assert.ok(Number(summary['packs_checked']) > 0);
    assert.ok(Number(summary['shards_missing']) > 0);
    assert.equal(summary['shards_rebuilt'], summary['shards_missing']);
    assert.equal(summary['shards_still_missing'], 0);
    assert.ok(Number(summary['bytes_read']) > 0);
    assert.ok(Number(summary['bytes_sent']) > 0);
    assert.equal(summary['tolerates_after'], 2);
    assert.match((await world.ok(['status', '--check'])).stdout, /^Safe: /);
  });
});
