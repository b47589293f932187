import { toHex } from '../../base/bytes.ts';
import { isKithError, KithError, messageOf } from '../../base/errors.ts';
import { withDeadline } from '../deadline.ts';
import { handshakeMsMax } from '../direct/direct-dial.ts';
import { HalfOpen } from '../direct/half-open.ts';
import { LinkSet } from '../links/link-set.ts';
import type { DialTarget, Link, Transport, TransportOptions } from '../links/link.ts';
import type { RelayCaller } from './relay-caller.ts';
import type { RelayPipe } from './relay-pipe.ts';
import type { RelayService } from './relay-service.ts';
import { endWords, greetOver, welcomeOver } from './relay-link.ts';
import type { PeerInfo } from '../service.ts';

/** Friends that are asked for one device, and of them at a time. */
const relayCountMax = 8;
const relaysAtOnce = 3;

export interface RelayTransportOptions extends TransportOptions {
  readonly service: RelayService;
  /** What people call an identity; undefined for one that has no name here. */
  readonly nameOf?: (identity: Uint8Array) => string | undefined;
}

/** Links through friends who relay: the direct transport's handshake over their pipes (docs/net.md). It has no sockets of its own. */
export class RelayTransport implements Transport {
  readonly name = 'relay';
  readonly #options: RelayTransportOptions;
  readonly #links = new LinkSet();
  readonly #halfOpen = new HalfOpen<RelayPipe>();
  readonly #stop = new AbortController();

  constructor(options: RelayTransportOptions) {
    this.#options = options;
    options.service.onIncoming = (pipe, relay) => this.#accept(pipe, relay);
  }

  /** Asks friends who relay, three at a time, until one brings us to the target. */
  async dial(target: DialTarget, signal: AbortSignal): Promise<Link> {
    signal.throwIfAborted();
    this.#stop.signal.throwIfAborted();
    const { service } = this.#options;
    if (service.callers.length === 0) {
      throw new KithError('peer-unreachable', 'no friend who is connected now relays for us', {
        details: { relays: 0 },
      });
    }
    const found = new AbortController();
    const signals = [signal, this.#stop.signal, found.signal];
    const troubles: string[] = [];
    const asked = new Set<RelayCaller>();
    // One that has come meanwhile is asked as well: it may be the same friend, over a session that lives.
    const next = (): RelayCaller | undefined =>
      asked.size < relayCountMax ? service.callers.find((caller) => !asked.has(caller)) : undefined;
    let link: Link | undefined;
    const ask = async (): Promise<void> => {
      for (let relay = next(); relay !== undefined; relay = next()) {
        if (signals.some(({ aborted }) => aborted)) return;
        asked.add(relay);
        try {
          const made = await this.#dialThrough(relay, target, signals);
          if (link === undefined && !signals.some(({ aborted }) => aborted)) {
            link = made;
            found.abort(new KithError('interrupted', 'another friend was quicker'));
          } else made.stream.destroy();
        } catch (error) {
          troubles.push(messageOf(error));
        }
      }
    };
    await Promise.all(Array.from({ length: relaysAtOnce }, ask));
    if (link !== undefined) {
      this.#links.add(link);
      return link;
    }
    signal.throwIfAborted();
    this.#stop.signal.throwIfAborted();
    throw new KithError('peer-unreachable', troubles.join('; '), { details: { relays: troubles.length } });
  }

  async more(until: AbortSignal): Promise<void> {
    await this.#options.service.another(until);
  }

  /** Ends the service with it. */
  async close(): Promise<void> {
    this.#stop.abort(new KithError('interrupted', 'the network is being closed'));
    this.#halfOpen.destroyAll();
    this.#options.service.hub.close();
    await this.#links.closeAll();
  }

  #nameOf({ identity }: PeerInfo): string {
    return this.#options.nameOf?.(identity) ?? toHex(identity).slice(0, 16);
  }

  async #dialThrough(
    caller: RelayCaller,
    target: DialTarget,
    signals: readonly AbortSignal[],
  ): Promise<Link> {
    const name = this.#nameOf(caller.relay);
    const late = (): KithError => new KithError('peer-unreachable', `${name} relays, but nothing comes back`);
    let pipe: RelayPipe | undefined;
    try {
      return await withDeadline(handshakeMsMax, signals, late, (signal) => {
        pipe = caller.dial(target.remoteKey);
        return greetOver(pipe, target, name, signal);
      });
    } catch (error) {
      const reason = pipe?.endReason;
      pipe?.destroy();
      if (reason !== undefined)
        throw new KithError('peer-unreachable', endWords(reason, name), { cause: error });
      if (isKithError(error, 'limit-exceeded'))
        throw new KithError('peer-unreachable', `${name}: ${error.message}`);
      throw error;
    }
  }

  #accept(pipe: RelayPipe, relay: PeerInfo): void {
    if (this.#stop.signal.aborted) {
      pipe.destroy();
      return;
    }
    this.#halfOpen.add(pipe, toHex(relay.identity));
    pipe.once('close', () => this.#halfOpen.delete(pipe));
    const { keyPair, admits, onLink } = this.#options;
    const late = (): KithError => new KithError('peer-unreachable', 'handshake too slow');
    withDeadline(handshakeMsMax, [this.#stop.signal], late, (signal) =>
      welcomeOver(pipe, keyPair, admits, this.#nameOf(relay), signal),
    )
      .then((link) => {
        this.#halfOpen.delete(pipe);
        if (this.#stop.signal.aborted || !admits(link.remoteKey)) {
          link.stream.destroy();
          return;
        }
        this.#links.add(link);
        onLink(link);
      })
      // Nothing is said to whom we don't know, nor where a link isn't taken.
      .catch(() => pipe.destroy());
  }
}
