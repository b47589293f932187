// What kith uses of @hyperswarm/secret-stream, which ships no types; its instances are the SecretStream of
// secret-stream.d.ts.
declare module '@hyperswarm/secret-stream' {
  import type { Duplex } from 'node:stream';

  export interface FinishedNoise {
    readonly tx: Uint8Array;
    readonly rx: Uint8Array;
    readonly hash: Uint8Array;
    readonly publicKey: Uint8Array;
    readonly remotePublicKey: Uint8Array;
  }

  export interface SecretStreamOptions {
    readonly handshake?: FinishedNoise;
    readonly keepAlive?: number;
    /** False: nothing happens before `start`. */
    readonly autoStart?: boolean;
  }

  export default class NoiseSecretStream extends Duplex {
    constructor(isInitiator: boolean, rawStream: Duplex | null, options: SecretStreamOptions);
    start(rawStream: Duplex | null, options: SecretStreamOptions): void;
    /** Takes what came on the raw stream: looked up when that is opened. */
    _onrawdata: (bytes: Uint8Array) => void;
    readonly destroying: boolean;
    readonly isInitiator: boolean;
    readonly publicKey: Uint8Array;
    readonly remotePublicKey: Uint8Array;
    readonly handshakeHash: Uint8Array;
    readonly opened: Promise<boolean>;
    userData: unknown;
    setTimeout(ms: number): this;
    setKeepAlive(ms: number): void;
    alloc(bytes: number): Uint8Array;
  }
}
