import { RelayCaller } from './relay-caller.ts';
import type { OnIncomingPipe } from './relay-caller.ts';
import { relayServiceName } from './relay-codec.ts';
import { RelayHub } from './relay-hub.ts';
import type { RelayLimits } from './relay-hub.ts';
import { RelayServer } from './relay-server.ts';
import type { ChannelProtocol, PeerInfo, Service, VersionRange } from '../service.ts';
import type { Timers } from '../timers.ts';

export interface RelayServiceOptions {
  readonly timers: Timers;
  /** Whether we relay for the identity: asked when a session opens, and when grants change. False of a side that only dials. */
  readonly grants: (identity: Uint8Array) => boolean;
  readonly limits: RelayLimits;
}

/**
 * `kith/relay` in one process, both halves: for friends that we relay for, and through friends who relay for us. One relay a way: a
 * session that itself goes through a relay is no part of it.
 */
export class RelayService implements Service {
  readonly name: string = relayServiceName;
  readonly versions: VersionRange = { min: 1, max: 1 };
  readonly hub: RelayHub;
  readonly #options: RelayServiceOptions;
  readonly #callers = new Set<RelayCaller>();
  readonly #waiting: (() => void)[] = [];
  /** Ends what comes in while nobody takes it. */
  onIncoming: OnIncomingPipe = (pipe) => void pipe.destroy();

  constructor(options: RelayServiceOptions) {
    this.#options = options;
    this.hub = new RelayHub(options.timers, options.limits);
  }

  accept(peer: PeerInfo): ReturnType<Service['accept']> {
    if (peer.via === 'relay' || !this.#options.grants(peer.identity)) return undefined;
    return noCalls;
  }

  readonly channel: ChannelProtocol = {
    caller: (peer, wiring) => {
      const caller = new RelayCaller(
        peer,
        wiring,
        (pipe, relay) => this.onIncoming(pipe, relay),
        (ended) => void this.#callers.delete(ended),
      );
      if (peer.via !== 'relay') {
        this.#callers.add(caller);
        for (const told of this.#waiting.splice(0)) told();
      }
      return caller;
    },
    server: (peer, wiring) => new RelayServer(peer, wiring, this.hub),
  };

  /** Resolves when one more relays for us, or the signal fires. */
  async another(until: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const settle = (): void => {
        until.removeEventListener('abort', settle);
        const index = this.#waiting.indexOf(settle);
        if (index >= 0) this.#waiting.splice(index, 1);
        resolve();
      };
      if (until.aborted) resolve();
      else {
        this.#waiting.push(settle);
        until.addEventListener('abort', settle, { once: true });
      }
    });
  }

  /** Channels to those who relay for us now. */
  get callers(): readonly RelayCaller[] {
    return [...this.#callers];
  }
}

const noCalls: NonNullable<ReturnType<Service['accept']>> = {
  handle: () => Promise.reject(new RangeError('a channel without calls')),
  closed: () => undefined,
};
