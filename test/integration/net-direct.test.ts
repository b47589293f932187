import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { toHex, utf8 } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';
import type { ErrorCode } from '../../lib/base/errors.ts';
import { orAborted } from '../../lib/net/deadline.ts';
import { answerBytes, greet, helloBytes, helloHeadBytes } from '../../lib/net/direct/direct-handshake.ts';
import { openDirectTransport } from '../../lib/net/direct/direct-transport.ts';
import type { DirectTransport } from '../../lib/net/direct/direct-transport.ts';
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
import { Seeded } from '../support/seeded.ts';
import { atEnd } from '../support/at-end.ts';

function coded(...codes: ErrorCode[]): (error: unknown) => boolean {
  return (error) => isKithError(error, ...codes);
}

async function listening(
  test: TestContext,
  end: End,
  host = '127.0.0.1',
): Promise<DirectTransport & { port: number }> {
  const transport = await openDirectTransport({ ...end.options, listen: { host, port: 0 } });
  closeAfter(test, transport);
  return { ...transport, port: transport.listening?.port ?? 0 };
}

async function dialling(test: TestContext, end: End): Promise<DirectTransport> {
  return closeAfter(test, await openDirectTransport(end.options));
}

/** A raw connection; `ended` resolves with all that the listener ever sent. */
async function knock(port: number): Promise<{ socket: Socket; ended: Promise<Buffer> }> {
  const socket = connect({ host: '127.0.0.1', port });
  const parts: Buffer[] = [];
  socket.on('error', () => {});
  socket.on('data', (part: Buffer) => parts.push(part));
  const ended = new Promise<Buffer>((resolve) => socket.once('close', () => resolve(Buffer.concat(parts))));
  await once(socket, 'connect', { signal: patience() });
  return { socket, ended };
}

void describe('direct transport', () => {
  void it('connects and echoes; both ends agree on who and on the handshake', async (test) => {
    const friend: End = newEnd(() => [me.keyPair]);
    const me = newEnd(() => []);
    const { port } = await listening(test, friend);
    const transport = await dialling(test, me);
    const out = await transport.dial(targetOf(me, friend, loopback(port)), patience());
    const into = await friend.next();
    assert.equal(toHex(into.remoteKey), toHex(me.keyPair.publicKey));
    assert.equal(toHex(into.localKey), toHex(friend.keyPair.publicKey));
    assert.equal(toHex(out.remoteKey), toHex(friend.keyPair.publicKey));
    assert.equal(out.handshakeHash.length, 64);
    assert.equal(toHex(out.handshakeHash), toHex(into.handshakeHash));
    assert.deepEqual([out.isInitiator, into.isInitiator], [true, false]);
    assert.deepEqual([out.via, into.via], ['direct', 'direct']);
    assert.equal(out.remoteAddress, `127.0.0.1:${port}`);
    out.stream.write(utf8('hello'));
    into.stream.write(await readMessage(into));
    assert.deepEqual(await readMessage(out), utf8('hello'));
    await out.close();
    await into.closed;
    await out.close();
  });

  void it('loses nothing that is sent before anybody listens', async (test) => {
    const friend: End = newEnd(() => [me.keyPair]);
    const me = newEnd(() => []);
    const { port } = await listening(test, friend);
    const transport = await dialling(test, me);
    const out = await transport.dial(targetOf(me, friend, loopback(port)), patience());
    for (let i = 0; i < 100; i++) out.stream.write(new Uint8Array(1000).fill(i));
    const into = await friend.next();
    into.stream.write(utf8('at once'));
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    const received: number[] = [];
    const all = new Promise<void>((resolve) => {
      into.stream.on('data', (message: Uint8Array) => {
        assert.equal(message.length, 1000);
        received.push(message[0] ?? -1);
        if (received.length === 100) resolve();
      });
    });
    await all;
    assert.deepEqual(
      received,
      Array.from({ length: 100 }, (_, i) => i),
    );
    assert.deepEqual(await readMessage(out), utf8('at once'));
  });

  void it('ends a link on which a message is announced that is too long, whoever does', async (test) => {
    const friend: End = newEnd(() => [me.keyPair]);
    const me = newEnd(() => []);
    const { port } = await listening(test, friend);
    const transport = await dialling(test, me);
    for (const fromDialler of [true, false]) {
      const out = await transport.dial(targetOf(me, friend, loopback(port)), patience());
      const into = await friend.next();
      announceTooMuch(fromDialler ? out : into);
      await orAborted((fromDialler ? into : out).closed, patience());
    }
  });

  void it('works over IPv6', async (test) => {
    const friend: End = newEnd(() => [me.keyPair]);
    const me = newEnd(() => []);
    const { port, listening: at } = await listening(test, friend, '::1');
    assert.equal(at?.host, '::1');
    const transport = await dialling(test, me);
    const out = await transport.dial(targetOf(me, friend, loopback(port, '::1')), patience());
    assert.equal(out.remoteAddress, `[::1]:${port}`);
    await friend.next();
  });

  void it('listens on IPv6 beside IPv4, on one number, and goes on without where that is taken', async (test) => {
    const friend: End = newEnd(() => [me.keyPair]);
    const me = newEnd(() => []);
    const options = { ...friend.options, listen: { host: '127.0.0.1', port: 0 }, alsoIPv6: '::1' };
    const both = closeAfter(test, await openDirectTransport(options));
    const port = both.listening?.port ?? 0;
    assert.ok(both.listensIPv6);
    const transport = await dialling(test, me);
    for (const host of ['127.0.0.1', '::1']) {
      const out = await transport.dial(targetOf(me, friend, loopback(port, host)), patience());
      await friend.next();
      await out.close();
    }
    // The four is free again elsewhere, the six is not.
    const other = await openDirectTransport({ ...options, listen: { host: '127.0.0.2', port } });
    closeAfter(test, other);
    assert.deepEqual([other.listening?.port, other.listensIPv6], [port, false]);
  });

  void it('refuses a stranger in the handshake, without a byte', async (test) => {
    const friend = newEnd(() => []);
    const stranger = newEnd(() => []);
    const { port } = await listening(test, friend);
    const transport = await dialling(test, stranger);
    await assert.rejects(
      transport.dial(targetOf(stranger, friend, loopback(port)), patience()),
      coded('peer-refused'),
    );
    assert.deepEqual(friend.asked, [toHex(stranger.keyPair.publicKey)]);
    const raw = await knock(port);
    raw.socket.write(greet(stranger.keyPair, friend.keyPair.publicKey).hello);
    assert.equal((await raw.ended).length, 0);
    assert.equal(friend.incoming.length, 0);
  });

  void it('is refused by whoever is not the one looked for', async (test) => {
    const friend: End = newEnd(() => [me.keyPair]);
    const me = newEnd(() => []);
    const other = newEnd(() => []);
    const { port } = await listening(test, friend);
    const transport = await dialling(test, me);
    await assert.rejects(
      transport.dial(targetOf(me, other, loopback(port)), patience()),
      coded('peer-refused'),
    );
    assert.deepEqual([friend.incoming.length, friend.asked.length], [0, 0]);
  });

  void it('tells a closed port from a refusal, and goes on to the next address', async (test) => {
    const friend: End = newEnd(() => [me.keyPair]);
    const me = newEnd(() => []);
    const { port } = await listening(test, friend);
    const transport = await dialling(test, me);
    const gone = await openDirectTransport({
      ...newEnd(() => []).options,
      listen: { host: '127.0.0.1', port: 0 },
    });
    const closedPort = gone.listening?.port ?? 0;
    await gone.close();
    const closed = loopback(closedPort);
    await assert.rejects(transport.dial(targetOf(me, friend, closed), patience()), coded('peer-unreachable'));
    await assert.rejects(transport.dial(targetOf(me, friend), patience()), coded('peer-unreachable'));
    const notDirect = { ...loopback(port), direct: false };
    await assert.rejects(
      transport.dial(targetOf(me, friend, notDirect), patience()),
      coded('peer-unreachable'),
    );
    const out = await transport.dial(targetOf(me, friend, closed, loopback(port)), patience());
    assert.equal(out.remoteAddress, `127.0.0.1:${port}`);
  });

  void it('refuses answers that are junk', async (test) => {
    const seeded = new Seeded(7);
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.end(seeded.bytes(answerBytes + 100));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    atEnd(test, () => server.close());
    const me = newEnd(() => []);
    const transport = await dialling(test, me);
    const port = (server.address() as AddressInfo).port;
    for (let i = 0; i < 10; i++) {
      await assert.rejects(
        transport.dial(
          targetOf(
            me,
            newEnd(() => []),
            loopback(port),
          ),
          patience(),
        ),
        coded('peer-refused'),
      );
    }
  });

  void it('ends a dial with the reason of its signal', async (test) => {
    const silent = createServer(() => {});
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const sockets: Socket[] = [];
    silent.on('connection', (socket) => {
      sockets.push(socket);
      socket.on('error', () => {});
    });
    atEnd(test, () => {
      for (const socket of sockets) socket.destroy();
      silent.close();
    });
    const me = newEnd(() => []);
    const transport = await dialling(test, me);
    const target = targetOf(
      me,
      newEnd(() => []),
      loopback((silent.address() as AddressInfo).port),
    );
    const controller = new AbortController();
    const reason = new Error('changed my mind');
    const connected = once(silent, 'connection');
    const dial = transport.dial(target, controller.signal);
    await connected;
    controller.abort(reason);
    await assert.rejects(dial, reason);
    await assert.rejects(transport.dial(target, controller.signal), reason);
    const again = once(silent, 'connection');
    const closing = transport.dial(target, patience());
    await again;
    await Promise.all([assert.rejects(closing, coded('interrupted')), transport.close()]);
  });

  void it('gives nothing for a recorded hello', async (test) => {
    const friend: End = newEnd(() => [me.keyPair]);
    const me = newEnd(() => []);
    const { port } = await listening(test, friend);
    const { hello } = greet(me.keyPair, friend.keyPair.publicKey);
    const replay = await knock(port);
    replay.socket.write(hello);
    const [answer] = (await once(replay.socket, 'data', { signal: patience() })) as [Buffer];
    assert.equal(answer.length, answerBytes);
    // Whoever only recorded the hello can't make the confirmation, nor anything behind it.
    replay.socket.write(new Uint8Array(200));
    assert.equal((await replay.ended).length, answerBytes);
    assert.equal(friend.incoming.length, 0);
  });

  void it('survives junk, cut hellos and forged lengths', async (test) => {
    const friend: End = newEnd(() => [me.keyPair]);
    const me = newEnd(() => []);
    const { port } = await listening(test, friend);
    const seeded = new Seeded(3);
    const { hello } = greet(me.keyPair, friend.keyPair.publicKey);
    const samples: Uint8Array[] = [
      seeded.bytes(helloHeadBytes),
      seeded.bytes(5000),
      utf8('GET / HTTP/1.1\r\n\r\n'),
    ];
    const longer = hello.slice();
    longer.fill(0xff, helloHeadBytes - 2, helloHeadBytes);
    samples.push(longer);
    for (let i = 0; i < 30; i++) {
      const altered = hello.slice();
      const at = seeded.below(helloBytes);
      altered[at] = (altered[at] ?? 0) ^ (1 << seeded.below(8));
      samples.push(altered);
    }
    for (const sample of samples) {
      const { socket, ended } = await knock(port);
      socket.write(sample);
      assert.equal((await ended).length, 0);
    }
    const cut = await knock(port);
    cut.socket.end(hello.subarray(0, 50));
    assert.equal((await cut.ended).length, 0);
    assert.equal(friend.incoming.length, 0);
    const transport = await dialling(test, me);
    await transport.dial(targetOf(me, friend, loopback(port)), patience());
    await friend.next();
  });

  void it('lets a friend in past a thousand half-open connections', async (test) => {
    const friend: End = newEnd(() => [me.keyPair]);
    const me = newEnd(() => []);
    const { port } = await listening(test, friend);
    const { hello } = greet(newKeys(), friend.keyPair.publicKey);
    const dropped: Promise<Buffer>[] = [];
    const sockets: Socket[] = [];
    for (let i = 0; i < 1000; i++) {
      const { socket, ended } = await knock(port);
      if (i % 2 === 0) socket.write(hello.subarray(0, 60));
      sockets.push(socket);
      dropped.push(ended);
    }
    const transport = await dialling(test, me);
    await transport.dial(targetOf(me, friend, loopback(port)), patience());
    await friend.next();
    // The oldest were shown the door to make room.
    await Promise.all(dropped.slice(0, 900));
    for (const socket of sockets) socket.destroy();
  });

  void it('drops a link that nobody takes, and goes on', async (test) => {
    const friend: End = newEnd(() => [me.keyPair]);
    const me = newEnd(() => []);
    let throws = true;
    const onLink: End['options']['onLink'] = (link) => {
      if (throws) throw new Error('a mistake above');
      friend.options.onLink(link);
    };
    const transport = await openDirectTransport({
      ...friend.options,
      onLink,
      listen: { host: '127.0.0.1', port: 0 },
    });
    closeAfter(test, transport);
    const dialler = await dialling(test, me);
    const target = targetOf(me, friend, loopback(transport.listening?.port ?? 0));
    const refused = await dialler.dial(target, patience()).catch(() => undefined);
    await orAborted(refused?.closed ?? Promise.resolve(), patience());
    throws = false;
    await dialler.dial(target, patience());
    await friend.next();
  });

  void it('keeps a bounded number of links of one key, the newest', async (test) => {
    const friend: End = newEnd(() => [me.keyPair]);
    const me = newEnd(() => []);
    const { port } = await listening(test, friend);
    const transport = await dialling(test, me);
    const links = [];
    for (let i = 0; i < 12; i++) {
      links.push(await transport.dial(targetOf(me, friend, loopback(port)), patience()));
      await friend.next();
    }
    await Promise.all(links.slice(0, 4).map((link) => link.closed));
    const newest = links.at(-1);
    const incoming = friend.incoming.at(-1);
    assert.ok(newest !== undefined && incoming !== undefined);
    newest.stream.write(utf8('still here'));
    assert.deepEqual(await readMessage(incoming), utf8('still here'));
  });

  void it('says that a port is taken, and that an address is not ours', async (test) => {
    const end = newEnd(() => []);
    const { port } = await listening(test, end);
    await assert.rejects(
      openDirectTransport({ ...end.options, listen: { host: '127.0.0.1', port } }),
      (error) => isKithError(error, 'address-taken') && error.message.includes('kith up --listen'),
    );
    await assert.rejects(
      openDirectTransport({ ...end.options, listen: { host: '203.0.113.7', port: 0 } }),
      coded('usage'),
    );
  });

  void it('ends all links when closed', async (test) => {
    const friend: End = newEnd(() => [me.keyPair]);
    const me = newEnd(() => []);
    const transport = await listening(test, friend);
    const dialler = await dialling(test, me);
    const out = await dialler.dial(targetOf(me, friend, loopback(transport.port)), patience());
    const into = await friend.next();
    await transport.close();
    await Promise.all([out.closed, into.closed]);
    await assert.rejects(
      dialler.dial(targetOf(me, friend, loopback(transport.port)), patience()),
      coded('peer-unreachable'),
    );
  });
});
