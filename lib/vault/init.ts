import { hostname, userInfo } from 'node:os';
import { join } from 'node:path';
import { equalBytes, textOf, toHex } from '../base/bytes.ts';
import { KithError } from '../base/errors.ts';
import { CatalogState } from '../catalog/catalog-state.ts';
import { LogBook, type LogEntry } from '../catalog/log-book.ts';
import type { Disk, DiskLock } from '../disk/disk.ts';
import { writeDurably } from '../disk/write-durably.ts';
import { encodeSetting } from '../format/catalog-records.ts';
import { recordKinds } from '../format/log-kinds.ts';
import { logRoles } from '../format/segment.ts';
import { createIdentity, type DeviceKeys } from '../trust/identity.ts';
import { sealKeyStore } from '../trust/key-store.ts';
import { lockHome, systemSurroundings, type Surroundings } from './session-parts.ts';
import { deviceNameBytesMax, deviceNameKey } from './devices/device-names.ts';
import type { InitOptions } from './types.ts';

/** How a key record begins (docs/formats/keys.md). */
const keyRecordMagic = 'kithkeys';

/** The name that an identity gets when none is given. */
export function defaultName(): string {
  let user = 'somebody';
  try {
    user = userInfo().username;
  } catch {
    // A user id without an account: the host's name alone will do.
  }
  return `${user}@${hostname()}`.slice(0, 200);
}

/** The name that a device gets when none is given: other devices see it in the catalog, and nobody else does. */
export function defaultDeviceName(): string {
  return hostname().slice(0, deviceNameBytesMax) || 'computer';
}

/**
 * Makes a home's folders and takes it for this process; the caller releases the lock. KithError `vault-exists` if a
 * vault is there already, `locked` if somebody is making one.
 */
export async function prepareHome(surroundings: Surroundings, home: string): Promise<DiskLock> {
  const { disk } = surroundings;
  await refuseVault(disk, home);
  await disk.makeFolder(home, 0o700);
  await disk.makeFolder(join(home, 'tmp'), 0o700);
  const lock = await lockHome(disk, home);
  try {
    // Somebody may have made one just before the lock was ours.
    await refuseVault(disk, home);
    await setAside(surroundings, home);
    return lock;
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** KithError `vault-exists` if there is a vault in the home. */
export async function refuseVault(disk: Disk, home: string): Promise<void> {
  if ((await disk.stat(join(home, 'keystore'))) !== undefined) {
    throw new KithError(
      'vault-exists',
      `there is a kith vault in ${home} already. Use another --home, or \`kith status\` to look at this one.`,
    );
  }
}

/** What a home has beside its key store. */
const homeParts = [
  'current',
  'keys',
  'logs',
  'index',
  'queue',
  'pending',
  'seen',
  'damaged',
  'address',
  'own-card',
  'told-devices',
] as const;

/**
 * Moves what an init that died, or a lost key store, left in a home into a folder of its own: it belongs to no vault
 * that this home could open, but nothing is deleted that somebody may yet want to look at.
 */
async function setAside({ disk, clock }: Surroundings, home: string): Promise<void> {
  // What writes a home begins with the key record: without one of kith's this is somebody's folder, and nothing in it is moved.
  const keys = await disk.read(join(home, 'keys'), 0, keyRecordMagic.length).catch(() => undefined);
  if (keys === undefined || textOf(keys) !== keyRecordMagic) return;
  const left: string[] = [];
  for (const name of homeParts) {
    if ((await disk.stat(join(home, name))) !== undefined) left.push(name);
  }
  if (left.length === 0) return;
  const aside = join(home, `before-${clock.nowNs()}`);
  await disk.makeFolder(aside, 0o700);
  for (const name of left) await disk.rename(join(home, name), join(aside, name));
  await disk.syncFolder(aside);
  await disk.syncFolder(home);
}

/**
 * Writes what makes a home a vault: key record, logs with their first records, and last the key store. A home
 * without a key store is no vault: whatever dies before leaves nothing that counts.
 */
export async function writeHome(
  surroundings: Surroundings,
  home: string,
  options: {
    readonly device: DeviceKeys;
    readonly keyRecord: Uint8Array;
    readonly passphrase: string | undefined;
    readonly reason: string;
    /** Set for a new identity; a recovered one has its name in the catalog. */
    readonly name: string | undefined;
    /** What the identity's other devices call this one; the host's name unless given. */
    readonly deviceName?: string | undefined;
  },
): Promise<void> {
  const { disk, random, clock } = surroundings;
  const { device, keyRecord } = options;
  const tempFolder = join(home, 'tmp');
  await writeDurably(disk, { tempFolder, path: join(home, 'keys'), parts: [keyRecord], mode: 0o600 });
  const authority = {
    vaultId: device.vaultId,
    isDevice: (id: Uint8Array): boolean => equalBytes(id, device.deviceId),
  };
  const state = new CatalogState(authority);
  const logs = await LogBook.open({
    disk,
    home,
    device,
    authority,
    random,
    nowNs: () => clock.nowNs(),
    state,
    onProblem: () => undefined,
  });
  await logs.openFreshLogs(options.reason);
  const entries: LogEntry[] = [{ kind: recordKinds.keyRecord, body: keyRecord }];
  if (options.name !== undefined) {
    const body = encodeSetting({ key: 'identity.name', value: options.name, atNs: clock.nowNs() });
    entries.push({ kind: recordKinds.setting, body });
  }
  const deviceName = encodeSetting({
    key: deviceNameKey(device.deviceId),
    value: options.deviceName ?? defaultDeviceName(),
    atNs: clock.nowNs(),
  });
  entries.push({ kind: recordKinds.setting, body: deviceName });
  await logs.append(logRoles.catalog, entries);
  const sealed = await sealKeyStore(device, options.passphrase, random);
  await writeDurably(disk, { tempFolder, path: join(home, 'keystore'), parts: [sealed], mode: 0o600 });
}

/** A new identity and its vault. The phrase is returned once and kept nowhere. */
export async function initVault(
  options: InitOptions & { readonly surroundings?: Surroundings },
): Promise<{ id: string; name: string; phrase: string }> {
  const surroundings = options.surroundings ?? systemSurroundings;
  const { home } = options;
  const name = options.name ?? defaultName();
  if (name.trim() === '' || new TextEncoder().encode(name).length > 255) {
    throw new KithError('usage', 'a name has 1 to 255 bytes.');
  }
  const lock = await prepareHome(surroundings, home);
  try {
    const { phrase, device, keyRecord } = createIdentity({
      random: surroundings.random,
      nowNs: () => surroundings.clock.nowNs(),
    });
    await options.onPhrase?.({ id: toHex(device.vaultId), name, phrase });
    await writeHome(surroundings, home, {
      device,
      keyRecord,
      passphrase: options.passphrase,
      reason: 'new identity',
      name,
    });
    return { id: toHex(device.vaultId), name, phrase };
  } finally {
    await lock.release();
  }
}
