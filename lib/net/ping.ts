import { KithError, messageOf } from '../base/errors.ts';
import type { WantedPeer } from './directory.ts';
import type { DialTarget, Endpoint, Link, Transport } from './link.ts';
import type { PingStep } from './presence.ts';
import type { Session } from './session.ts';
import type { Timers } from './timers.ts';

/** How long one way may take to answer. */
export const pingStepMsMax = 5_000;

/** Ways that one ping tries. */
export const pingStepCountMax = 32;

export interface PingOptions {
  readonly sessions: readonly Session[];
  readonly peers: readonly WantedPeer[];
  readonly transports: readonly Transport[];
  readonly target: (peer: WantedPeer) => DialTarget;
  /** Takes over the first link that works while there is no session; others are closed. */
  readonly onLink: (link: Link) => void;
  readonly timers: Timers;
  readonly signal: AbortSignal | undefined;
}

/** One thing to try. */
interface Way {
  readonly way: PingStep['way'];
  readonly address: string | null;
  readonly run: (signal: AbortSignal) => Promise<void>;
}

/** Asks over the sessions there are, then dials every address over every transport. Rejects only if the signal fires. */
export async function pingPeer(options: PingOptions): Promise<PingStep[]> {
  const { timers, signal } = options;
  const steps: PingStep[] = [];
  for (const { way, address, run } of waysOf(options).slice(0, pingStepCountMax)) {
    signal?.throwIfAborted();
    const over = new AbortController();
    const callOff = timers.after(pingStepMsMax, () =>
      over.abort(new KithError('peer-unreachable', `no answer within ${pingStepMsMax / 1000} s`)),
    );
    const beganMs = timers.nowMs();
    let message: string | null = null;
    try {
      await run(signal === undefined ? over.signal : AbortSignal.any([signal, over.signal]));
    } catch (error) {
      signal?.throwIfAborted();
      message = messageOf(error);
    } finally {
      callOff();
    }
    steps.push({ way, address, ok: message === null, ms: timers.nowMs() - beganMs, message });
  }
  return steps;
}

function waysOf({ sessions, peers, transports, target, onLink }: PingOptions): Way[] {
  let kept = sessions.length > 0;
  const dial = async (transport: Transport, to: DialTarget, signal: AbortSignal): Promise<void> => {
    const link = await transport.dial(to, signal);
    if (kept) {
      // It answered: how long its sockets take to close is no part of that.
      link.close().catch(() => undefined);
      return;
    }
    kept = true;
    onLink(link);
  };
  const bySession = sessions.map((session): Way => ({
    way: 'session',
    address: session.link.remoteAddress,
    run: (signal) => session.ping(signal),
  }));
  const byDialling = peers.flatMap((peer) =>
    transports.flatMap((transport) =>
      endpointsFor(transport, peer).map(({ address, endpoints }): Way => ({
        way: transport.name,
        address,
        run: (signal) => dial(transport, { ...target(peer), endpoints }, signal),
      })),
    ),
  );
  return [...bySession, ...byDialling];
}

/** Direct: each address by itself. By the DHT the key is looked up, and relays are asked for it, whatever addresses there are. */
function endpointsFor(
  transport: Transport,
  { endpoints }: WantedPeer,
): { readonly address: string | null; readonly endpoints: readonly Endpoint[] }[] {
  if (transport.name !== 'direct') return [{ address: null, endpoints }];
  return endpoints
    .filter(({ direct }) => direct)
    .map((endpoint) => ({ address: addressOf(endpoint), endpoints: [endpoint] }));
}

function addressOf({ host, port }: Endpoint): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
