import type { DriveInfo, Spread } from '../lib/vault/types.ts';

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

/** `3/5`. */
export function spreadText(spread: Spread): string {
  return `${spread.k}/${spread.n}`;
}

/** Seconds with milliseconds. */
export function seconds(ms: number): number {
  return Math.round(ms) / 1000;
}
