import { dirname, resolve } from 'node:path';
import { toHex, utf8 } from '../../base/bytes.ts';
import { mapLimited } from '../../base/concurrency.ts';
import { KithError, isKithError, messageOf } from '../../base/errors.ts';
import {
  encodeHolderRecord,
  holderKindNumbers,
  holderStateNumbers,
  type HolderRecord,
} from '../../format/catalog-records.ts';
import { recordKinds } from '../../format/log-kinds.ts';
import { logRoles } from '../../format/segment.ts';
import { initDrive, openDrive, readDriveMarker } from '../../holders/drive.ts';
import type { Census } from '../shards/census.ts';
import { exchangeWithAll } from '../logs/exchange.ts';
import { holdersAtOnce } from './holder-book.ts';
import { nameFor, refuseTakenName } from './names.ts';
import { refuseIfNeeded } from '../repair/removal.ts';
import { idBytes, type KnownDrive, type Session } from '../session.ts';
import type { DriveInfo, DriveOptions } from '../types.ts';

const notCounted = { usedBytes: null, freeBytes: null, shards: null } as const;

function baseInfo(
  drive: KnownDrive,
): Pick<DriveInfo, 'id' | 'name' | 'path' | 'household' | 'whole' | 'quotaBytes'> {
  return {
    id: drive.id,
    name: drive.name,
    path: drive.path,
    household: drive.household ?? null,
    whole: drive.whole,
    quotaBytes: drive.quotaBytes ?? null,
  };
}

/** What a drive is and how full, as it is now; how many shards it has by a census that listed it, or else a listing. */
export async function driveInfo(drive: KnownDrive, census?: Census): Promise<DriveInfo> {
  const base = baseInfo(drive);
  const availability = await drive.holder.check();
  if (!availability.available) {
    return {
      ...base,
      available: false,
      reason: availability.reason,
      ...notCounted,
    };
  }
  try {
    const room = await drive.holder.room();
    const shards = await shardsOf(drive, census);
    return {
      ...base,
      available: true,
      reason: null,
      usedBytes: room.usedBytes,
      freeBytes: room.freeBytes,
      shards,
    };
  } catch (error) {
    if (!isKithError(error)) throw error;
    return {
      ...base,
      available: false,
      reason: messageOf(error),
      ...notCounted,
    };
  }
}

async function shardsOf(drive: KnownDrive, census: Census | undefined): Promise<number> {
  if (census?.holders.some(({ id }) => id === drive.id) === true) return census.countOf(drive.id);
  let shards = 0;
  for await (const _entry of drive.holder.inventory()) shards++;
  return shards;
}

/** The same of several, side by side. */
export async function driveInfos(drives: readonly KnownDrive[], census?: Census): Promise<DriveInfo[]> {
  return await mapLimited(drives, holdersAtOnce, (drive) => driveInfo(drive, census));
}

/** `brief`: nothing is counted, so that how full they are is null. */
export async function driveList(session: Session, brief = false): Promise<DriveInfo[]> {
  if (!brief) return await driveInfos(session.drives());
  return await mapLimited(session.drives(), holdersAtOnce, async (drive) => {
    const found = await drive.holder.check();
    const isHere = found.available;
    return { ...baseInfo(drive), ...notCounted, available: isHere, reason: isHere ? null : found.reason };
  });
}

function driveOf(session: Session, id: string): KnownDrive | undefined {
  return session.drives().find((drive) => drive.id === id);
}

/**
 * Makes a folder a holder of this vault; an existing drive of it (after a move, or a recovery) is taken back with what it has.
 * KithError `holder-exists`, `holder-foreign`, `usage`.
 */
export async function driveAdd(session: Session, options: DriveOptions): Promise<DriveInfo> {
  const { disk, random, clock } = session.surroundings;
  const path = resolve(options.path);
  await exchangeWithAll(session);
  const marker = await readDriveMarker(disk, path);
  const known = marker === undefined ? undefined : driveOf(session, marker.id);
  if (
    known !== undefined &&
    known.path === path &&
    (await known.holder.check()).available &&
    sameOptions(known, options)
  ) {
    throw new KithError('holder-exists', `${path} is already your disk "${known.name}".`);
  }
  if (options.name !== undefined) refuseTakenName(session, options.name, known?.id);
  if (path === resolve(session.home) || `${path}/`.startsWith(`${resolve(session.home)}/`)) {
    throw new KithError('usage', 'a disk can’t lie inside kith’s own home: both would be lost together.');
  }
  const stats = await disk.stat(path);
  if (stats === undefined) await makeDriveFolder(session, path);
  else if (!stats.isFolder) throw new KithError('usage', `${path} is not a folder.`);
  else await settleDriveFolder(session, path);
  const before = marker === undefined ? undefined : holderRecord(session, marker.id);
  const wanted = before === undefined ? path.split('/').at(-1) || 'disk' : before.name;
  const name = options.name ?? known?.name ?? nameFor(session, wanted);
  const initial = await initDrive(disk, path, {
    name,
    vaultId: session.device.vaultId,
    random,
    now: new Date(Number(clock.nowNs() / 1_000_000n)).toISOString(),
  });
  if (marker !== undefined) await exchangeWithFound(session, path, initial.id, name);
  // One that was removed, or of which only its own logs tell, is what it was.
  const record = holderRecord(session, initial.id);
  await appendHolder(session, {
    id: initial.id,
    state: holderStateNumbers.active,
    name,
    household: options.household ?? record?.household ?? '',
    quotaBytes: options.quotaBytes ?? record?.quotaBytes ?? 0,
    whole: options.whole ?? record?.whole ?? false,
    path,
  });
  session.loadHolders();
  const drive = driveOf(session, initial.id);
  if (drive === undefined) throw new KithError('internal', 'the new disk is not in the catalog');
  await exchangeWithAll(session);
  return driveInfo(drive);
}

/** The last that was recorded of a holder, removed ones included. */
function holderRecord(session: Session, id: string): HolderRecord | undefined {
  return session.state.holders().find(({ holderId }) => toHex(holderId) === id);
}

/** Makes the drive's own folder, but not what should be above it: a typo or an unplugged disk must not become a drive. */
async function makeDriveFolder(session: Session, path: string): Promise<void> {
  const { disk } = session.surroundings;
  if ((await disk.stat(dirname(path)))?.isFolder !== true) {
    throw new KithError(
      'usage',
      `there is no folder ${dirname(path)}. Is the disk plugged in, and the path spelled right?`,
    );
  }
  await disk.makeFolder(path);
}

/** Makes a folder that is there last, and the marker in it: a process that died may only have given them their names. */
async function settleDriveFolder(session: Session, path: string): Promise<void> {
  const { disk } = session.surroundings;
  await disk.makeFolder(path);
  await disk.syncFolder(path);
}

function sameOptions(known: KnownDrive, options: DriveOptions): boolean {
  return (
    (options.name === undefined || options.name === known.name) &&
    (options.household === undefined || options.household === known.household) &&
    (options.quotaBytes === undefined || options.quotaBytes === known.quotaBytes) &&
    (options.whole === undefined || options.whole === known.whole)
  );
}

/** Exchanges logs with a drive of this vault that isn't, or is no longer, in the catalog: it may know more than we do. */
async function exchangeWithFound(session: Session, path: string, id: string, name: string): Promise<void> {
  const { disk } = session.surroundings;
  const { vaultId } = session.device;
  const holder = openDrive(disk, path, { id, vaultId, name, isDevice: session.authority.isDevice });
  await session.exchangeLogs([holder]);
  session.loadHolders();
}

/** Writes what is known of a drive to the catalog. */
export async function appendHolder(
  session: Session,
  drive: {
    readonly id: string;
    readonly state: (typeof holderStateNumbers)[keyof typeof holderStateNumbers];
    readonly name: string;
    readonly household: string;
    readonly quotaBytes: number;
    readonly whole: boolean;
    readonly path: string;
  },
): Promise<void> {
  const body = encodeHolderRecord({
    holderId: idBytes(drive.id),
    kind: holderKindNumbers.drive,
    state: drive.state,
    name: drive.name,
    household: drive.household,
    quotaBytes: drive.quotaBytes,
    whole: drive.whole,
    pathHint: utf8(drive.path),
    atNs: session.state.holderTimeNs(idBytes(drive.id), session.surroundings.clock.nowNs()),
    extensions: [],
  });
  await session.logs.append(logRoles.catalog, [{ kind: recordKinds.holder, body }]);
}

/** A drive by name, path or (the beginning of) its id. KithError `holder-unknown`. */
export function findDrive(session: Session, text: string): KnownDrive {
  const drives = session.drives();
  const found =
    drives.find((drive) => drive.name === text) ??
    drives.find((drive) => drive.path === resolve(text)) ??
    drives.find((drive) => text.length >= 6 && drive.id.startsWith(text.toLowerCase()));
  if (found !== undefined) return found;
  const names = drives.map((drive) => drive.name).join(', ');
  throw new KithError(
    'holder-unknown',
    `there is no disk "${text}". You have: ${names === '' ? 'none' : names}.`,
  );
}

/** Forgets a drive. KithError `failed` if some pack could then not be restored from the drives that are here, unless forced. */
export async function driveRemove(session: Session, nameOrId: string, force: boolean): Promise<DriveInfo> {
  await exchangeWithAll(session);
  const drive = findDrive(session, nameOrId);
  const info = await driveInfo(drive);
  if (!force) await refuseIfNeeded(session, drive);
  await appendHolder(session, {
    id: drive.id,
    state: holderStateNumbers.removed,
    name: drive.name,
    household: drive.household ?? '',
    quotaBytes: drive.quotaBytes ?? 0,
    whole: drive.whole,
    path: drive.path,
  });
  session.loadHolders();
  await exchangeWithAll(session);
  return info;
}
