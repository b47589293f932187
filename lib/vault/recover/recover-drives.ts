import { resolve } from 'node:path';
import { toHex } from '../../base/bytes.ts';
import { KithError, isKithError, messageOf } from '../../base/errors.ts';
import type { DriveMarker } from '../../format/drive-marker.ts';
import { decodeKeyRecord, verifyKeyRecord } from '../../format/key-record.ts';
import { openDrive, readDriveMarker } from '../../holders/drive.ts';
import type { Surroundings } from '../session-parts.ts';
import type { Problem } from '../types.ts';

/** A drive of the vault that recovers. */
export interface FoundDrive {
  readonly path: string;
  readonly marker: DriveMarker;
  /** Undefined where it is gone or no good. */
  readonly keyRecord: Uint8Array | undefined;
}

/** Drives among the paths that hold this vault, and how many drives there were, of whomever. */
export async function findDrives(
  surroundings: Surroundings,
  paths: readonly string[],
  vaultId: Uint8Array,
  report: (problem: Problem) => void,
): Promise<{ readonly found: readonly FoundDrive[]; readonly reached: number }> {
  const found: FoundDrive[] = [];
  let reached = 0;
  for (const given of paths) {
    const path = resolve(given);
    try {
      const marker = await readDriveMarker(surroundings.disk, path);
      if (marker === undefined) {
        report({ item: given, message: 'there is no kith disk here', code: 'holder-unavailable' });
        continue;
      }
      reached++;
      if (marker.vault !== toHex(vaultId)) continue;
      const keyRecord = await keyRecordAt(surroundings, given, marker, vaultId, report);
      found.push({ path, marker, keyRecord });
    } catch (error) {
      if (!isKithError(error)) throw error;
      report({ item: given, message: messageOf(error), code: error.code });
    }
  }
  return { found, reached };
}

/** A drive's key record; undefined, and reported, if it is gone or not genuine: the drive's logs may still be good. */
async function keyRecordAt(
  surroundings: Surroundings,
  given: string,
  marker: DriveMarker,
  vaultId: Uint8Array,
  report: (problem: Problem) => void,
): Promise<Uint8Array | undefined> {
  try {
    const holder = openDrive(surroundings.disk, resolve(given), {
      id: marker.id,
      vaultId,
      name: marker.name,
      isDevice: () => false,
    });
    const keyRecord = await holder.getKeyRecord();
    if (keyRecord === undefined) throw new KithError('damaged', 'its key record is gone');
    verifyKeyRecord(decodeKeyRecord(keyRecord), vaultId);
    return keyRecord;
  } catch (error) {
    if (!isKithError(error) || error.code === 'holder-unavailable') throw error;
    report({ item: given, message: messageOf(error), code: error.code });
    return undefined;
  }
}
