import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toHex, utf8 } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { encodeAddressBody } from '../../lib/format/address-body.ts';
import { canonicalCard, decodeCard, encodeCard } from '../../lib/format/card.ts';
import { extensionOf } from '../../lib/format/extensions.ts';
import { encodeOffers } from '../../lib/net/sessions/hello.ts';
import { Network } from '../../lib/net/network.ts';
import { FriendsBook } from '../../lib/trust/friends-book.ts';
import { FakeTimers } from '../support/fake-timers.ts';
import { EchoService, until, wireBetween } from '../support/net-peers.ts';
import { RawPeer } from '../support/raw-peer.ts';
import { SamplePerson } from '../support/sample-card.ts';
import { atEnd } from '../support/at-end.ts';

/** A field that this kith doesn't know, and may skip. */
const later = { tag: 90, bytes: utf8('of a later kith') };
/** One that it doesn't know and may not skip. */
const must = { tag: 200, bytes: utf8('not to be overlooked') };

/** The card of somebody whose kith is newer than ours: unknown fields wherever there may be some. */
function newerCard(person: SamplePerson): Uint8Array {
  const endpoints = [{ host: '127.0.0.1', port: 4000, direct: true, dht: false }];
  const body = encodeAddressBody({ name: person.label, endpoints, extensions: [later] });
  return encodeCard(
    canonicalCard({
      identity: person.identity,
      certificates: [person.certificate(1, { extensions: [later] })],
      revocations: [],
      addresses: [person.addressOf(1, 9, body)],
      extensions: [later],
    }),
  );
}

/** Our own side, of this kith, with a friend of whom it knows an old card. */
function older(test: { after(work: () => Promise<void>): void }): {
  readonly us: SamplePerson;
  readonly them: SamplePerson;
  readonly book: FriendsBook;
  readonly network: Network;
  readonly learned: Uint8Array[];
  readonly raw: RawPeer;
} {
  const [us, them] = [new SamplePerson('us'), new SamplePerson('them')];
  const learned: Uint8Array[] = [];
  const timers = new FakeTimers();
  const book = new FriendsBook({
    identity: us.identity,
    deviceId: us.device(1).publicKey,
    ownCard: () => encodeCard(us.card()),
    onLearned: (_, card) => void learned.push(card),
    clock: { monotonicMs: () => timers.nowMs() },
  });
  book.replace([
    { identity: them.identity, state: 1, grants: ['store', 'echo'], card: encodeCard(them.card()) },
  ]);
  const services = [new EchoService('kith/echo', { min: 1, max: 2 })];
  const network = new Network({ device: us.device(1), directory: book, services, timers });
  atEnd(test, () => network.close());
  const wire = wireBetween(them.device(1), us.device(1));
  network.accept(wire.responder);
  return { us, them, book, network, learned, raw: new RawPeer(wire.initiator) };
}

void describe('a friend with a newer kith', () => {
  void it('is spoken to in the highest version that both know, whatever else it says', async (test) => {
    const { them, book, network, learned, raw } = older(test);
    raw.sayHello(them.device(1), newerCard(them), { extensions: [later] });
    // Messages of kinds that are not known here.
    for (const kind of [7, 8, 9]) raw.hello.send(kind, utf8('what is this'));
    const services = [
      { name: 'kith/echo', versions: { min: 2, max: 5 } },
      { name: 'kith/future', versions: { min: 1, max: 4 } },
    ];
    const heard: Parameters<RawPeer['open']>[2] = [];
    // The channel on which the older side calls: its role there is that of who answered the link.
    raw.mux.expect('kith/echo/2', new Uint8Array([2]), () => void raw.open('kith/echo/2', 2, heard));
    raw.hello.send(1, encodeOffers({ moment: 2, services, extensions: [later] }));
    await until(() => network.caller(them.identity, 'kith/echo').connected, 'the service');
    assert.equal(network.caller(them.identity, 'kith/future').connected, false);
    const cancel = new AbortController();
    const call = network.caller(them.identity, 'kith/echo').call(0, utf8('hi'), { signal: cancel.signal });
    await until(() => heard.some(({ kind }) => kind === 0), 'the call in version 2');
    cancel.abort();
    await assert.rejects(call, (error) => isKithError(error, 'interrupted'));
    assert.equal(raw.ended, false);
    // What is not known of the card is kept for whoever knows it.
    const kept = book.cardOf(toHex(them.identity)) ?? new Uint8Array();
    assert.deepEqual(extensionOf(decodeCard(kept).extensions, later.tag), later.bytes);
    assert.equal(decodeCard(kept).addresses[0]?.counter, 9);
    assert.deepEqual(learned, [kept]);
  });

  void it('stays a friend where its card has what must not be overlooked; the card is left as it was', async (test) => {
    const { them, book, network, raw } = older(test);
    const before = book.cardOf(toHex(them.identity));
    const newer = decodeCard(newerCard(them));
    const addresses = [
      them.addressOf(1, 9, encodeAddressBody({ name: 'them', endpoints: [], extensions: [later, must] })),
    ];
    raw.sayHello(them.device(1), encodeCard({ ...newer, addresses, extensions: [must] }));
    raw.hello.send(1, encodeOffers({ moment: 2, services: [], extensions: [] }));
    await until(() => network.peers().length === 1, 'the session');
    assert.deepEqual(book.cardOf(toHex(them.identity)), before);
  });
});
