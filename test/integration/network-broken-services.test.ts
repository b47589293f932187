import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { isKithError, KithError } from '../../lib/base/errors.ts';
import type { OutgoingReply, Service } from '../../lib/net/service.ts';
import { deviceMethods, deviceService, deviceServiceName } from '../../lib/services/device/device-service.ts';
import { storeMethods, storeServiceName } from '../../lib/services/store/store-codec.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { FriendPair } from '../support/friend-pair.ts';
import { connectedPair, until, type TestPeer } from '../support/net-peers.ts';
import { sampleVault } from '../support/sample-pack.ts';
import { atEnd } from '../support/at-end.ts';

async function parted(a: TestPeer, b: TestPeer): Promise<void> {
  const count = (): number => a.network.peers().length + b.network.peers().length;
  await until(() => count() === 0, 'the end of the session');
}

/** A store that answers one method with bytes of the test's own. */
function answering(method: number, answer: OutgoingReply): (real: Service) => Service {
  return (real) => ({
    ...real,
    accept: (peer, version) => {
      const handler = real.accept(peer, version);
      if (handler === undefined) return undefined;
      return {
        handle: (call) => (call.method === method ? Promise.resolve(answer) : handler.handle(call)),
        closed: () => handler.closed(),
      };
    },
  });
}

async function pairOf(test: TestContext, service?: (real: Service) => Service): Promise<FriendPair> {
  const vault = sampleVault();
  const wrapped = service === undefined ? {} : { service };
  const pair = await FriendPair.open({ disk: new FaultDisk(), home: '/home', vault, ...wrapped });
  atEnd(test, () => pair.close());
  return pair;
}

void describe('what no honest kith sends costs the session', () => {
  const junk = new Uint8Array(3).fill(255);
  const asked = Object.entries(storeMethods).filter(
    // These take no body, and look at none.
    ([name]) => !['check', 'room', 'putKeyRecord', 'getKeyRecord'].includes(name),
  );
  for (const [name, method] of asked) {
    void it(`as the body of kith/store ${name}`, async (test) => {
      const { owner, friend } = await pairOf(test);
      const call = owner.network.caller(friend.identity, storeServiceName).call(method, junk);
      await assert.rejects(call, (error) => isKithError(error, 'malformed'));
      await parted(owner, friend);
    });
  }

  void it('as a key record that its identity did not sign', async (test) => {
    const { owner, friend } = await pairOf(test);
    const caller = owner.network.caller(friend.identity, storeServiceName);
    const call = caller.call(storeMethods.putKeyRecord, new Uint8Array(0), { upload: [new Uint8Array(99)] });
    await assert.rejects(call, (error) => isKithError(error, 'malformed'));
    await parted(owner, friend);
  });

  void it('as an answer of kith/store', async (test) => {
    for (const method of [storeMethods.room, storeMethods.listLogs, storeMethods.inventory]) {
      const { owner, friend, holder } = await pairOf(test, answering(method, { body: junk }));
      const listing = async (): Promise<void> => {
        for await (const entry of holder.inventory()) assert.fail(String(entry.index));
      };
      const ask =
        method === storeMethods.room
          ? holder.room()
          : method === storeMethods.listLogs
            ? holder.logs.list()
            : listing();
      await assert.rejects(ask, /makes no sense/);
      await parted(owner, friend);
    }
  });

  void it('between devices of one identity, too', async (test) => {
    const identity = new Uint8Array(32).fill(7);
    const service = deviceService({
      identity,
      listLogs: () => [],
      getSegment: () => Promise.resolve(undefined),
      keyRecord: () => new Uint8Array(0),
      onNews: () => undefined,
      takeKeyRecord: () => Promise.reject(new KithError('not-authentic', 'another’s')),
    });
    for (const [method, body, upload] of [
      [deviceMethods.getSegment, junk, []],
      [deviceMethods.listLogs, junk, []],
      [deviceMethods.takeKeyRecord, new Uint8Array(0), [junk]],
    ] as const) {
      const options = { identity, services: [service] };
      const { a, b } = await connectedPair(test, { a: options, b: options });
      const call = a.network.caller(identity, deviceServiceName).call(method, body, { upload });
      await assert.rejects(call, (error) => isKithError(error, 'malformed', 'not-authentic'));
      await parted(a, b);
    }
  });

  void it('but not a method of a later version, nor a shard that a disk may have damaged', async (test) => {
    const { owner, friend, holder } = await pairOf(test);
    const caller = owner.network.caller(friend.identity, storeServiceName);
    await assert.rejects(caller.call(9_999, junk), (error) => isKithError(error, 'too-new'));
    const segment = holder.logs.putSegment(new Uint8Array(32), 0, new Uint8Array(200));
    await assert.rejects(segment, (error) => isKithError(error));
    assert.equal(owner.network.peers().length, 1);
  });
});
