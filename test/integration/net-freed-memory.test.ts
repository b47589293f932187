import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { toHex } from '../../lib/base/bytes.ts';
import { signKeyPair } from '../../lib/crypto/sign.ts';
import { boundedStream } from '../../lib/net/links/bounded-stream.ts';
import { greet, readHello } from '../../lib/net/direct/direct-handshake.ts';
import { freeMessage } from '../../lib/net/links/free-message.ts';
import { Seeded } from '../support/seeded.ts';
import { atEnd } from '../support/at-end.ts';

const caller = signKeyPair(new Uint8Array(32).fill(1));
const friend = signKeyPair(new Uint8Array(32).fill(2));

type Stream = ReturnType<typeof boundedStream>;

/** Both ends over raw streams that are joined already. */
function secretPair(here: Duplex, there: Duplex): [Stream, Stream] {
  const greeting = greet(caller, friend.publicKey);
  const { answer, handshake } = readHello(friend, greeting.hello).answer();
  const mine = boundedStream(true, here, { handshake: greeting.finish(answer) });
  return [mine, boundedStream(false, there, { handshake })];
}

/** Two raw streams; what one writes comes out of the other in pieces of these sizes, each in memory of its own, as from a socket. */
function cutPair(sizes: readonly number[]): [Duplex, Duplex] {
  const ends: Duplex[] = [];
  let turn = 0;
  for (const other of [1, 0]) {
    const end = new Duplex({
      read: () => undefined,
      write: (bytes: Uint8Array, _encoding, done) => {
        for (let at = 0; at < bytes.length;) {
          const size = sizes[turn++ % sizes.length] ?? 1;
          const piece = bytes.subarray(at, at + size);
          const own = Buffer.allocUnsafeSlow(piece.length);
          own.set(piece);
          ends[other]?.push(own);
          at += size;
        }
        done();
      },
      final: (done) => {
        ends[other]?.push(null);
        done();
      },
    });
    ends.push(end);
  }
  const [here, there] = ends;
  if (here === undefined || there === undefined) throw new Error('no streams');
  return [here, there];
}

/** Sends messages as kith does and takes them as it does: a copy, and large memory is freed. What came, in hex. */
async function carried(pair: [Stream, Stream], messages: readonly Uint8Array[]): Promise<string[]> {
  const [from, to] = pair;
  const came: string[] = [];
  const all = new Promise<void>((resolve, reject) => {
    to.on('data', (bytes: Uint8Array) => {
      came.push(toHex(bytes.slice()));
      freeMessage(bytes);
      if (came.length === messages.length) resolve();
    });
    to.on('error', reject);
    from.on('error', reject);
  });
  for (const message of messages) {
    const memory = from.alloc(message.length);
    memory.set(message);
    if (!from.write(memory)) await once(from, 'drain');
  }
  await all;
  from.end();
  to.end();
  await Promise.all([once(from, 'close'), once(to, 'close')]);
  return came;
}

const messagesOf = (lengths: readonly number[]): Uint8Array[] =>
  lengths.map((length, index) => new Seeded(index).bytes(length));

void describe('memory of messages that is freed at once', () => {
  void it('takes no byte of another message along, however the bytes are cut', async () => {
    const length = fc.oneof(fc.integer({ min: 1, max: 80 }), fc.integer({ min: 30_000, max: 140_000 }));
    const size = fc.oneof(fc.integer({ min: 1_000, max: 3_000 }), fc.integer({ min: 32_000, max: 200_000 }));
    await fc.assert(
      fc.asyncProperty(
        fc.array(length, { minLength: 1, maxLength: 12 }),
        fc.array(size, { minLength: 1, maxLength: 4 }),
        async (lengths, sizes) => {
          const messages = messagesOf(lengths);
          const came = await carried(secretPair(...cutPair(sizes)), messages);
          assert.deepEqual(came, messages.map(toHex));
        },
      ),
      { numRuns: 60 },
    );
  });

  void it('is never what a socket is still sending', async (test) => {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    atEnd(test, () => server.close());
    const address = server.address();
    assert.ok(typeof address === 'object' && address !== null);
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const here = connect(address.port, '127.0.0.1');
    const [there] = await accepted;
    const messages = messagesOf(Array.from({ length: 200 }, (_, index) => ((index * 7_919) % 300_000) + 1));
    const came = await carried(secretPair(here, there), messages);
    assert.deepEqual(came, messages.map(toHex));
  });
});
