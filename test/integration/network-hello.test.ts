import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toHex, utf8 } from '../../lib/base/bytes.ts';
import { isKithError, KithError } from '../../lib/base/errors.ts';
import {
  decodeGoodbye,
  decodeOffers,
  encodeGoodbye,
  encodePing,
  signHello,
} from '../../lib/net/sessions/hello.ts';
import type { BrokenRule } from '../../lib/net/network-options.ts';
import { offenceMsMin } from '../../lib/net/sessions/offences.ts';
import { helloMsMax } from '../../lib/net/sessions/session.ts';
import {
  befriend,
  closeAll,
  connect,
  connectedPair,
  EchoService,
  fakeCard,
  FakeTransport,
  keyPairOf,
  testPeer,
  turns,
  until,
  wireBetween,
} from '../support/net-peers.ts';
import type { TestPeer } from '../support/net-peers.ts';
import { RawPeer } from '../support/raw-peer.ts';
import { noise } from '../support/noise.ts';
import { atEnd } from '../support/at-end.ts';

/** Number 2's device is a friend of ours (number 1), and is spoken for by the test. */
function rawFriend(test: { after(work: () => Promise<void>): void }): {
  us: TestPeer;
  them: TestPeer;
  raw: RawPeer;
  broken: BrokenRule[];
} {
  const broken: BrokenRule[] = [];
  const us = testPeer(1, { onBroken: (rule) => void broken.push(rule) });
  const them = testPeer(2);
  befriend(us, them);
  atEnd(test, () => closeAll(us, them));
  const wire = wireBetween(them.keys, us.keys);
  us.network.accept(wire.responder);
  return { us, them, raw: new RawPeer(wire.initiator), broken };
}

async function refused(raw: RawPeer): Promise<string> {
  await until(() => raw.ended, 'the end');
  const goodbye = raw.heard.find(({ kind }) => kind === 2);
  return goodbye === undefined ? '' : decodeGoodbye(goodbye.bytes).words;
}

void describe('the hello', () => {
  void it('makes a session that names identity, device and way', async (test) => {
    const { a, b } = await connectedPair(test);
    const [peer, ...others] = a.network.peers();
    assert.deepEqual(others, []);
    assert.deepEqual(
      [peer?.identity, peer?.deviceId, peer?.via, peer?.remoteAddress],
      [b.identity, new Uint8Array(b.keys.publicKey), 'direct', '127.0.0.1:1'],
    );
    assert.equal(a.directory.learned.length, 1);
    assert.equal(b.directory.learned.length, 1);
    const presence = a.network.presence(Buffer.from(b.identity).toString('hex'));
    assert.deepEqual(presence, {
      online: true,
      via: 'direct',
      address: '127.0.0.1:1',
      mutual: true,
      trouble: null,
      disowned: false,
      steps: [],
      metered: false,
    });
  });

  void it('of a stranger is never read', async () => {
    const us = testPeer(1);
    const stranger = keyPairOf(9);
    const wire = wireBetween(stranger, us.keys);
    us.network.accept(wire.responder);
    await until(() => wire.over);
    await us.network.close();
  });

  void it('is refused with a signature over another link, for another role, or by another key', async (test) => {
    for (const signature of [
      (raw: RawPeer, keys: TestPeer['keys']) => signHello(noise(1, 64), raw.role, keys.secretKey),
      (raw: RawPeer, keys: TestPeer['keys']) => signHello(raw.link.handshakeHash, 2, keys.secretKey),
      (raw: RawPeer) => signHello(raw.link.handshakeHash, raw.role, keyPairOf(3).secretKey),
    ]) {
      const { us, them, raw } = rawFriend(test);
      raw.sayHello(them.keys, them.directory.card, { signature: signature(raw, them.keys) });
      assert.match(await refused(raw), /not signed/);
      assert.equal(us.directory.learned.length, 0);
      assert.equal(us.network.peers().length, 0);
    }
  });

  void it('is refused when it names another device than the link, or our own', async (test) => {
    for (const other of [keyPairOf(3), keyPairOf(1)]) {
      const { us, them, raw } = rawFriend(test);
      raw.sayHello(other, fakeCard(them.identity, other.publicKey));
      assert.match(await refused(raw), /another device|this very device/);
      assert.equal(us.directory.learned.length, 0);
    }
  });

  void it('with a bad card costs the session, and the device isn’t listened to for a while', async (test) => {
    for (const card of [noise(1, 10), noise(2, 64)]) {
      const { us, them, raw, broken } = rawFriend(test);
      raw.sayHello(them.keys, card);
      assert.match(await refused(raw), /not a card|another identity/);
      assert.deepEqual(
        broken.map(({ identity, waitMs }) => [identity, waitMs]),
        [[them.identity, offenceMsMin]],
      );
      // Nothing is read of what comes meanwhile, and nothing is answered but why.
      const again = wireBetween(them.keys, us.keys);
      us.network.accept(again.responder);
      const impatient = new RawPeer(again.initiator);
      impatient.sayHello(them.keys, them.directory.card);
      assert.match(await refused(impatient), /listened to again in 5 s/);
      assert.equal(us.directory.learned.length, 0);
      assert.equal(broken.length, 1);
      us.timers.advance(offenceMsMin);
      const wire = connect(them, us);
      await until(() => us.network.peers().length === 1, 'the session');
      assert.equal(wire.over, false);
    }
  });

  void it('with a card that is too new, or too much, is told and no reason to part', async (test) => {
    for (const code of ['too-new', 'limit-exceeded'] as const) {
      const { us, them, raw, broken } = rawFriend(test);
      us.directory.learn = () => Promise.reject(new KithError(code, 'what is this'));
      raw.sayHello(them.keys, them.directory.card);
      assert.equal(broken.length, 0);
      // The friend with the lower device id chooses; either way ours greets it, and waits for it or offers.
      const chooses = Buffer.compare(us.keys.publicKey, them.keys.publicKey) < 0;
      if (!chooses) raw.sayOffers([]);
      const offers = await raw.hears(1);
      assert.deepEqual(decodeOffers(offers.bytes).services, [
        { name: 'kith/echo', versions: { min: 1, max: 1 } },
      ]);
    }
  });

  void it('with a card that revokes another device ends that device’s session at once', async (test) => {
    const friend = await connectedPair(test);
    const second = testPeer(3, { identity: friend.b.identity });
    friend.a.directory.know(second.identity, second.keys.publicKey);
    second.directory.know(friend.a.identity, friend.a.keys.publicKey);
    atEnd(test, () => closeAll(second));
    const hanging = friend.b.network.caller(friend.a.identity, 'kith/echo').call(2, utf8(''));
    await until(() => friend.a.echo.calls.length === 1);
    friend.a.directory.revoking = [friend.b.keys.publicKey];
    connect(second, friend.a);
    await assert.rejects(hanging, (error) => isKithError(error, 'holder-unavailable'));
    assert.ok(friend.a.echo.calls[0]?.signal.aborted);
    await until(() => second.network.peers().length === 1, 'the session of the other device');
    const devices = friend.a.network.peers().map(({ deviceId }) => deviceId);
    assert.deepEqual(devices, [new Uint8Array(second.keys.publicKey)]);
  });

  void it('is no session any more when its offers come after the end', async (test) => {
    const pair = [testPeer(1), testPeer(2)] as const;
    const [them, us] = [...pair].sort((a, b) => Buffer.compare(a.keys.publicKey, b.keys.publicKey));
    if (us === undefined || them === undefined) return;
    befriend(us, them);
    atEnd(test, () => closeAll(us, them));
    const wire = wireBetween(them.keys, us.keys);
    us.network.accept(wire.responder);
    const raw = new RawPeer(wire.initiator);
    raw.sayHello(them.keys, them.directory.card);
    await until(() => us.directory.learned.length === 1, 'the hello');
    await turns();
    wire.setAutomatic(false);
    raw.sayOffers([]);
    us.directory.forget(them.keys.publicKey);
    us.network.refresh();
    assert.ok(wire.deliver('initiator'));
    await until(() => wire.over, 'the end');
    us.directory.know(them.identity, them.keys.publicKey);
    const next = wireBetween(us.keys, them.keys);
    us.network.accept(next.initiator);
    await new RawPeer(next.responder).hears(0);
  });

  void it('with a bad card of a device that is not known any longer ends', async (test) => {
    const { us, them, raw } = rawFriend(test);
    let go = (): void => {};
    us.directory.learning = new Promise<void>((resolve) => {
      go = resolve;
    });
    raw.sayHello(them.keys, noise(1, 10));
    await turns();
    us.directory.forget(them.keys.publicKey);
    go();
    assert.match(await refused(raw), /not a card/);
  });

  void it('must come first, once, and within its time', async (test) => {
    const early = rawFriend(test);
    early.raw.hello.send(3, encodePing(1));
    await refused(early.raw);
    const twice = rawFriend(test);
    twice.raw.sayHello(twice.them.keys, twice.them.directory.card);
    twice.raw.sayHello(twice.them.keys, twice.them.directory.card);
    await refused(twice.raw);
    const late = rawFriend(test);
    await turns();
    late.us.timers.advance(helloMsMax - 1);
    await turns();
    assert.equal(late.raw.ended, false);
    late.us.timers.advance(1);
    assert.match(await refused(late.raw), /did not finish its hello/);
    assert.equal(late.us.timers.pending, 0);
  });

  void it('keeps every other channel shut until it is done', async (test) => {
    const { raw } = rawFriend(test);
    let closed = false;
    raw.open('kith/echo/1', 1, [], () => {
      closed = true;
    });
    await until(() => closed, 'the refusal');
    assert.equal(raw.ended, false);
  });

  void it('ignores kinds of messages that it does not know', async (test) => {
    const { us, them, raw } = rawFriend(test);
    raw.hello.send(9, utf8('from the future'));
    raw.sayHello(them.keys, them.directory.card);
    raw.hello.send(7, utf8('from the future'));
    if (Buffer.compare(us.keys.publicKey, them.keys.publicKey) >= 0) raw.sayOffers([]);
    await raw.hears(1);
    raw.hello.send(3, encodePing(77));
    assert.deepEqual((await raw.hears(4)).bytes, encodePing(77));
    assert.equal(raw.ended, false);
  });

  void it('takes no more than a few links at once from one key', async (test) => {
    const us = testPeer(1);
    const them = testPeer(2);
    befriend(us, them);
    atEnd(test, () => closeAll(us, them));
    const wires = Array.from({ length: 10 }, () => {
      const wire = wireBetween(them.keys, us.keys);
      us.network.accept(wire.responder);
      return wire;
    });
    await until(() => wires.filter(({ over }) => over).length === 6);
    await turns();
    assert.equal(wires.filter(({ over }) => !over).length, 4);
  });

  void it('makes no more than a few sessions with one identity; the oldest that does nothing gives way', async (test) => {
    const us = testPeer(1);
    const { identity } = testPeer(2);
    const devices = Array.from({ length: 10 }, (_, i) => testPeer(10 + i, { identity }));
    atEnd(test, () => closeAll(us, ...devices));
    const calls: Promise<unknown>[] = [];
    for (const [i, device] of devices.entries()) {
      befriend(us, device);
      connect(device, us);
      await until(() => device.network.peers().length === 1, `session ${i}`);
      // All but the third, and the last two, are busy.
      if (i === 2 || i >= 8) continue;
      const call = device.network.caller(us.identity, 'kith/echo').call(2, utf8(''));
      calls.push(call.catch(() => {}));
      await until(() => us.echo.calls.length === calls.length);
    }
    await turns();
    const there = devices.map(({ network }) => network.peers().length);
    assert.deepEqual(there, [1, 1, 0, 1, 1, 1, 1, 1, 0, 1]);
    assert.equal(us.network.peers().length, 8);
    const ninth = devices[9]?.network.caller(us.identity, 'kith/echo').call(2, utf8(''));
    calls.push(ninth?.catch(() => {}) ?? Promise.resolve());
    await until(() => us.echo.calls.length === calls.length);
    const more = testPeer(30, { identity });
    befriend(us, more);
    atEnd(test, () => closeAll(more));
    const wire = connect(more, us);
    await until(() => wire.over, 'the end of one too many');
    assert.equal(us.network.peers().length, 8);
  });

  void it('looks for the first few devices of an identity only', async (test) => {
    const us = testPeer(1);
    const { identity } = testPeer(2);
    for (let i = 0; i < 20; i++) us.directory.know(identity, keyPairOf(100 + i).publicKey);
    atEnd(test, () => closeAll(us));
    const transport = new FakeTransport(async () => {
      throw new KithError('peer-unreachable', 'nobody');
    });
    us.network.start([transport]);
    await turns();
    for (let i = 0; i < 20; i++) {
      us.timers.advance(2_000);
      await turns(5);
    }
    const dialled = new Set(transport.dialled.map(({ remoteKey }) => Buffer.from(remoteKey).toString('hex')));
    assert.equal(dialled.size, 8);
  });

  void it('is refused while our own card can’t be shown; what there is goes on', async (test) => {
    const { a, b } = await connectedPair(test);
    const late = testPeer(3);
    befriend(a, late);
    atEnd(test, () => closeAll(late));
    const small = a.directory.card;
    a.directory.card = new Uint8Array(2 ** 20);
    const wire = connect(late, a);
    await until(() => wire.over, 'the end');
    const trouble = a.network.presence(Buffer.from(late.identity).toString('hex')).trouble ?? '';
    assert.match(trouble, /our own card can't be shown/);
    assert.deepEqual((await a.network.caller(b.identity, 'kith/echo').call(0, utf8('x'))).body, utf8('x'));
    a.directory.card = small;
    connect(late, a);
    await until(() => late.network.peers().length === 1, 'the session');
  });

  void it('passes on why the other side ends it', async (test) => {
    const us = testPeer(1);
    const them = testPeer(2);
    befriend(us, them);
    atEnd(test, () => closeAll(us, them));
    const transport = new FakeTransport(async () => {
      const wire = wireBetween(us.keys, them.keys);
      const raw = new RawPeer(wire.responder);
      raw.hello.send(2, encodeGoodbye({ code: 'refused', words: 'who\u0007 are you?', extensions: [] }));
      void turns().then(() => raw.link.close());
      return wire.initiator;
    });
    us.network.start([transport]);
    const hex = Buffer.from(them.identity).toString('hex');
    await until(() => us.network.presence(hex).trouble !== null);
    assert.match(us.network.presence(hex).trouble ?? '', /who +are you\?/);
    assert.equal(us.network.presence(hex).mutual, false);
  });
});

void describe('the doorstep', () => {
  void it('lets a new device of a known identity in, with its certificate', async (test) => {
    const friend = testPeer(1);
    const doorstep = keyPairOf(50);
    const newcomer = testPeer(2, { doorstep });
    newcomer.directory.know(friend.identity, friend.keys.publicKey);
    friend.directory.knowDoorstep(newcomer.identity, doorstep.publicKey);
    atEnd(test, () => closeAll(friend, newcomer));
    const wire = wireBetween(doorstep, friend.keys);
    newcomer.network.accept(wire.initiator);
    friend.network.accept(wire.responder);
    await until(() => friend.network.peers().length === 1 && newcomer.network.peers().length === 1);
    assert.deepEqual(friend.network.peers()[0]?.deviceId, new Uint8Array(newcomer.keys.publicKey));
    assert.equal(friend.directory.learned.length, 1);
    const reply = await newcomer.network.caller(friend.identity, 'kith/echo').call(0, utf8('here I am'));
    assert.deepEqual(reply.body, utf8('here I am'));
  });

  void it('stays shut for a card of another identity, or of another device', async (test) => {
    const doorstep = keyPairOf(50);
    const device = keyPairOf(2);
    const other = keyPairOf(3);
    const identity = keyPairOf(60).publicKey;
    for (const card of [
      fakeCard(keyPairOf(61).publicKey, device.publicKey),
      fakeCard(identity, other.publicKey),
      noise(1, 7),
    ]) {
      const friend = testPeer(1);
      friend.directory.knowDoorstep(identity, doorstep.publicKey);
      atEnd(test, () => closeAll(friend));
      const wire = wireBetween(doorstep, friend.keys);
      friend.network.accept(wire.responder);
      const raw = new RawPeer(wire.initiator);
      raw.sayHello(device, card);
      assert.match(await refused(raw), /card/);
      assert.equal(friend.network.peers().length, 0);
      assert.equal(friend.directory.learned.length, 0);
    }
  });

  void it('opens to its owner though another friend names the same key, whoever was added first', async (test) => {
    const doorstep = keyPairOf(50);
    const squatter = keyPairOf(61).publicKey;
    const newcomer = testPeer(2, { doorstep });
    for (const squatterFirst of [true, false]) {
      const friend = testPeer(1);
      const identities = squatterFirst ? [squatter, newcomer.identity] : [newcomer.identity, squatter];
      for (const identity of identities) friend.directory.knowDoorstep(identity, doorstep.publicKey);
      atEnd(test, () => closeAll(friend));
      const wire = wireBetween(doorstep, friend.keys);
      friend.network.accept(wire.responder);
      const raw = new RawPeer(wire.initiator);
      raw.sayHello(newcomer.keys, newcomer.directory.card);
      await until(() => friend.directory.learned.length === 1 || raw.ended, 'the card');
      assert.ok(friend.directory.owns(newcomer.identity, newcomer.keys.publicKey));
      assert.equal(raw.ended, false);
    }
  });

  void it('is knocked at once after the device key was refused', async (test) => {
    const friend = testPeer(1);
    const doorstep = keyPairOf(50);
    const newcomer = testPeer(2, { doorstep });
    newcomer.directory.know(friend.identity, friend.keys.publicKey);
    friend.directory.knowDoorstep(newcomer.identity, doorstep.publicKey);
    atEnd(test, () => closeAll(friend, newcomer));
    const transport = new FakeTransport(async ({ keyPair }) => {
      if (!friend.network.wiring.admits(keyPair.publicKey)) throw new KithError('peer-refused', 'refused');
      const wire = wireBetween(keyPair, friend.keys);
      friend.network.accept(wire.responder);
      return wire.initiator;
    });
    newcomer.network.start([transport]);
    assert.deepEqual(await newcomer.network.waitFor([friend.identity], { timeoutMs: 1000 }), []);
    assert.deepEqual(
      transport.dialled.map(({ keyPair }) => keyPair),
      [newcomer.keys, doorstep],
    );
  });
});

void describe('that this device is none of its identity’s any more', () => {
  const disownedWords = 'the card does not show that this device belongs to its identity';

  /** A device that its friend knows by the doorstep alone; its transport fails with `error` where that is given. */
  function revoked(test: { after(work: () => Promise<void>): void }, error?: KithError) {
    const friend = testPeer(1);
    const doorstep = keyPairOf(50);
    const us = testPeer(2, { doorstep });
    us.directory.know(friend.identity, friend.keys.publicKey);
    friend.directory.knowDoorstep(us.identity, doorstep.publicKey);
    // Of the identity, and it names another device.
    us.directory.card.set(keyPairOf(77).publicKey, 32);
    atEnd(test, () => closeAll(friend, us));
    const transport = new FakeTransport(async ({ keyPair }) => {
      if (error !== undefined) throw error;
      if (!friend.network.wiring.admits(keyPair.publicKey)) throw new KithError('peer-refused', 'refused');
      const wire = wireBetween(keyPair, friend.keys);
      friend.network.accept(wire.responder);
      return wire.initiator;
    });
    us.network.start([transport]);
    return { friend, us, presence: () => us.network.presence(toHex(friend.identity)) };
  }

  void it('is a code that the friend’s own device sends', async (test) => {
    const { friend, us, presence } = revoked(test);
    await until(() => presence().trouble !== null, 'the try in vain');
    assert.equal(presence().disowned, true);
    assert.match(presence().trouble ?? '', new RegExp(disownedWords));
    assert.equal(us.network.refusedBy(friend.identity), true);
  });

  void it('is not believed of one who couldn’t be reached, whatever others say of it', async (test) => {
    const { presence } = revoked(
      test,
      new KithError('peer-refused', `a relay: the other side ended it: ${disownedWords}`),
    );
    await until(() => presence().trouble !== null, 'the try in vain');
    assert.equal(presence().disowned, false);
  });

  void it('is over when the friend takes it again', async (test) => {
    const { us, friend, presence } = revoked(test);
    await until(() => presence().disowned, 'the try in vain');
    us.directory.card = fakeCard(us.identity, us.keys.publicKey);
    us.network.showed(friend.keys.publicKey);
    assert.deepEqual(await us.network.waitFor([friend.identity], { timeoutMs: 20_000 }), []);
    assert.deepEqual([presence().online, presence().disowned], [true, false]);
  });
});

void describe('services', () => {
  void it('speak the highest version that both know; others are left aside', async (test) => {
    const older = new EchoService('kith/echo', { min: 1, max: 1 });
    const newer = new EchoService('kith/echo', { min: 1, max: 2 });
    const unknown = new EchoService('chat/talk');
    const { a, b } = await connectedPair(test, {
      a: { services: [older] },
      b: { services: [newer, unknown] },
    });
    assert.deepEqual(
      (await a.network.caller(b.identity, 'kith/echo').call(0, utf8('old'))).body,
      utf8('old'),
    );
    assert.deepEqual(
      (await b.network.caller(a.identity, 'kith/echo').call(0, utf8('new'))).body,
      utf8('new'),
    );
    // Version 2 was only looked at to see whether it is granted.
    assert.deepEqual(newer.accepted, [2, 1]);
    assert.equal(newer.closedCount, 1);
    assert.equal(a.network.caller(b.identity, 'chat/talk').connected, false);
    const none = a.network.caller(b.identity, 'chat/talk').call(0, new Uint8Array(0));
    await assert.rejects(none, (error) => isKithError(error, 'holder-unavailable'));
  });

  void it('without a common version stay shut', async (test) => {
    const older = new EchoService('kith/echo', { min: 1, max: 1 });
    const newer = new EchoService('kith/echo', { min: 2, max: 3 });
    const { a, b } = await connectedPair(test, { a: { services: [older] }, b: { services: [newer] } });
    assert.equal(a.network.caller(b.identity, 'kith/echo').connected, false);
    assert.equal(b.network.caller(a.identity, 'kith/echo').connected, false);
  });

  void it('are granted one way and not the other', async (test) => {
    const echo = new EchoService();
    echo.granted = false;
    const { a, b } = await connectedPair(test, { b: { echo } });
    assert.equal(a.network.caller(b.identity, 'kith/echo').connected, false);
    assert.deepEqual((await b.network.caller(a.identity, 'kith/echo').call(0, utf8('x'))).body, utf8('x'));
  });

  void it('close at once when the grant is taken back, and open when it is given', async (test) => {
    const { a, b } = await connectedPair(test);
    const caller = a.network.caller(b.identity, 'kith/echo');
    const hanging = caller.call(2, new Uint8Array(0));
    await until(() => b.echo.calls.length === 1);
    b.echo.granted = false;
    b.network.regrant();
    assert.equal(b.echo.closedCount, 1);
    assert.equal(b.echo.calls[0]?.signal.aborted, true);
    await assert.rejects(hanging, (error) => isKithError(error, 'holder-unavailable'));
    await until(() => !caller.connected);
    await assert.rejects(caller.call(0, utf8('x')), (error) => isKithError(error, 'holder-unavailable'));
    b.echo.granted = true;
    b.network.regrant();
    await until(() => caller.connected);
    assert.deepEqual((await caller.call(0, utf8('again'))).body, utf8('again'));
    // Asked again with nothing changed, nothing changes.
    b.network.regrant();
    assert.deepEqual((await caller.call(0, utf8('still'))).body, utf8('still'));
  });

  void it('are asked about one friend alone where only that one’s may have changed', async (test) => {
    const echo = new EchoService();
    const us = testPeer(1, { echo });
    const friends = [testPeer(2), testPeer(3), testPeer(4)];
    atEnd(test, () => closeAll(us, ...friends));
    for (const friend of friends) {
      befriend(us, friend);
      connect(us, friend);
    }
    await until(() => us.network.peers().length === friends.length);
    const one = friends[1] ?? us;
    for (const work of [
      () => us.network.refresh(new Set([toHex(one.identity)])),
      () => {
        us.directory.revision++;
        us.network.refresh(new Set([toHex(one.identity)]));
      },
    ]) {
      echo.askedBy.length = 0;
      work();
      assert.deepEqual(echo.askedBy, [toHex(one.identity)]);
    }
    echo.granted = false;
    us.network.refresh(new Set([toHex(one.identity)]));
    await until(() => !one.network.caller(us.identity, 'kith/echo').connected);
    const others = friends.filter((friend) => friend !== one);
    assert.ok(others.every(({ network }) => network.caller(us.identity, 'kith/echo').connected));
    // Whoever is none of ours any more goes, whoever it was said to be about.
    const gone = friends[2] ?? us;
    us.directory.forget(gone.keys.publicKey);
    us.network.refresh(new Set());
    await until(() => us.network.peers().length === 2);
    us.network.refresh();
    await until(() => others.every(({ network }) => !network.caller(us.identity, 'kith/echo').connected));
  });

  void it('that are not granted are neither listed nor opened', async (test) => {
    const { us, them, raw } = rawFriend(test);
    us.echo.granted = false;
    raw.sayHello(them.keys, them.directory.card);
    if (Buffer.compare(us.keys.publicKey, them.keys.publicKey) >= 0) raw.sayOffers([]);
    assert.deepEqual(decodeOffers((await raw.hears(1)).bytes).services, []);
    let closed = false;
    raw.open('kith/echo/1', 1, [], () => {
      closed = true;
    });
    await until(() => closed);
    assert.equal(raw.ended, false);
    assert.deepEqual(us.echo.accepted, []);
  });
});

void describe('a friend that is let go', () => {
  void it('loses its session at once', async (test) => {
    const { a, b } = await connectedPair(test);
    const hanging = b.network.caller(a.identity, 'kith/echo').call(2, new Uint8Array(0));
    await until(() => a.echo.calls.length === 1);
    a.directory.forget(b.keys.publicKey);
    a.network.refresh();
    assert.equal(a.network.peers().length, 0);
    assert.equal(a.echo.calls[0]?.signal.aborted, true);
    await assert.rejects(hanging, (error) => isKithError(error, 'holder-unavailable'));
    await until(() => b.network.peers().length === 0);
    const wire = connect(b, a);
    await until(() => wire.over);
  });
});
