import type { PingStep } from '../dialling/dial-steps.ts';
import type { SecretStream } from './secret-stream.d.ts';

/** How two devices came together: over TCP, over UDP by key, or through somebody's relay. */
export type Via = 'direct' | 'punched' | 'relay';

/** An Ed25519 pair as libsodium keeps it: 32 and 64 bytes. */
export interface KeyPair {
  readonly publicKey: Uint8Array;
  readonly secretKey: Uint8Array;
}

/** One place where a device may be met. One port number serves TCP (direct) and UDP (dht), as far as each is on. */
export interface Endpoint {
  /** An IP address, or a name to look up. */
  readonly host: string;
  readonly port: number;
  readonly direct: boolean;
  readonly dht: boolean;
  /** True where it was heard in the local network just now, and no card says it. */
  readonly lan?: boolean;
}

/**
 * An encrypted connection whose other end has proved that it has the secret half of `remoteKey`. What that key may do
 * is not the link's business.
 */
export interface Link {
  /** Ed25519 public key, 32 bytes: a device's, or a doorstep key. */
  readonly remoteKey: Uint8Array;
  /** Which of our keys the handshake was made with. */
  readonly localKey: Uint8Array;
  readonly isInitiator: boolean;
  readonly via: Via;
  /** `HOST:PORT` as seen from here, for people. */
  readonly remoteAddress: string;
  /** Which of our addresses the socket is bound to, where it is bound to one: without that address the link is dead. */
  readonly localAddress?: string | undefined;
  /** 64 bytes that only the two ends of this very handshake know alike: what is signed over it can't be replayed. */
  readonly handshakeHash: Uint8Array;
  /** Messages, for Protomux. Open when the link is handed out; errors on it have a listener already. */
  readonly stream: SecretStream;
  /** Ends the link; resolves when its sockets are closed. Harmless when repeated. */
  close(): Promise<void>;
  /** Resolves when the link has ended, whoever ended it. */
  readonly closed: Promise<void>;
  /** Why what carries the link cut it, in words for people; undefined where nothing is known. */
  readonly endedBecause?: () => string | undefined;
}

/** Whom to dial, with which of our keys. */
export interface DialTarget {
  readonly remoteKey: Uint8Array;
  readonly endpoints: readonly Endpoint[];
  readonly keyPair: KeyPair;
  /** There is a link to it already, which is to stay until this one is there. */
  readonly isBeside?: boolean;
  /** Is told of each address that is tried, by a transport that tries several. */
  readonly onStep?: (step: PingStep) => void;
}

/**
 * Asked in the handshake, before anything is answered: a key that isn't admitted learns nothing but that the
 * connection ended. Synchronous and cheap: strangers may knock a thousand times.
 */
export type Admits = (remoteKey: Uint8Array) => boolean;

/** What a transport is given when it is made. */
export interface TransportOptions {
  /** The device's keys: who we are to those who dial us. */
  readonly keyPair: KeyPair;
  readonly admits: Admits;
  /** Told of each link that others opened; ownership of the link passes to it. */
  readonly onLink: (link: Link) => void;
}

/** A way to reach devices. */
export interface Transport {
  readonly name: 'direct' | 'dht' | 'relay';
  /**
   * Opens a link to the target. KithError `peer-refused` if it answered the connection but not the handshake (it
   * doesn't know our key, or isn't who we look for), `peer-unreachable` otherwise; the signal's reason if it fires.
   */
  dial(target: DialTarget, signal: AbortSignal): Promise<Link>;
  /** Resolves when there is more to try than there was at the last dial, or the signal fires; of a transport that goes by others. */
  more?(until: AbortSignal): Promise<void>;
  /** After an outage or a change of address: finds the others and is found again within seconds, where that takes doing. */
  refresh?(): void;
  /** Stops listening, ends all links and dials, frees all sockets. */
  close(): Promise<void>;
}
