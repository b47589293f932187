import type { HolderCounts } from '../lib/placement/words.ts';
import type { DriveInfo, FriendInfo, VaultApi } from '../lib/vault/types.ts';

/** Whom a vault knows, for words about them. */
export interface KnownHolders {
  readonly drives: readonly Pick<DriveInfo, 'id' | 'household'>[];
  readonly friends: readonly Pick<FriendInfo, 'id' | 'household'>[];
}

/** The disks and friends of a vault. */
export async function knownHolders(vault: VaultApi): Promise<KnownHolders> {
  const [drives, friends] = await Promise.all([vault.driveList({ brief: true }), vault.friendList()]);
  return { drives, friends };
}

/** How many there are of each kind. */
export function countsOf({ drives, friends }: KnownHolders): HolderCounts {
  return { drives: drives.length, friends: friends.length };
}

/** What to do to have more holders at hand: `Plug in or add disks`, `Wait for friends, or add more`. */
export function moreHolders({ drives, friends }: HolderCounts): string {
  if (friends === 0) return 'Plug in or add disks';
  return drives === 0
    ? 'Wait for friends to be online, or add more'
    : 'Plug in disks, wait for friends, or add more';
}
