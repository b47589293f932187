import { hostname, userInfo } from 'node:os';
import { resolve } from 'node:path';
import { fromHex, utf8 } from '../../base/bytes.ts';
import type { Content } from '../../format/content.ts';
import type { Snapshot } from '../../format/snapshot.ts';
import { readableMetadata } from '../../source/extras.ts';
import type { FileCounts } from './file-counts.ts';
import type { Session } from '../session.ts';
import type { FoundSnapshot } from '../read/snapshots.ts';
import type { BackupOptions } from '../types.ts';

/** What a backup knows of its snapshot once its trees are stored. */
export interface StoredBackup {
  readonly startNs: bigint;
  readonly durationMs: number;
  readonly parent: FoundSnapshot | undefined;
  readonly root: Content;
  readonly counts: FileCounts;
  readonly bytesAdded: number;
}

/** The snapshot of a backup by this user on this machine. */
export function snapshotOf(session: Session, options: BackupOptions, stored: StoredBackup): Snapshot {
  const { counts, parent } = stored;
  return {
    vaultId: session.device.vaultId,
    deviceId: session.device.deviceId,
    timeNs: stored.startNs,
    durationNs: BigInt(Math.max(0, Math.round(stored.durationMs * 1e6))),
    host: hostname(),
    user: userName(),
    partial: false,
    parent: parent === undefined ? undefined : fromHex(parent.id),
    sources: options.paths.map((path) => utf8(resolve(path))),
    excludes: [...(options.excludes ?? [])],
    tags: [...(options.tags ?? [])],
    root: stored.root,
    summary: {
      filesNew: counts.filesNew,
      filesChanged: counts.filesChanged,
      filesUnmodified: counts.filesUnmodified,
      folders: counts.folders,
      symlinks: counts.symlinks,
      others: counts.others,
      unreadable: counts.unreadable,
      bytesProcessed: counts.bytesProcessed,
      bytesAdded: stored.bytesAdded,
    },
    metadata: readableMetadata(),
  };
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return '';
  }
}
