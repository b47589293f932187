import type { Disk } from '../../lib/disk/disk.ts';
import { initDrive, openDrive, type DriveHolder } from '../../lib/holders/drive.ts';
import type { SampleVault } from './sample-pack.ts';
import { Seeded } from './seeded.ts';

export interface SampleDriveOptions {
  readonly quotaBytes?: number;
  readonly freeFloorBytes?: number | undefined;
  readonly seed?: number;
}

/** Makes a folder a drive of a sample vault, or finds that it is one, and opens it; no floor unless given. */
export async function sampleDrive(
  disk: Disk,
  folder: string,
  vault: SampleVault,
  options: SampleDriveOptions = {},
): Promise<DriveHolder> {
  const { id } = await initDrive(disk, folder, {
    name: 'test drive',
    vaultId: vault.vaultId,
    random: (count) => new Seeded(options.seed ?? 1).bytes(count),
    now: '2026-01-01T00:00:00Z',
  });
  return openDrive(disk, folder, {
    id,
    vaultId: vault.vaultId,
    name: 'test drive',
    quotaBytes: options.quotaBytes,
    freeFloorBytes: 'freeFloorBytes' in options ? options.freeFloorBytes : 0,
    isDevice: vault.isDevice,
  });
}
