import { formatSize } from '../lib/base/units.ts';
import { shown, table } from './words.ts';
import type { DriveInfo } from '../lib/vault/types.ts';

function sizeOrDash(bytes: number | null): string {
  return bytes === null ? '-' : formatSize(bytes);
}

/** The drives as a table for people; empty where there are none. */
export function driveTable(drives: readonly DriveInfo[]): string[] {
  if (drives.length === 0) return [];
  const rows = drives.map((drive) => [
    shown(drive.name),
    drive.available ? 'here' : `away: ${shown(drive.reason ?? 'not reachable')}`,
    sizeOrDash(drive.usedBytes),
    sizeOrDash(drive.freeBytes),
    drive.quotaBytes === null ? 'no limit' : formatSize(drive.quotaBytes),
    drive.household === null ? '-' : shown(drive.household),
    shown(drive.path),
  ]);
  return table(['disk', 'state', 'used', 'free', 'room', 'home', 'folder'], rows);
}
