import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cardEntries } from '../../lib/net/dht/card-entries.ts';
import type { WantedPeer } from '../../lib/net/directory.ts';
import { isPublicEntry, publicEntries } from '../../lib/net/dht/public-entries.ts';
import { keyPairOf } from '../support/net-peers.ts';

function peerOf(identity: number, device: number, ...hosts: string[]): WantedPeer {
  return {
    identity: keyPairOf(identity).publicKey,
    deviceId: keyPairOf(device).publicKey,
    endpoints: hosts.map((host) => ({ host, port: 4747, direct: true, dht: true })),
  };
}

void describe('entries of the DHT by friends’ cards', () => {
  void it('are two of each friend at most, and nobody’s second before everybody’s first', () => {
    const peers = [
      peerOf(1, 10, '10.0.0.1', '10.0.0.1', '10.0.0.2', '10.0.0.3'),
      peerOf(1, 11, '10.0.0.4'),
      peerOf(2, 12),
      peerOf(3, 13, '10.0.3.1'),
      peerOf(4, 14, '10.0.4.1'),
      peerOf(4, 15, '10.0.4.2', '10.0.4.3'),
    ];
    assert.deepEqual(
      cardEntries(peers).map(({ host }) => host),
      ['10.0.0.1', '10.0.3.1', '10.0.4.1', '10.0.0.2', '10.0.4.2'],
    );
    assert.deepEqual(cardEntries([]), []);
  });

  void it('are addresses where the DHT is on, of IPv4', () => {
    const direct = { ...peerOf(1, 10), endpoints: [{ host: '10.0.0.9', port: 1, direct: true, dht: false }] };
    const names = peerOf(1, 11, 'node1.hyperdht.org', '::1', '10.0.0.1');
    assert.deepEqual(cardEntries([direct, names]), [{ host: '10.0.0.1', port: 4747 }]);
  });

  void it('tell public ones by address and by name', () => {
    assert.ok(publicEntries().length > 0);
    for (const { host } of publicEntries()) assert.ok(isPublicEntry(host));
    for (const host of ['node1.hyperdht.org', 'Node2.HyperDHT.org.', '88.99.3.86']) {
      assert.ok(isPublicEntry(host), host);
    }
    for (const host of ['127.0.0.1', 'hyperdht.org', '88.99.3.8', '']) {
      assert.equal(isPublicEntry(host), false, host);
    }
  });
});
