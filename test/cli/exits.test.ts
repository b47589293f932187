import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { systemRandom } from '../../lib/crypto/random.ts';
import { openKeyStore, sealKeyStore } from '../../lib/trust/key-store.ts';
import { openVault, type VaultApi } from '../../lib/vault/index.ts';
import { World, exitErrorOf, jsonLines, mainPath, summaryOf } from './harness.ts';
import { describeFolder, noise } from './sample.ts';

async function json(world: World, ...args: string[]): Promise<unknown> {
  return JSON.parse((await world.ok([...args, '--json'])).stdout);
}

/** Asked in this process, as the next: it is what the commands before left that matters. */
async function statesOf(world: World): Promise<string[]> {
  return await inVault(world, async (vault) => (await vault.snapshots()).map(({ state }) => state));
}

async function verdictOf(world: World): Promise<string> {
  return await inVault(world, async (vault) => (await vault.status()).verdict);
}

async function inVault<T>(world: World, work: (vault: VaultApi) => Promise<T>): Promise<T> {
  const vault = await openVault({ home: world.path('home') });
  try {
    return await work(vault);
  } finally {
    await vault.close();
  }
}

describe('exit status 5: too few drives are here to restore', () => {
  let world: World;
  before(async () => {
    world = await World.make();
    await world.start(5);
    await mkdir(world.path('source'));
    await writeFile(world.path('source/file'), noise(300_000, 3));
    await world.ok(['backup', 'source', '--spread', '3/5']);
  });
  after(() => world.remove());

  it('names the drives that would unlock it, writes nothing, and goes on when they are back', async () => {
    for (const drive of ['d1', 'd3', 'd4']) await rename(world.path(drive), world.path(`${drive} unplugged`));
    const human = await world.kith(['restore', 'latest', '--target', 'back']);
    assert.equal(human.code, 5);
    assert.match(human.stderr, /\bd1\b/);
    assert.match(human.stderr, /\bd3\b/);
    assert.match(human.stderr, /\bd4\b/);
    assert.doesNotMatch(human.stderr, /\bd2\b/, 'd2 is here');
    const ended = await world.kith(['restore', 'latest', '--target', 'back', '--json']);
    assert.equal(ended.code, 5);
    assert.equal(exitErrorOf(ended)['code'], 5);
    assert.notEqual(await verdictOf(world), 'Safe');
    await rename(world.path('d3 unplugged'), world.path('d3'));
    await world.ok(['restore', 'latest', '--target', 'back']);
    assert.deepEqual(
      await describeFolder(world.path('back', world.path('source'))),
      await describeFolder(world.path('source')),
    );
  });

  it('a snapshot that there is not, and a path that is not in it, are plain errors', async () => {
    const none = await world.kith(['restore', 'ffffffff', '--target', 'x']);
    assert.equal(none.code, 1);
    assert.match(none.stderr, /ffffffff/);
    const path = await world.kith(['ls', 'latest:/not/there', '--json']);
    assert.equal(path.code, 1);
    assert.match(String(exitErrorOf(path)['message']), /\/not\/there/);
  });
});

describe('exit status 1 and 4: backups that find too few drives', () => {
  let world: World;
  before(async () => {
    world = await World.make();
    await world.start(2);
    await mkdir(world.path('source'));
    await writeFile(world.path('source/file'), noise(700_000, 5));
  });
  after(() => world.remove());

  it('pending: fewer than k drives hold it, and status says so', async () => {
    const ended = await world.kith(['backup', 'source', '--spread', '3/5', '--json']);
    assert.equal(ended.code, 1);
    const summary = summaryOf(ended);
    assert.equal(summary['state'], 'pending');
    assert.equal(summary['tolerates'], null);
    assert.ok(Number(summary['packs_below_k']) > 0);
    assert.match(String(exitErrorOf(ended)['message']), /kith repair/);
    assert.deepEqual(await statesOf(world), ['pending']);
    const status = (await json(world, 'status')) as Record<string, unknown>;
    assert.equal(status['verdict'], 'Waiting');
    assert.equal((await world.kith(['repair'])).code, 1, 'repair alone can not help');
  });

  it('thin: all can be restored, but fewer drives than asked for hold it', async () => {
    await world.addDrives('d3', 'd4');
    const repaired = await world.kith(['repair', '--json']);
    assert.equal(repaired.code, 4, repaired.stderr);
    assert.equal(summaryOf(repaired)['snapshots_published'], 1);
    assert.deepEqual(await statesOf(world), ['complete']);

    await writeFile(world.path('source/second'), noise(200_000, 6));
    const ended = await world.kith(['backup', 'source', '--spread', '3/5', '--json']);
    assert.equal(ended.code, 4);
    const summary = summaryOf(ended);
    assert.equal(summary['state'], 'complete');
    assert.equal(summary['tolerates'], 1);
    assert.ok(Number(summary['shards_missing']) > 0);
    assert.equal(summary['packs_below_k'], 0);
  });

  it('whole again with enough drives', async () => {
    await world.addDrives('d5');
    const summary = summaryOf(await world.ok(['repair', '--json']));
    assert.equal(summary['tolerates_after'], 2);
    assert.equal(summary['shards_still_missing'], 0);
    await world.ok(['restore', 'latest', '--target', 'back']);
    assert.deepEqual(
      await describeFolder(world.path('back', world.path('source'))),
      await describeFolder(world.path('source')),
    );
  });

  it('a source that is not there is an error, and no snapshot', async () => {
    const count = (await statesOf(world)).length;
    const ended = await world.kith(['backup', 'no such folder']);
    assert.equal(ended.code, 1);
    assert.match(ended.stderr, /no such folder/);
    assert.equal((await statesOf(world)).length, count);
  });
});

// root reads what nobody may read, so that part runs as another user, if that user can reach the program.
const uid = process.getuid?.() === 0 ? 65534 : undefined;
const reach = spawnSync(
  process.execPath,
  ['-e', `require('fs').accessSync(${JSON.stringify(mainPath)})`],
  uid === undefined ? {} : { uid, gid: uid },
);
const noReader = reach.status !== 0 || process.platform === 'win32';

describe('exit status 3: something could not be read', { skip: noReader }, () => {
  let world: World;
  before(async () => {
    world = await World.make(uid);
    await world.start(3);
    await mkdir(world.path('source'));
    await writeFile(world.path('source/open'), 'open');
    await writeFile(world.path('source/secret \x1b[31m'), 'secret');
    if (uid !== undefined) {
      for (const name of ['source', ...(await readdir(world.path('source'))).map((n) => `source/${n}`)]) {
        await chown(world.path(name), uid, uid);
      }
    }
    await chmod(world.path('source/secret \x1b[31m'), 0);
  });
  after(() => world.remove());

  it('stores the rest and names what is missing', async () => {
    const human = await world.kith(['backup', 'source', '--spread', '2/3']);
    assert.equal(human.code, 3, human.stderr);
    assert.match(human.stderr, /secret \\x1b\[31m/);
    const ended = await world.kith(['backup', 'source', '--spread', '2/3', '--json']);
    assert.equal(ended.code, 3);
    const summary = summaryOf(ended);
    assert.equal(summary['files_unreadable'], 1);
    assert.equal(summary['state'], 'complete');
    const errors = jsonLines(ended.stderr);
    assert.equal(errors[0]?.['message_type'], 'error');
    assert.equal(errors[0]?.['item'], world.path('source/secret \x1b[31m'));
    assert.equal(typeof errors[0]?.['message'], 'string');
    assert.equal(typeof errors[0]?.['code'], 'string');
    assert.equal(exitErrorOf(ended)['code'], 3);
    await world.kith(['restore', 'latest', '--target', 'back']);
    assert.equal(await readFile(world.path('back', world.path('source/open')), 'utf8'), 'open');
  });
});

describe('exit status 11: another process works here', () => {
  let world: World;
  before(async () => {
    world = await World.make();
    await world.start(0);
  });
  after(() => world.remove());

  it('refuses while the home is held and works once it is free', async () => {
    const vault = await openVault({ home: world.path('home') });
    try {
      const ended = await world.kith(['snapshots', '--json']);
      assert.equal(ended.code, 11);
      assert.equal(exitErrorOf(ended)['error'], 'locked');
    } finally {
      await vault.close();
    }
    await world.ok(['snapshots']);
  });
});

/** Seals a key store anew with the least costs: each further command would take half a second for the passphrase alone. */
async function makeCheap(path: string, passphrase: string): Promise<void> {
  const device = await openKeyStore(await readFile(path), passphrase);
  const costs = { operations: 1, memoryBytes: 8192 };
  await writeFile(path, await sealKeyStore(device, passphrase, systemRandom, costs));
}

describe('exit status 12: passphrases and phrases', () => {
  let world: World;
  before(async () => {
    world = await World.make();
    await world.start(1);
  });
  after(() => world.remove());

  async function recover(
    phrase: string,
    ...drives: string[]
  ): Promise<{ code: number | null; stderr: string }> {
    await writeFile(world.path('typed.txt'), phrase);
    const more = drives.flatMap((drive) => ['--drive', drive]);
    const env = { KITH_HOME: world.path('bare') };
    const ended = await world.kith(['recover', '--phrase-file', 'typed.txt', ...more], { env });
    if (ended.code !== 0) assert.ok(!existsSync(env.KITH_HOME), 'no home is left behind');
    return ended;
  }

  it('names a word that is not in the list, with the nearest', async () => {
    const words = (await readFile(world.path('phrase.txt'), 'utf8')).trim().split(' ');
    words[4] = 'abandom';
    const ended = await recover(words.join(' '), 'd1');
    assert.equal(ended.code, 12);
    assert.match(ended.stderr, /word 5 .*"abandom".*abandon/);
  });

  it('says when all words are in the list but do not belong together', async () => {
    const ended = await recover('abandon '.repeat(24), 'd1');
    assert.equal(ended.code, 12);
    assert.match(ended.stderr, /one of the 24 words is wrong/);
    assert.equal((await recover('abandon '.repeat(12), 'd1')).code, 12);
  });

  it('says when no drive knows the phrase, and when no drive was reached', async () => {
    const stranger = `${'abandon '.repeat(23)}art`;
    assert.equal((await recover(stranger, 'd1')).code, 12);
    const own = await readFile(world.path('phrase.txt'), 'utf8');
    assert.equal((await recover(own, 'not plugged in')).code, 5);
  });

  it('takes the phrase from standard input, numbered and in capitals', async () => {
    const words = (await readFile(world.path('phrase.txt'), 'utf8')).trim().split(' ');
    const input = words.map((word, index) => `${index + 1}. ${word.toUpperCase()}`).join('\n');
    const env = { KITH_HOME: world.path('bare') };
    const ended = await world.kith(['recover', '--phrase-file', '-', '--drive', 'd1'], { env, input });
    assert.equal(ended.code, 0, ended.stderr);
    await rm(world.path('bare'), { recursive: true });
  });

  it('opens a home with a passphrase only with that passphrase', async () => {
    const home = { KITH_HOME: world.path('sealed') };
    await world.ok(['init', '--phrase-out', 'sealed.txt'], {
      env: { ...home, KITH_PASSPHRASE: 'öffne dich' },
    });
    assert.equal((await world.kith(['status'], { env: home })).code, 12);
    await makeCheap(world.path('sealed/keystore'), 'öffne dich');
    const wrong = await world.kith(['status', '--json'], { env: { ...home, KITH_PASSPHRASE: 'offne dich' } });
    assert.equal(wrong.code, 12);
    assert.equal(exitErrorOf(wrong)['error'], 'wrong-passphrase');
    await writeFile(world.path('pass'), 'öffne dich\n');
    await world.ok(['status'], { env: { ...home, KITH_PASSPHRASE_FILE: world.path('pass') } });
    await world.ok(['status', '--passphrase-file', 'pass'], { env: home });
  });
});

describe('settings', () => {
  let world: World;
  before(async () => {
    world = await World.make();
    await world.start(0);
  });
  after(() => world.remove());

  it('are read and changed', async () => {
    assert.equal((await world.ok(['config', 'get', 'spread'])).stdout, 'auto\n');
    await world.ok(['config', 'set', 'spread', '2/3']);
    assert.equal((await world.ok(['config', 'get', 'spread'])).stdout, '2/3\n');
    const all = (await json(world, 'config', 'get')) as Record<string, unknown>[];
    assert.equal(all.find((entry) => entry['key'] === 'spread')?.['origin'], 'settings');
    assert.ok(all.some((entry) => entry['key'] === 'shard.queue'));
    assert.notEqual((await world.kith(['config', 'set', 'spread', '5/3'])).code, 0);
    assert.notEqual((await world.kith(['config', 'set', 'no.such.key', '1'])).code, 0);
    await writeFile(world.path('home/kith.toml'), 'spread = "3/4"\n');
    const won = await world.ok(['config', 'get', 'spread']);
    assert.equal(won.stdout, '3/4\n');
    assert.match(won.stderr, /kith\.toml/);
  });
});
