import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { mkdir, writeFile } from 'node:fs/promises';
import { describe, it, type TestContext } from 'node:test';
import { concatBytes, fromHex, utf8 } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { decodeCardText } from '../../lib/format/card-text.ts';
import { openDirectTransport } from '../../lib/net/direct/direct-transport.ts';
import { helloBytes } from '../../lib/net/direct/direct-handshake.ts';
import type { Directory } from '../../lib/net/directory.ts';
import { decodeGoodbye } from '../../lib/net/sessions/hello.ts';
import { Network } from '../../lib/net/network.ts';
import { storeServiceName, storeVersions } from '../../lib/services/store/store-codec.ts';
import { Circle, type Member } from '../cli/circle.ts';
import { summaryOf } from '../cli/harness.ts';
import { noise } from '../cli/sample.ts';
import { hostedFiles } from '../support/hosted-files.ts';
import { newKeys } from '../support/net-fixture.ts';
import { poll } from '../support/poll.ts';
import { socketsAreTold, socketsOf } from '../support/process-sockets.ts';
import { dialRaw, hearsFromAfar, keysOfHome, pairOf, placeOf, plainSocket } from '../support/raw-client.ts';
import { RawPeer } from '../support/raw-peer.ts';
import { Seeded } from '../support/seeded.ts';
import { atEnd } from '../support/at-end.ts';

/** What hostile input may cost a daemon in memory at its worst, over what it had before. */
const memoryGrowthMax = 100 * 2 ** 20;

const cardBytesOf = async (member: Member): Promise<Uint8Array> =>
  decodeCardText(await (await member.remote()).card());

const listenOf = (member: Member): string => member.daemon?.listen ?? '';

async function deviceOf(member: Member): Promise<Uint8Array> {
  return (await keysOfHome(member.home)).deviceId;
}

/** Starts the owner's daemon anew: who broke a rule is listened to again at once. */
async function forget(owner: Member, ...friends: readonly string[]): Promise<void> {
  await owner.restart(['--no-dht']);
  await owner.sees(...friends);
}

/** A backup of some new bytes of which every shard finds its place. */
async function backsUp(owner: Member, seed: number, spread: string, bytes = 300_000): Promise<void> {
  await mkdir(owner.path('files'), { recursive: true });
  await writeFile(owner.path('files', `${seed}.raw`), noise(bytes, seed));
  const ended = await owner.ok(['backup', owner.path('files'), '--spread', spread, '--json']);
  const { state, shards_missing: missing } = summaryOf(ended);
  assert.deepEqual([state, missing], ['complete', 0]);
}

/** A network of somebody with these keys who shows that card and wants one service of the owner. */
async function impostor(
  t: TestContext,
  member: { readonly keys: ReturnType<typeof newKeys>; readonly card: Uint8Array },
  owner: Member,
): Promise<Network> {
  const identity = fromHex(await owner.id()) ?? new Uint8Array(0);
  const deviceId = await deviceOf(owner);
  const endpoints = [{ ...placeOf(listenOf(owner)), direct: true, dht: false }];
  const directory: Directory = {
    revision: 0,
    admit: () => ({ kind: 'device', identity, deviceId }),
    owns: () => true,
    identityOf: () => identity,
    wanted: () => [{ identity, deviceId, endpoints }],
    ownCard: () => member.card,
    learn: () => Promise.resolve(true),
  };
  const network = new Network({
    device: member.keys,
    directory,
    services: [{ name: storeServiceName, versions: storeVersions, accept: () => undefined }],
  });
  atEnd(t, () => network.close());
  network.start([await openDirectTransport(network.wiring)]);
  return network;
}

describe('people who are no friends', { skip: !socketsAreTold }, () => {
  it('a stranger with a valid card, one with a stolen card, and a friend with another’s get nothing', async (t) => {
    const circle = await Circle.start(t, ['ann', 'ben', 'zed'], { flags: ['--no-dht'], strangers: ['yan'] });
    const {
      owner,
      strangers: [yan],
    } = circle;
    assert.ok(yan);
    const [ann, ben, zed] = ['ann', 'ben', 'zed'].map((name) => circle.friend(name)) as [
      Member,
      Member,
      Member,
    ];
    const ownerId = await owner.id();

    // A friend who is removed is refused at once, and its session ends.
    const removed = await owner.json<{ name: string }>(['friend', 'remove', 'zed', '--force']);
    assert.equal(removed.name, 'zed');
    await zed.misses('you');
    const before = await owner.friendsSeen();
    assert.deepEqual(before.map(({ name }) => name).sort(), ['ann', 'ben']);
    await backsUp(owner, 1, '1/2');
    const ping = await zed.kith(['friend', 'ping', 'you', '--json']);
    assert.equal(ping.code, 1);
    assert.match((await zed.friendSeen('you')).reason ?? '', /not wanted here|refused/);
    const links = await poll('zed’s links to end', async () => {
      const { port } = placeOf(listenOf(owner));
      const open = (await socketsOf(zed.pid)).filter(({ peerPort }) => peerPort === port);
      return open.length === 0 ? 'none' : undefined;
    });
    assert.equal(links, 'none');

    // Somebody who has the owner's card, and whom the owner has never added.
    await owner.ok(['card', '--out', 'card.txt']);
    await yan.up(['--no-dht']);
    await yan.ok(['friend', 'add', owner.path('card.txt')]);
    const words = await poll('yan to be refused', async () => {
      const { online, reason } = await yan.friendSeen('you');
      assert.equal(online, false);
      return reason === null || reason === 'not online' ? undefined : reason;
    });
    assert.match(words, /doesn't know this device/);
    const asked = await yan.kith(['friend', 'ping', 'you', '--json']);
    assert.equal(asked.code, 1);
    assert.equal((JSON.parse(asked.stdout) as { ok: boolean }).ok, false);

    // With keys of their own and a friend's card: refused in the handshake, over and over.
    const stolen = await cardBytesOf(ann);
    const keys = newKeys();
    await assert.rejects(dialRaw(t, keys, { key: await deviceOf(owner), listen: listenOf(owner) }), (error) =>
      isKithError(error, 'peer-refused'),
    );
    const thief = await impostor(t, { keys, card: stolen }, owner);
    assert.equal(
      (await thief.waitFor([fromHex(ownerId) ?? keys.publicKey], { timeoutMs: 20_000, untilTried: true }))
        .length,
      1,
    );
    assert.deepEqual(thief.peers(), []);

    // The link that a friend's key opened is nobody else's: another's signature ends it before anything is offered.
    const bens = pairOf(await keysOfHome(ben.home));
    const cardOfBen = await cardBytesOf(ben);
    await ben.down();
    await owner.misses('ben');
    const target = { key: await deviceOf(owner), listen: listenOf(owner) };
    for (const [what, changes] of [
      ['another’s signature', { signature: new Seeded(4).bytes(64) }],
      ['another device', { deviceId: await deviceOf(ann) }],
      ['this very device', { deviceId: await deviceOf(owner) }],
    ] as const) {
      const raw = new RawPeer(await dialRaw(t, bens, target));
      raw.sayHello(bens, cardOfBen, changes);
      raw.sayOffers([]);
      await poll(`the end of the link that showed ${what}`, () => Promise.resolve(raw.ended));
      await forget(owner);
      assert.ok(!raw.heard.some(({ kind }) => kind === 1), `something was offered to ${what}`);
    }
    // With another's card, or none, it is let go, and what the card says isn't learned; the log says whose doing it was.
    for (const card of [stolen, new Seeded(3).bytes(500)]) {
      const raw = new RawPeer(await dialRaw(t, bens, target));
      raw.sayHello(bens, card, { runId: new Seeded(card.length).bytes(16) });
      raw.sayOffers([]);
      await poll('the end of the link that showed a bad card', () => Promise.resolve(raw.ended));
      const { addresses, online } = await owner.friendSeen('ben');
      assert.deepEqual([addresses, online], [before.find(({ name }) => name === 'ben')?.addresses, false]);
      // For a while it isn't listened to, whatever it says.
      const early = new RawPeer(await dialRaw(t, bens, target));
      early.sayHello(bens, cardOfBen);
      await poll('the end of the link that came too early', () => Promise.resolve(early.ended));
      const goodbye = early.heard.find(({ kind }) => kind === 2);
      assert.match(decodeGoodbye(goodbye?.bytes ?? new Uint8Array(0)).words, /listened to again/);
      await forget(owner);
    }
    const { stdout: log } = await owner.kith(['log', '--json']);
    assert.match(log, /"peer-dropped".*ben sent what no kith sends: .*another identity/);

    // None of it changed anything for the others.
    assert.deepEqual(
      (await owner.friendsSeen()).map(({ id, allow, devices, addresses }) => ({
        id,
        allow,
        devices,
        addresses,
      })),
      before.map(({ id, allow, devices, addresses }) => ({ id, allow, devices, addresses })),
    );
    assert.ok(owner.daemon?.isAlive());
    await ben.up(['--no-dht']);
    await owner.sees('ann', 'ben');
    await backsUp(owner, 2, '1/2');
  });

  it('junk on the ports is survived, and friends are served meanwhile', async (t) => {
    const circle = await Circle.start(t, ['ann', 'ben']);
    const { owner } = circle;
    const listen = listenOf(owner);
    await backsUp(owner, 1, '1/2');
    const memoryBefore = await owner.memory('VmHWM');
    const seeded = new Seeded(77);
    const { host, port } = placeOf(listen);

    const udp = createSocket('udp4');
    atEnd(t, () => udp.close());
    const send = (bytes: Uint8Array, at: number): Promise<void> =>
      new Promise((resolve) => udp.send(bytes, at, host, () => resolve()));
    const udpPorts = (await socketsOf(owner.pid)).filter((each) => each.protocol === 'udp');
    assert.ok(udpPorts.some((each) => each.port === port));
    for (let count = 0; count < 5_000; count++) {
      const bytes = seeded.bytes(1 + (count % 1400));
      // Looks like a request, a reply, or a stream's packet of the DHT's protocol to begin with.
      bytes[0] = [3, 0x13, 0xff, bytes[0] ?? 0][count % 4] ?? 0;
      await send(bytes, udpPorts[count % udpPorts.length]?.port ?? port);
    }

    const head = concatBytes(utf8('kithlink'), new Uint8Array([1, 0]));
    const junk = [
      () => seeded.bytes(4096),
      () => new Uint8Array(0),
      () => head,
      () => concatBytes(head, new Uint8Array([0xff, 0xff]), seeded.bytes(256)),
      () => concatBytes(head, new Uint8Array([helloBytes & 0xff, helloBytes >> 8]), seeded.bytes(helloBytes)),
      () => utf8('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'),
      () => seeded.bytes(1_000_000),
    ];
    const knocks = Array.from({ length: 1_000 }, (_, count) => {
      const { socket, closed } = plainSocket(listen);
      // Half of them stay and say no more.
      const bytes = (junk[count % junk.length] ?? (() => head))();
      if (count % 2 === 0) socket.end(bytes);
      else if (bytes.length > 0) socket.write(bytes);
      return { socket, closed };
    });
    await backsUp(owner, 2, '1/2');
    // All are let go by the daemon: nobody who has proved nothing is kept.
    await Promise.all(knocks.map(({ closed }) => closed));
    assert.ok(owner.daemon?.isAlive());
    await owner.sees('ann', 'ben');
    await backsUp(owner, 3, '1/2');
    const grown = (await owner.memory('VmHWM')) - memoryBefore;
    t.diagnostic(`junk on the ports cost ${grown} bytes of memory`);
    assert.ok(grown < memoryGrowthMax, `${grown} bytes more`);
  });

  it('a friend who sends garbage is dropped, the others are served', async (t) => {
    const circle = await Circle.start(t, ['ann', 'ben', 'cid'], { flags: ['--no-dht'] });
    const { owner } = circle;
    const ben = circle.friend('ben');
    await backsUp(owner, 1, '2/3');
    const bens = pairOf(await keysOfHome(ben.home));
    const card = await cardBytesOf(ben);
    await ben.down();
    await owner.misses('ben');
    const target = { key: await deviceOf(owner), listen: listenOf(owner) };
    const seeded = new Seeded(78);
    let memoryBefore = await owner.memory('VmHWM');
    let grownMax = 0;
    const forgetIt = async (): Promise<void> => {
      grownMax = Math.max(grownMax, (await owner.memory('VmHWM')) - memoryBefore);
      await forget(owner, 'ann', 'cid');
      memoryBefore = await owner.memory('VmHWM');
    };
    const dial = async (): Promise<RawPeer> => new RawPeer(await dialRaw(t, bens, target));
    const ends = (raw: RawPeer, what: string): Promise<boolean> =>
      poll(`${what}: the end of the link`, () => Promise.resolve(raw.ended));

    // Right after the handshake.
    const garbage: readonly (readonly [string, () => Uint8Array])[] = [
      ['random bytes', () => seeded.bytes(3_000)],
      ['a batch', () => new Uint8Array([0, 0, 1, 5, 1, 2, 3, 4, 5])],
      ['two megabytes', () => new Uint8Array(2 * 2 ** 20)],
      ['a huge length', () => new Uint8Array([0, 1, 1, 0xff, 255, 255, 255, 255, 255, 255, 255, 127])],
      ['a hello of random bytes', () => concatBytes(new Uint8Array([1, 0]), seeded.bytes(900))],
    ];
    for (const [what, bytes] of garbage) {
      const raw = await dial();
      raw.link.stream.write(bytes());
      await ends(raw, what);
      await forgetIt();
    }

    // After a good hello: as a session, with channels that make no sense.
    const session = async (): Promise<RawPeer> => {
      const raw = await dial();
      raw.sayHello(bens, card, { runId: seeded.bytes(16) });
      const follows = Buffer.compare(target.key, bens.publicKey) < 0;
      if (follows) await hearsFromAfar(raw, 1);
      raw.sayOffers([{ name: storeServiceName, versions: storeVersions }]);
      if (!follows) await hearsFromAfar(raw, 1);
      await owner.sees('ben');
      return raw;
    };
    const calls: readonly (readonly [string, (raw: RawPeer) => void])[] = [
      ['offers of garbage', (raw) => void raw.hello.send(1, seeded.bytes(500))],
      ['a second hello', (raw) => raw.sayHello(bens, card)],
      [
        'calls of garbage',
        (raw) => {
          const channel = raw.open(`${storeServiceName}/1`, raw.role, []);
          for (let count = 0; count < 20; count++) channel?.send(0, seeded.bytes(2_000));
        },
      ],
      [
        'bytes without credit',
        (raw) => {
          const channel = raw.open(`${storeServiceName}/1`, raw.role, []);
          for (let count = 0; count < 400; count++) channel?.send(3, new Uint8Array(250_000));
        },
      ],
      [
        'channels without end',
        (raw) => {
          for (let count = 0; count < 3_000; count++) raw.open(`kith/none-${count}/1`, 1, []);
        },
      ],
    ];
    for (const [what, attack] of calls) {
      const raw = await session();
      attack(raw);
      await ends(raw, what);
      await owner.misses('ben');
      await forgetIt();
    }
    // And over and over: nobody listens any more.
    const random = new Seeded(79);
    for (let count = 0; count < 60; count++) {
      const raw = await dial();
      raw.sayHello(bens, card, { runId: random.bytes(16) });
      raw.link.stream.write(random.bytes(1 + ((count * 37) % 5_000)));
      raw.link.stream.write(concatBytes(new Uint8Array([1, count % 6]), random.bytes(200)));
      await raw.link.close();
    }
    const { shards } = await hostedFiles(circle.friend('ann').home, await owner.id());
    assert.ok(shards.length > 0);
    await forgetIt();
    t.diagnostic(`garbage from a friend cost ${grownMax} bytes of memory`);
    assert.ok(grownMax < memoryGrowthMax, `${grownMax} bytes more`);

    assert.ok(owner.daemon?.isAlive());
    await owner.sees('ann', 'cid');
    await backsUp(owner, 2, '1/2');
    // And the friend itself is as welcome as before.
    await ben.up(['--no-dht']);
    await owner.sees('ben');
    await backsUp(owner, 3, '2/3');
  });
});
