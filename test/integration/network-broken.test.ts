import assert from 'node:assert/strict';
import { it } from 'node:test';
import { isKithError, KithError } from '../../lib/base/errors.ts';
import { BrokenPeer } from '../../lib/net/calls/broken-peer.ts';
import type { BrokenRule } from '../../lib/net/network-options.ts';
import { readReply } from '../../lib/net/calls/read-reply.ts';
import type { Service } from '../../lib/net/service.ts';
import {
  connect,
  connectedPair,
  FakeTransport,
  EchoService,
  turns,
  until,
  wireBetween,
} from '../support/net-peers.ts';

it('who breaks a rule of a service is told which, and let go', async (test) => {
  const { a, b } = await connectedPair(test);
  const call = async (): Promise<unknown> =>
    await a.network.caller(b.identity, 'kith/echo').call(1, new Uint8Array(0));
  b.echo.error = new KithError('not-authentic', 'an honest mistake');
  await assert.rejects(call(), (error) => isKithError(error, 'not-authentic'));
  assert.equal(a.network.peers().length, 1, 'a failure alone ends nothing');
  b.echo.error = new BrokenPeer(new KithError('not-authentic', 'another signature'));
  await assert.rejects(
    call(),
    (error) => isKithError(error, 'not-authentic') && /another signature/.test(error.message),
  );
  await until(() => a.network.peers().length === 0 && b.network.peers().length === 0, 'the end');
});

it('calls go to one device where that is wanted, and a liar loses all its sessions', async (test) => {
  const { a, b } = await connectedPair(test);
  const caller = (deviceId: Uint8Array): boolean =>
    a.network.caller(b.identity, 'kith/echo', deviceId).connected;
  assert.equal(caller(b.keys.publicKey), true);
  assert.equal(caller(a.keys.publicKey), false);
  assert.equal(a.network.sought().size, 1);
  a.network.drop(b.identity, 'it lied');
  await until(() => a.network.peers().length === 0 && b.network.peers().length === 0, 'the end');
});

it('an answer that can’t be read ends the session it came in; one of a later kith doesn’t', async (test) => {
  const broken: BrokenRule[] = [];
  const { a, b } = await connectedPair(test, { a: { onBroken: (rule) => void broken.push(rule) } });
  const ask = async (error: KithError): Promise<unknown> => {
    const reply = await a.network.caller(b.identity, 'kith/echo').call(0, new Uint8Array(3));
    return readReply(reply, () => {
      throw error;
    });
  };
  await assert.rejects(ask(new KithError('too-new', 'later')), (error) => isKithError(error, 'too-new'));
  assert.equal(a.network.peers().length, 1);
  await assert.rejects(ask(new KithError('malformed', 'odd')), (error) => isKithError(error, 'malformed'));
  await until(() => a.network.peers().length === 0 && b.network.peers().length === 0, 'the end');
  assert.deepEqual(
    broken.map(({ identity, words }) => [identity, words]),
    [[b.identity, 'odd']],
  );
});

it('who breaks a rule again and again is heard ever more rarely, whoever dials', async (test) => {
  const broken: BrokenRule[] = [];
  const { a, b } = await connectedPair(test, { a: { onBroken: (rule) => void broken.push(rule) } });
  let dials = 0;
  const dialled = new FakeTransport(async () => {
    dials++;
    const wire = wireBetween(a.keys, b.keys);
    b.network.accept(wire.responder);
    return wire.initiator;
  });
  a.network.start([dialled]);
  a.network.drop(b.identity, 'it lied');
  await until(() => broken.length === 1 && b.network.peers().length === 0, 'the end');
  // It hammers at the door for an hour, and lies whenever it is let in; our own side dials meanwhile.
  for (let seconds = 0; seconds < 3_600; seconds += 5) {
    a.timers.advance(5_000);
    b.timers.advance(5_000);
    if (b.network.peers().length === 0) connect(b, a);
    await turns(30);
    if (a.network.peers().length > 0) a.network.drop(b.identity, 'it lied');
    await turns(5);
  }
  const waits = broken.map(({ waitMs }) => waitMs / 1000);
  assert.deepEqual(waits.slice(0, 6), [5, 10, 20, 40, 80, 160]);
  assert.ok(broken.length >= 12 && broken.length <= 18, `${broken.length} times`);
  assert.ok(dials <= broken.length, `${dials} dials`);
});

it('a mistake of our own ends the session, isn’t held against the other side, and is no business of its', async (test) => {
  const broken: BrokenRule[] = [];
  const onBroken = (rule: BrokenRule): void => void broken.push(rule);
  /** Stumbles over whoever speaks an older version. */
  const mistaken: Service = {
    name: 'kith/echo',
    versions: { min: 1, max: 2 },
    accept: (peer, version) => {
      if (version === 1) throw new TypeError('our own mistake');
      return new EchoService().accept(peer, version);
    },
  };
  const { a, b } = await connectedPair(test, { a: { services: [mistaken], onBroken }, b: { onBroken } });
  const asked = b.network.caller(a.identity, 'kith/echo').call(0, new Uint8Array(0));
  await assert.rejects(
    asked,
    (error) => error instanceof Error && !error.message.includes('our own mistake'),
  );
  await until(() => a.network.peers().length === 0 && b.network.peers().length === 0, 'the end');
  assert.deepEqual(broken, []);
});
