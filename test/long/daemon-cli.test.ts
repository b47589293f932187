import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { lstat, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { World, exitErrorOf, jsonLines, runKith, summaryOf } from '../cli/harness.ts';
import { startUp, stopAll } from '../cli/running.ts';
import { noise } from '../cli/sample.ts';

async function document(world: World, args: readonly string[]): Promise<unknown> {
  return JSON.parse((await world.ok([...args, '--json'])).stdout);
}

describe('kith up and down', { skip: process.platform === 'win32' }, () => {
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
  afterEach(() => stopAll(world));
  after(() => world.remove());

  it('says that it is ready, does what commands ask, and ends', async () => {
    const before = await document(world, ['config', 'get']);
    const up = await startUp(world);
    assert.equal(up.ready['message_type'], 'ready');
    assert.equal(up.ready['web'], null);
    assert.match(String(up.ready['listen']), /^127\.0\.0\.1:\d+$/);
    assert.match(String(up.ready['id']), /^[0-9a-f]{64}$/);
    assert.equal((await stat(world.path('home/daemon.sock'))).mode & 0o777, 0o600);
    assert.equal((await stat(world.path('home/daemon.log'))).mode & 0o777, 0o600);
    assert.equal((await stat(world.path('home'))).mode & 0o777, 0o700);

    assert.deepEqual(await document(world, ['config', 'get']), before);
    const status = (await document(world, ['status'])) as Record<string, unknown>;
    assert.equal(status['id'], up.ready['id']);
    const summary = summaryOf(await world.ok(['backup', 'source/file 1', '--spread', '3/5', '--json']));
    assert.equal(summary['state'], 'complete');
    assert.equal(summary['total_files_processed'], 1);
    const wheres = await document(world, ['where', 'latest']);
    const listed = await document(world, ['ls', 'latest']);
    const snapshots = await document(world, ['snapshots']);
    await world.ok(['restore', 'latest', '--target', 'back']);
    const back = await readFile(world.path('back', world.path('source/file 1')));
    assert.deepEqual(new Uint8Array(back), noise(1_000_000, 2));
    const unknown = await world.kith(['ls', 'latest:/nowhere', '--json']);
    assert.equal(exitErrorOf(unknown)['error'], 'path-unknown');

    const second = await world.kith(['up', '--json']);
    assert.equal(second.code, 11);
    assert.match(String(exitErrorOf(second)['message']), new RegExp(`process ${up.pid}`));

    assert.deepEqual(await document(world, ['down']), { stopped: true, pid: up.pid });
    assert.equal(await up.ended, 0);
    assert.equal(existsSync(world.path('home/daemon.sock')), false);
    assert.deepEqual(await document(world, ['down']), { stopped: false, pid: null });
    // The same answers from a process of its own.
    assert.deepEqual(await document(world, ['where', 'latest']), wheres);
    assert.deepEqual(await document(world, ['ls', 'latest']), listed);
    assert.deepEqual(await document(world, ['snapshots']), snapshots);
  });

  it('ends with 0 on SIGINT and SIGTERM, and cancels what is under way', async () => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      const up = await startUp(world);
      let sent = false;
      const backup = await world.kith(
        ['backup', 'source', '--force', '--tag', signal, '--spread', '3/5', '--json', '--verbose'],
        {
          onStdout: (stdout) => {
            if (sent || !stdout.includes('"verbose_status"')) return;
            sent = true;
            up.kill(signal);
          },
        },
      );
      assert.equal(await up.ended, 0);
      assert.equal(sent, true);
      assert.equal(backup.code, 130, backup.stderr);
      assert.match(String(exitErrorOf(backup)['message']), /daemon is ending/);
    }
    const snapshots = (await document(world, ['snapshots'])) as Record<string, unknown>[];
    assert.ok(snapshots.every((snapshot) => snapshot['state'] === 'complete'));
  });

  it('lets Ctrl-C end a command in good order, and goes on itself', async () => {
    const up = await startUp(world);
    let sent = false;
    const args = ['backup', 'source', '--force', '--spread', '3/5', '--json', '--verbose'];
    const ended = await world.kith(args, {
      onStdout: (stdout, kill) => {
        if (sent || !stdout.includes('"verbose_status"')) return;
        sent = true;
        kill('SIGINT');
      },
    });
    assert.equal(sent, true);
    assert.equal(ended.code, 130, ended.stderr);
    assert.match(String(exitErrorOf(ended)['message']), /run the same command again to go on/);
    // While a backup is at work others are answered, and a second writer gets its turn.
    let status: Promise<unknown> | undefined;
    let setting: Promise<unknown> | undefined;
    const summary = summaryOf(
      await world.ok(args, {
        onStdout: (stdout) => {
          if (!stdout.includes('"verbose_status"')) return;
          status ??= document(world, ['status']);
          setting ??= document(world, ['config', 'set', 'trash.keep', '9d']);
        },
      }),
    );
    assert.equal(summary['state'], 'complete');
    assert.equal(summary['total_files_processed'], files);
    assert.equal(((await status) as Record<string, unknown>)['id'], up.ready['id']);
    assert.equal(((await setting) as Record<string, unknown>)['value'], '9d');
    up.kill('SIGTERM');
    assert.equal(await up.ended, 0);
  });

  it('leaves commands to themselves after kill -9, and starts again', async () => {
    const killed = await startUp(world);
    killed.kill('SIGKILL');
    assert.equal(await killed.ended, null);
    assert.ok((await lstat(world.path('home/daemon.sock'))).isSocket());
    await world.ok(['status']);
    assert.match((await world.ok(['down'])).stdout, /not up/);
    const up = await startUp(world);
    await world.ok(['status']);
    await world.ok(['down']);
    assert.equal(await up.ended, 0);
  });

  it('tells a command whose daemon was killed so, and loses nothing', async () => {
    const up = await startUp(world);
    let sent = false;
    const ended = await world.kith(
      ['backup', 'source', '--force', '--spread', '3/5', '--json', '--verbose'],
      {
        onStdout: (stdout) => {
          if (sent || !stdout.includes('"verbose_status"')) return;
          sent = true;
          up.kill('SIGKILL');
        },
      },
    );
    assert.equal(await up.ended, null);
    assert.equal(ended.code, 1);
    assert.match(String(exitErrorOf(ended)['message']), /daemon ended in the middle.*kith up/);
    const summary = summaryOf(await world.ok(['backup', 'source', '--spread', '3/5', '--json']));
    assert.equal(summary['state'], 'complete');
  });

  it('survives junk on its socket', async () => {
    const up = await startUp(world);
    for (const junk of [
      noise(100_000, 9),
      'GET / HTTP/1.1\r\n\r\n',
      'POST /v1/call/repair HTTP/1.1\r\n',
      '',
    ]) {
      const socket = connect(world.path('home/daemon.sock'));
      socket.on('error', () => undefined);
      socket.resume();
      socket.end(junk);
      await new Promise((resolve) => socket.on('close', resolve));
    }
    await world.ok(['status']);
    await world.ok(['down']);
    assert.equal(await up.ended, 0);
  });

  it('says what would unlock a restore, also through the daemon', async () => {
    const up = await startUp(world);
    for (const name of ['d1', 'd2', 'd3']) await rename(world.path(name), world.path(`${name}-away`));
    const ended = await world.kith(['restore', 'latest', '--target', 'none', '--json']);
    assert.equal(ended.code, 5);
    assert.deepEqual((exitErrorOf(ended)['details'] as Record<string, unknown>)['away'], ['d1', 'd2', 'd3']);
    // One that waits goes on when they are back.
    const waiting = world.kith(['restore', 'latest', '--target', 'waited', '--wait=5m', '--no-progress'], {});
    for (const name of ['d1', 'd2', 'd3']) await rename(world.path(`${name}-away`), world.path(name));
    assert.equal((await waiting).code, 0);
    up.kill('SIGINT');
    assert.equal(await up.ended, 0);
  });

  it('repairs by itself when a disk stays away longer than the grace', async () => {
    const up = await startUp(world);
    await world.ok(['drive', 'add', 'spare', '--name', 'spare']);
    await world.ok(['config', 'set', 'repair.grace', '1s']);
    await rm(world.path('d5'), { recursive: true });
    // Whatever follows is of the daemon's own doing.
    const log = await new Promise<string>((resolve, reject) => {
      let done = false;
      world
        .kith(['log', '--follow', '--json'], {
          onStdout: (stdout, kill) => {
            if (done || !/"event":"repaired".*piece/.test(stdout)) return;
            done = true;
            kill('SIGINT');
          },
        })
        .then((ended) => {
          assert.equal(ended.code, 0);
          resolve(ended.stdout);
        }, reject);
    });
    assert.match(log, /missing, [1-9]\d* rebuilt/);
    const summary = summaryOf(await world.ok(['repair', '--quick', '--dry-run', '--json']));
    assert.equal(summary['shards_missing'], 0);
    up.kill('SIGTERM');
    assert.equal(await up.ended, 0);
  });

  it('tells in its log what it did, without the names of files', async () => {
    const words = (await world.ok(['log', '-n', '1000'])).stdout;
    assert.match(words, /is up, process \d+/);
    assert.match(words, /backup/);
    assert.match(words, /asked to end: kith down/);
    assert.doesNotMatch(words, /source\/|file \d/);
    const entries = (await document(world, ['log', '-n', '5'])) as Record<string, unknown>[];
    assert.equal(entries.length, 5);
    assert.deepEqual(Object.keys(entries[0] ?? {}), ['time', 'level', 'event', 'text']);
    assert.equal((await world.kith(['log', '-n', 'many'])).code, 2);
  });

  it('goes to the background and says the same', async () => {
    const ended = await world.ok(['up', '--detach', '--json', '--listen', '127.0.0.1:0']);
    const [ready] = jsonLines(ended.stdout);
    assert.equal(ready?.['message_type'], 'ready');
    const again = await world.kith(['up', '--detach', '--json']);
    assert.equal(again.code, 11);
    assert.match(String(exitErrorOf(again)['message']), /kith down/);
    await world.ok(['status']);
    assert.match((await world.ok(['down'])).stdout, /kith is down/);
  });
});

describe('kith up where it can not', { skip: process.platform === 'win32' }, () => {
  let world: World;
  before(async () => {
    world = await World.make();
  });
  afterEach(() => stopAll(world));
  after(() => world.remove());

  it('ends with 10 without a vault, with 2 for a wrong line', async () => {
    for (const args of [['up'], ['up', '--detach'], ['down'], ['log']]) {
      const ended = await world.kith([...args, '--json']);
      assert.equal(ended.code, 10, args.join(' '));
      assert.match(String(exitErrorOf(ended)['message']), /kith init/);
    }
    assert.equal(existsSync(world.path('home')), false);
    for (const args of [
      ['--listen', 'here'],
      ['--bootstrap', '127.0.0.1:1,x'],
      ['--no-dht', '--no-direct'],
      ['--no-dht', '--public-dht'],
      ['--web', 'yes'],
    ]) {
      assert.equal((await world.kith(['up', ...args])).code, 2, args.join(' '));
    }
  });

  it('ends with 12 for a wrong passphrase; once it is up commands need none', async () => {
    const env = { KITH_PASSPHRASE: 'correct horse' };
    await world.ok(['init', '--name', 'tess', '--phrase-out', 'p'], { env });
    for (const args of [['up'], ['up', '--detach']]) {
      assert.equal((await world.kith(args)).code, 12);
      assert.equal((await world.kith(args, { env: { KITH_PASSPHRASE: 'wrong' } })).code, 12);
    }
    const up = await startUp(world, ['--web', '127.0.0.1:0'], env);
    await world.ok(['status']);
    await world.ok(['down']);
    assert.equal(await up.ended, 0);
    assert.equal((await world.kith(['status'])).code, 12);
    assert.doesNotMatch(await readFile(world.path('home/daemon.log'), 'utf8'), /horse/);
  });

  it('listens in a runtime folder where the path of the home is long, two homes apart', async () => {
    const names = ['one', 'two'].map((name) => world.path(`${'long '.repeat(30).trim()} ${name}`));
    const run = world.path('run');
    await mkdir(run, { mode: 0o700 });
    const ids: unknown[] = [];
    for (const home of names) {
      const env = { KITH_HOME: home, XDG_RUNTIME_DIR: run };
      await world.ok(['init', '--phrase-out', `${home}.phrase`], { env });
      const up = await startUp(world, [], env);
      ids.push(up.ready['id']);
    }
    assert.equal((await stat(join(run, 'kith'))).mode & 0o777, 0o700);
    for (const [index, home] of names.entries()) {
      // Also from where XDG_RUNTIME_DIR isn't set.
      const ended = await runKith(['status', '--json'], { env: { KITH_HOME: home } });
      assert.equal((JSON.parse(ended.stdout) as Record<string, unknown>)['id'], ids[index]);
      assert.equal((await runKith(['down'], { env: { KITH_HOME: home } })).code, 0);
    }
  });
});
