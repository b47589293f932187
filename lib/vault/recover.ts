import { join, resolve } from 'node:path';
import { displayText, toHex } from '../base/bytes.ts';
import { KithError, isKithError, messageOf } from '../base/errors.ts';
import { rootOfPhrase } from '../crypto/phrase.ts';
import { holderStateNumbers } from '../format/catalog-records.ts';
import { decodeKeyRecord, verifyKeyRecord } from '../format/key-record.ts';
import { openDrive, readDriveMarker } from '../holders/drive.ts';
import type { DriveMarker } from '../format/drive-marker.ts';
import { recoverDevice, vaultIdOfRoot } from '../trust/identity.ts';
import { appendHolder } from './drives.ts';
import { defaultName, prepareHome, writeHome } from './init.ts';
import { prepareWrite } from './prepare.ts';
import { Session, systemSurroundings, type Surroundings } from './session.ts';
import type { Problem, RecoverOptions, RecoverSummary } from './types.ts';

interface FoundDrive {
  readonly path: string;
  readonly marker: DriveMarker;
  readonly keyRecord: Uint8Array;
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
        found.map((drive) => drive.keyRecord),
        { name: defaultName(), random: surroundings.random, nowNs: () => surroundings.clock.nowNs() },
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

/** Drives among the paths that hold this vault, with their verified key records. */
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
      const holder = openDrive(surroundings.disk, path, {
        id: marker.id,
        vaultId,
        name: marker.name,
        isDevice: () => false,
      });
      const keyRecord = await holder.getKeyRecord();
      if (keyRecord === undefined) throw new KithError('damaged', 'its key record is gone');
      verifyKeyRecord(decodeKeyRecord(keyRecord), vaultId);
      found.push({ path, marker, keyRecord });
    } catch (error) {
      if (!isKithError(error)) throw error;
      report({ item: given, message: messageOf(error), code: error.code });
    }
  }
  if (found.length > 0) return found;
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
    session.listen(report);
    let witnesses = 0;
    for (const { path, marker } of found) {
      const holder = openDrive(surroundings.disk, path, {
        id: marker.id,
        vaultId: session.device.vaultId,
        name: marker.name,
        isDevice: session.authority.isDevice,
      });
      witnesses += (await session.exchangeLogs([holder])).reached;
    }
    await rememberPaths(session, found);
    // What other drives the catalog names may be newer: they are asked before anything is called the latest.
    const prepared = await prepareWrite(session, report, signal);
    const named = new Set(found.map(({ marker }) => marker.id));
    const others = prepared.here.filter((drive) => !named.has(drive.id)).length;
    const agreement = await session.exchangeLogs(prepared.here.map((drive) => drive.holder));
    const latest = session.state.snapshots().at(-1);
    return {
      id: session.id,
      name: session.name,
      snapshots: session.state.snapshots().length,
      latest: latest?.id ?? null,
      witnesses: witnesses + others,
      agreed: agreement.agreed,
      drivesFound: prepared.here.map((drive) => drive.name),
      drivesAway: prepared.away.map(({ drive }) => drive.name),
    };
  } finally {
    await session.close();
  }
}

/** Notes where the given drives are now, and takes in those that the catalog doesn't know (its logs were lost). */
async function rememberPaths(session: Session, found: readonly FoundDrive[]): Promise<void> {
  session.loadDrives();
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
  session.loadDrives();
}
