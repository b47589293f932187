import assert from 'node:assert/strict';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { after, before, beforeEach, describe, it } from 'node:test';
import { KithError } from '../../lib/base/errors.ts';
import { kithVersion } from '../../cli/version.ts';
import { performCall } from '../../lib/api/methods.ts';
import { ApiServer } from '../../lib/api/server.ts';
import { socketPath } from '../../lib/api/socket-path.ts';
import { encodeInviteText } from '../../lib/format/invite-text.ts';
import { encodeInvite } from '../../lib/format/invite.ts';
import { reachabilityOf } from '../../lib/net/router/reachability.ts';
import { fakeVault } from '../support/fake-vault.ts';
import { SamplePerson } from '../support/sample-card.ts';
import { inviteDay, sampleInvite } from '../support/sample-invite.ts';
import { World, exitErrorOf } from './harness.ts';
import { hasTerminal, kithOnTerminal } from './terminal.ts';
import type { FriendInfo, InviteInfo, VaultApi } from '../../lib/vault/types.ts';

const text = encodeInviteText(encodeInvite(sampleInvite(new SamplePerson('Ada\x1b[31m'))));
const words = 'lava toddler slide provide grow rose';

const open: InviteInfo = {
  id: 'ab'.repeat(32),
  state: 'open',
  madeMs: inviteDay,
  expiresMs: inviteDay + 1000,
  quotaBytes: 50e9,
  name: 'be\x1bn',
  usedBy: null,
  friend: null,
  closedNs: null,
  answeredHere: true,
  safetyWords: null,
};
const used: InviteInfo = {
  ...open,
  state: 'used',
  usedBy: 'be'.repeat(32),
  friend: 'ben',
  closedNs: BigInt(inviteDay) * 1_000_000n,
  safetyWords: words,
};

const ada = {
  id: 'ad'.repeat(32),
  name: 'ada',
  household: null,
  online: true,
  via: 'direct',
  address: null,
  reason: null,
  allow: [],
  quotaGiven: 1e9,
  usedByThem: null,
  reservedByThem: null,
  trashOfThem: null,
  quotaReceived: null,
  usedByMe: null,
  shardsOfMine: null,
  devices: [],
  addresses: [],
  invite: null,
  steps: [],
  visibility: 'yes' as const,
  metered: false,
  uploadLimit: null,
  downloadLimit: null,
  safetyWords: words,
} satisfies FriendInfo;

const behindRouter = reachabilityOf({
  addresses: ['192.168.7.20:4000'],
  announced: [],
  cameInFrom: [],
  seenAs: null,
  mapping: null,
  meetingPoints: [],
  publicDht: false,
});

// What the daemon would answer is this process's to say: the commands are real.
describe('invites on the command line', { skip: process.platform === 'win32' }, () => {
  let world: World;
  let server: ApiServer;
  let asked: unknown[] = [];
  let answer: FriendInfo = ada;
  let refusal: KithError | undefined;
  const note =
    <T>(method: string, value: () => T) =>
    (...args: readonly unknown[]): Promise<T> => {
      asked.push([method, ...args.filter((arg) => arg !== undefined)]);
      return Promise.resolve(value());
    };
  let wasAsked = false;
  const methods: Partial<VaultApi> = {
    reachability: () => Promise.resolve({ ...behindRouter, asked: wasAsked }),
    reachabilityAsked: () => {
      wasAsked = true;
      return Promise.resolve();
    },
    configSet: (key, value) => {
      asked.push([key, value]);
      if (value.includes(' ')) throw new KithError('usage', `"${value}" is no HOST:PORT.`);
      return Promise.resolve({ key, value, origin: 'settings' as const, help: '' });
    },
    invite: note('invite', () => ({ ...open, text })),
    inviteList: note('list', () => [open, used]),
    inviteWithdraw: note('withdraw', () => ({ ...open, state: 'withdrawn' as const })),
    inviteWait: () => Promise.resolve(used),
    accept: note('accept', () => {
      if (refusal !== undefined) throw refusal;
      return ada;
    }),
    acceptWait: () => Promise.resolve(answer),
  };
  before(async () => {
    world = await World.make();
    await mkdir(world.path('home'), { mode: 0o700 });
    await writeFile(world.path('home/keystore'), '');
    const vault = fakeVault(methods);
    server = await ApiServer.listen(socketPath(world.path('home')), {
      about: { api: 1, version: kithVersion(), pid: process.pid, id: vault.id, name: vault.name },
      perform: (call) => performCall(vault, call),
      onDown: () => undefined,
    });
  });
  beforeEach(() => {
    asked = [];
    wasAsked = false;
    answer = ada;
  });
  after(async () => {
    await server.close();
    await world.remove();
  });

  it('gives an invite as a line, with what to heed beside it', async () => {
    const made = await world.ok(['invite', '--expires', '12h', '--give', '20GB', '--name', 'ben']);
    assert.equal(made.stdout, `${text}\n`);
    assert.match(made.stderr, /Your router lets nobody in.* Choose:\n(  - .*\n){5}/);
    assert.equal(wasAsked, false, 'nobody sits at a terminal');
    assert.match(made.stderr, /Your friend types: kith accept/);
    assert.match(
      made.stderr,
      /Good for one person, until 2025-10-09 08:53, with 50\.0 GB.*only your friend reads/s,
    );
    assert.deepEqual(asked, [['invite', { name: 'ben', quotaBytes: 20e9, expiresInMs: 12 * 3_600_000 }]]);
    const out = await world.ok(['invite', '--out', 'ben.invite', '--page', 'ben.html', '--json']);
    const json = JSON.parse(out.stdout) as Record<string, unknown>;
    assert.deepEqual([json['invite'], json['state'], json['addresses']], [text, 'open', 1]);
    assert.equal(await readFile(world.path('ben.invite'), 'utf8'), `${text}\n`);
    assert.equal((await stat(world.path('ben.html'))).mode & 0o777, 0o600);
    const waited = await world.ok(['invite', '--wait']);
    assert.match(waited.stdout, new RegExp(`"ben" has accepted.*\nSafety words: ${words}`));
  });

  it('asks at a terminal, once, how friends shall reach this computer', { skip: !hasTerminal }, async () => {
    const at = { cwd: world.folder, env: { HOME: world.folder, KITH_HOME: world.path('home') } };
    const invite = (...answers: (readonly [RegExp, string])[]) => kithOnTerminal(['invite'], answers, at);
    const prompt = /Your choice \[5\]: $/;
    const first = await invite([prompt, 'seven\r'], [/A number from 1 to 5 \[5\]: $/, '1\r']);
    assert.equal(first.code, 0);
    assert.match(
      first.shown,
      /\n {2}1 {2}have kith ask the router.*\n {2}2 {2}IPv6.*\n {2}3 {2}a friend who.*\n {2}4 {2}public.*\n {2}5 {2}go on as it is\n/,
    );
    assert.match(first.shown, /from its next start on: kith down, then kith up --detach/);
    assert.ok(first.shown.includes(text), 'and then makes the invite');
    assert.deepEqual(asked, [
      ['net.port_mapping', 'on'],
      ['invite', {}],
    ]);
    const second = await invite();
    assert.match(second.shown, /lets nobody in.*\nWhat can be done about it: kith status/);
    assert.doesNotMatch(second.shown, /Your choice/);
    assert.deepEqual(asked.at(-1), ['invite', {}]);
    // Nothing typed is as it is; nothing is set.
    for (const [typed, words] of [
      ['\r', ''],
      ['2\r', 'TCP and UDP'],
      ['4\r', 'kith up --detach --public-dht'],
    ] as const) {
      wasAsked = false;
      asked = [];
      const { shown } = await invite([prompt, typed]);
      assert.ok(shown.includes(words), typed);
      assert.equal(wasAsked, true, typed);
      assert.deepEqual(asked, [['invite', {}]], typed);
    }
  });

  it(
    'takes a meeting point where one is chosen, and says what is wrong with it',
    { skip: !hasTerminal },
    async () => {
      const at = { cwd: world.folder, env: { HOME: world.folder, KITH_HOME: world.path('home') } };
      const prompt = /Your choice \[5\]: $/;
      const place = /Its HOST:PORT.*: $/;
      const chosen = await kithOnTerminal(
        ['invite'],
        [
          [prompt, '3\r'],
          [place, 'cleo.example.org:49000\r'],
        ],
        at,
      );
      assert.match(chosen.shown, /by way of cleo\.example\.org:49000/);
      assert.deepEqual(asked[0], ['net.meeting_points', 'cleo.example.org:49000']);
      wasAsked = false;
      const wrong = await kithOnTerminal(
        ['invite'],
        [
          [prompt, '3\r'],
          [place, 'at cleo’s\r'],
        ],
        at,
      );
      assert.match(wrong.shown, /no HOST:PORT\. Nothing was changed.*config set net\.meeting_points VALUE/);
      assert.deepEqual([wrong.code, wrong.shown.includes(text)], [0, true]);
    },
  );

  it(
    'counts nobody as asked who closed the terminal, and asks nothing with --yes',
    { skip: !hasTerminal },
    async () => {
      const at = { cwd: world.folder, env: { HOME: world.folder, KITH_HOME: world.path('home') } };
      const closed = await kithOnTerminal(['invite'], [[/Your choice \[5\]: $/, '\x04']], at);
      assert.deepEqual([closed.code, closed.shown.includes(text), wasAsked], [0, true, false]);
      const yes = await kithOnTerminal(['invite', '--yes'], [], at);
      assert.match(yes.shown, / Choose:\n/);
      assert.deepEqual([yes.code, yes.shown.includes(text), wasAsked], [0, true, false]);
      const stopped = await kithOnTerminal(['invite'], [[/Your choice \[5\]: $/, '\x03']], at);
      assert.deepEqual([stopped.code, stopped.shown.includes(text), wasAsked], [130, false, false]);
    },
  );

  it('takes back an invite whose text could not be handed over', async () => {
    await writeFile(world.path('letter'), 'Dear Ben');
    const failed = await world.kith(['invite', '--out', 'letter']);
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /something is there already/);
    assert.deepEqual(asked.at(-1), ['withdraw', open.id]);
    assert.equal(failed.stdout, '');
  });

  it('lists invites in words that drive no terminal, and takes one back', async () => {
    const { stdout } = await world.ok(['invite', 'list']);
    assert.match(stdout, /abababababababab +open +2025-10-09 08:53 +50\.0 GB +meant for be\\x1bn/);
    assert.match(stdout, /used .*ben/);
    assert.ok(!stdout.includes('\x1b'));
    assert.match((await world.ok(['invite', 'withdraw', 'ababab'])).stdout, /is withdrawn/);
    assert.deepEqual(asked.at(-1), ['withdraw', 'ababab']);
    assert.equal((await world.kith(['invite', 'lst'])).code, 2);
  });

  it('accepts one, says what is offered and asked, and the words to compare', async () => {
    const done = await world.ok(['accept', text, '--give', '1GB', '--name', 'ada']);
    assert.match(done.stdout, /^"Ada.*" invites you \(identity [0-9a-f]{16}\)\.\n/);
    assert.ok(!done.stdout.includes('\x1b'));
    assert.match(done.stdout, /They offer 50\.0 GB.*\nYou give them 1\.00 GB of the .* free here/);
    assert.match(done.stdout, new RegExp(`"ada" are friends now\\.\nSafety words: ${words}\n`));
    assert.deepEqual(asked, [['accept', text, { name: 'ada', quotaBytes: 1e9 }]]);
    answer = { ...ada, online: false, via: null, invite: 'pending', addresses: ['10.0.0.1:4747'] };
    assert.match((await world.ok(['accept', text])).stdout, /pending.*completes by itself.*kith up --detach/);
    const json = JSON.parse((await world.ok(['accept', text, '--json'])).stdout) as Record<string, unknown>;
    assert.deepEqual([json['state'], json['quota_offered'], json['safety_words']], ['pending', 50e9, words]);
  });

  it('promises nothing of an invite that leads nowhere', async () => {
    answer = { ...ada, online: false, via: null, invite: 'pending', addresses: [] };
    const { stdout } = await world.ok(['accept', text]);
    assert.doesNotMatch(stdout, /completes by itself/);
    assert.match(
      stdout,
      /says nowhere where their computer is.*\nAsk .* to type kith up --detach, then kith invite/,
    );
  });

  it('refuses before it says what is offered', async () => {
    refusal = new KithError('usage', 'this is an invite of your own.');
    const own = await world.kith(['accept', text]);
    assert.deepEqual([own.code, own.stdout], [2, '']);
    refusal = undefined;
    answer = { ...ada, online: false, invite: 'used', reason: 'somebody else was first' };
    const used = await world.kith(['accept', text]);
    assert.equal(used.code, 1);
    assert.doesNotMatch(used.stdout, /offer|You give|friends now/);
  });

  it('ends with the reason where an invite is refused', async () => {
    answer = { ...ada, online: false, invite: 'used', reason: 'somebody else was first' };
    const refused = await world.kith(['accept', text, '--json']);
    assert.equal(refused.code, 1);
    assert.equal(exitErrorOf(refused)['error'], 'invite-used');
    assert.match(String(exitErrorOf(refused)['message']), /somebody else was first/);
    asked = [];
    const altered = encodeInviteText(
      encodeInvite(sampleInvite(new SamplePerson('Ada'), { card: new Uint8Array(3) })),
    );
    const damaged = await world.kith(['accept', altered, '--json']);
    assert.equal(exitErrorOf(damaged)['error'], 'malformed');
    assert.match(String(exitErrorOf(damaged)['message']), /damaged or changed.*kith invite/);
    assert.match((await world.kith(['accept', 'kith:card:abc'])).stderr, /this is a card.*kith friend add/);
    assert.deepEqual(asked, []);
  });
});
