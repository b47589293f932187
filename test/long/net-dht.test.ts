import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { toHex, utf8 } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';
import type { ErrorCode } from '../../lib/base/errors.ts';
import { orAborted } from '../../lib/net/deadline.ts';
import { publicEntries } from '../../lib/net/dht/public-entries.ts';
import { openDhtTransport } from '../../lib/net/dht/dht-transport.ts';
import type { DhtTransport, DhtTransportOptions } from '../../lib/net/dht/dht-transport.ts';
import type { DialTarget, Endpoint, Link, Transport } from '../../lib/net/links/link.ts';
import {
  announceTooMuch,
  closeAfter,
  loopback,
  newEnd,
  newKeys,
  patience,
  readMessage,
  targetOf,
} from '../support/net-fixture.ts';
import type { End } from '../support/net-fixture.ts';
import { openSockets, socketsAreTold } from '../support/net-sockets.ts';
import { Seeded } from '../support/seeded.ts';
import { atEnd } from '../support/at-end.ts';

function coded(...codes: ErrorCode[]): (error: unknown) => boolean {
  return (error) => isKithError(error, ...codes);
}

type Where = Partial<Omit<DhtTransportOptions, 'keyPair' | 'admits' | 'onLink'>>;

async function device(test: TestContext, end: End, where: Where = {}): Promise<DhtTransport> {
  const transport = await openDhtTransport({
    host: '127.0.0.1',
    port: 0,
    bootstrap: [],
    entry: true,
    accept: true,
    ...end.options,
    ...where,
  });
  closeAfter(test, transport);
  await transport.announced;
  return transport;
}

function endpointOf(transport: DhtTransport): Endpoint {
  return loopback(transport.listening.port);
}

/** Dials until it works: what is just being announced, or was announced by a process that died, takes a moment. */
async function dialUntil(transport: Transport, target: DialTarget): Promise<Link> {
  const limit = patience();
  for (;;) {
    try {
      return await transport.dial(target, limit);
    } catch (error) {
      if (!isKithError(error, 'peer-unreachable')) throw error;
      limit.throwIfAborted();
    }
  }
}

async function assertEcho(out: Link, into: Link): Promise<void> {
  out.stream.write(utf8('hello'));
  into.stream.write(await readMessage(into));
  assert.deepEqual(await readMessage(out), utf8('hello'));
}

async function udpSocket(test: TestContext): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  atEnd(test, () => socket.close());
  return socket;
}

void describe('dht transport', () => {
  void it('dials a device anew whose link it has just closed, and waits for no goodbye', async (test) => {
    const friend: End = newEnd(() => [me.keyPair]);
    const me = newEnd(() => []);
    const there = await device(test, friend);
    const here = await device(test, me, { bootstrap: [there.listening], entry: false, accept: false });
    const first = await here.dial(targetOf(me, friend), patience());
    await friend.next();
    const closing = first.close();
    const second = await here.dial(targetOf(me, friend), patience());
    await closing;
    await assertEcho(second, await friend.next());
  });

  void it('connects and echoes; both ends agree on who and on the handshake', async (test) => {
    const friend: End = newEnd(() => [me.keyPair]);
    const me = newEnd(() => []);
    const there = await device(test, friend);
    const here = await device(test, me, { bootstrap: [there.listening], entry: false, accept: false });
    const out = await here.dial(targetOf(me, friend), patience());
    const into = await friend.next();
    assert.equal(toHex(into.remoteKey), toHex(me.keyPair.publicKey));
    assert.equal(toHex(into.localKey), toHex(friend.keyPair.publicKey));
    assert.equal(toHex(out.remoteKey), toHex(friend.keyPair.publicKey));
    assert.equal(out.handshakeHash.length, 64);
    assert.equal(toHex(out.handshakeHash), toHex(into.handshakeHash));
    assert.deepEqual([out.isInitiator, into.isInitiator], [true, false]);
    assert.deepEqual([out.via, into.via], ['punched', 'punched']);
    assert.equal(out.remoteAddress, `127.0.0.1:${there.listening.port}`);
    await assertEcho(out, into);
    await out.close();
    await into.closed;
  });

  void it('loses nothing that is sent before anybody listens', async (test) => {
    const friend: End = newEnd(() => [me.keyPair]);
    const me = newEnd(() => []);
    const there = await device(test, friend);
    const here = await device(test, me, { bootstrap: [there.listening] });
    const out = await here.dial(targetOf(me, friend), patience());
    for (let i = 0; i < 100; i++) out.stream.write(new Uint8Array(1000).fill(i));
    const into = await friend.next();
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    const received: number[] = [];
    await new Promise<void>((resolve) => {
      into.stream.on('data', (message: Uint8Array) => {
        assert.equal(message.length, 1000);
        received.push(message[0] ?? -1);
        if (received.length === 100) resolve();
      });
    });
    assert.deepEqual(
      received,
      Array.from({ length: 100 }, (_, i) => i),
    );
  });

  void it('ends a link on which a message is announced that is too long, whoever does', async (test) => {
    const friend: End = newEnd(() => [me.keyPair, doorstep]);
    const me = newEnd(() => []);
    const doorstep = newKeys();
    const there = await device(test, friend);
    const here = await device(test, me, { bootstrap: [there.listening] });
    for (const keyPair of [me.keyPair, doorstep]) {
      for (const fromDialler of [true, false]) {
        const target = { ...targetOf(me, friend, endpointOf(there)), keyPair };
        const out = await dialUntil(here, target);
        const into = await friend.next();
        announceTooMuch(fromDialler ? out : into);
        await orAborted(Promise.all([out.closed, into.closed]), patience());
      }
    }
  });

  void it('lets two that know only a third find each other by key, behind a NAT or not', async (test) => {
    for (const entry of [true, false]) {
      const third = newEnd(() => []);
      const one: End = newEnd(() => [two.keyPair]);
      const two: End = newEnd(() => [one.keyPair]);
      const middle = await device(test, third);
      const first = await device(test, one, { bootstrap: [middle.listening], entry });
      const second = await device(test, two, { bootstrap: [middle.listening], entry });
      const out = await dialUntil(first, targetOf(one, two));
      await assertEcho(out, await two.next());
      await out.close();
      await two.incoming[0]?.closed;
      const back = await dialUntil(second, targetOf(two, one));
      await assertEcho(back, await one.next());
    }
  });

  void it('finds a device whose DHT it has not joined by the address in its card', async (test) => {
    const friend: End = newEnd(() => [me.keyPair]);
    const me = newEnd(() => []);
    const there = await device(test, friend);
    const here = await device(test, me);
    await assert.rejects(here.dial(targetOf(me, friend), patience()), coded('peer-unreachable'));
    const out = await here.dial(targetOf(me, friend, endpointOf(there)), patience());
    await assertEcho(out, await friend.next());
  });

  void it('finds a device through an entry that it is told of later', async (test) => {
    const friend: End = newEnd(() => [me.keyPair]);
    const me = newEnd(() => []);
    const there = await device(test, friend);
    const here = await device(test, me);
    here.setEntries([
      there.listening,
      { host: '::1', port: 1 },
      { host: 'a@b', port: 2 },
      { host: '', port: 3 },
    ]);
    here.refresh();
    await assertEcho(await dialUntil(here, targetOf(me, friend)), await friend.next());
    const entries = Array.from({ length: 500 }, (_, i) => ({ host: '127.0.0.1', port: 1 + i }));
    here.setEntries(entries);
    assert.ok(here.entries.length < 100);
  });

  void it('forgets entries that are no longer named, keeps those of its own choice, and is led to no public one', async (test) => {
    const me = newEnd(() => []);
    const fixed = { host: '127.0.0.1', port: 9 };
    const hosts = (transport: DhtTransport): string[] =>
      transport.entries.map(({ host, port }) => `${host}:${port}`);
    const named = [
      { host: '127.0.0.1', port: 8 },
      ...publicEntries(),
      { host: 'NODE1.hyperdht.org.', port: 49737 },
    ];
    // Public ones are only named where no search follows.
    const entries = named.slice(0, 1);
    const here = await device(test, me, { bootstrap: [fixed], entries, accept: false });
    assert.deepEqual(hosts(here), ['127.0.0.1:9', '127.0.0.1:8']);
    here.setEntries([{ host: '127.0.0.1', port: 7 }, ...named.slice(1)]);
    assert.deepEqual(hosts(here), ['127.0.0.1:9', '127.0.0.1:7']);
    here.setEntries([]);
    assert.deepEqual(hosts(here), ['127.0.0.1:9']);
  });

  void it('finds a friend that came back on a new port', async (test) => {
    const third = newEnd(() => []);
    const friend: End = newEnd(() => [me.keyPair]);
    const me: End = newEnd(() => [friend.keyPair]);
    const middle = await device(test, third);
    const bootstrap = [middle.listening];
    const before = await device(test, friend, { bootstrap, entry: false });
    const here = await device(test, me, { bootstrap });
    const out = await dialUntil(here, targetOf(me, friend));
    await friend.next();
    await before.close();
    await out.closed;
    const after = await device(test, friend, { bootstrap, entry: false });
    assert.notEqual(after.listening.port, before.listening.port);
    const again = await dialUntil(here, targetOf(me, friend));
    await assertEcho(again, await friend.next());
    await after.close();
    await again.closed;
    // And it finds us, who stayed where we were.
    const last = await device(test, friend, { bootstrap, entry: false });
    await assertEcho(await dialUntil(last, targetOf(friend, me)), await me.next());
  });

  void it('finds an entry that came back at the address in its card, whatever is still said of it', async (test) => {
    const third = newEnd(() => []);
    const friend: End = newEnd(() => [me.keyPair]);
    const me: End = newEnd(() => [friend.keyPair]);
    const middle = await device(test, third);
    const bootstrap = [middle.listening];
    const before = await device(test, friend, { bootstrap });
    const here = await device(test, me, { bootstrap });
    const out = await dialUntil(here, targetOf(me, friend));
    await friend.next();
    await before.close();
    await out.closed;
    const options = { host: '127.0.0.1', port: 0, bootstrap, entry: true, accept: true };
    const after = closeAfter(test, await openDhtTransport({ ...options, ...friend.options }));
    const again = await here.dial(targetOf(me, friend, endpointOf(after)), patience());
    await assertEcho(again, await friend.next());
  });

  void it('dials with another key than its own', async (test) => {
    const doorstep = newKeys();
    const friend: End = newEnd(() => [doorstep]);
    const me = newEnd(() => []);
    const there = await device(test, friend);
    const here = await device(test, me, { entry: false, accept: false });
    const target = { ...targetOf(me, friend, endpointOf(there)), keyPair: doorstep };
    const out = await here.dial(target, patience());
    const into = await friend.next();
    assert.equal(toHex(into.remoteKey), toHex(doorstep.publicKey));
    assert.equal(toHex(out.localKey), toHex(doorstep.publicKey));
    await assertEcho(out, into);
    await assert.rejects(
      here.dial({ ...target, remoteKey: newKeys().publicKey, endpoints: [] }, patience()),
      coded('peer-unreachable'),
    );
  });

  void it('refuses strangers, and takes them in once they are friends', async (test) => {
    const admitted: End[] = [];
    const friend = newEnd(() => admitted.map(({ keyPair }) => keyPair));
    const me = newEnd(() => []);
    const there = await device(test, friend);
    const here = await device(test, me, { bootstrap: [there.listening], entry: false, accept: false });
    await assert.rejects(
      here.dial(targetOf(me, friend), patience()),
      coded('peer-unreachable', 'peer-refused'),
    );
    assert.ok(friend.asked.includes(toHex(me.keyPair.publicKey)));
    assert.equal(friend.incoming.length, 0);
    admitted.push(me);
    await assertEcho(await dialUntil(here, targetOf(me, friend)), await friend.next());
  });

  void it('ends a dial with the reason of its signal, and when closed', async (test) => {
    const silent = await udpSocket(test);
    const me = newEnd(() => []);
    const here = await device(test, me, { accept: false });
    const target = targetOf(
      me,
      newEnd(() => []),
      loopback(silent.address().port),
    );
    const controller = new AbortController();
    const reason = new Error('changed my mind');
    const heard = once(silent, 'message', { signal: patience() });
    const dial = here.dial(target, controller.signal);
    const ended = assert.rejects(dial, reason);
    await heard;
    controller.abort(reason);
    await ended;
    await assert.rejects(here.dial(target, controller.signal), reason);
    const heardAgain = once(silent, 'message', { signal: patience() });
    const closed = assert.rejects(
      here.dial(
        targetOf(
          me,
          newEnd(() => []),
          loopback(silent.address().port),
        ),
        patience(),
      ),
      coded('interrupted'),
    );
    await heardAgain;
    await Promise.all([closed, here.close()]);
  });

  void it('comes to one connection when both dial at once', async (test) => {
    const one: End = newEnd(() => [two.keyPair]);
    const two: End = newEnd(() => [one.keyPair]);
    const first = await device(test, one);
    const second = await device(test, two, { bootstrap: [first.listening] });
    const dials = await Promise.allSettled([
      first.dial(targetOf(one, two, endpointOf(second)), patience()),
      second.dial(targetOf(two, one, endpointOf(first)), patience()),
    ]);
    const made = dials.filter(({ status }) => status === 'fulfilled');
    assert.ok(made.length >= 1);
    for (const dial of dials) {
      if (dial.status === 'rejected') assert.ok(isKithError(dial.reason, 'peer-unreachable'));
    }
  });

  void it('does not dial itself, nor one that is connected', async (test) => {
    const friend: End = newEnd(() => [me.keyPair]);
    const me: End = newEnd(() => [friend.keyPair]);
    const there = await device(test, friend);
    const here = await device(test, me, { bootstrap: [there.listening] });
    await assert.rejects(here.dial(targetOf(me, me), patience()), coded('peer-unreachable'));
    const out = await dialUntil(here, targetOf(me, friend));
    const into = await friend.next();
    await assert.rejects(here.dial(targetOf(me, friend), patience()), coded('peer-unreachable'));
    await assert.rejects(there.dial(targetOf(friend, me), patience()), coded('peer-unreachable'));
    await assertEcho(out, into);
  });

  void it('does not dial again by itself when a link ends', async (test) => {
    const friend: End = newEnd(() => [me.keyPair]);
    const me: End = newEnd(() => [friend.keyPair]);
    const other: End = newEnd(() => [me.keyPair]);
    const there = await device(test, friend);
    const elsewhere = await device(test, other);
    const here = await device(test, me, { bootstrap: [there.listening, elsewhere.listening] });
    const out = await dialUntil(here, targetOf(me, friend));
    await friend.next();
    await out.close();
    // Hyperswarm tries the peers it wants again whenever another connection comes or goes.
    const second = await dialUntil(here, targetOf(me, other));
    await second.close();
    assert.equal(friend.incoming.length, 1);
  });

  void it('survives junk on its port', async (test) => {
    const friend: End = newEnd(() => [me.keyPair]);
    const me = newEnd(() => []);
    const there = await device(test, friend);
    const socket = await udpSocket(test);
    const seeded = new Seeded(11);
    const send = (bytes: Uint8Array): Promise<unknown> =>
      new Promise((resolve) => socket.send(bytes, there.listening.port, '127.0.0.1', resolve));
    for (let i = 0; i < 2000; i++) {
      const bytes = seeded.bytes(1 + seeded.below(i % 100 === 0 ? 1400 : 120));
      // Half of them begin as a request, an answer or a stream's packet does.
      if (seeded.coin()) bytes[0] = [0x03, 0x13, 0xff][seeded.below(3)] ?? 0;
      if (bytes.length > 12 && seeded.coin()) bytes.fill(0xff, 2, 12);
      await send(bytes);
    }
    const here = await device(test, me, { bootstrap: [there.listening], accept: false });
    await assertEcho(await dialUntil(here, targetOf(me, friend)), await friend.next());
  });

  void it('says that a port is taken, and what it cannot listen on', async (test) => {
    const end = newEnd(() => []);
    const socket = await udpSocket(test);
    await assert.rejects(
      device(test, end, { port: socket.address().port }),
      (error) => isKithError(error, 'address-taken') && error.message.includes('kith up --listen'),
    );
    await assert.rejects(device(test, end, { host: '203.0.113.7' }), coded('usage'));
    await assert.rejects(device(test, end, { host: '::1' }), coded('usage'));
  });

  void it('asks nobody but those it was told of', async (test) => {
    const require = createRequire(import.meta.url);
    const hyperdht = require('hyperdht') as { BOOTSTRAP: readonly string[] };
    const udx = require('udx-native/lib/socket') as {
      prototype: Record<string, (...args: unknown[]) => unknown>;
    };
    const hosts = new Set<unknown>();
    for (const name of ['send', 'trySend']) {
      const real = udx.prototype[name];
      assert.ok(real !== undefined);
      test.mock.method(udx.prototype, name, function record(this: unknown, ...args: unknown[]): unknown {
        hosts.add(args[2]);
        return real.apply(this, args);
      });
    }
    const lonely = newEnd(() => []);
    const alone = await device(test, lonely);
    alone.refresh();
    await assert.rejects(
      alone.dial(
        targetOf(
          lonely,
          newEnd(() => []),
        ),
        patience(),
      ),
      coded('peer-unreachable'),
    );
    const quiet = await device(
      test,
      newEnd(() => []),
      { entry: false, accept: false },
    );
    assert.deepEqual(quiet.neighbours(), []);
    await assert.rejects(
      quiet.dial(targetOf(lonely, lonely), patience()).then(() => assert.fail('found')),
      coded('peer-unreachable'),
    );
    // Its own two further nodes, on loopback; and hyperdht's list is there, but not used.
    assert.deepEqual([...hosts], ['127.0.0.1']);
    assert.equal(hyperdht.BOOTSTRAP.length, 3);
    const known: string[] = [...alone.neighbours(), ...quiet.neighbours()].map(({ host }) => host);
    // Its own nodes are no neighbours.
    assert.equal(known.length, 0);
    for (const node of hyperdht.BOOTSTRAP) {
      for (const name of node.split(':')[0]?.split('@') ?? [])
        assert.ok(!hosts.has(name) && !known.includes(name));
    }
  });

  void it('has no socket on any other address', { skip: !socketsAreTold }, async (test) => {
    const host = '127.0.0.3';
    const before = await openSockets();
    const friend: End = newEnd(() => [me.keyPair]);
    const me: End = newEnd(() => [friend.keyPair]);
    const third = newEnd(() => []);
    const middle = await device(test, third, { host });
    const there = await device(test, friend, { host, bootstrap: [middle.listening], entry: false });
    const here = await device(test, me, { host, bootstrap: [middle.listening], entry: false });
    await assertEcho(await dialUntil(here, targetOf(me, friend)), await friend.next());
    const sockets = (await openSockets()).filter(
      (socket) => !before.some(({ protocol, port }) => protocol === socket.protocol && port === socket.port),
    );
    assert.ok(sockets.length >= 3);
    assert.deepEqual([...new Set(sockets.map((socket) => socket.host))], [host]);
    for (const transport of [middle, there, here]) {
      assert.ok(
        sockets.some(({ protocol, port }) => protocol === 'udp' && port === transport.listening.port),
      );
      await transport.close();
    }
    const left = await openSockets();
    assert.ok(!left.some((socket) => socket.host === host));
  });
});
