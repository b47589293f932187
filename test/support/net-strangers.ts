import assert from 'node:assert/strict';
import { openTransports } from '../../lib/net/transports.ts';
import type { Transports } from '../../lib/net/transports.ts';
import { closeAfter, loopback, patience } from './net-fixture.ts';
import { testPeer } from './net-peers.ts';
import type { TestPeer } from './net-peers.ts';
import { Seeded } from './seeded.ts';

export interface Listening {
  readonly peer: TestPeer;
  readonly transports: Transports;
  readonly port: number;
}

/** A peer that listens on loopback. */
export async function listening(
  test: { after(work: () => Promise<void>): void },
  number: number,
  on: { readonly direct: boolean; readonly dht: boolean },
): Promise<Listening> {
  const peer = testPeer(number);
  const listen = { host: '127.0.0.1', port: 0 };
  const transports = await openTransports({ ...peer.network.wiring, ...on, listen, bootstrap: [] });
  closeAfter(test, peer.network);
  closeAfter(test, transports);
  return { peer, transports, port: transports.listening?.port ?? 0 };
}

/** `from` knows where `to` is, and has a session with it when this resolves. */
export async function meet(from: Listening, to: Listening): Promise<void> {
  from.peer.directory.peers = [
    { identity: to.peer.identity, deviceId: to.peer.keys.publicKey, endpoints: [loopback(to.port)] },
  ];
  from.peer.directory.revision++;
  from.peer.network.start(from.transports.transports);
  const missing = await from.peer.network.waitFor([to.peer.identity], { timeoutMs: 1e9, signal: patience() });
  assert.deepEqual(missing, []);
}

/** Calls with bulk, one after the other, until told to stop; resolves with how many there were, none of which failed. */
export async function transfer(from: TestPeer, to: TestPeer, until: AbortSignal): Promise<number> {
  const caller = from.network.caller(to.identity, 'kith/echo');
  const bytes = new Seeded(5).bytes(64 * 1024);
  let calls = 0;
  while (!until.aborted) {
    const reply = await caller.call(0, new Uint8Array(0), {
      upload: [bytes],
      downloadBytesMax: bytes.length,
      signal: patience(),
    });
    assert.equal(reply.download.length, bytes.length);
    calls++;
  }
  return calls;
}
