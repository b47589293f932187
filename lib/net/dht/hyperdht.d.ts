// What kith uses of hyperdht (and dht-rpc under it), which ships no types.
declare module 'hyperdht' {
  import type { Duplex } from 'node:stream';
  import type NoiseSecretStream from '@hyperswarm/secret-stream';
  import type { SecretStreamOptions } from '@hyperswarm/secret-stream';

  export interface HostPort {
    readonly host: string;
    readonly port: number;
  }

  /** A NoiseSecretStream over UDX. */
  export interface DhtConnection extends Duplex {
    readonly isInitiator: boolean;
    readonly publicKey: Uint8Array;
    readonly remotePublicKey: Uint8Array;
    readonly handshakeHash: Uint8Array;
    readonly opened: Promise<boolean>;
    readonly rawStream: { readonly remoteHost: string; readonly remotePort: number } | null;
    userData: unknown;
    setTimeout(ms: number): this;
    setKeepAlive(ms: number): void;
    alloc(bytes: number): Uint8Array;
  }

  /** How both ends of connections get their encrypted streams. */
  export interface WithStreams {
    readonly createSecretStream?: (
      isInitiator: boolean,
      rawStream: Duplex | null,
      options: SecretStreamOptions,
    ) => NoiseSecretStream;
  }

  export interface HyperDhtOptions {
    /** Left out or null, public servers are used: never do that. */
    readonly bootstrap: readonly HostPort[];
    readonly host: string;
    /** A number from 1 (0 would mean 49737); [0, 0] lets the system choose. */
    readonly port: number | readonly [0, 0];
    readonly anyPort: false;
    readonly ephemeral?: boolean;
    readonly firewalled?: boolean;
    readonly keyPair?: { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array };
    /** Entries of each cache. */
    readonly maxSize?: number;
  }

  export default class HyperDHT {
    /** Public entries: `ADDRESS@NAME:PORT`. */
    static readonly BOOTSTRAP: readonly string[];
    constructor(options: HyperDhtOptions);
    readonly bootstrapNodes: HostPort[];
    readonly destroyed: boolean;
    /** The address that most of those who answered lately see it under; null while they don't agree. */
    readonly host: string | null;
    readonly io: {
      /** The socket on the port that was asked for; a node behind a NAT asks its questions from another. */
      readonly serverSocket: { address(): HostPort };
      readonly networkInterfaces: { destroy(): void };
    };
    readonly _nat: { add(host: string, port: number): void };
    /** Checks by binding to them which of this computer's addresses a peer in the same LAN may be told. */
    validateLocalAddresses: (addresses: readonly HostPort[]) => Promise<HostPort[]>;
    once(event: 'listening', listener: () => void): this;
    bind(): Promise<void>;
    addNode(node: HostPort): void;
    toArray(): HostPort[];
    fullyBootstrapped(): Promise<void>;
    refresh(): void;
    connect(
      publicKey: Uint8Array,
      options: WithStreams & {
        readonly keyPair: { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array };
        readonly relayAddresses?: readonly HostPort[];
      },
    ): DhtConnection;
    createServer(options: WithStreams, onConnection?: (connection: DhtConnection) => void): unknown;
    destroy(options?: { readonly force?: boolean }): Promise<void>;
  }
}
