import assert from 'node:assert/strict';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { after, before, beforeEach, describe, it } from 'node:test';
import { kithVersion } from '../../cli/version.ts';
import { KithError } from '../../lib/base/errors.ts';
import { performCall } from '../../lib/api/methods.ts';
import { ApiServer } from '../../lib/api/server.ts';
import { socketPath } from '../../lib/api/socket-path.ts';
import { encodeCard } from '../../lib/format/card.ts';
import { encodeCardText } from '../../lib/format/card-text.ts';
import { fakeVault } from '../support/fake-vault.ts';
import { SamplePerson } from '../support/sample-card.ts';
import { World, exitErrorOf } from './harness.ts';
import type { Reachability } from '../../lib/vault/friends/friend-network.ts';
import type { FriendInfo, StatusResult, VaultApi } from '../../lib/vault/types.ts';

const ben: FriendInfo = {
  id: 'be'.repeat(32),
  name: 'ben\x1b[31m',
  household: 'mill lane',
  online: true,
  via: 'direct',
  address: '127.0.0.1:4000',
  reason: null,
  steps: [],
  allow: ['store', 'cards'],
  visibility: 'yes',
  quotaGiven: 50e9,
  usedByThem: 1e9,
  reservedByThem: 5,
  trashOfThem: 7,
  quotaReceived: 20e9,
  usedByMe: 2e9,
  shardsOfMine: 12,
  devices: [{ id: 'dd'.repeat(32), name: 'laptop' }],
  metered: true,
  uploadLimit: 2_000_000,
  downloadLimit: null,
  addresses: ['127.0.0.1:4000'],
  invite: null,
  safetyWords: 'army van defense carry jealous true',
};
const cleo: FriendInfo = {
  ...ben,
  id: 'ce'.repeat(32),
  name: 'cleo',
  online: false,
  via: null,
  address: null,
  reason: 'nobody answers at 127.0.0.1:1',
  quotaReceived: null,
  usedByMe: null,
};

const reachability: Reachability = {
  state: 'behind-router',
  words: 'Your router lets nobody in.',
  choices: [{ id: 'ipv6', words: 'IPv6', command: 'kith go' }],
};

const status: StatusResult = {
  verdict: 'Safe',
  sentence: 'all is well.',
  reasons: [],
  nextStep: null,
  lastComplete: null,
  lastDrill: null,
  tolerates: 1,
  offsiteTolerates: 1,
  survivesHomeLoss: true,
  id: 'ab'.repeat(32),
  name: 'tess',
  listen: '127.0.0.1:4100',
  standing: {
    addresses: ['127.0.0.1:4100'],
    role: 'meeting-point',
    reachability,
    apart: ['ben and cleo were never online together this week, as seen from here.'],
  },
  friends: [ben, cleo],
  drives: [],
  snapshots: [],
  waitingPacks: 0,
  waitingBytes: 0,
};

// What the daemon would answer is this process's to say: the commands are real.
describe('cards and friends on the command line', { skip: process.platform === 'win32' }, () => {
  let world: World;
  let server: ApiServer;
  let asked: unknown[] = [];
  let said: Reachability = { ...reachability, choices: [] };
  let card = '';
  const note =
    <T>(method: string, value: T) =>
    (...args: readonly unknown[]): Promise<T> => {
      asked.push([method, ...args]);
      return Promise.resolve(value);
    };
  const methods: Partial<VaultApi> = {
    card: () => Promise.resolve(card),
    reachability: () => Promise.resolve({ ...said, asked: false }),
    status: () => Promise.resolve(status),
    friendAdd: note('add', ben),
    friendList: () => Promise.resolve([ben, cleo]),
    friendShow: (name) =>
      name === 'ben'
        ? Promise.resolve(ben)
        : Promise.reject(new KithError('friend-unknown', `no friend is called "${name}": kith friend list`)),
    friendSet: note('set', ben),
    friendRemove: note('remove', ben),
    friendPing: (name) =>
      Promise.resolve({
        friend: name === 'ben' ? ben : cleo,
        steps: [
          {
            way: 'direct',
            address: '127.0.0.1:1',
            ok: false,
            ms: 3,
            message: 'connection refused',
            trouble: 'closed',
          },
          {
            way: 'dht',
            address: null,
            ok: name === 'ben',
            ms: 4.25,
            message: null,
            trouble: name === 'ben' ? null : 'not-found',
          },
        ],
      }),
  };
  before(async () => {
    world = await World.make();
    await mkdir(world.path('home'), { mode: 0o700 });
    const vault = fakeVault(methods);
    server = await ApiServer.listen(socketPath(world.path('home')), {
      about: { api: 1, version: kithVersion(), pid: process.pid, id: vault.id, name: vault.name },
      perform: (call) => performCall(vault, call),
      onDown: () => undefined,
    });
    card = encodeCardText(encodeCard(new SamplePerson('tess').card()));
  });
  beforeEach(() => {
    asked = [];
  });
  after(async () => {
    await server.close();
    await world.remove();
  });

  it('gives my card as a line, a file, a code', async () => {
    const line = await world.ok(['card']);
    assert.equal(line.stdout, `${card}\n`);
    const out = await world.ok(['card', '--out', 'my.card', '--json']);
    assert.equal((JSON.parse(out.stdout) as Record<string, unknown>)['card'], card);
    assert.equal(await readFile(world.path('my.card'), 'utf8'), `${card}\n`);
    assert.equal((await stat(world.path('my.card'))).mode & 0o777, 0o644);
    await world.ok(['card', '--out', 'my.card']);
    await writeFile(world.path('letter'), 'Dear Ben');
    const refused = await world.kith(['card', '--out', 'letter']);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /no card is there already/);
    assert.equal(await readFile(world.path('letter'), 'utf8'), 'Dear Ben');
    assert.match((await world.ok(['card', '--qr'])).stdout, /[▀▄█]/);
    assert.equal(line.stderr, '');
    const [withAddress] = [card];
    card = encodeCardText(encodeCard(new SamplePerson('tess').card(1, { addresses: [] })));
    assert.match((await world.ok(['card'])).stderr, /No address is in it yet.*kith up/);
    card = withAddress;
  });

  it('adds a friend by the line or by a file with it', async () => {
    const added = await world.ok([
      'friend',
      'add',
      ` ${card.toUpperCase()} `,
      '--name',
      'ben',
      '--give',
      '50GB',
      '--household',
      'mill lane',
      '--allow',
      'store,cards',
      '--deny',
      'relay',
      '--json',
    ]);
    await writeFile(world.path('ben.card'), `${card}\n`);
    await world.ok(['friend', 'add', 'ben.card']);
    const options = {
      name: 'ben',
      quotaBytes: 50e9,
      household: 'mill lane',
      allow: ['store', 'cards'],
      deny: ['relay'],
    };
    assert.deepEqual(asked, [
      ['add', card.toUpperCase(), options],
      ['add', card, {}],
    ]);
    assert.deepEqual(JSON.parse(added.stdout), {
      name: ben.name,
      id: ben.id,
      household: 'mill lane',
      online: true,
      via: 'direct',
      address: '127.0.0.1:4000',
      reason: null,
      steps: [],
      allow: ['store', 'cards'],
      visibility: 'yes',
      quota_given: 50e9,
      used_by_them: 1e9,
      quota_received: 20e9,
      used_by_me: 2e9,
      shards_of_mine: 12,
      quota_bytes: 50e9,
      used_bytes: 1e9,
      reserved_bytes: 5,
      trash_bytes: 7,
      devices: ben.devices,
      addresses: ben.addresses,
      metered: true,
      limit_upload: 2_000_000,
      limit_download: null,
      invite: null,
      safety_words: ben.safetyWords,
    });
    await writeFile(world.path('huge'), 'x'.repeat(200_000));
    for (const given of ['no-such-file', 'huge', '.']) {
      assert.equal((await world.kith(['friend', 'add', given])).code, 2, given);
    }
    for (const more of [
      ['--give', 'lots'],
      ['--allow', 'Store!'],
      ['--allow', 'store,,cards'],
    ]) {
      assert.equal((await world.kith(['friend', 'add', 'ben.card', ...more])).code, 2, more.join(' '));
    }
    assert.equal(asked.length, 2);
  });

  it('shows friends in words that drive no terminal, and as JSON', async () => {
    const list = await world.ok(['friend', 'list']);
    assert.match(
      list.stdout,
      /ben\\x1b\[31m +online, direct; metered: paused +1\.00 GB of 50\.0 GB +2\.00 GB of 20\.0 GB +mill lane/,
    );
    assert.match(list.stdout, /cleo is away: nobody answers/);
    const show = await world.ok(['friend', 'show', 'ben']);
    assert.match(show.stdout, /may use +store, cards/);
    for (const { stdout } of [list, show]) assert.ok(!stdout.includes('\x1b'));
    const all = JSON.parse((await world.ok(['friend', 'list', '--json'])).stdout) as Record<
      string,
      unknown
    >[];
    assert.deepEqual(
      all.map((friend) => friend['via']),
      ['direct', null],
    );
    const nobody = await world.kith(['friend', 'show', 'dan', '--json']);
    assert.equal(nobody.code, 1);
    assert.equal(exitErrorOf(nobody)['error'], 'friend-unknown');
  });

  it('changes and removes friends', async () => {
    await world.ok(['friend', 'set', 'ben', '--quota', '1TB', '--name', 'benjamin']);
    await world.ok(['friend', 'set', 'ben', '--limit-upload', '2MB', '--limit-download', 'none']);
    await world.ok(['friend', 'remove', 'ben']);
    await world.ok(['friend', 'remove', 'ben', '--force']);
    assert.deepEqual(asked, [
      ['set', 'ben', { name: 'benjamin', quotaBytes: 1e12 }],
      ['set', 'ben', { uploadLimit: 2_000_000, downloadLimit: 0 }],
      ['remove', 'ben', { force: false }],
      ['remove', 'ben', { force: true }],
    ]);
    assert.equal((await world.kith(['friend', 'set', 'ben'])).code, 2);
    const odd = await world.kith(['friend', 'set', 'ben', '--limit-upload', 'auto']);
    assert.equal(odd.code, 2);
    assert.match(odd.stderr, /auto is for all friends together/);
  });

  it('says how a friend was reached, or why not', async () => {
    const good = JSON.parse((await world.ok(['friend', 'ping', 'ben', '--json'])).stdout) as Record<
      string,
      unknown
    >;
    assert.equal(good['ok'], true);
    assert.equal((good['steps'] as unknown[]).length, 2);
    const bad = await world.kith(['friend', 'ping', 'cleo']);
    assert.equal(bad.code, 1);
    assert.match(bad.stdout, /directly 127\.0\.0\.1:1: connection refused \(3 ms\)/);
    assert.match(bad.stderr, /your friend starts it with: kith up/);
    assert.match(bad.stderr, /common friend/);
    assert.match(bad.stderr, /"cleo" can't be reached now\./);
  });

  it('shows friends and the address in the status', async () => {
    const words = (await world.ok(['status'])).stdout;
    assert.match(words, /^Safe: all is well\.\n/);
    assert.match(words, /Friends can dial 127\.0\.0\.1:4100/);
    assert.match(words, /ben\\x1b\[31m +online, direct/);
    assert.match(words, /A meeting point/);
    assert.match(words, /Your router lets nobody in\. Choose:\n {2}- IPv6: kith go\n/);
    assert.match(words, /ben and cleo were never online together/);
    const json = JSON.parse((await world.ok(['status', '--json'])).stdout) as Record<string, unknown>;
    assert.deepEqual(
      [json['addresses'], json['role'], json['reachability']],
      [['127.0.0.1:4100'], 'meeting-point', reachability],
    );
    assert.equal((json['never_together'] as unknown[]).length, 1);
    said = reachability;
    const carded = await world.ok(['card']);
    assert.match(carded.stdout, /^kith:card:\S+\n$/);
    assert.match(carded.stderr, /Choose:\n.*kith go/);
    assert.equal(json['listen'], '127.0.0.1:4100');
    const friends = json['friends'] as Record<string, unknown>[];
    assert.deepEqual(
      friends.map((friend) => [friend['online'], friend['used_by_them'], friend['used_by_me']]),
      [
        [true, 1e9, 2e9],
        [false, 1e9, null],
      ],
    );
  });
});
