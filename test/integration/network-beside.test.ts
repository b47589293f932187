import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { equalBytes, utf8 } from '../../lib/base/bytes.ts';
import type { Link } from '../../lib/net/links/link.ts';
import { openTransports } from '../../lib/net/transports.ts';
import { closeAfter, loopback, newEnd, patience, readMessage, targetOf } from '../support/net-fixture.ts';
import type { End } from '../support/net-fixture.ts';
import { befriend } from '../support/net-peers.ts';
import type { TestPeer } from '../support/net-peers.ts';
import { listening, meet } from '../support/net-strangers.ts';
import { poll } from '../support/poll.ts';
import { SilentProxy } from '../support/silent-proxy.ts';

/** Time of the peers that goes by at each look at what became of them. */
const stepMs = 50;

/** True if a call is answered. */
async function answers(from: TestPeer, to: TestPeer): Promise<boolean> {
  const body = utf8('are you there?');
  try {
    const reply = await from.network.caller(to.identity, 'kith/echo').call(0, body);
    return equalBytes(reply.body, body);
  } catch {
    return false;
  }
}

void describe('a path that swallows what is sent over it, on real sockets', () => {
  for (const [one, other] of [
    [1, 2],
    [2, 1],
  ] as const) {
    void it(`is left for a new one before anybody is given up: ${one} dials ${other}`, async (test) => {
      const on = { direct: true, dht: false };
      const [a, b] = [await listening(test, one, on), await listening(test, other, on)];
      befriend(a.peer, b.peer);
      const proxy = closeAfter(test, await SilentProxy.open(b.port));
      await meet(a, { ...b, port: proxy.port });
      await poll('the session there', () => Promise.resolve(b.peer.network.peers().length === 1));
      assert.ok(await answers(a.peer, b.peer));
      assert.equal(proxy.accepted, 1);
      proxy.swallow();
      // It is in nobody's way that the call hangs: it is failed when the new session is there.
      let answered = false;
      const asking = answers(a.peer, b.peer).then(async (first) => {
        assert.equal(first, false);
        answered = await answers(a.peer, b.peer);
      });
      await poll('an answer', () => {
        for (const { peer } of [a, b]) {
          peer.timers.advance(stepMs);
          assert.equal(peer.network.peers().length, 1, 'there is no moment with nobody there');
        }
        return Promise.resolve(answered);
      });
      await asking;
      assert.equal(proxy.accepted, 2);
    });
  }

  void it('over the DHT there can be a link beside the one there is, which goes on', async (test) => {
    const friend: End = newEnd(() => [me.keyPair]);
    const me = newEnd(() => []);
    const open = async (end: End, listen?: { host: string; port: number }) =>
      closeAfter(
        test,
        await openTransports({
          ...end.options,
          direct: false,
          dht: true,
          bootstrap: [],
          ...(listen !== undefined && { listen }),
        }),
      );
    const there = await open(friend, { host: '127.0.0.1', port: 0 });
    const here = await open(me);
    const [dht] = here.transports;
    assert.ok(dht !== undefined);
    const target = targetOf(me, friend, loopback(there.listening?.port ?? 0));
    const talk = async (out: Link, into: Link, words: string): Promise<void> => {
      out.stream.write(utf8(words));
      assert.deepEqual(await readMessage(into), utf8(words));
      into.stream.write(utf8(words));
      assert.deepEqual(await readMessage(out), utf8(words));
    };
    const first = { out: await dht.dial(target, patience()), into: await friend.next() };
    const second = {
      out: await dht.dial({ ...target, isBeside: true }, patience()),
      into: await friend.next(),
    };
    await talk(first.out, first.into, 'one');
    await talk(second.out, second.into, 'two');
    await first.out.close();
    await first.into.closed;
    await talk(second.out, second.into, 'three');
  });
});
