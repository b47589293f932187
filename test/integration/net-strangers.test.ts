import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import { toHex } from '../../lib/base/bytes.ts';
import { answerBytes, greet } from '../../lib/net/direct/direct-handshake.ts';
import { halfOpenPerAddressMax, unconfirmedPerKeyMax } from '../../lib/net/direct/half-open.ts';
import { newKeys, patience } from '../support/net-fixture.ts';
import { befriend, testPeer } from '../support/net-peers.ts';
import { listening, meet, transfer } from '../support/net-strangers.ts';
import { Seeded } from '../support/seeded.ts';

const strangerCount = 1000;

/** Connects and says what strangers say: nothing, junk, or a hello in good order with a key that nobody knows. */
async function knock(port: number, index: number, hello: Uint8Array, junk: Seeded): Promise<Socket> {
  const socket = connectTcp({ host: '127.0.0.1', port });
  socket.on('error', () => {});
  await Promise.race([once(socket, 'connect'), once(socket, 'close')]);
  if (index % 3 === 1) socket.write(junk.bytes(200));
  if (index % 3 === 2) socket.write(hello);
  return socket;
}

void describe('a thousand strangers', () => {
  void it('that knock over TCP disturb no transfer, and keep no friend out, not even at their own address', async (test) => {
    const on = { direct: true, dht: false };
    const us = await listening(test, 1, on);
    const friend = await listening(test, 2, on);
    const late = await listening(test, 3, on);
    for (const other of [friend, late]) befriend(us.peer, other.peer);
    await meet(friend, us);
    const over = new AbortController();
    const transferred = transfer(friend.peer, us.peer, over.signal);
    const { hello } = greet(newKeys(), us.peer.keys.publicKey);
    const junk = new Seeded(6);
    const open = new Set<Socket>();
    let openMax = 0;
    const before = process.memoryUsage().rss;
    let cameIn: Promise<void> | undefined;
    for (let index = 0; index < strangerCount; index += 20) {
      const sockets = await Promise.all(
        Array.from({ length: 20 }, (_, i) => knock(us.port, index + i, hello, junk)),
      );
      for (const socket of sockets) {
        if (socket.closed) continue;
        open.add(socket);
        socket.once('close', () => open.delete(socket)).resume();
      }
      openMax = Math.max(openMax, open.size);
      // A friend that comes while they are at it.
      if (index >= strangerCount / 2) cameIn ??= meet(late, us);
    }
    await cameIn;
    over.abort();
    const calls = await transferred;
    assert.ok(calls > 0);
    assert.equal(us.peer.network.peers().length, 2);
    // No friend had to come a second time.
    assert.ok([friend, late].every(({ peer }) => peer.network.presence(toHex(us.peer.identity)).online));
    while (open.size > halfOpenPerAddressMax)
      await once([...open][0] ?? assert.fail(), 'close', { signal: patience() });
    assert.ok(process.memoryUsage().rss - before < 128 * 2 ** 20);
    for (const socket of open) socket.destroy();
    test.diagnostic(`${calls} calls of 64 KiB each way, at most ${openMax} strangers' connections open`);
  });

  void it('do not push out a friend who has said hello and has yet to confirm it', async (test) => {
    const us = await listening(test, 1, { direct: true, dht: false });
    const friend = testPeer(2);
    befriend(us.peer, friend);
    const greeting = greet(friend.keys, us.peer.keys.publicKey);
    const socket = await knock(us.port, 2, greeting.hello, new Seeded(1));
    await once(socket, 'readable', { signal: patience() });
    const strangers = [];
    for (let i = 0; i < 3 * halfOpenPerAddressMax; i++) {
      strangers.push(await knock(us.port, 0, greeting.hello, new Seeded(1)));
    }
    const [oldest] = strangers;
    assert.ok(oldest !== undefined);
    if (!oldest.closed) await once(oldest.resume(), 'close', { signal: patience() });
    assert.equal(socket.readableEnded, false);
    const { confirm } = greeting.finish(new Uint8Array(socket.read(answerBytes) as Uint8Array));
    socket.write(confirm);
    // What follows is ours to say: the link is open.
    await once(socket, 'readable', { signal: patience() });
    for (const each of [socket, ...strangers]) each.destroy();
  });

  void it('who have recorded a friend’s hello are few at a time, and no more than strangers', async (test) => {
    const us = await listening(test, 1, { direct: true, dht: false });
    const friend = testPeer(2);
    befriend(us.peer, friend);
    const { hello } = greet(friend.keys, us.peer.keys.publicKey);
    const sockets = [];
    for (let i = 0; i < 3 * unconfirmedPerKeyMax; i++) {
      const socket = await knock(us.port, 2, hello, new Seeded(1));
      await once(socket, 'readable', { signal: patience() });
      sockets.push(socket.resume());
    }
    for (const socket of sockets.slice(0, -unconfirmedPerKeyMax)) {
      if (!socket.closed) await once(socket, 'close', { signal: patience() });
    }
    assert.equal(us.peer.network.peers().length, 0);
    for (const socket of sockets) socket.destroy();
  });
});
