import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { KithError, isKithError } from '../../lib/base/errors.ts';
import { connectDaemon } from '../../lib/api/client.ts';
import { openRemoteVault } from '../../lib/api/remote-vault.ts';
import { socketPath } from '../../lib/api/socket-path.ts';
import { Daemon } from '../../lib/daemon/daemon.ts';
import { logPaths } from '../../lib/daemon/log-file.ts';
import { fakeVault, gate } from '../support/fake-vault.ts';
import { FakeTime } from '../support/fake-time.ts';
import { tempFolder } from '../support/temp-folder.ts';
import type { OpenHomeOptions, PeerNode } from '../../lib/daemon/home-port.ts';
import type { FriendInfo, Progress, RepairSummary, VaultApi } from '../../lib/vault/types.ts';
import { atEnd } from '../support/at-end.ts';

const network = { listen: undefined, bootstrap: [], publicDht: false, dht: true, direct: true };

const nothingToDo: RepairSummary = {
  packsChecked: 0,
  shardsMissing: 0,
  shardsDamaged: 0,
  shardsRebuilt: 0,
  shardsStillMissing: 0,
  packsAdopted: 0,
  packsLost: 0,
  packsFailed: 0,
  snapshotsPublished: 0,
  bytesRead: 0,
  bytesSent: 0,
  toleratesBefore: 1,
  toleratesAfter: 1,
  away: [],
  durationMs: 1,
};

const ben = { id: 'be'.repeat(32), name: 'ben' } as FriendInfo;

/** A node that dials nobody: the test says who comes. */
class FakeNode implements PeerNode {
  readonly network = undefined as never;
  readonly id = 'ab'.repeat(32);
  listening: string | null = null;
  readonly done: string[] = [];
  meet: (friendId: string, online: boolean) => void = () => undefined;
  failure: KithError | undefined;

  start(onPresence: (friendId: string, online: boolean) => void): Promise<void> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    this.meet = onPresence;
    this.listening = '127.0.0.1:1234';
    this.done.push('started');
    return Promise.resolve();
  }

  exchangeWith(friendId: string): Promise<void> {
    this.done.push(`exchanged ${friendId.slice(0, 2)}`);
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.done.push('closed');
    return Promise.resolve();
  }
}

interface Up {
  readonly home: string;
  readonly daemon: Daemon;
  readonly node: FakeNode;
  readonly time: FakeTime;
  readonly asked: OpenHomeOptions[];
}

async function up(
  test: TestContext,
  methods: Partial<VaultApi>,
  node: FakeNode = new FakeNode(),
): Promise<Up> {
  const home = await tempFolder(test);
  const time = new FakeTime();
  const asked: OpenHomeOptions[] = [];
  const vault = fakeVault({
    configGet: () => Promise.resolve([{ key: 'repair.grace', value: 'auto', origin: 'default', help: '' }]),
    driveList: () => Promise.resolve([]),
    friendList: () => Promise.resolve([ben]),
    repair: () => Promise.resolve(nothingToDo),
    close: () => {
      node.done.push('unlocked');
      return Promise.resolve();
    },
    ...methods,
  });
  const daemon = await Daemon.start({
    home,
    passphrase: 'secret',
    network,
    version: '1.2.3',
    openHome: (options) => {
      asked.push(options);
      return Promise.resolve({ vault, node });
    },
    signal: new AbortController().signal,
    logLevel: 'debug',
    clock: time,
    timers: time,
  });
  atEnd(test, async () => {
    await daemon.close('end of the test');
    daemon.release();
  });
  return { home, daemon, node, time, asked };
}

async function remote(home: string): Promise<VaultApi> {
  const vault = await openRemoteVault(home, '1.2.3');
  assert.ok(vault !== undefined);
  return vault;
}

describe('the daemon', { skip: process.platform === 'win32' }, () => {
  it('serves readers beside a writer, and writers one after another', async (test) => {
    const backup = gate();
    const begun = gate();
    const waiting = gate();
    const told: Progress[] = [];
    const { home } = await up(test, {
      backup: async ({ onProblem }) => {
        begun.open();
        await backup.passed;
        onProblem?.({ item: 'x', message: 'from the backup', code: 'failed' });
        return { state: 'complete', totalFilesProcessed: 1, dataAdded: 1 } as never;
      },
      snapshots: () => Promise.resolve([]),
      driveRemove: () => Promise.resolve({ name: 'd' } as never),
    });
    const problems: string[] = [];
    const first = (await remote(home)).backup({
      paths: ['/a'],
      onProblem: ({ message }) => problems.push(message),
    });
    await begun.passed;
    assert.deepEqual(await (await remote(home)).snapshots(), []);
    let removed = false;
    const client = await connectDaemon(home, '1.2.3');
    const second = client?.client
      .call('driveRemove', ['d'], {
        onProgress: (progress) => {
          told.push(progress);
          waiting.open();
        },
        onProblem: () => assert.fail('problems are told to the call in which they were met'),
      })
      .then(() => {
        removed = true;
      });
    await waiting.passed;
    assert.equal(removed, false);
    assert.equal(told[0]?.phase, 'wait');
    assert.equal(told[0]?.current, 'waiting for the backup that is running');
    backup.open();
    await first;
    await second;
    assert.equal(removed, true);
    assert.deepEqual(problems, ['from the backup']);
  });

  it('tells what a vault says by itself to the call on whose behalf it was', async (test) => {
    const home: { tell?: OpenHomeOptions['onProblem'] } = {};
    const set = await up(test, {
      driveAdd: async ({ name = '' }) => {
        await Promise.resolve();
        home.tell?.({ item: name, message: 'odd', code: 'damaged' });
        return { name } as never;
      },
      where: async (what) => {
        await Promise.resolve();
        home.tell?.({ item: what, message: 'odd', code: 'damaged' });
        return {} as never;
      },
    });
    const [options] = set.asked;
    assert.ok(options !== undefined);
    home.tell = options.onProblem;
    assert.equal(options.passphrase, 'secret');
    const heard: string[][] = [[], []];
    const vaults = await Promise.all(
      heard.map((items) => openRemoteVault(set.home, '1.2.3', ({ item }) => items.push(item))),
    );
    await Promise.all([vaults[0]?.driveAdd({ path: '/a', name: 'one' }), vaults[1]?.where('two')]);
    assert.deepEqual(heard, [['one'], ['two']]);
  });

  it('exchanges logs with a friend that comes online, and repairs', async (test) => {
    const repaired: unknown[] = [];
    const { node, time, home } = await up(test, {
      repair: (options) => {
        repaired.push(options?.quick);
        return Promise.resolve({ ...nothingToDo, shardsMissing: 2, shardsRebuilt: 2, bytesSent: 1000 });
      },
    });
    node.meet(ben.id, true);
    await time.pass(1000);
    assert.deepEqual(node.done, ['started', 'exchanged be']);
    assert.deepEqual(repaired, [true]);
    const log = await readFile(logPaths(home)[0], 'utf8');
    assert.match(log, /ben is online/);
    assert.match(log, /2 pieces were missing, 2 rebuilt, 1.00 kB sent/);
  });

  it('takes a grace that is set into force at once', async (test) => {
    let value = 'auto';
    const repaired = gate();
    const { home, time } = await up(test, {
      configGet: () => Promise.resolve([{ key: 'repair.grace', value, origin: 'settings', help: '' }]),
      configSet: (key, given) => {
        value = given;
        return Promise.resolve({ key, value, origin: 'settings', help: '' });
      },
      driveList: () => Promise.resolve([{ id: 'd', available: false } as never]),
      repair: () => {
        repaired.open();
        return Promise.resolve(nothingToDo);
      },
    });
    await time.pass(10_000);
    await (await remote(home)).configSet('repair.grace', '5s');
    await repaired.passed;
  });

  it('ends in good order: calls are cancelled and answered, then friends, then the lock', async (test) => {
    const begun = gate();
    const { home, daemon, node } = await up(test, {
      backup: async ({ signal }) => {
        begun.open();
        await new Promise((resolve) => signal?.addEventListener('abort', resolve));
        node.done.push('backup ended');
        throw signal?.reason;
      },
    });
    const vault = await remote(home);
    const ended = assert.rejects(vault.backup({ paths: ['/a'] }), (error) =>
      isKithError(error, 'interrupted'),
    );
    await begun.passed;
    const found = await connectDaemon(home, undefined);
    let gone = false;
    const down = found?.client.down().then(() => {
      gone = true;
    });
    assert.equal(await daemon.askedToEnd, 'kith down');
    await daemon.close('kith down');
    await ended;
    assert.deepEqual(node.done, ['started', 'backup ended', 'closed', 'unlocked']);
    assert.equal(existsSync(socketPath(home)), false);
    assert.equal(gone, false, 'who asked waits for the end of the process');
    daemon.release();
    await down;
    assert.equal(await connectDaemon(home, undefined), undefined);
  });

  it('leaves nothing behind when it can not start', async (test) => {
    const node = new FakeNode();
    node.failure = new KithError('address-taken', 'taken');
    const home: string[] = [];
    await assert.rejects(
      up(test, {}, node).then((set) => home.push(set.home)),
      (error) => isKithError(error, 'address-taken'),
    );
    assert.deepEqual(node.done, ['closed', 'unlocked']);
  });

  it('tells a command of another version to restart it', async (test) => {
    const { home } = await up(test, {});
    await assert.rejects(openRemoteVault(home, '1.2.4'), (error) => {
      assert.ok(isKithError(error, 'failed'));
      return /runs kith 1\.2\.3, this is kith 1\.2\.4\. Run: kith down/.test(error.message);
    });
  });

  it('writes no names of files into its log above debug', async (test) => {
    const { home } = await up(test, {
      restore: () => Promise.reject(new KithError('path-unknown', 'nothing at /private/diary.txt')),
      where: () => Promise.reject(new TypeError('/private/diary.txt is not iterable')),
    });
    const vault = await remote(home);
    await assert.rejects(vault.restore({ what: 'latest:/private/diary.txt', target: '/tmp/x' }));
    await assert.rejects(vault.where('latest'));
    const lines = (await readFile(logPaths(home)[0], 'utf8'))
      .split('\n')
      .filter((line) => line.includes('diary'));
    assert.equal(lines.length, 2);
    assert.ok(lines.every((line) => line.includes('"level":"debug"')));
  });

  it('is not taken for one where something else has the name of its socket', async (test) => {
    const home = await tempFolder(test);
    assert.equal(await connectDaemon(home, undefined), undefined);
    await writeFile(socketPath(home), 'a file');
    assert.equal(await connectDaemon(home, undefined), undefined);
    await mkdir(join(home, 'x'));
    assert.equal(await connectDaemon(join(home, 'x'), undefined), undefined);
  });
});
