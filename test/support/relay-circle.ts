import type { Transport } from '../../lib/net/links/link.ts';
import type { RelayLimits } from '../../lib/net/relay/relay-hub.ts';
import { RelayService } from '../../lib/net/relay/relay-service.ts';
import { RelayTransport } from '../../lib/net/relay/relay-transport.ts';
import { FakeTimers } from './fake-timers.ts';
import type { MemoryWire } from './memory-link.ts';
import { befriend, closeAll, connect, EchoService, testPeer, until } from './net-peers.ts';
import type { TestPeer } from './net-peers.ts';
import { atEnd } from './at-end.ts';

/** A device with relaying, both halves. */
export interface RelayPeer extends TestPeer {
  readonly relay: RelayService;
  readonly transport: RelayTransport;
  /** Whom it relays for from now on; everybody unless a test says otherwise. Then `network.regrant` has to be called. */
  grant(to: (identity: Uint8Array) => boolean): void;
}

export const noLimits: RelayLimits = {
  bytesPerDay: () => Number.POSITIVE_INFINITY,
  bytesPerSecond: () => Number.POSITIVE_INFINITY,
};

/** A device that relays and is relayed; it dials over `transports` first once it is started. */
export function relayPeer(
  number: number,
  limits: RelayLimits = noLimits,
  timers: FakeTimers = new FakeTimers(),
): RelayPeer {
  let granted: (identity: Uint8Array) => boolean = () => true;
  const relay = new RelayService({ timers, grants: (identity) => granted(identity), limits });
  const echo = new EchoService();
  const peer = testPeer(number, { echo, services: [echo, relay], timers });
  const transport = new RelayTransport({
    ...peer.network.wiring,
    service: relay,
    nameOf: () => `friend ${number}`,
  });
  return {
    ...peer,
    relay,
    transport,
    grant: (to) => {
      granted = to;
    },
  };
}

/** Three friends: `a` and `d` are connected to `f` and not to each other. */
export interface Circle {
  readonly a: RelayPeer;
  readonly d: RelayPeer;
  readonly f: RelayPeer;
  readonly wires: { readonly a: MemoryWire; readonly d: MemoryWire };
}

export interface CircleOptions {
  readonly limits?: RelayLimits;
  /** Ways that `a` tries before the relay. */
  readonly better?: readonly Transport[];
  /** Nobody dials by itself. */
  readonly idle?: boolean;
}

/** All known to each other; closed when the test ends. */
export async function circle(
  test: { after(work: () => Promise<void>): void },
  options: CircleOptions = {},
): Promise<Circle> {
  const timers = new FakeTimers();
  const a = relayPeer(1, noLimits, timers);
  const d = relayPeer(2, noLimits, timers);
  const f = relayPeer(3, options.limits, timers);
  befriend(a, d);
  befriend(a, f);
  befriend(d, f);
  atEnd(test, async () => {
    await closeAll(a, d, f);
    await Promise.all([a, d, f].map(({ transport }) => transport.close()));
  });
  const wires = { a: connect(a, f), d: connect(d, f) };
  await until(() => f.network.peers().length === 2, 'the sessions with the relay');
  await until(() => a.relay.callers.length === 1 && d.relay.callers.length === 1, 'the relay’s offer');
  if (options.idle !== true) a.network.start([...(options.better ?? []), a.transport]);
  return { a, d, f, wires };
}

/** How one sees the other. */
export function viaOf(from: TestPeer, to: TestPeer): string | null {
  return from.network.presence(Buffer.from(to.identity).toString('hex')).via;
}
