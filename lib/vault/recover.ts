import { join, resolve } from 'node:path';
import { displayText, toHex } from '../base/bytes.ts';
import { KithError, isKithError, messageOf } from '../base/errors.ts';
import { rootOfPhrase } from '../crypto/phrase.ts';
import { holderStateNumbers } from '../format/catalog-records.ts';
import { decodeKeyRecord, verifyKeyRecord } from '../format/key-record.ts';
import { openDrive, readDriveMarker } from '../holders/drive.ts';
import type { DriveMarker } from '../format/drive-marker.ts';
import { recoverDevice, vaultIdOfRoot } from '../trust/identity.ts';
import type { Heard } from '../catalog/log-copies.ts';
import { orderSnapshots } from '../catalog/snapshot-order.ts';
import type { Holder } from '../holders/holder.ts';
import { appendHolder } from './drives.ts';
import { prepareHome, writeHome } from './init.ts';
import { prepareWrite } from './prepare.ts';
import { Session, systemSurroundings, type Surroundings } from './session.ts';
import type { Problem, RecoverOptions, RecoverSummary } from './types.ts';

interface FoundDrive {
  readonly path: string;
  readonly marker: DriveMarker;
  /** Undefined where it is gone or no good. */
  readonly keyRecord: Uint8Array | undefined;
}

/**
 * An identity back from its phrase and any drive of its vault: a new device with fresh logs, the catalog from the drives' copies, and where
 * those are gone, from the packs themselves. KithError `wrong-phrase`, `unknown-identity` (12), `nobody-reached` (5), `vault-exists`.
 */
export async function recoverVault(
  options: RecoverOptions & { readonly surroundings?: Surroundings },
): Promise<RecoverSummary> {
  const surroundings = options.surroundings ?? systemSurroundings;
  const { home } = options;
  const report = (problem: Problem): void => options.onProblem?.(problem);
  const root = rootOfPhrase(options.phrase);
  try {
    const vaultId = vaultIdOfRoot(root);
    const found = await findDrives(surroundings, options.drives, vaultId, report);
    if (await isHomeOf(surroundings, options, vaultId))
      return await takeBack(surroundings, options, found, report);
    const lock = await prepareHome(surroundings, home);
    try {
      const { device, keyRecord } = recoverDevice(
        root,
        found.map((drive) => drive.keyRecord).filter((bytes) => bytes !== undefined),
        { random: surroundings.random, nowNs: () => surroundings.clock.nowNs() },
      );
      await writeHome(surroundings, home, {
        device,
        keyRecord,
        passphrase: options.passphrase,
        reason: 'recovered from the phrase',
        name: undefined,
      });
    } finally {
      await lock.release();
    }
    return await takeBack(surroundings, options, found, report);
  } finally {
    root.wipe();
  }
}

/** True if the home is one of this vault already: a recovery that was interrupted goes on. */
async function isHomeOf(
  surroundings: Surroundings,
  options: RecoverOptions,
  vaultId: Uint8Array,
): Promise<boolean> {
  const { home, passphrase } = options;
  if ((await surroundings.disk.stat(join(home, 'keystore'))) === undefined) return false;
  const session = await Session.open({
    home,
    surroundings,
    ...(passphrase === undefined ? {} : { passphrase }),
  });
  try {
    return session.id === toHex(vaultId);
  } finally {
    await session.close();
  }
}

/** Drives among the paths that hold this vault; at least one of them has a verified key record. */
async function findDrives(
  surroundings: Surroundings,
  paths: readonly string[],
  vaultId: Uint8Array,
  report: (problem: Problem) => void,
): Promise<FoundDrive[]> {
  if (paths.length === 0) {
    throw new KithError(
      'nobody-reached',
      'name at least one disk of the backup: kith recover --phrase-file FILE --drive PATH',
    );
  }
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
      found.push({
        path,
        marker,
        keyRecord: await keyRecordAt(surroundings, given, marker, vaultId, report),
      });
    } catch (error) {
      if (!isKithError(error)) throw error;
      report({ item: given, message: messageOf(error), code: error.code });
    }
  }
  if (found.some(({ keyRecord }) => keyRecord !== undefined)) return found;
  if (reached === 0) {
    throw new KithError(
      'nobody-reached',
      `no kith disk could be reached at ${paths.join(', ')}. Connect one and run the same command again.`,
    );
  }
  throw new KithError(
    'unknown-identity',
    'the phrase is well-formed, but the disks that were reached belong to somebody else, or their keys are damaged. Check that it is the phrase of this backup.',
  );
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

async function takeBack(
  surroundings: Surroundings,
  options: RecoverOptions,
  found: readonly FoundDrive[],
  report: (problem: Problem) => void,
): Promise<RecoverSummary> {
  const { home, passphrase, signal } = options;
  const session = await Session.open({
    home,
    surroundings,
    ...(passphrase === undefined ? {} : { passphrase }),
  });
  try {
    const { agreement, prepared } = await session.heardBy(report, async () => ({
      agreement: await hearAll(session, found),
      prepared: await prepareWrite(session, report, signal),
    }));
    const snapshots = orderSnapshots(session.state.snapshots(), surroundings.clock.nowNs());
    return {
      id: session.id,
      name: session.name,
      snapshots: snapshots.length,
      latest: snapshots.at(-1)?.id ?? null,
      ...agreement,
      drivesFound: prepared.here.map((drive) => drive.name),
      drivesAway: prepared.away.map(({ keeper }) => keeper.name),
      friendsFound: [],
      friendsAway: [],
    };
  } finally {
    await session.close();
  }
}

/**
 * Asks the given drives, and those that the catalog then names, what they know, before anything is given to anybody: how many of them had
 * the newest state by themselves is all that tells whether something newer may be elsewhere.
 */
async function hearAll(
  session: Session,
  found: readonly FoundDrive[],
): Promise<{ readonly witnesses: number; readonly agreed: number }> {
  const asked = new Set<string>();
  const heard: Heard[] = [];
  const hear = async (holders: readonly Holder[]): Promise<void> => {
    for (const { id } of holders) asked.add(id);
    for (const one of (await session.hearLogs(holders)).heard) heard.push(one.heard);
  };
  const { disk } = session.surroundings;
  const { vaultId } = session.device;
  const { isDevice } = session.authority;
  await hear(
    found.map(({ path, marker }) =>
      openDrive(disk, path, { id: marker.id, vaultId, name: marker.name, isDevice }),
    ),
  );
  await rememberPaths(session, found);
  for (;;) {
    const { here } = await session.reachable();
    const more = here.filter(({ id }) => !asked.has(id)).map(({ holder }) => holder);
    if (more.length === 0) break;
    await hear(more);
    session.loadHolders();
  }
  return { witnesses: heard.length, agreed: heard.filter((one) => session.logCopies.isAbreast(one)).length };
}

/** Notes where the given drives are now, and takes in those that the catalog doesn't know (its logs were lost). */
async function rememberPaths(session: Session, found: readonly FoundDrive[]): Promise<void> {
  session.loadHolders();
  const records = new Map(session.state.holders().map((record) => [toHex(record.holderId), record]));
  for (const { path, marker } of found) {
    const record = records.get(marker.id);
    const samePath = record !== undefined && displayText(record.pathHint) === path;
    if (samePath && record.state === holderStateNumbers.active) continue;
    await appendHolder(session, {
      id: marker.id,
      state: holderStateNumbers.active,
      name: record?.name ?? marker.name,
      household: record?.household ?? '',
      quotaBytes: record?.quotaBytes ?? 0,
      whole: record?.whole ?? false,
      path,
    });
  }
  session.loadHolders();
}
