import type { Card } from '../../format/card.ts';
import type { FriendRecord } from '../../format/friend-records.ts';
import type { InviteHints } from '../../format/invite.ts';
import type { Holder } from '../../holders/holder.ts';
import type { PingStep } from '../../net/dialling/dial-steps.ts';
import type { KeyPair, Via } from '../../net/links/link.ts';
import type { Reachability } from '../../net/router/reachability.ts';
import type { OpenLinkDoor } from '../devices/link-door.ts';

export type { Reachability, ReachabilityChoice } from '../../net/router/reachability.ts';
export type { PingStep, StepTrouble } from '../../net/dialling/dial-steps.ts';

/** A friend as the vault names it to the network. */
export interface FriendRef {
  /** 64 hex digits: the friend's identity, which is also its holder id. */
  readonly id: string;
  readonly name: string;
  readonly household: string | undefined;
}

/** Whether a friend can be spoken to now. */
export interface Presence {
  readonly online: boolean;
  readonly via: Via | null;
  readonly address: string | null;
  /** True once it has accepted us at least once since this process began: it has added us as well. */
  readonly mutual: boolean;
  /** Why the last try failed, in words; null where none did. */
  readonly trouble: string | null;
  /** True where it said itself, when it was last tried, that it takes this device for none of our identity's: it was probably revoked. */
  readonly disowned?: boolean;
  /** True while it says that its line is metered: no bulk is sent there. Left out where that isn't known. */
  readonly metered?: boolean;
  /** What the last try was made of, in its order; left out or empty where it is online, and where nobody tried. */
  readonly steps?: readonly PingStep[];
  /**
   * For how long (ms, monotonic) this process has looked for the friend without a break: since it went, or since looking began. 0 while it
   * is online. Left out where nobody looks all the time, as in a command that works by itself.
   */
  readonly awayMs?: number;
}

/** What this computer keeps for a friend. */
export interface Hosted {
  readonly quotaBytes: number;
  readonly usedBytes: number;
  readonly reservedBytes: number;
  readonly trashBytes: number;
}

/** How this computer stands among its friends, as a daemon knows it. */
export interface Standing {
  /** What friends can dial, each `HOST:PORT`, by this computer's own addresses. */
  readonly addresses: readonly string[];
  readonly role: 'friend' | 'meeting-point';
  readonly reachability: Reachability;
  /** Friends, and pairs of friends, that were never online together of late: a sentence each. */
  readonly apart: readonly string[];
}

/**
 * What the vault needs of the network. The daemon (or a command that works by itself) makes one; `noNetwork` stands in
 * where there is none. Nothing of it throws for a friend that is away.
 */
export interface FriendNetwork {
  /** `HOST:PORT` that friends can dial, or null where nothing listens. */
  readonly listen: string | null;
  /** Left out, or undefined, where no daemon listens. */
  standing?(): Standing | undefined;
  /** What an invite made now says of how this computer is found beside its addresses; left out where nothing listens. */
  readonly inviteHints?: InviteHints;
  /**
   * Resolves once friends who can be reached are there, or were tried in vain. Left out where a daemon keeps up with them; a command that
   * works by itself opens its network here, at the first need.
   */
  settled?(signal?: AbortSignal): Promise<void>;
  holderOf(friend: FriendRef): Holder;
  presence(id: string): Presence;
  hosted(id: string): Promise<Hosted | undefined>;
  /** Tells a device of this identity, where it is connected, that it is revoked, before `refresh` ends its session. Never rejects. */
  farewell?(deviceId: Uint8Array): Promise<void>;
  /** Waits for a new device of this identity; left out where there is no network. */
  readonly openLinkDoor?: OpenLinkDoor;
  /** Ids (hex) of this identity's other devices that are connected now. */
  ownDevicesOnline?(): readonly string[];
  ping(id: string, signal?: AbortSignal, sessionOnly?: boolean): Promise<readonly PingStep[]>;
  /** Bytes a second that may be sent to all friends together now; undefined for no limit of a given size. */
  uploadRate?(): number | undefined;
  /**
   * Resolves when `done` holds, which is asked whenever somebody comes, goes or was tried, or the book has changed, or when the time is up.
   * Throws the signal's reason. Left out where there is no network.
   */
  waitUntil?(done: () => boolean, msMax: number, signal?: AbortSignal): Promise<void>;
  /**
   * The friends book has changed, or invites, keys or settings have: whom to dial, whom to refuse, what each may use. `changed` has the
   * ids of the friends of whom the book says something else than at the refresh before; left out, it may be any.
   */
  refresh(changed?: ReadonlySet<string>): void;
}

/** A device that recovers: it has keys and a certificate, and no vault yet. */
export interface RecoveringDevice {
  readonly vaultId: Uint8Array;
  readonly deviceId: Uint8Array;
  /** 64 bytes as libsodium keeps it. */
  readonly deviceSecretKey: Uint8Array;
  /** The identity's certificate for it, encoded. */
  readonly certificate: Uint8Array;
}

/**
 * The network of a recovery. It knocks with the doorstep key, shows the certificate, and from then on is the friend's friend as any
 * device is.
 */
export interface RecoveryConnection extends FriendNetwork {
  /** True for a friend that answered and refused us: it doesn't know the identity. False while nobody answered. */
  refused(id: string): boolean;
  /** Dials these as well: the friends that the catalog names, removed ones among them, which are left alone. */
  know(friends: readonly FriendRecord[]): void;
  /** Resolves when one of them is online, when none can be any more (all have refused us), or when the time is up. Throws the signal's reason. */
  waitForAny(ids: readonly string[], msMax: number, signal?: AbortSignal): Promise<void>;
  /** The same, for when each of them is online, has refused us, or was tried every way in vain. */
  waitForAll(ids: readonly string[], msMax: number, signal?: AbortSignal): Promise<void>;
  /** Ends all sessions. Harmless when repeated. */
  close(): Promise<void>;
}

/** Makes the network of a recovery: the wiring hands it in, since the vault knows no transports. */
export interface RecoveryNetwork {
  /**
   * Cards of friends in the local network who know the identity with that doorstep pair, encoded and not verified; none where nobody answers. Some
   * seconds. Left out where there is no such network.
   */
  near?(doorstep: KeyPair, signal?: AbortSignal): Promise<readonly Uint8Array[]>;
  /** Begins to dial the devices on the cards, and returns at once. */
  connect(options: {
    readonly device: RecoveringDevice;
    readonly doorstep: KeyPair;
    /** Verified. */
    readonly cards: readonly Card[];
    readonly signal?: AbortSignal | undefined;
  }): Promise<RecoveryConnection>;
}
