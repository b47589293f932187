import type { Endpoint, KeyPair } from './links/link.ts';

/** Whose key it is that knocks, or answers. */
export type Admission =
  | { readonly kind: 'device'; readonly identity: Uint8Array; readonly deviceId: Uint8Array }
  /**
   * A new device of a friend: it must show a certificate before anything else. Never none, each once: any identity can
   * name any key as its doorstep, so the key alone doesn't say whose it is. The card that is shown does.
   */
  | { readonly kind: 'doorstep'; readonly identities: readonly Uint8Array[] }
  /** Somebody who has an invite of ours, dialling with its one-time key. */
  | { readonly kind: 'invite'; readonly inviteId: Uint8Array };

/** A device of a friend that a session should be kept with. */
export interface WantedPeer {
  readonly identity: Uint8Array;
  readonly deviceId: Uint8Array;
  /** Most likely first. May be empty: then only the DHT can find it. */
  readonly endpoints: readonly Endpoint[];
  /** The one-time pair of an invite of theirs: while they don't know our device yet it is dialled with first. */
  readonly oneTime?: KeyPair;
}

/**
 * Who is known to whom: all that the network needs of trust (trust/friends-book.ts). Card bytes are those of
 * docs/formats/card.md.
 */
export interface Directory {
  /** Another number whenever the answers below may be others than before. */
  readonly revision: number;
  /** Undefined for a stranger. Cheap and synchronous. */
  admit(remoteKey: Uint8Array): Admission | undefined;
  /** True while the device is one of that identity. Cheap and synchronous. */
  owns(identity: Uint8Array, deviceId: Uint8Array): boolean;
  /** Of each identity the devices first that are most likely there: only some of many are looked for. */
  wanted(): readonly WantedPeer[];
  /** Our own card, to be shown to peers. */
  ownCard(): Uint8Array;
  /** The identity that a card says it is of; nothing of it is verified. KithError `malformed` or `too-new`. */
  identityOf(card: Uint8Array): Uint8Array;
  /**
   * What a peer shows of itself: certificates and addresses are verified and merged. Throws KithError `not-authentic` or
   * `malformed` if it isn't a card of that identity; false if the device isn't (or is no longer) one of that identity.
   */
  learn(identity: Uint8Array, deviceId: Uint8Array, card: Uint8Array): Promise<boolean>;
  /**
   * Takes in who came with the one-time key of an invite that `admit` named: when it resolves, with the identity of the card, that is a friend, durably;
   * `learn` follows. KithError `invite-used`, `invite-expired`, `invite-refused`, `not-authentic`, `malformed`.
   */
  welcome?(inviteId: Uint8Array, deviceId: Uint8Array, card: Uint8Array): Promise<Uint8Array>;
}
