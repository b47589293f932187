import type { KithError } from '../base/errors.ts';
import type { CallWiring } from './call-client.ts';
import type { Via } from './link.ts';

/** The device at the other end of a session, as its certificate showed it. */
export interface PeerInfo {
  /** The friend's identity key, 32 bytes. */
  readonly identity: Uint8Array;
  readonly deviceId: Uint8Array;
  readonly via: Via;
  /** `HOST:PORT`, for people. */
  readonly remoteAddress: string;
}

/** Versions of a service that one side speaks; of two ranges the highest common version is used. */
export interface VersionRange {
  readonly min: number;
  readonly max: number;
}

/** Bytes of a call's body: questions are small, and as many as may be under way are kept in memory. */
export const callBodyBytesMax: number = 64 * 1024;

/** Bytes of a reply's body. */
export const replyBodyBytesMax: number = 512 * 1024;

/** Bulk bytes that one call may carry each way: the largest shard with its leaf hashes and manifest, or a log segment. */
export const bulkBytesMax: number = 9 * 1024 * 1024;

/** Bulk bytes in one message. */
export const bulkMessageBytes: number = 256 * 1024;

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** Bulk bytes that go with the call, in order; borrowed until the call has settled. At most bulkBytesMax together. */
  readonly upload?: readonly Uint8Array[];
  /** Bulk bytes that may come back at most: the credit for them. 0 unless given. */
  readonly downloadBytesMax?: number;
  /** Ends the call with `holder-unavailable` when nothing of it moved for so long; 30 s unless given. */
  readonly silenceMsMax?: number;
}

export interface CallReply {
  /** Fresh bytes, as is `download`. */
  readonly body: Uint8Array;
  readonly download: Uint8Array;
  /** Ends the session in which it came: it is nothing that an honest kith sends. Left out where there is none. See `readReply`. */
  readonly broken?: (cause: KithError) => void;
}

/**
 * Calls to one service of one friend, over whichever session there is at the moment of the call. KithErrors: the other
 * side's own (only codes that a friend may speak of), `holder-unavailable` when there is no session, it ended, or fell
 * silent in the middle; `interrupted` or the signal's reason when cancelled.
 */
export interface ServiceCaller {
  /** True while a session is open in which the other side grants the service. */
  readonly connected: boolean;
  call(method: number, body: Uint8Array, options?: CallOptions): Promise<CallReply>;
}

/** A call that came in. */
export interface IncomingCall {
  readonly method: number;
  /** A copy of its own. */
  readonly body: Uint8Array;
  /** Bulk bytes announced with the call; 0 for none. Nothing of them is sent before `receive`. */
  readonly uploadBytes: number;
  /** Credit that the caller gives for bulk bytes in the reply. */
  readonly downloadBytesMax: number;
  /** Fires when the caller cancels, or the session ends. */
  readonly signal: AbortSignal;
  /**
   * Grants the credit and gathers the bulk bytes. Waits for room in the process-wide budget. Once a call. The bytes are the handler's own; with
   * `lent` they may be so only until the handler has ended, and are used for other uploads then: for those that are large and many.
   */
  receive(options?: { readonly lent?: boolean }): Promise<Uint8Array>;
}

export interface OutgoingReply {
  readonly body: Uint8Array;
  /** Sent piece by piece as the connection takes it; borrowed until then. */
  readonly download?: readonly Uint8Array[];
  /** Parts of it that nobody else looks at: their memory is freed once they have gone out. */
  readonly owned?: readonly Uint8Array[];
}

/** One side's half of a service in one session. */
export interface ServiceHandler {
  /** Answers a call; a KithError thrown becomes the caller's, a BrokenPeer ends the session as well. Calls run side by side. */
  handle(call: IncomingCall): Promise<OutgoingReply>;
  /** The session has ended, or the grant was taken back; calls under way have had their signals fired. */
  closed(): void;
}

/** One side's half of a service channel: what takes its messages. */
export interface ChannelEnd {
  /** What to do with a message of each kind. Bytes are views, valid until it returns. */
  readonly kinds: readonly ((bytes: Uint8Array) => void)[];
  /** What is under way. */
  readonly openCount: number;
  /** The channel is closed, or the session is over. */
  end(error: KithError): void;
}

/** Makes the ends of channels that carry messages of their own instead of calls. */
export interface ChannelProtocol {
  /** Our end where the peer offers the service. */
  caller(peer: PeerInfo, wiring: CallWiring): ChannelEnd;
  /** Our end where we grant it. */
  server(peer: PeerInfo, wiring: CallWiring): ChannelEnd;
}

/** A service that this device offers. */
export interface Service {
  /** Such as `kith/store`. */
  readonly name: string;
  readonly versions: VersionRange;
  /** The handler for a peer; undefined if it isn't granted: to that peer the service doesn't exist. */
  accept(peer: PeerInfo, version: number): ServiceHandler | undefined;
  /** Left out by a service of calls. The handler then only stands for the grant. */
  readonly channel?: ChannelProtocol;
}
