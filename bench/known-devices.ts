import { equalBytes } from '../lib/base/bytes.ts';
import type { Directory } from '../lib/net/directory.ts';

/** A device that a bench knows; `port` 0 for one that is not dialled. */
export interface KnownDevice {
  readonly deviceId: Uint8Array;
  readonly port: number;
  /** Loopback unless given. */
  readonly host?: string;
}

/** Everybody who is named is a friend, each an identity of its own that is its device key, and nothing is learned. */
export class KnownDevices implements Directory {
  readonly revision = 1;
  readonly #own: Uint8Array;
  readonly #known: readonly KnownDevice[];

  constructor(own: Uint8Array, known: readonly KnownDevice[]) {
    this.#own = own;
    this.#known = known;
  }

  admit(remoteKey: Uint8Array): ReturnType<Directory['admit']> {
    const found = this.#known.find(({ deviceId }) => equalBytes(deviceId, remoteKey));
    if (found === undefined) return undefined;
    return { kind: 'device', identity: found.deviceId, deviceId: found.deviceId };
  }

  owns(identity: Uint8Array, deviceId: Uint8Array): boolean {
    return equalBytes(identity, deviceId);
  }

  wanted(): ReturnType<Directory['wanted']> {
    return this.#known.map(({ deviceId, port, host = '127.0.0.1' }) => ({
      identity: deviceId,
      deviceId,
      endpoints: port === 0 ? [] : [{ host, port, direct: true, dht: false }],
    }));
  }

  ownCard(): Uint8Array {
    return this.#own;
  }

  identityOf(card: Uint8Array): Uint8Array {
    return card;
  }

  learn(): Promise<boolean> {
    return Promise.resolve(true);
  }
}
