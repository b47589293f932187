import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { openTransports } from '../../lib/net/transports.ts';
import { bulkMessageBytes, type Service } from '../../lib/net/service.ts';
import { loopback, patience } from '../support/net-fixture.ts';
import { befriend, closeAll, testPeer } from '../support/net-peers.ts';
import { poll } from '../support/poll.ts';
import { Seeded } from '../support/seeded.ts';
import { atEnd } from '../support/at-end.ts';

/** A copy in memory that other threads could see, in the middle of it. */
function shared(bytes: Uint8Array): Uint8Array {
  const view = new Uint8Array(new SharedArrayBuffer(bytes.length + 100), 37, bytes.length);
  view.set(bytes);
  return view;
}

/** Gives back what it gets, out of shared memory, and keeps what came. */
function mirror(came: Uint8Array[]): Service {
  return {
    name: 'kith/mirror',
    versions: { min: 1, max: 1 },
    accept: () => ({
      handle: async (call) => {
        const upload = await call.receive();
        came.push(upload);
        return { body: new Uint8Array(), download: [shared(upload)] };
      },
      closed: () => undefined,
    }),
  };
}

void describe('bulk bytes in shared memory', () => {
  for (const over of ['direct', 'dht'] as const) {
    void it(`come out at the other end as they were, over ${over}`, async (test) => {
      const came: Uint8Array[] = [];
      const services = [mirror(came)];
      const friend = testPeer(2, { services });
      const me = testPeer(1, { services });
      befriend(me, friend);
      const on = { direct: over === 'direct', dht: over === 'dht', bootstrap: [] };
      const listen = { host: '127.0.0.1', port: 0 };
      const there = await openTransports({ ...on, ...friend.network.wiring, listen });
      const here = await openTransports({ ...on, ...me.network.wiring });
      atEnd(test, async () => {
        await closeAll(me, friend);
        await Promise.all([here.close(), there.close()]);
      });
      const endpoints = [loopback(there.listening?.port ?? 0)];
      const target = { remoteKey: friend.keys.publicKey, keyPair: me.keys, endpoints };
      const link = await here.transports[0]?.dial(target, patience());
      assert.ok(link !== undefined);
      me.network.accept(link);
      const caller = me.network.caller(friend.identity, 'kith/mirror');
      await poll('the session', async () => caller.connected);

      const bytes = new Seeded(over.length).bytes(3 * bulkMessageBytes + 12_345);
      const upload = [
        shared(bytes.subarray(0, bulkMessageBytes + 5)),
        shared(bytes.subarray(bulkMessageBytes + 5)),
      ];
      const { download } = await caller.call(1, new Uint8Array(), { upload, downloadBytesMax: bytes.length });
      assert.ok(Buffer.compare(came[0] ?? new Uint8Array(), bytes) === 0, 'on the way there');
      assert.ok(Buffer.compare(download, bytes) === 0, 'on the way back');
    });
  }
});
