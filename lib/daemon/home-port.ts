import type { GivenRates } from '../base/rate.ts';
import type { HostPort } from '../base/host-port.ts';
import type { FriendNetwork } from '../vault/friends/friend-network.ts';
import type { Problem, VaultApi } from '../vault/types.ts';

export type { HostPort } from '../base/host-port.ts';

/** What the command line says about the network. */
export interface NetworkOptions {
  /** Where to listen, TCP and UDP alike; undefined takes the port that was once chosen. Port 0 takes a fresh one. */
  readonly listen: HostPort | undefined;
  /** Meeting points of friends; nothing else is ever asked unless `publicDht`. */
  readonly bootstrap: readonly HostPort[];
  readonly publicDht: boolean;
  readonly dht: boolean;
  readonly direct: boolean;
  /** `meeting-point`: it introduces and relays, and keeps nothing for anybody. */
  readonly role?: NodeRole;
}

/** What a computer is for its friends. */
export type NodeRole = 'friend' | 'meeting-point';

/** This computer among its friends, as the daemon runs it. */
export interface PeerNode {
  readonly network: FriendNetwork;
  /** `HOST:PORT` where friends can dial, or null where nothing listens. Known once `start` has resolved. */
  readonly listening: string | null;
  /** What friends can dial, each `HOST:PORT`, by this computer's own addresses. Known once `start` has resolved. */
  readonly addresses?: readonly string[];
  /** The identity, 64 hex digits. */
  readonly id: string;
  /**
   * Listens and dials; resolves when friends are accepted. `onPresence` is told whenever a friend comes or goes. Called once.
   * KithError `address-taken`.
   */
  start(onPresence: (friendId: string, online: boolean) => void, signal: AbortSignal): Promise<void>;
  /** Brings a friend's copy of the logs up to date and hears what it knows. A friend that is away is none of its errors. */
  exchangeWith(friendId: string, signal: AbortSignal): Promise<void>;
  /** Called, where it is set, when a friend who took no bulk takes it again. */
  onBulkFree?: (() => void) | undefined;
  /** A setting was changed. */
  settingsChanged?(): void;
  /** Holds to these rates, as NodeLimits.hold. */
  holdLimits?(given: GivenRates): () => void;
  /** Ends all sessions, frees all sockets. Harmless when repeated. */
  close(): Promise<void>;
}

/** Tells the daemon's log of something that is no problem of any command. */
export type Note = (level: 'info' | 'warn' | 'error', event: string, text: string) => void;

export interface OpenHomeOptions {
  readonly home: string;
  readonly passphrase: string | undefined;
  /** Undefined for a command that works by itself: an ephemeral port, nothing announced. */
  readonly network: NetworkOptions | undefined;
  /** Rates that hold in this process in the place of the settings. */
  readonly limits?: GivenRates;
  readonly onProblem: (problem: Problem) => void;
  /** Left out where there is no log. */
  readonly note?: Note;
}

/** A home that this process has locked: its vault, and the network under it where there is one. */
export interface OpenedHome {
  readonly vault: VaultApi;
  readonly node: PeerNode | undefined;
}

/** Opens a home. Errors as openVault. The node is not started yet; who opens it closes the node first, then the vault. */
export type OpenHome = (options: OpenHomeOptions) => Promise<OpenedHome>;
