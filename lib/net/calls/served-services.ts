import type { TaskSet } from '../../base/concurrency.ts';
import { KithError } from '../../base/errors.ts';
import { CallServer } from './call-server.ts';
import type { CallBudgets } from './call-server.ts';
import type { CallWiring } from './call-client.ts';
import type { ServiceOffer } from '../sessions/hello.ts';
import type { Mux, MuxChannel } from '../links/mux.ts';
import type { ChannelEnd, PeerInfo, Service, ServiceHandler } from '../service.ts';

/** What a session gives to the services on it. */
export interface ServiceWiring {
  readonly mux: Mux;
  readonly calls: Omit<CallWiring, 'send'>;
  /** What handlers are doing, of all sessions. */
  readonly handling: TaskSet;
  /** Role of the side that calls (docs/formats/wire.md): the id of the channels. */
  readonly callerRole: number;
}

/** A service that is granted to the peer now. */
interface Granted {
  readonly service: Service;
  /** Made when the grant was seen, or when the channel was opened. */
  handler: ServiceHandler | undefined;
  version: number;
  open: { readonly server: ChannelEnd; readonly channel: MuxChannel } | undefined;
  /** The last that the peer closed: its calls may not have ended yet. */
  last: ChannelEnd | undefined;
}

/** The services that this side grants to the peer of one session, and the channels on which it answers. */
export class ServedServices {
  readonly #wiring: ServiceWiring;
  readonly #services: readonly Service[];
  readonly #peer: PeerInfo;
  readonly #share: string;
  readonly #budgets: CallBudgets;
  readonly #granted = new Map<string, Granted>();
  #ended = false;

  /** `share` names whose share of the budgets calls use. */
  constructor(
    wiring: ServiceWiring,
    services: readonly Service[],
    peer: PeerInfo,
    share: string,
    budgets: CallBudgets,
  ) {
    this.#wiring = wiring;
    this.#services = services;
    this.#peer = peer;
    this.#share = share;
    this.#budgets = budgets;
  }

  /** What is granted as of the last `regrant`. */
  get offers(): readonly ServiceOffer[] {
    const offers = [...this.#granted.values()].map(({ service: { name, versions } }) => ({ name, versions }));
    return offers.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Calls under way. */
  get openCount(): number {
    return [...this.#granted.values()].reduce((sum, { open }) => sum + (open?.server.openCount ?? 0), 0);
  }

  /** Asks every service anew; what is no longer granted is closed at once. True if the list has changed. */
  regrant(): boolean {
    if (this.#ended) return false;
    let changed = false;
    for (const service of this.#services) {
      const granted = this.#granted.get(service.name);
      const version = granted?.version ?? service.versions.max;
      const handler = service.accept(this.#peer, version);
      if (handler === undefined) {
        if (granted === undefined) continue;
        this.#revoke(granted);
        changed = true;
      } else if (granted === undefined) {
        this.#grant({ service, handler, version, open: undefined, last: undefined });
        changed = true;
      } else if (granted.handler === undefined) {
        granted.handler = handler;
      } else if (handler !== granted.handler) {
        handler.closed();
      }
    }
    return changed;
  }

  /** The session has ended. */
  end(error: KithError): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const granted of this.#granted.values()) {
      granted.open?.server.end(error);
      granted.open = undefined;
      granted.handler?.closed();
      granted.handler = undefined;
    }
    this.#granted.clear();
  }

  #grant(granted: Granted): void {
    const { name } = granted.service;
    this.#granted.set(name, granted);
    this.#eachVersion(granted.service, (version) => {
      this.#wiring.mux.expect(`${name}/${version}`, this.#channelId(), () => this.#onOpen(granted, version));
    });
  }

  #revoke(granted: Granted): void {
    const { name } = granted.service;
    this.#granted.delete(name);
    this.#eachVersion(granted.service, (version) =>
      this.#wiring.mux.unexpect(`${name}/${version}`, this.#channelId()),
    );
    const { open } = granted;
    granted.open = undefined;
    open?.server.end(new KithError('not-granted', `${name} is no longer granted`));
    open?.channel.close();
    granted.handler?.closed();
    granted.handler = undefined;
  }

  /** The peer opens a channel; left alone, it is refused. */
  #onOpen(granted: Granted, version: number): void {
    if (this.#ended || granted.open !== undefined) return;
    // Else closing and opening would be a way around the number of calls at once.
    if (granted.last !== undefined && granted.last.openCount > 0) return;
    if (granted.version !== version) {
      granted.handler?.closed();
      granted.handler = undefined;
    }
    const handler = granted.handler ?? granted.service.accept(this.#peer, version);
    if (handler === undefined) return;
    granted.handler = handler;
    granted.version = version;
    let channel: MuxChannel | undefined;
    const send = (kind: number, ...parts: Uint8Array[]): boolean => channel?.send(kind, ...parts) ?? true;
    const wiring = { ...this.#wiring.calls, send };
    const server =
      granted.service.channel?.server(this.#peer, wiring) ??
      new CallServer(wiring, handler, this.#share, this.#budgets, this.#wiring.handling);
    channel = this.#wiring.mux.open({
      protocol: `${granted.service.name}/${version}`,
      id: this.#channelId(),
      kinds: server.kinds,
      onClose: () => this.#onClose(granted, server),
    });
    if (channel !== undefined) granted.open = { server, channel };
  }

  /** The peer closed the channel; it may open it again, for another handler. */
  #onClose(granted: Granted, server: ChannelEnd): void {
    server.end(new KithError('holder-unavailable', 'the other side closed the channel'));
    if (granted.open?.server !== server) return;
    granted.open = undefined;
    granted.last = server;
    granted.handler?.closed();
    granted.handler = undefined;
  }

  #channelId(): Uint8Array {
    return new Uint8Array([this.#wiring.callerRole]);
  }

  #eachVersion({ versions }: Service, work: (version: number) => void): void {
    for (let version = versions.min; version <= versions.max; version++) work(version);
  }
}
