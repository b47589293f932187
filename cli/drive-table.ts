import { formatSize } from '../lib/base/units.ts';
import { shown, table } from './words.ts';
import type { DriveInfo } from '../lib/vault/types.ts';

function sizeOrDash(bytes: number | null): string {
  return bytes === null ? '-' : formatSize(bytes);
}

/** The drives as a table for people, and under it why some are away; empty where there are none. */
export function driveTable(drives: readonly DriveInfo[]): string[] {
  if (drives.length === 0) return [];
  const rows = drives.map((drive) => [
    shown(drive.name),
    drive.available ? 'here' : 'away',
    sizeOrDash(drive.usedBytes),
    sizeOrDash(drive.freeBytes),
    drive.quotaBytes === null ? 'no limit' : formatSize(drive.quotaBytes),
    drive.household === null ? '-' : shown(drive.household),
    shown(drive.path),
  ]);
  const away = drives.filter((drive) => !drive.available && drive.reason !== null);
  const reasons = away.map((drive) => `${shown(drive.name)} is away: ${shown(drive.reason ?? '')}`);
  return table(['disk', 'state', 'used', 'free', 'room', 'home', 'folder'], rows).concat(reasons);
}
