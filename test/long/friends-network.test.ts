import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { card as cardOfSession } from '../../lib/vault/friends/friends.ts';
import { initVault, openVault, Session } from '../../lib/vault/index.ts';
import { befriend, Circle, type Member } from '../cli/circle.ts';
import { summaryOf } from '../cli/harness.ts';
import { describeFolder, makeSample, noise } from '../cli/sample.ts';
import { poll } from '../support/poll.ts';
import { isLoopback, isNowhere, socketsAreTold, socketsOf } from '../support/process-sockets.ts';
import { placeOf } from '../support/raw-client.ts';
import { atEnd } from '../support/at-end.ts';

const listenOf = (member: Member): string => member.daemon?.listen ?? '';
const portOf = (member: Member): number => placeOf(listenOf(member)).port;

/** A network in which there is this computer alone, as arguments to be put before a program; undefined where that may not be had. */
async function networkOfItsOwn(t: TestContext): Promise<readonly string[] | undefined> {
  if (process.platform !== 'linux') return undefined;
  const child = spawn('unshare', ['-n', 'sh', '-c', 'ip link set lo up && echo up && exec cat'], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const ended = new Promise<undefined>((resolve) => {
    child.on('error', () => resolve(undefined));
    child.on('close', () => resolve(undefined));
  });
  const up = await Promise.race([once(child.stdout, 'data'), ended]);
  atEnd(t, async () => {
    child.stdin.end();
    await ended;
  });
  return up === undefined ? undefined : ['nsenter', `--net=/proc/${child.pid}/ns/net`];
}

describe('daemons that find each other', { skip: !socketsAreTold }, () => {
  it('need no network but this computer’s own, and speak to nothing else', async (t) => {
    const through = await networkOfItsOwn(t);
    if (through === undefined) return t.skip('needs the right to make network namespaces');
    const circle = await Circle.start(t, ['ann', 'ben', 'cid'], { through });
    const { owner, friends } = circle;
    await mkdir(owner.path('files'));
    await makeSample(owner.path('files'));
    await owner.ok(['backup', owner.path('files'), '--spread', '2/3']);
    await owner.ok(['restore', 'latest', '--target', owner.path('back')]);
    assert.deepEqual(
      await describeFolder(owner.path('back', owner.path('files'))),
      await describeFolder(owner.path('files')),
    );
    for (const member of [owner, ...friends]) {
      const sockets = await socketsOf(member.pid);
      assert.ok(sockets.length >= 2, `${member.name} has ${sockets.length} sockets`);
      for (const { host, peerHost, peerPort } of sockets) {
        assert.ok(isLoopback(host), `${member.name} has a socket on ${host}`);
        assert.ok(isLoopback(peerHost) || (isNowhere(peerHost) && peerPort === 0), `one to ${peerHost}`);
      }
    }
    // Chosen once, then kept: nobody says where to listen.
    await owner.restart([], { listen: null, through });
    const chosen = portOf(owner);
    assert.ok(chosen > 0);
    await owner.restart([], { listen: null, through });
    assert.equal(portOf(owner), chosen);
    await owner.restart([], { listen: '127.0.0.1:0', through });
    assert.notEqual(portOf(owner), chosen);
    await owner.restart([], { listen: null, through });
    assert.equal(portOf(owner), chosen);
    return undefined;
  });

  it('two that start and dial at once have one session, ten times over', async (t) => {
    const circle = await Circle.start(t, ['ann'], { flags: ['--no-dht'] });
    const { owner } = circle;
    const ann = circle.friend('ann');
    for (let round = 0; round < 10; round++) {
      await Promise.all([owner.restart(['--no-dht']), ann.restart(['--no-dht'])]);
      await Promise.all([owner.sees('ann'), ann.sees('you')]);
      const [a, b] = [portOf(owner), portOf(ann)];
      const links = async (): Promise<number> => {
        const sockets = (await socketsOf(owner.pid)).filter(({ listens }) => !listens);
        return sockets.filter(({ port, peerPort }) => port === a || peerPort === b).length;
      };
      await poll(`one link in round ${round}`, async () => (await links()) === 1);
      const [mine, theirs] = [await owner.friendSeen('ann'), await ann.friendSeen('you')];
      assert.deepEqual([mine.reason, mine.quotaReceived, mine.via], [null, 5e9, 'direct']);
      assert.deepEqual([theirs.reason, theirs.quotaReceived, theirs.via], [null, 5e9, 'direct']);
      assert.equal(await links(), 1);
    }
    // The same over both transports.
    for (let round = 0; round < 3; round++) {
      await Promise.all([owner.restart(), ann.restart(['--bootstrap', listenOf(owner)])]);
      await Promise.all([owner.sees('ann'), ann.sees('you')]);
      assert.equal((await owner.friendSeen('ann')).quotaReceived, 5e9);
      assert.equal((await ann.friendSeen('you')).quotaReceived, 5e9);
    }
  });

  for (const flag of ['--no-dht', '--no-direct']) {
    it(`one that comes back on another port is found again with ${flag}, and its card says so`, async (t) => {
      const circle = await Circle.start(t, ['ann', 'ben'], { flags: [flag] });
      const { owner } = circle;
      const ann = circle.friend('ann');
      const knows = async (who: Member, name: string, listen: string): Promise<void> => {
        let told = '';
        await poll(
          `${who.name} to know that ${name} is at ${listen}`,
          async () => {
            const { addresses, online } = await who.friendSeen(name);
            told = addresses.join(', ');
            return online && addresses.length === 1 && addresses[0] === listen;
          },
          { told: () => told },
        );
      };
      const entry = flag === '--no-dht' ? [] : ['--bootstrap', listenOf(owner)];
      const before = listenOf(ann);
      await knows(owner, 'ann', before);
      await ann.restart([flag, ...entry], { listen: '127.0.0.1:0' });
      assert.notEqual(listenOf(ann), before);
      await knows(owner, 'ann', listenOf(ann));
      // The other way round: who moved is the one that all the others knew.
      const home = listenOf(owner);
      await owner.restart([flag], { listen: '127.0.0.1:0' });
      assert.notEqual(listenOf(owner), home);
      for (const friend of circle.friends) await knows(friend, 'you', listenOf(owner));
      await owner.sees('ann', 'ben');
      // What was learned is kept: a start with nobody there to tell it.
      const last = listenOf(ann);
      await Promise.all(circle.friends.map((friend) => friend.down()));
      await owner.restart([flag]);
      const { online, addresses } = await owner.friendSeen('ann');
      assert.deepEqual([online, addresses], [false, [last]]);
    });
  }

  it('five friends who are here are found among 45 who never are', async (t) => {
    const silent = createServer((socket) => socket.on('error', () => undefined).resume());
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const closed = createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const deadPort = (closed.address() as AddressInfo).port;
    await new Promise((resolve) => closed.close(resolve));
    const held = new Set<{ destroy(): unknown }>();
    silent.on('connection', (socket) => held.add(socket));
    atEnd(t, () => {
      for (const socket of held) socket.destroy();
      silent.close();
    });

    const circle = await Circle.make(t, ['ann', 'ben', 'cid', 'dot', 'eve']);
    const { owner, friends } = circle;
    const ports = [undefined, deadPort, (silent.address() as AddressInfo).port];
    const cards: string[] = [];
    for (let index = 0; index < 45; index++) {
      const home = `${circle.folder}/gone-${index}`;
      await initVault({ home, name: `gone ${index}` });
      const session = await Session.open({ home });
      const port = ports[index % ports.length];
      const endpoints = port === undefined ? [] : [{ host: '127.0.0.1', port, direct: true, dht: true }];
      await session.ownAddress.publish(`gone ${index}`, endpoints);
      cards.push(await cardOfSession(session));
      await session.close();
    }
    // Those who are gone are the first in the book.
    const vault = await openVault({ home: owner.home });
    for (const card of cards) await vault.friendAdd(card);
    await vault.close();
    const first = await owner.up();
    await Promise.all(friends.map((friend) => friend.up(['--bootstrap', first.listen])));
    for (const friend of friends) await befriend(owner, friend, 5e9);
    await owner.restart();
    await circle.online(...friends);
    const seen = await owner.friendsSeen();
    assert.equal(seen.length, 50);
    assert.equal(seen.filter(({ online }) => online).length, 5);
    const status = await owner.json<{ friends: { online: boolean; via: string | null }[] }>(['status']);
    assert.equal(status.friends.length, 50);
    await mkdir(owner.path('files'));
    await writeFile(owner.path('files', 'one.raw'), noise(1_000_000, 5));
    const summary = summaryOf(await owner.ok(['backup', owner.path('files'), '--spread', '2/5', '--json']));
    assert.deepEqual([summary['state'], summary['shards_missing']], ['complete', 0]);
    await owner.ok(['restore', 'latest', '--target', owner.path('back')]);
    await poll('a reason for everybody who is away', async () =>
      (await owner.friendsSeen()).every(({ online, reason }) => online || reason !== null),
    );
    assert.ok(owner.daemon?.isAlive());
  });
});
