import { KithError } from '../../base/errors.ts';
import { CallClient } from './call-client.ts';
import { commonVersion } from '../sessions/hello.ts';
import type { ServiceOffer } from '../sessions/hello.ts';
import type { MuxChannel } from '../links/mux.ts';
import type { ServiceWiring } from './served-services.ts';
import type { ChannelEnd, PeerInfo, Service } from '../service.ts';

/** A channel on which this side calls. */
interface OpenChannel {
  readonly version: number;
  readonly end: ChannelEnd;
  readonly channel: MuxChannel;
}

/** The services that the peer of one session offers and this side speaks, and the channels on which it calls. */
export class CalledServices {
  readonly #wiring: ServiceWiring;
  readonly #services: readonly Service[];
  readonly #peer: () => PeerInfo | undefined;
  readonly #channels = new Map<string, OpenChannel>();
  #ended = false;

  /** `peer` is known once offers come. */
  constructor(wiring: ServiceWiring, services: readonly Service[], peer: () => PeerInfo | undefined) {
    this.#wiring = wiring;
    this.#peer = peer;
    this.#services = services;
  }

  /** Opens what is offered and closes what no longer is; services that this side doesn't know are left aside. */
  takeOffers(offers: readonly ServiceOffer[]): void {
    if (this.#ended) return;
    for (const service of this.#services) {
      const { name, versions } = service;
      const offer = offers.find((candidate) => candidate.name === name);
      const version = offer === undefined ? undefined : commonVersion(offer.versions, versions);
      const open = this.#channels.get(name);
      if (open?.version === version) continue;
      open?.channel.close();
      if (version !== undefined) this.#open(service, version);
    }
  }

  /** Undefined while the other side doesn't grant the service, and for one that has no calls. */
  client(name: string): CallClient | undefined {
    const end = this.#channels.get(name)?.end;
    return end instanceof CallClient ? end : undefined;
  }

  /** Calls under way. */
  get openCount(): number {
    return [...this.#channels.values()].reduce((sum, { end }) => sum + end.openCount, 0);
  }

  /** The session has ended. */
  end(error: KithError): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const { end } of this.#channels.values()) end.end(error);
    this.#channels.clear();
  }

  #open({ name, channel: protocol }: Service, version: number): void {
    const peer = this.#peer();
    if (peer === undefined) throw new RangeError('offers before the hello');
    let channel: MuxChannel | undefined;
    const send = (kind: number, ...parts: Uint8Array[]): boolean => channel?.send(kind, ...parts) ?? true;
    const wiring = { ...this.#wiring.calls, send };
    const end = protocol === undefined ? new CallClient(wiring) : protocol.caller(peer, wiring);
    channel = this.#wiring.mux.open({
      protocol: `${name}/${version}`,
      id: new Uint8Array([this.#wiring.callerRole]),
      kinds: end.kinds,
      onClose: () => {
        end.end(new KithError('holder-unavailable', `the other side does not grant ${name}`));
        if (this.#channels.get(name)?.end === end) this.#channels.delete(name);
      },
    });
    if (channel !== undefined) this.#channels.set(name, { version, end, channel });
  }
}
