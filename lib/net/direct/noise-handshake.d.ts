// What kith uses of noise-handshake and noise-curve-ed, which ship no types.
declare module 'noise-handshake' {
  /** One side of a Noise handshake. Calls throw on whatever doesn't fit. */
  export default class NoiseHandshake {
    constructor(
      pattern: 'IK',
      initiator: boolean,
      staticKeyPair: { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array },
      options: { readonly curve: unknown },
    );
    /** The other side's static key, once known. */
    readonly rs: Uint8Array | null;
    readonly complete: boolean;
    readonly tx: Uint8Array | null;
    readonly rx: Uint8Array | null;
    readonly hash: Uint8Array | null;
    initialise(prologue: Uint8Array, remoteStatic?: Uint8Array): void;
    send(payload?: Uint8Array): Uint8Array;
    recv(message: Uint8Array): Uint8Array;
  }
}

declare module 'noise-curve-ed' {
  /** Diffie-Hellman on Ed25519 keys. */
  const curve: unknown;
  export default curve;
}
