import { join } from 'node:path';
import { displayText, idKey } from '../base/bytes.ts';
import { systemClock, type Clock } from '../base/clock.ts';
import { KithError } from '../base/errors.ts';
import { parseSize } from '../base/units.ts';
import { CatalogState } from '../catalog/catalog-state.ts';
import { LogBook } from '../catalog/log-book.ts';
import { LogCopies } from '../catalog/log-copies.ts';
import type { LogAuthority, LogProblem } from '../catalog/log-carrier.ts';
import { systemRandom, type RandomSource } from '../crypto/random.ts';
import type { Disk, DiskLock } from '../disk/disk.ts';
import { nodeDisk } from '../disk/node-disk.ts';
import { isTempName } from '../disk/write-durably.ts';
import { decodeKeyRecord, verifyKeyRecord } from '../format/key-record.ts';
import { threadKernels } from '../kernels/process-kernels.ts';
import type { ErasureCoder } from '../kernels/reed-solomon.ts';
import { type DeviceKeys, type LiveDevice } from '../trust/device.ts';
import { withEpochsOf } from '../trust/own-key-record.ts';
import { RevokedDevices } from '../trust/revocations.ts';
import { OwnAddress } from '../trust/own-address.ts';
import { OwnCardFile } from '../trust/own-card-file.ts';
import { DamageBook } from './shards/damage-book.ts';
import { IndexCache } from './index-cache.ts';
import { PackQueue } from './shards/pack-queue.ts';
import { ProblemDesk } from './problem-desk.ts';
import { Settings } from './settings/settings.ts';

/** What a vault is built on; tests put their own in. */
export interface Surroundings {
  readonly disk: Disk;
  readonly random: RandomSource;
  readonly clock: Clock;
  readonly coder: ErasureCoder;
  /** Bytes at which a pack is full, where tests want several of little data; must hold the largest frame. */
  readonly packBytes?: number;
  /** Worker threads from the first byte on, 0 for none; by the machine and the work unless given. */
  readonly threads?: number;
  /** What worker threads run, where tests want others. */
  readonly threadModule?: URL;
}

/** The machine's own. */
export const systemSurroundings: Surroundings = {
  disk: nodeDisk,
  random: systemRandom,
  clock: systemClock,
  get coder() {
    return threadKernels().coder;
  },
};

/** Bytes of the files that a home starts with, at most. */
export const homeFileBytesMax: number = 4 * 1024 * 1024;

/** The error of everything that a revoked device is asked to do. */
export function revokedError(sinceNs: bigint | undefined): KithError {
  const day =
    sinceNs === undefined ? '' : ` on ${new Date(Number(sinceNs / 1_000_000n)).toISOString().slice(0, 10)}`;
  return new KithError(
    'device-revoked',
    `this computer was revoked${day} by whoever has your 24 words: it reads and stores nothing new, and friends don't answer it. ` +
      'To make it one of yours again, run on another computer of yours: kith device link --phrase-file FILE; and here, with a new home: ' +
      'kith --home NEW-FOLDER device join LINK (without another computer: kith --home NEW-FOLDER recover --phrase-file FILE --card CARD)',
  );
}

/** What a session is made of once its home is open. */
export interface SessionParts {
  readonly surroundings: Surroundings;
  readonly home: string;
  readonly device: LiveDevice;
  readonly authority: LogAuthority;
  readonly state: CatalogState;
  readonly logs: LogBook;
  readonly logCopies: LogCopies;
  readonly settings: Settings;
  readonly indexCache: IndexCache;
  readonly queue: PackQueue;
  readonly damage: DamageBook;
  readonly keyRecord: Uint8Array;
  readonly devices: Set<string>;
  readonly revoked: RevokedDevices;
  readonly ownAddress: OwnAddress;
  readonly ownCardFile: OwnCardFile;
  readonly lock: DiskLock;
  readonly desk: ProblemDesk;
}

/** Removes what writes that died left half done, and nothing else; the folder is there after. */
export async function emptyTemp(disk: Disk, home: string): Promise<void> {
  const folder = join(home, 'tmp');
  const entries = await disk.list(folder);
  if (entries === undefined) await disk.makeFolder(folder, 0o700);
  for (const { name, isFile } of entries ?? []) {
    if (isFile && isTempName(name)) await disk.unlink(join(folder, name));
  }
}

/** Takes the home for this process. KithError `locked` names the process that has it. */
export async function lockHome(disk: Disk, home: string): Promise<DiskLock> {
  const path = join(home, 'lock');
  const lock = await disk.lock(path);
  if (lock !== undefined) return lock;
  const holderText = await disk.readWhole(path, 1024);
  const pid = holderText === undefined ? '' : displayText(holderText).trim();
  const who = /^\d+$/.test(pid) ? `process ${pid}` : 'another process';
  throw new KithError(
    'locked',
    `${who} is working in ${home}. Wait for it to end, or stop it, and try again.`,
    {
      details: { pid: /^\d+$/.test(pid) ? Number(pid) : null },
    },
  );
}

/** Opens all that a locked home has. KithError `damaged`, `device-revoked`. */
export async function openParts(
  surroundings: Surroundings,
  home: string,
  stored: DeviceKeys,
  lock: DiskLock,
  desk: ProblemDesk,
): Promise<SessionParts> {
  const { disk, random, clock } = surroundings;
  const keyRecord = await disk.readWhole(join(home, 'keys'), homeFileBytesMax);
  if (keyRecord === undefined) {
    throw new KithError(
      'damaged',
      `${join(home, 'keys')} is gone. Bring it back with \`kith recover\` into another home.`,
    );
  }
  const record = decodeKeyRecord(keyRecord);
  verifyKeyRecord(record, stored.vaultId);
  const revoked = new RevokedDevices(record.revocations);
  if (revoked.has(stored.deviceId)) throw revokedError(revoked.sinceNs(stored.deviceId));
  const device: LiveDevice = { ...withEpochsOf(stored, keyRecord) };
  const devices = new Set(record.certificates.map((certificate) => idKey(certificate.deviceId)));
  const authority: LogAuthority = {
    vaultId: device.vaultId,
    isDevice: (id) => devices.has(idKey(id)),
    trustedLength: (id, logKey) => revoked.trustedLength(id, logKey),
  };
  const state = new CatalogState(authority);
  const onProblem: LogProblem = (problem) => desk.tell({ code: 'damaged', ...problem });
  const logs = await LogBook.open({
    disk,
    home,
    device,
    authority,
    random,
    nowNs: () => clock.nowNs(),
    state,
    onProblem,
  });
  const logCopies = new LogCopies({ book: logs, deviceId: device.deviceId, authority, onProblem });
  const settings = await Settings.load(disk, home, state, desk.tell);
  const indexCache = new IndexCache({ disk, home, device, random });
  const damage = await DamageBook.load(disk, home, desk.tell);
  const tempFolder = join(home, 'tmp');
  const ownAddress = await OwnAddress.open({ disk, home, tempFolder, device, clock });
  const ownCardFile = await OwnCardFile.open({ disk, home, tempFolder, identity: device.vaultId });
  const queue = new PackQueue({
    disk,
    home,
    device,
    authority,
    random,
    clock,
    maxBytes: parseSize(settings.value('shard.queue')),
  });
  return {
    surroundings,
    home,
    device,
    authority,
    state,
    logs,
    logCopies,
    settings,
    indexCache,
    queue,
    damage,
    keyRecord,
    devices,
    revoked,
    ownAddress,
    ownCardFile,
    lock,
    desk,
  };
}
