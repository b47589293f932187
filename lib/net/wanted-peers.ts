import { equalBytes, idKey, toHex } from '../base/bytes.ts';
import type { Directory, WantedPeer } from './directory.ts';
import { identityDevicesMax } from './sessions/session-table.ts';

/** Whom the directory wanted at one of its revisions. */
interface AskedPeers {
  readonly revision: number;
  readonly peers: readonly WantedPeer[];
  /** The same by identity in hex, and by device. */
  readonly byIdentity: ReadonlyMap<string, readonly WantedPeer[]>;
  readonly byDevice: ReadonlyMap<string, WantedPeer>;
}

/** The devices that sessions are wanted with, our own left out. The directory is asked once for each of its revisions. */
export class WantedPeers {
  readonly #directory: Directory;
  readonly #ownDeviceId: Uint8Array;
  #asked: AskedPeers | undefined;

  constructor(directory: Directory, ownDeviceId: Uint8Array) {
    this.#directory = directory;
    this.#ownDeviceId = ownDeviceId;
  }

  all(): readonly WantedPeer[] {
    return this.#ask().peers;
  }

  /** Devices of an identity. */
  of(identityHex: string): readonly WantedPeer[] {
    return this.#ask().byIdentity.get(identityHex) ?? [];
  }

  device(deviceId: Uint8Array): WantedPeer | undefined {
    return this.#ask().byDevice.get(idKey(deviceId));
  }

  #ask(): AskedPeers {
    const { revision } = this.#directory;
    if (this.#asked?.revision === revision) return this.#asked;
    const peers: WantedPeer[] = [];
    const byIdentity = new Map<string, WantedPeer[]>();
    for (const peer of this.#directory.wanted()) {
      if (equalBytes(peer.deviceId, this.#ownDeviceId)) continue;
      const id = toHex(peer.identity);
      const devices = byIdentity.get(id) ?? [];
      // The newest come first: those beyond, which there would be no room for, are likely given up.
      if (devices.length === identityDevicesMax) continue;
      devices.push(peer);
      byIdentity.set(id, devices);
      peers.push(peer);
    }
    const byDevice = new Map(peers.map((peer) => [idKey(peer.deviceId), peer]));
    this.#asked = { revision, peers, byIdentity, byDevice };
    return this.#asked;
  }
}
