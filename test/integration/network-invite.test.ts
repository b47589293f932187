import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { equalBytes } from '../../lib/base/bytes.ts';
import { KithError, type ErrorCode } from '../../lib/base/errors.ts';
import type { DialTarget, Link } from '../../lib/net/links/link.ts';
import { eagerDelayMs } from '../../lib/net/dialling/dial-schedule.ts';
import {
  closeAll,
  FakeTransport,
  keyPairOf,
  testPeer,
  turns,
  until,
  wireBetween,
} from '../support/net-peers.ts';
import type { TestPeer } from '../support/net-peers.ts';
import { atEnd } from '../support/at-end.ts';

const oneTime = keyPairOf(500);

/** Anna has made an invite, and Ben, whom she doesn't know, has it. Their transport is in memory. */
function inviterAndGuest(
  test: { after(work: () => Promise<void>): void },
  transportName: 'direct' | 'dht' = 'direct',
): { anna: TestPeer; ben: TestPeer; transport: FakeTransport; start: () => void } {
  const anna = testPeer(1);
  const ben = testPeer(2);
  anna.directory.knowInvite(oneTime.publicKey);
  ben.directory.know(anna.identity, anna.keys.publicKey);
  ben.directory.peers = ben.directory.peers.map((peer) => ({ ...peer, oneTime }));
  atEnd(test, () => closeAll(anna, ben));
  const answer = ({ keyPair }: DialTarget): Promise<Link> => {
    if (!anna.network.wiring.admits(keyPair.publicKey)) {
      const code = transportName === 'dht' ? 'peer-unreachable' : 'peer-refused';
      return Promise.reject(new KithError(code, 'it refused'));
    }
    const wire = wireBetween(keyPair, anna.keys);
    anna.network.accept(wire.responder);
    return Promise.resolve(wire.initiator);
  };
  const transport = new FakeTransport(answer, transportName);
  return { anna, ben, transport, start: () => ben.network.start([transport]) };
}

void describe('a link made with the one-time key of an invite', () => {
  void it('becomes the session once the invite counts as used', async (test) => {
    const { anna, ben, transport, start } = inviterAndGuest(test);
    const welcomed: Uint8Array[] = [];
    anna.directory.welcoming = (inviteId, identity) => {
      assert.ok(equalBytes(inviteId, oneTime.publicKey));
      welcomed.push(identity);
      return Promise.resolve();
    };
    start();
    await until(() => anna.network.peers().length === 1 && ben.network.peers().length === 1, 'the session');
    assert.ok(welcomed.length === 1 && equalBytes(welcomed[0] ?? new Uint8Array(), ben.identity));
    const [peer] = anna.network.peers();
    assert.ok(peer !== undefined && equalBytes(peer.deviceId, ben.keys.publicKey), 'by its own device key');
    assert.ok(transport.dialled.every(({ keyPair }) => equalBytes(keyPair.publicKey, oneTime.publicKey)));
    assert.deepEqual(
      (await ben.network.caller(anna.identity, 'kith/echo').call(0, new Uint8Array([7]))).body,
      new Uint8Array([7]),
    );
  });

  void it('is answered with the reason where it isn’t, and sees no card', async (test) => {
    for (const code of ['invite-used', 'invite-expired', 'invite-refused'] satisfies ErrorCode[]) {
      const { anna, ben, start } = inviterAndGuest(test);
      anna.directory.welcoming = () => Promise.reject(new KithError(code, 'not for you'));
      start();
      await until(() => ben.refusals.length > 0, code);
      assert.deepEqual(ben.refusals, [`${code} the other side ended it: not for you`]);
      // Where she is now is in the card of her hello: who has no good invite isn't shown it.
      assert.deepEqual(ben.directory.learned, []);
      assert.deepEqual(anna.network.peers(), []);
    }
  });

  void it('is refused, not for good, where the card is no good', async (test) => {
    const { anna, ben, start } = inviterAndGuest(test);
    let asked = 0;
    anna.directory.welcoming = () => {
      asked++;
      return Promise.reject(new KithError('not-authentic', 'never'));
    };
    // A card of somebody else: the directory has to look at it.
    ben.directory.card = testPeer(3).directory.card;
    start();
    await until(() => asked === 1, 'the question');
    await turns();
    assert.deepEqual(anna.network.peers(), []);
    assert.deepEqual(ben.refusals, []);
  });

  void it('is tried first, and then the device’s own key: they may know us by now', async (test) => {
    const { anna, ben, transport, start } = inviterAndGuest(test);
    anna.directory.devices.clear();
    anna.directory.know(ben.identity, ben.keys.publicKey);
    start();
    await until(() => ben.network.peers().length === 1, 'the session');
    assert.deepEqual(
      transport.dialled.map(({ keyPair }) => equalBytes(keyPair.publicKey, oneTime.publicKey)),
      [true, false],
    );
  });

  void it('takes turns with the device’s key over the DHT, where a refusal is silence', async (test) => {
    const { anna, ben, transport, start } = inviterAndGuest(test, 'dht');
    anna.directory.devices.clear();
    start();
    for (let i = 1; i <= 4; i++) {
      await until(() => transport.dialled.length === i && transport.dialling === 0, `dial ${i}`);
      await turns();
      // With the most that chance adds to it.
      ben.timers.advance(eagerDelayMs * 1.5);
    }
    assert.deepEqual(
      transport.dialled.slice(0, 4).map(({ keyPair }) => equalBytes(keyPair.publicKey, oneTime.publicKey)),
      [true, false, true, false],
    );
  });
});
