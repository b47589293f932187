import type { FriendRecord } from '../../format/friend-records.ts';
import type { Holder } from '../../holders/holder.ts';

/** A holder with what the vault knows of it: what the catalog says, and the holder that stands for it. */
export interface KnownHolder {
  /** 64 hex digits; a friend's is its identity. */
  readonly id: string;
  readonly kind: 'drive' | 'friend';
  /** My name for it, unlike that of any other. */
  readonly name: string;
  /** Undefined for a friend. */
  readonly path: string | undefined;
  readonly household: string | undefined;
  /** Bytes that I allow a drive to keep; undefined without a limit, and for a friend, who says so itself. */
  readonly quotaBytes: number | undefined;
  /** True if it keeps a whole copy rather than one shard of each pack. */
  readonly whole: boolean;
  readonly holder: Holder;
}

/** A drive as the vault knows it. */
export interface KnownDrive extends KnownHolder {
  readonly kind: 'drive';
  readonly path: string;
}

/** A friend as the vault knows it, with its line of the friends book. */
export interface KnownFriend extends KnownHolder {
  readonly kind: 'friend';
  readonly record: FriendRecord;
}

/** A holder that can't be used now, and why. */
export interface AwayHolder {
  readonly keeper: KnownHolder;
  readonly reason: string;
}
