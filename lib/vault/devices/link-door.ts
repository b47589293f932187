import type { AddressEndpoint } from '../../format/address-body.ts';

/** A new device that came with the link, as it says of itself. Its keys are proved, who has it isn't: people compare the words. */
export interface NewcomerDevice {
  readonly deviceId: Uint8Array;
  readonly boxKey: Uint8Array;
  /** As it was said; clean it before it is shown. */
  readonly name: string;
  readonly words: string;
  /** Gives it all that makes it a device of the identity; resolves when it says that it has stored it. */
  welcome(parts: {
    readonly welcome: Uint8Array;
    readonly keyRecord: Uint8Array;
    readonly segments: AsyncIterable<Uint8Array>;
  }): Promise<void>;
  /** Sends it away. */
  refuse(): Promise<void>;
}

/** Where a new device is waited for. */
export interface LinkDoor {
  readonly endpoints: readonly AddressEndpoint[];
  /** The first that comes and speaks properly. Rejects with the signal's reason, or when the door is closed. */
  newcomer(signal?: AbortSignal): Promise<NewcomerDevice>;
  /** Harmless when repeated. */
  close(): Promise<void>;
}

export interface LinkDoorOptions {
  readonly seed: Uint8Array;
  readonly vaultId: Uint8Array;
  /** All addresses of this computer, and a port of the system's choice, unless given. */
  readonly listen?: { readonly host: string; readonly port: number } | undefined;
  /** The setting `net.lan`: whether the new device may find the door in the local network. */
  readonly lan: string;
}

/** Opens the door for a new device: the wiring hands it in, since the vault knows no transports. */
export type OpenLinkDoor = (options: LinkDoorOptions) => Promise<LinkDoor>;
