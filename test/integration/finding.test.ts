import assert from 'node:assert/strict';
import { once } from 'node:events';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { isKithError } from '../../lib/base/errors.ts';
import { parseHostPort } from '../../lib/base/host-port.ts';
import { decodeDhtCache } from '../../lib/daemon/dht-cache.ts';
import { decodeDiary } from '../../lib/daemon/meeting-diary.ts';
import { recoveryNetwork } from '../../lib/daemon/recovery-node.ts';
import { friendsNear } from '../../lib/net/lan/lan-recovery.ts';
import { openLanSockets } from '../../lib/net/lan/lan-sockets.ts';
import { beaconBytes } from '../../lib/net/lan/lan-beacon.ts';
import { recoverVault } from '../../lib/vault/index.ts';
import type { PeerNode } from '../../lib/daemon/home-port.ts';
import type { RecoveryNetwork } from '../../lib/vault/friends/friend-network.ts';
import { hasLan } from '../support/has-lan.ts';
import { loopback, makeHome, openHomeNode } from '../support/home-node.ts';
import { poll } from '../support/poll.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { atEnd } from '../support/at-end.ts';

async function twoFriends(test: TestContext) {
  const folder = await tempFolder(test);
  const homes = [await makeHome(folder, 'anna'), await makeHome(folder, 'ben')] as const;
  const anna = await openHomeNode(test, homes[0]);
  const ben = await openHomeNode(test, homes[1]);
  // Cards of homes that have never listened: nobody knows an address.
  const cards = [await anna.vault.card(), await ben.vault.card()] as const;
  await anna.vault.friendAdd(cards[1], { name: 'ben' });
  await ben.vault.friendAdd(cards[0], { name: 'anna' });
  return { homes, anna, ben };
}

void describe('friends in one local network', () => {
  void it('find each other without an address, and again after both have new ports', async (test) => {
    if (!(await hasLan())) return test.skip('no local network on loopback here');
    const { homes, anna, ben } = await twoFriends(test);
    await anna.start();
    await ben.start();
    await Promise.all([anna.online(ben.vault.id), ben.online(anna.vault.id)]);
    const [first] = await anna.vault.friendList();
    assert.equal(first?.via, 'direct');
    await Promise.all([anna.close(), ben.close()]);

    const annaAgain = await openHomeNode(test, homes[0]);
    const benAgain = await openHomeNode(test, homes[1]);
    await annaAgain.start();
    await benAgain.start();
    assert.notEqual(annaAgain.node.listening, anna.node.listening);
    await Promise.all([annaAgain.online(ben.vault.id), benAgain.online(anna.vault.id)]);
  });

  void it('are found by a command that works by itself, too, unless it is turned off', async (test) => {
    if (!(await hasLan())) return test.skip('no local network on loopback here');
    const { homes, anna, ben } = await twoFriends(test);
    await anna.start();
    await ben.start();
    await Promise.all([anna.online(ben.vault.id), ben.online(anna.vault.id)]);
    await Promise.all([anna.close(), ben.close()]);
    const benAgain = await openHomeNode(test, homes[1]);
    await benAgain.start();
    // What she knows of him is where he was.
    assert.notEqual(benAgain.node.listening, ben.node.listening);
    for (const lan of ['off', 'on'] as const) {
      await writeFile(join(homes[0], 'kith.toml'), `"net.lan" = "${lan}"\n`);
      const command = await openHomeNode(test, homes[0], 'by-itself');
      const { friend, steps } = await command.vault.friendPing('ben');
      assert.equal(friend.online, lan === 'on', JSON.stringify(steps));
      await command.close();
    }
  });

  void it('are not looked for where that is turned off', async (test) => {
    if (!(await hasLan())) return test.skip('no local network on loopback here');
    const sockets = (): number =>
      process.getActiveResourcesInfo().filter((kind) => /^udpwrap$/i.test(kind)).length;
    const folder = await tempFolder(test);
    const before = sockets();
    const on = await openHomeNode(test, await makeHome(folder, 'on'));
    await on.start();
    await poll('a socket for the local network', () => Promise.resolve(sockets() > before));
    await on.close();
    const off = await openHomeNode(test, await makeHome(folder, 'off', undefined, 'off'));
    await off.start();
    assert.equal(sockets(), before);
  });
});

void describe('the sockets of the local network', () => {
  void it('hear packets of the right length from the networks that we listen in, and are closed whole', async (test) => {
    if (!(await hasLan())) return test.skip('no local network on loopback here');
    let seen: (bytes: Uint8Array) => void = () => undefined;
    const next = new Promise<Uint8Array>((resolve) => {
      seen = resolve;
    });
    const ear = await openLanSockets({ host: '127.0.0.1', port: 0, onPacket: (bytes) => seen(bytes) });
    const { port } = ear;
    assert.ok(port !== undefined && port > 0);
    const mouth = await openLanSockets({ host: '127.0.0.1', port, onPacket: () => undefined });
    mouth.send(() => new Uint8Array(beaconBytes - 1));
    mouth.send(() => new Uint8Array(beaconBytes).fill(7));
    assert.equal((await next)[0], 7);
    await Promise.all([ear.close(), mouth.close()]);
    await ear.close();
    assert.equal(ear.port, undefined);
    // Harmless when closed, and where the address isn't this computer's.
    ear.send(() => new Uint8Array(beaconBytes));
    const nowhere = await openLanSockets({ host: '192.0.2.77', port: 0, onPacket: () => undefined });
    nowhere.send(() => assert.fail('sent from an address that is not there'));
    await nowhere.close();
  });
});

void describe('what a node keeps and is', () => {
  void it('remembers the nodes of the DHT, and tells where it can be dialled', async (test) => {
    const folder = await tempFolder(test);
    const homes = [await makeHome(folder, 'anna'), await makeHome(folder, 'ben')] as const;
    const dht = { ...loopback, dht: true, direct: false };
    const ben = await openHomeNode(test, homes[1], { ...dht, role: 'meeting-point' });
    await ben.start();
    const [place = ''] = ben.node.addresses ?? [];
    const anna = await openHomeNode(test, homes[0], { ...dht, bootstrap: [parseHostPort(place)] });
    await anna.vault.configSet('net.meeting_points', '127.0.0.1:9');
    await anna.vault.friendAdd(await ben.vault.card(), { name: 'ben' });
    await anna.start();
    await ben.vault.friendAdd(await anna.vault.card(), { name: 'anna' });
    await Promise.all([anna.online(ben.vault.id), ben.online(anna.vault.id)]);
    const [seen] = await anna.vault.friendList();
    // A meeting point gives no room, and makes none.
    assert.match(seen?.reason ?? '', /no room/);
    await assert.rejects(readFile(join(homes[1], 'hosted')), { code: 'ENOENT' });
    const { standing } = await ben.vault.status();
    assert.equal(standing?.role, 'meeting-point');
    assert.deepEqual(standing.addresses, [place]);
    assert.equal((await ben.vault.reachability()).state, 'unknown');
    await anna.close();
    const nodes = decodeDhtCache(await readFile(join(homes[0], 'dht-cache')));
    assert.ok(nodes.some(({ host, port }) => `${host}:${port}` === place));
    const diary = decodeDiary(await readFile(join(homes[0], 'meetings')));
    assert.ok((diary.at(-1)?.friends.get(ben.vault.id) ?? 0) > 0);
  });
});

void describe('a port that a router passes on', () => {
  void it('is in the card before our own addresses, friends come in by it, and the standing says so', async (test) => {
    const folder = await tempFolder(test);
    const homes = [
      await makeHome(folder, 'anna', undefined, 'off'),
      await makeHome(folder, 'ben', undefined, 'off'),
    ];
    const [annaHome = '', benHome = ''] = homes;
    // The router: another address, another port.
    let inside: PeerNode | undefined;
    let passedOn = 0;
    const router = createServer((outer) => {
      passedOn++;
      const { host, port } = parseHostPort(inside?.listening ?? '');
      const inner = connect(port, host);
      outer.on('error', () => inner.destroy()).pipe(inner);
      inner.on('error', () => outer.destroy()).pipe(outer);
    });
    router.listen(0, '127.0.0.2');
    await once(router, 'listening');
    atEnd(test, () => router.close());
    const place = `127.0.0.2:${(router.address() as AddressInfo).port}`;
    await appendFile(join(benHome, 'kith.toml'), `"net.announce" = "${place}"\n`);

    const ben = await openHomeNode(test, benHome);
    const anna = await openHomeNode(test, annaHome, { ...loopback, listen: { host: '127.0.0.1', port: 0 } });
    inside = ben.node;
    await ben.vault.friendAdd(await anna.vault.card(), { name: 'anna' });
    await ben.start();
    assert.deepEqual(ben.node.addresses, [place, ben.node.listening]);
    await anna.vault.friendAdd(await ben.vault.card(), { name: 'ben' });
    await anna.start();
    await Promise.all([anna.online(ben.vault.id), ben.online(anna.vault.id)]);
    assert.ok(passedOn > 0);
    const [seen] = await anna.vault.friendList();
    assert.equal(seen?.via, 'direct');
    assert.match((await ben.vault.reachability()).words, new RegExp(place.replaceAll('.', '\\.')));
  });

  void it('that is none is told with its line, and where it is to be set', async (test) => {
    const home = await makeHome(await tempFolder(test), 'anna');
    const anna = await openHomeNode(test, home);
    await assert.rejects(
      anna.vault.configSet('net.announce', '11.22.33.10:4747'),
      (error) => isKithError(error, 'usage') && /only be set in kith\.toml/.test(error.message),
    );
    await anna.close();
    await appendFile(join(home, 'kith.toml'), '"net.announce" = "11.22.33.10"\n');
    await assert.rejects(
      openHomeNode(test, home),
      (error) =>
        isKithError(error, 'usage') && /kith\.toml, line 2: net\.announce: .*HOST:PORT/.test(error.message),
    );
  });
});

void describe('a recovery in the local network', () => {
  void it('finds a friend by the phrase alone, and says where nobody knows it', async (test) => {
    if (!(await hasLan())) return test.skip('no local network on loopback here');
    const folder = await tempFolder(test);
    let phrase = '';
    const home = await makeHome(folder, 'anna', (words) => {
      phrase = words;
    });
    const anna = await openHomeNode(test, home);
    const ben = await openHomeNode(test, await makeHome(folder, 'ben'));
    await anna.vault.friendAdd(await ben.vault.card(), { name: 'ben' });
    await ben.vault.friendAdd(await anna.vault.card(), { name: 'anna' });
    await anna.start();
    await ben.start();
    await Promise.all([anna.online(ben.vault.id), ben.online(anna.vault.id)]);
    await anna.node.exchangeWith(ben.vault.id, new AbortController().signal);
    const annaId = anna.vault.id;
    await anna.close();

    const friendsWithin = (limitMs: number): RecoveryNetwork => ({
      ...recoveryNetwork,
      near: (doorstep, signal) => friendsNear(doorstep, { signal, hosts: ['127.0.0.1'], limitMs }),
    });
    const friends = friendsWithin(30_000);
    const summary = await recoverVault({ home: join(folder, 'again'), phrase, drives: [], friends });
    assert.equal(summary.id, annaId);
    assert.deepEqual(summary.friendsFound, ['ben']);
    let other = '';
    await makeHome(folder, 'cid', (words) => {
      other = words;
    });
    await assert.rejects(
      recoverVault({ home: join(folder, 'nobody'), phrase: other, drives: [], friends: friendsWithin(200) }),
      (error) => isKithError(error, 'nobody-reached') && /local network/.test(error.message),
    );
  });
});
