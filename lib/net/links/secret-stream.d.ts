import type { Duplex } from 'node:stream';

/** What kith uses of a NoiseSecretStream (a streamx duplex that carries whole messages). */
export interface SecretStream extends Duplex {
  readonly isInitiator: boolean;
  readonly publicKey: Uint8Array;
  readonly remotePublicKey: Uint8Array;
  readonly handshakeHash: Uint8Array;
  readonly opened: Promise<boolean>;
  /** Bytes that came in below the encryption, those of a message that isn't whole yet included; counted by boundedStream. */
  readonly bytesIn?: number;
  /** Where Protomux keeps itself. */
  userData: unknown;
  setTimeout(ms: number): this;
  setKeepAlive(ms: number): void;
  alloc(bytes: number): Uint8Array;
}
