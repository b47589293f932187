import type { PingStep } from '../lib/vault/friends/friend-network.ts';
import type { DriveInfo, FriendInfo, Spread } from '../lib/vault/types.ts';

/** A drive as JSON output gives it. */
export function driveJson(drive: DriveInfo): Record<string, unknown> {
  return {
    id: drive.id,
    name: drive.name,
    path: drive.path,
    household: drive.household,
    whole: drive.whole,
    available: drive.available,
    reason: drive.reason,
    quota_bytes: drive.quotaBytes,
    used_bytes: drive.usedBytes,
    free_bytes: drive.freeBytes,
    shards: drive.shards,
  };
}

/** A way that was tried, as JSON output gives it. */
export function stepJson({ way, address, ok, ms, message, trouble }: PingStep): Record<string, unknown> {
  return { way, address, ok, ms: Math.round(ms * 10) / 10, message, trouble };
}

/** A friend as JSON output gives it. */
export function friendJson(friend: FriendInfo): Record<string, unknown> {
  return {
    name: friend.name,
    id: friend.id,
    household: friend.household,
    online: friend.online,
    via: friend.via,
    address: friend.address,
    reason: friend.reason,
    steps: friend.steps.map(stepJson),
    allow: friend.allow,
    visibility: friend.visibility,
    quota_given: friend.quotaGiven,
    used_by_them: friend.usedByThem,
    quota_received: friend.quotaReceived,
    used_by_me: friend.usedByMe,
    shards_of_mine: friend.shardsOfMine,
    // What I keep for the friend, in the words of a quota.
    quota_bytes: friend.quotaGiven,
    used_bytes: friend.usedByThem,
    reserved_bytes: friend.reservedByThem,
    trash_bytes: friend.trashOfThem,
    devices: friend.devices,
    addresses: friend.addresses,
    metered: friend.metered,
    limit_upload: friend.uploadLimit,
    limit_download: friend.downloadLimit,
    invite: friend.invite,
    safety_words: friend.safetyWords,
  };
}

/** `3/5`. */
export function spreadText(spread: Spread): string {
  return `${spread.k}/${spread.n}`;
}

/** Seconds with milliseconds. */
export function seconds(ms: number): number {
  return Math.round(ms) / 1000;
}
