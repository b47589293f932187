import type { MuxChannel } from '../../lib/net/links/mux.ts';
import { closeAll, befriend, testPeer, until, wireBetween } from './net-peers.ts';
import type { MemoryWire } from './memory-link.ts';
import type { TestPeer, TestPeerOptions } from './net-peers.ts';
import { RawPeer } from './raw-peer.ts';
import type { RawMessage } from './raw-peer.ts';
import { atEnd } from './at-end.ts';

/** A friend that the test speaks for, greeted and let in. */
export interface RawFriend {
  readonly us: TestPeer;
  readonly raw: RawPeer;
  readonly wire: MemoryWire;
  /** On which the test calls our echo service. */
  readonly calling: MuxChannel;
  readonly answers: RawMessage[];
  /** On which ours calls the test's `kith/echo`. */
  readonly serving: MuxChannel;
  readonly calls: RawMessage[];
}

/** Greets, offers `kith/echo`, and opens the channels of both directions. The test's side opened the link. */
export async function rawFriendWithCalls(
  test: { after(work: () => Promise<void>): void },
  options: TestPeerOptions = {},
): Promise<RawFriend> {
  const us = testPeer(1, options);
  const them = testPeer(2);
  befriend(us, them);
  atEnd(test, () => closeAll(us, them));
  const wire = wireBetween(them.keys, us.keys);
  us.network.accept(wire.responder);
  const raw = new RawPeer(wire.initiator);
  const answers: RawMessage[] = [];
  const calls: RawMessage[] = [];
  let serving: MuxChannel | undefined;
  raw.mux.expect('kith/echo/1', new Uint8Array([2]), () => {
    serving = raw.open('kith/echo/1', 2, calls);
  });
  raw.sayHello(them.keys, them.directory.card);
  const follows = Buffer.compare(us.keys.publicKey, them.keys.publicKey) < 0;
  if (follows) await raw.hears(1);
  raw.sayOffers([{ name: 'kith/echo', versions: { min: 1, max: 1 } }]);
  await until(() => us.network.peers().length === 1 && serving !== undefined, 'the session');
  await raw.hears(1);
  const calling = raw.open('kith/echo/1', 1, answers);
  if (calling === undefined || serving === undefined) throw new Error('a channel did not open');
  return { us, raw, wire, calling, answers, serving, calls };
}
