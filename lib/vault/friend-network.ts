import type { Via } from '../net/link.ts';
import type { Holder } from '../holders/holder.ts';

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
}

/** What this computer keeps for a friend. */
export interface Hosted {
  readonly quotaBytes: number;
  readonly usedBytes: number;
  readonly reservedBytes: number;
  readonly trashBytes: number;
}

/** One way that was tried to reach a friend. */
export interface PingStep {
  readonly way: 'session' | 'direct' | 'dht';
  readonly address: string | null;
  readonly ok: boolean;
  readonly ms: number;
  readonly message: string | null;
}

/**
 * What the vault needs of the network. The daemon (or a command that works by itself) makes one; `noNetwork` stands in
 * where there is none. Nothing of it throws for a friend that is away.
 */
export interface FriendNetwork {
  /** `HOST:PORT` that friends can dial, or null where nothing listens. */
  readonly listen: string | null;
  /**
   * Resolves once friends who can be reached are there, or were tried in vain. Left out where a daemon keeps up with them; a command that
   * works by itself opens its network here, at the first need.
   */
  settled?(signal?: AbortSignal): Promise<void>;
  holderOf(friend: FriendRef): Holder;
  presence(id: string): Presence;
  hosted(id: string): Promise<Hosted | undefined>;
  ping(id: string, signal?: AbortSignal): Promise<readonly PingStep[]>;
  /** The friends book has changed: whom to dial, whom to refuse, what each may use. */
  refresh(): void;
}
