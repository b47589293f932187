import { KithError } from '../base/errors.ts';
import { takeStep, wayOf } from './dial-steps.ts';
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

/**
 * Asks over the sessions there are, then dials every address over every transport. What it opened and nobody uses is closed when it resolves:
 * the next ping would find it in its way. Rejects only if the signal fires.
 */
export async function pingPeer(options: PingOptions): Promise<PingStep[]> {
  const { timers, signal } = options;
  const steps: PingStep[] = [];
  const closing: Promise<void>[] = [];
  for (const { way, address, run } of waysOf(options, closing).slice(0, pingStepCountMax)) {
    signal?.throwIfAborted();
    const over = new AbortController();
    const callOff = timers.after(pingStepMsMax, () =>
      over.abort(new KithError('peer-unreachable', `no answer within ${pingStepMsMax / 1000} s`)),
    );
    try {
      await takeStep(
        { way, address },
        () => timers.nowMs(),
        (step) => steps.push(step),
        () => run(signal === undefined ? over.signal : AbortSignal.any([signal, over.signal])),
      );
    } catch {
      // The step says why.
      signal?.throwIfAborted();
    } finally {
      callOff();
    }
  }
  await Promise.allSettled(closing);
  return steps;
}

function waysOf(
  { sessions, peers, transports, target, onLink }: PingOptions,
  closing: Promise<void>[],
): Way[] {
  let kept = sessions.length > 0;
  const dial = async (transport: Transport, to: DialTarget, signal: AbortSignal): Promise<void> => {
    const link = await transport.dial(to, signal);
    if (kept) {
      // It answered: how long its sockets take to close is no part of that.
      closing.push(link.close());
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
      endpointsFor(transport, peer).map(({ way, address, endpoints }): Way => ({
        way,
        address,
        run: (signal) => dial(transport, { ...target(peer), endpoints }, signal),
      })),
    ),
  );
  return [...bySession, ...byDialling];
}

/** TCP: each address by itself. By other ways the device is looked for, whatever addresses there are. */
function endpointsFor(
  transport: Transport,
  { endpoints }: WantedPeer,
): {
  readonly way: PingStep['way'];
  readonly address: string | null;
  readonly endpoints: readonly Endpoint[];
}[] {
  if (transport.name !== 'direct') return [{ way: transport.name, address: null, endpoints }];
  const known = endpoints.filter(({ direct }) => direct);
  // It is said that there was nothing to try.
  if (known.length === 0) return [{ way: 'direct', address: null, endpoints: [] }];
  return known.map((endpoint) => ({
    way: wayOf(endpoint),
    address: addressOf(endpoint),
    endpoints: [endpoint],
  }));
}

function addressOf({ host, port }: Endpoint): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
