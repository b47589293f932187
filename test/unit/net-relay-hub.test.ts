import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { CallWiring } from '../../lib/net/calls/call-client.ts';
import { encodeRelayDial, relayKind } from '../../lib/net/relay/relay-codec.ts';
import { RelayHub } from '../../lib/net/relay/relay-hub.ts';
import { RelayServer } from '../../lib/net/relay/relay-server.ts';
import { FakeTimers } from '../support/fake-timers.ts';
import { testPeer } from '../support/net-peers.ts';

void describe('the hub of a relay', () => {
  void it('leads to the newest session of a device, and to the one before it where that one ends', () => {
    const timers = new FakeTimers();
    const unlimited = (): number => Number.POSITIVE_INFINITY;
    const hub = new RelayHub(timers, { bytesPerDay: unlimited, bytesPerSecond: unlimited });
    const [a, b] = [testPeer(1), testPeer(2)];
    const asked: string[] = [];
    const session = (name: string, { identity, keys }: typeof a): RelayServer => {
      const send = (kind: number): boolean => {
        if (kind === relayKind.incoming || kind === relayKind.end) asked.push(`${name} ${kind}`);
        return true;
      };
      const peer = { identity, deviceId: keys.publicKey, via: 'direct', remoteAddress: '' } as const;
      return new RelayServer(peer, { send, timers } as unknown as CallWiring, hub);
    };
    const from = session('b', b);
    const [before, newest] = [session('before', a), session('newest', a)];
    let pipe = -1;
    const dial = (): void =>
      from.kinds[relayKind.dial]?.(encodeRelayDial({ pipe: (pipe += 2), device: a.keys.publicKey }));
    dial();
    newest.end();
    dial();
    before.end();
    dial();
    assert.deepEqual(
      asked.filter((what) => what.endsWith(` ${relayKind.incoming}`)),
      [`newest ${relayKind.incoming}`, `before ${relayKind.incoming}`],
    );
    assert.equal(asked.at(-1), `b ${relayKind.end}`);
    hub.close();
  });
});
