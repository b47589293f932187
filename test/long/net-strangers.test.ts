import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import HyperDHT from 'hyperdht';
import { toHex } from '../../lib/base/bytes.ts';
import { newKeys } from '../support/net-fixture.ts';
import { befriend } from '../support/net-peers.ts';
import { listening, meet, transfer } from '../support/net-strangers.ts';
import { atEnd } from '../support/at-end.ts';

const strangerCount = 250;

void describe('many strangers', () => {
  void it('that knock by key over the DHT get nothing, take no slot for punching holes, and keep no friend out', async (test) => {
    // What hyperdht keeps of handshakes under way.
    interface Server {
      readonly _holepunches: readonly ({ readonly puncher: unknown; readonly rawStream: unknown } | null)[];
    }
    const servers: Server[] = [];
    const { prototype } = HyperDHT as unknown as {
      prototype: { createServer: (this: HyperDHT, ...options: unknown[]) => Server };
    };
    const { createServer } = prototype;
    atEnd(test, () => {
      prototype.createServer = createServer;
    });
    prototype.createServer = function (...options) {
      const server = createServer.apply(this, options);
      servers.push(server);
      return server;
    };
    const on = { direct: false, dht: true };
    const us = await listening(test, 1, on);
    const [server] = servers;
    assert.ok(server !== undefined);
    const friend = await listening(test, 2, on);
    const late = await listening(test, 3, on);
    for (const other of [friend, late]) befriend(us.peer, other.peer);
    await meet(friend, us);
    const over = new AbortController();
    const transferred = transfer(friend.peer, us.peer, over.signal);

    const asked: string[] = [];
    const { directory } = us.peer;
    const admit = directory.admit.bind(directory);
    directory.admit = (key) => {
      asked.push(toHex(key));
      return admit(key);
    };
    const stranger = new HyperDHT({
      host: '127.0.0.1',
      port: [0, 0],
      anyPort: false,
      bootstrap: [{ host: '127.0.0.1', port: us.port }],
    });
    atEnd(test, () => stranger.destroy({ force: true }));
    await stranger.fullyBootstrapped();
    const relayAddresses = [{ host: '127.0.0.1', port: us.port }];
    const keys = new Set<string>();
    let opened = 0;
    let heldMax = 0;
    let cameIn: Promise<void> | undefined;
    const connections = [];
    for (let index = 0; index < strangerCount; index++) {
      const keyPair = newKeys();
      keys.add(toHex(keyPair.publicKey));
      const connection = stranger.connect(us.peer.keys.publicKey, { keyPair, relayAddresses });
      connection.on('error', () => {});
      connection.once('connect', () => opened++);
      connections.push(connection);
      if (index % 10 === 9) await new Promise((resolve) => setImmediate(resolve));
      if (index === strangerCount / 2) cameIn = meet(late, us);
      const held = server._holepunches.filter((one) => one !== null);
      heldMax = Math.max(heldMax, held.length);
    }
    const answered = (): number => asked.filter((key) => keys.has(key)).length;
    while (answered() < keys.size / 2) await new Promise((resolve) => setImmediate(resolve));
    await cameIn;
    over.abort();
    assert.ok((await transferred) > 0);
    assert.equal(us.peer.network.peers().length, 2);
    // Whoever was refused has neither a stream nor anything that punches.
    const busy = server._holepunches.filter(
      (one) => one !== null && (one.puncher !== null || one.rawStream !== null),
    );
    assert.equal(busy.length, 0);
    assert.equal(opened, 0);
    for (const connection of connections) connection.destroy();
    test.diagnostic(`${answered()} strangers refused, ${heldMax} remembered for five seconds at most`);
  });
});
