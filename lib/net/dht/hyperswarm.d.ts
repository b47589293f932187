// What kith uses of hyperswarm, which ships no types.
declare module 'hyperswarm' {
  import type HyperDHT from 'hyperdht';
  import type { DhtConnection } from 'hyperdht';

  export interface PeerInfo {
    readonly publicKey: Uint8Array;
    readonly explicit: boolean;
    /** Connections to it that ended, or never came to be. */
    readonly attempts: number;
    ban(banned: boolean): void;
    reconnect(reconnecting: boolean): void;
  }

  export interface HyperswarmOptions {
    readonly dht: HyperDHT;
    readonly keyPair: { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array };
    /** True refuses. The payload is null for those whom we dial. */
    readonly firewall: (
      remotePublicKey: Uint8Array,
      payload: { readonly relayThrough?: unknown } | null,
    ) => boolean;
    readonly maxParallel: number;
    readonly handshakeClearWait: number;
  }

  export default class Hyperswarm {
    constructor(options: HyperswarmOptions);
    readonly server: { refresh(): void };
    readonly connections: ReadonlySet<DhtConnection>;
    /** By public key in hex. */
    readonly peers: Map<string, PeerInfo>;
    on(event: 'connection', listener: (connection: DhtConnection, info: PeerInfo) => void): this;
    on(event: 'update', listener: () => void): this;
    on(event: 'ban', listener: (info: PeerInfo) => void): this;
    listen(): Promise<unknown>;
    joinPeer(publicKey: Uint8Array): void;
    leavePeer(publicKey: Uint8Array): void;
    destroy(): Promise<void>;
  }
}
