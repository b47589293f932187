import { networkInterfaces } from 'node:os';
import { isKithError, messageOf } from '../base/errors.ts';
import { endpointCountMax, type AddressEndpoint } from '../format/address-body.ts';
import { listenEndpoints } from '../trust/listen-endpoints.ts';
import type { Session } from '../vault/session.ts';
import type { HostPort, NetworkOptions } from './home-port.ts';

export interface OwnCardPublisherOptions {
  readonly session: Session;
  readonly network: Pick<NetworkOptions, 'direct' | 'dht' | 'publicDht'>;
  /** Whether TCP is taken on all IPv6 addresses as well. */
  readonly listensIPv6: () => boolean;
  /** Where a router passes our port on to us, or the user says so. */
  readonly outside: () => readonly AddressEndpoint[];
  /** The card says something else now. */
  readonly onPublished: () => void;
}

/** Says in the own card where this computer can be met. */
export class OwnCardPublisher {
  readonly #options: OwnCardPublisherOptions;
  /** Undefined until it is listened, and where it never is. */
  listening: HostPort | undefined;

  constructor(options: OwnCardPublisherOptions) {
    this.#options = options;
  }

  /** Says where we listen now. Nothing where we don't. */
  async publish(): Promise<void> {
    if (this.listening === undefined) return;
    const { session, onPublished } = this.#options;
    await session.ownAddress.publish(session.name, this.#endpoints(this.listening));
    onPublished();
  }

  /** The same, told as a problem where it fails. */
  async tryPublish(): Promise<void> {
    await this.publish().catch((error: unknown) => this.#trouble(error));
  }

  /** Friends have a newer record of this device than its home, which was put back from an old copy: ours goes above it. Never rejects. */
  async publishAgain(): Promise<void> {
    const { session, onPublished } = this.#options;
    if (this.listening !== undefined) return await this.tryPublish();
    try {
      await session.ownAddress.publish(session.name, session.ownAddress.endpoints);
      onPublished();
    } catch (error) {
      this.#trouble(error);
    }
  }

  #endpoints(listening: HostPort): AddressEndpoint[] {
    const { direct, publicDht } = this.#options.network;
    // Who takes part in the public DHT is no entry of that of friends.
    const dht = this.#options.network.dht && !publicDht;
    const six = { host: '::', port: listening.port, direct, dht: false };
    const places = [{ ...listening, direct, dht }, ...(this.#options.listensIPv6() ? [six] : [])];
    const own = listenEndpoints(places, networkInterfaces());
    const outside = this.#options.outside().filter((each) => each.direct || !publicDht);
    const mapped = outside.map((each) => ({ ...each, dht: each.dht && !publicDht }));
    const further = own.filter(
      ({ host, port }) => !mapped.some((each) => each.host === host && each.port === port),
    );
    return [...mapped, ...further].slice(0, endpointCountMax);
  }

  #trouble(error: unknown): void {
    const code = isKithError(error) ? error.code : 'internal';
    this.#options.session.problem({ item: 'the own card', message: messageOf(error), code });
  }
}
