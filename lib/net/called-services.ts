import { KithError } from '../base/errors.ts';
import { CallClient } from './call-client.ts';
import { commonVersion } from './hello.ts';
import type { ServiceOffer } from './hello.ts';
import type { MuxChannel } from './mux.ts';
import type { ServiceWiring } from './served-services.ts';
import type { Service } from './service.ts';

/** A channel on which this side calls. */
interface OpenChannel {
  readonly version: number;
  readonly client: CallClient;
  readonly channel: MuxChannel;
}

/** The services that the peer of one session offers and this side speaks, and the channels on which it calls. */
export class CalledServices {
  readonly #wiring: ServiceWiring;
  readonly #services: readonly Service[];
  readonly #channels = new Map<string, OpenChannel>();
  #ended = false;

  constructor(wiring: ServiceWiring, services: readonly Service[]) {
    this.#wiring = wiring;
    this.#services = services;
  }

  /** Opens what is offered and closes what no longer is; services that this side doesn't know are left aside. */
  takeOffers(offers: readonly ServiceOffer[]): void {
    if (this.#ended) return;
    for (const { name, versions } of this.#services) {
      const offer = offers.find((candidate) => candidate.name === name);
      const version = offer === undefined ? undefined : commonVersion(offer.versions, versions);
      const open = this.#channels.get(name);
      if (open?.version === version) continue;
      open?.channel.close();
      if (version !== undefined) this.#open(name, version);
    }
  }

  /** Undefined while the other side doesn't grant the service. */
  client(name: string): CallClient | undefined {
    return this.#channels.get(name)?.client;
  }

  /** Calls under way. */
  get openCount(): number {
    return [...this.#channels.values()].reduce((sum, { client }) => sum + client.openCount, 0);
  }

  /** The session has ended. */
  end(error: KithError): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const { client } of this.#channels.values()) client.end(error);
    this.#channels.clear();
  }

  #open(name: string, version: number): void {
    let channel: MuxChannel | undefined;
    const send = (kind: number, ...parts: Uint8Array[]): boolean => channel?.send(kind, ...parts) ?? true;
    const client = new CallClient({ ...this.#wiring.calls, send });
    channel = this.#wiring.mux.open({
      protocol: `${name}/${version}`,
      id: new Uint8Array([this.#wiring.callerRole]),
      kinds: client.kinds,
      onClose: () => {
        client.end(new KithError('holder-unavailable', `the other side does not grant ${name}`));
        if (this.#channels.get(name)?.client === client) this.#channels.delete(name);
      },
    });
    if (channel !== undefined) this.#channels.set(name, { version, client, channel });
  }
}
