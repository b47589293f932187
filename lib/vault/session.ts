import { join } from 'node:path';
import { copyBytes, displayText, equalBytes, fromHex, idKey, toHex } from '../base/bytes.ts';
import { systemClock, type Clock } from '../base/clock.ts';
import { KithError, isKithError, messageOf } from '../base/errors.ts';
import { parseSize } from '../base/units.ts';
import { BlobIndex } from '../catalog/blob-index.ts';
import { CatalogState } from '../catalog/catalog-state.ts';
import { LogBook } from '../catalog/log-book.ts';
import { LogCopies, type Heard } from '../catalog/log-copies.ts';
import type { LogAuthority, LogProblem } from '../catalog/log-carrier.ts';
import { systemRandom, type RandomSource } from '../crypto/random.ts';
import type { Disk, DiskLock } from '../disk/disk.ts';
import { nodeDisk } from '../disk/node-disk.ts';
import { isTempName, writeDurably } from '../disk/write-durably.ts';
import { BlobNamer } from '../format/blob.ts';
import { decodeKeyRecord, verifyKeyRecord } from '../format/key-record.ts';
import { openDrive } from '../holders/drive.ts';
import type { Holder } from '../holders/holder.ts';
import { plainCoder, type ErasureCoder } from '../kernels/reed-solomon.ts';
import { createCompressor, type Compressor } from '../pipeline/compress.ts';
import { adoptKeyRecord, epochKeys, withEpochsOf, type DeviceKeys } from '../trust/identity.ts';
import { openKeyStore } from '../trust/key-store.ts';
import { DamageBook } from './damage-book.ts';
import { IndexCache } from './index-cache.ts';
import { PackQueue } from './pack-queue.ts';
import { ProblemDesk } from './problem-desk.ts';
import { Settings } from './settings.ts';
import type { Problem } from './types.ts';

/** What a vault is built on; tests put their own in. */
export interface Surroundings {
  readonly disk: Disk;
  readonly random: RandomSource;
  readonly clock: Clock;
  readonly coder: ErasureCoder;
  /** Bytes at which a pack is full, where tests want several of little data; must hold the largest frame. */
  readonly packBytes?: number;
}

/** The machine's own. */
export const systemSurroundings: Surroundings = {
  disk: nodeDisk,
  random: systemRandom,
  clock: systemClock,
  coder: plainCoder,
};

/** Bytes of the files that a home starts with, at most. */
const homeFileBytesMax = 4 * 1024 * 1024;

/** A drive as the vault knows it: its record and the holder that stands for it. */
export interface KnownDrive {
  readonly id: string;
  readonly name: string;
  readonly path: string;
  readonly household: string | undefined;
  readonly quotaBytes: number | undefined;
  readonly whole: boolean;
  readonly holder: Holder;
}

/**
 * An opened vault: keys, logs, state, index, holders. One process has a home at a time. Operations (backup, restore, …) are
 * functions that take a session.
 */
export class Session {
  readonly surroundings: Surroundings;
  readonly home: string;
  readonly device: DeviceKeys;
  readonly authority: LogAuthority;
  readonly state: CatalogState;
  readonly logs: LogBook;
  readonly logCopies: LogCopies;
  readonly settings: Settings;
  readonly index: BlobIndex;
  readonly indexCache: IndexCache;
  readonly queue: PackQueue;
  readonly damage: DamageBook;
  readonly namer: BlobNamer;
  readonly compressor: Compressor;
  readonly #lock: DiskLock;
  readonly #devices: Set<string>;
  #keyRecord: Uint8Array;
  readonly #drives = new Map<string, KnownDrive>();
  readonly #desk: ProblemDesk;

  private constructor(parts: SessionParts) {
    this.surroundings = parts.surroundings;
    this.home = parts.home;
    this.device = parts.device;
    this.authority = parts.authority;
    this.state = parts.state;
    this.logs = parts.logs;
    this.logCopies = parts.logCopies;
    this.settings = parts.settings;
    this.index = new BlobIndex();
    this.indexCache = parts.indexCache;
    this.queue = parts.queue;
    this.damage = parts.damage;
    this.namer = new BlobNamer(parts.device.blobIdKey);
    this.compressor = createCompressor();
    this.#keyRecord = parts.keyRecord;
    this.#devices = parts.devices;
    this.#lock = parts.lock;
    this.#desk = parts.desk;
  }

  /**
   * Opens a home. KithError `vault-missing` (10), `locked` (11), `wrong-passphrase` (12), `damaged`. Nothing is asked of
   * holders yet.
   */
  static async open(options: {
    readonly home: string;
    readonly passphrase?: string;
    readonly surroundings?: Surroundings;
    /** Told of what no operation's own listener hears. */
    readonly onProblem?: (problem: Problem) => void;
  }): Promise<Session> {
    const { home } = options;
    const surroundings = options.surroundings ?? systemSurroundings;
    const { disk } = surroundings;
    const sealedStore = await disk.readWhole(join(home, 'keystore'), homeFileBytesMax);
    if (sealedStore === undefined) {
      throw new KithError(
        'vault-missing',
        `there is no kith vault in ${home}. Make one with \`kith init\`, or bring one back with \`kith recover\`.`,
      );
    }
    const lock = await lockHome(disk, home);
    try {
      await emptyTemp(disk, home);
      const device = await openKeyStore(sealedStore, options.passphrase);
      const parts = await openParts(surroundings, home, device, lock, new ProblemDesk(options.onProblem));
      const session = new Session(parts);
      session.loadDrives();
      await session.logs.ensureCurrent('first use of this home');
      await session.#loadIndex();
      parts.desk.opened();
      return session;
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /** Where things that go wrong without ending an operation are told from now on; what opening met is told at once. */
  listen(onProblem: ((problem: Problem) => void) | undefined): void {
    this.#desk.listen(onProblem);
  }

  problem(problem: Problem): void {
    this.#desk.tell(problem);
  }

  /** What opening this home met, whoever was told: it may be why something is missing. */
  get openingProblems(): readonly Problem[] {
    return this.#desk.ofOpening;
  }

  /** The identity's name, for people. */
  get name(): string {
    return this.state.setting('identity.name') ?? 'unnamed';
  }

  get id(): string {
    return toHex(this.device.vaultId);
  }

  /** Makes holders of the drives that the state names now, all anew. */
  loadDrives(): void {
    const { disk } = this.surroundings;
    const floor = this.settings.value('free.floor');
    this.#drives.clear();
    for (const record of this.state.holders()) {
      if (record.kind !== 1 || record.state !== 1) continue;
      const id = toHex(record.holderId);
      const path = displayText(record.pathHint);
      const household = record.household === '' ? undefined : record.household;
      const quotaBytes = record.quotaBytes === 0 ? undefined : record.quotaBytes;
      const holder = openDrive(disk, path, {
        id,
        vaultId: this.device.vaultId,
        name: record.name,
        household,
        quotaBytes,
        freeFloorBytes: floor === 'auto' ? undefined : parseSize(floor),
        isDevice: this.authority.isDevice,
      });
      this.#drives.set(id, {
        id,
        name: record.name,
        path,
        household,
        quotaBytes,
        whole: record.whole,
        holder,
      });
    }
  }

  drives(): KnownDrive[] {
    return [...this.#drives.values()].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  }

  drive(id: string): KnownDrive | undefined {
    return this.#drives.get(id);
  }

  /** Drives that are there now, and the others with the reason. Looks at each. */
  async reachable(): Promise<{ here: KnownDrive[]; away: { drive: KnownDrive; reason: string }[] }> {
    const here: KnownDrive[] = [];
    const away: { drive: KnownDrive; reason: string }[] = [];
    for (const drive of this.drives()) {
      const availability = await drive.holder.check();
      if (availability.available) here.push(drive);
      else away.push({ drive, reason: availability.reason });
    }
    return { here, away };
  }

  sealingKeys(keyEpoch: number): Uint8Array[] {
    return epochKeys(this.device, keyEpoch).map((epoch) => epoch.sealing);
  }

  /**
   * Exchanges logs and hands the key record to holders: all are heard before any is given something. A holder that fails is reported
   * and left for next time. `thorough` reads every segment that they keep, and replaces bad ones. KithError `too-new` if one has
   * what this kith must not ignore. Says how many have all the logs now.
   */
  async exchangeLogs(
    holders: readonly Holder[],
    options: { readonly thorough?: boolean } = {},
  ): Promise<{ readonly reached: number }> {
    let reached = 0;
    for (const { holder, heard } of await this.hearLogs(holders)) {
      await this.#passing(holder, async () => {
        if (await this.logCopies.give(holder, heard, options)) reached++;
      });
    }
    return { reached };
  }

  /** The first half of an exchange: takes what holders know, and says what each of them had that could be heard. */
  async hearLogs(holders: readonly Holder[]): Promise<{ readonly holder: Holder; readonly heard: Heard }[]> {
    const all: { holder: Holder; heard: Heard }[] = [];
    for (const holder of holders) {
      await this.#passing(holder, () => this.#exchangeKeyRecord(holder));
      await this.#passing(holder, async () => {
        all.push({ holder, heard: await this.logCopies.hear(holder) });
      });
    }
    return all;
  }

  /** Does something with a holder; what goes wrong there is reported, and others go on. True if it went well. */
  async #passing(holder: Holder, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!isKithError(error) || error === this.logs.stop) throw error;
      this.problem({
        item: holder.name,
        message: `its copy of the logs was not brought up to date: ${messageOf(error)}`,
        code: error.code,
      });
    }
  }

  /** Takes what a holder's key record knows and ours doesn't (another device's certificate), and gives it the union. */
  async #exchangeKeyRecord(holder: Holder): Promise<void> {
    const theirs = await this.#keyRecordOf(holder);
    if (theirs !== undefined && equalBytes(theirs, this.#keyRecord)) return;
    if (theirs !== undefined) {
      try {
        const { keyRecord } = adoptKeyRecord(this.device, this.#keyRecord, theirs);
        if (keyRecord !== this.#keyRecord) {
          const { disk } = this.surroundings;
          const tempFolder = join(this.home, 'tmp');
          await writeDurably(disk, {
            tempFolder,
            path: join(this.home, 'keys'),
            parts: [keyRecord],
            mode: 0o600,
          });
          this.#keyRecord = keyRecord;
          for (const { deviceId } of decodeKeyRecord(keyRecord).certificates)
            this.#devices.add(idKey(deviceId));
        }
      } catch (error) {
        if (!isKithError(error, 'malformed', 'not-authentic')) throw error;
        this.problem({
          item: holder.name,
          message: `its key record was not genuine and is replaced: ${messageOf(error)}`,
          code: error.code,
        });
      }
    }
    await holder.putKeyRecord(this.#keyRecord);
  }

  /** A holder's key record; undefined where there is none, or one that can't be read, which is reported and replaced. */
  async #keyRecordOf(holder: Holder): Promise<Uint8Array | undefined> {
    try {
      return await holder.getKeyRecord();
    } catch (error) {
      if (!isKithError(error, 'io-error', 'limit-exceeded')) throw error;
      this.problem({
        item: holder.name,
        message: `its key record can't be read and is replaced: ${messageOf(error)}`,
        code: error.code,
      });
      return undefined;
    }
  }

  /** Directories of all packs that the ledger or the queue know, as far as this home has them cached. */
  async #loadIndex(): Promise<void> {
    const queued = await this.queue.load();
    await this.indexCache.load((packId, directory) => {
      if (this.state.pack(packId) !== undefined || queued.has(idKey(packId)))
        this.index.addPack(packId, directory);
    });
  }

  async close(): Promise<void> {
    try {
      await this.damage.save();
    } finally {
      await this.#lock.release();
    }
  }
}

interface SessionParts {
  readonly surroundings: Surroundings;
  readonly home: string;
  readonly device: DeviceKeys;
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
  readonly lock: DiskLock;
  readonly desk: ProblemDesk;
}

/** Removes what writes that died left half done, and nothing else; the folder is there after. */
async function emptyTemp(disk: Disk, home: string): Promise<void> {
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

async function openParts(
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
  const device = withEpochsOf(stored, keyRecord);
  const devices = new Set(record.certificates.map((certificate) => idKey(certificate.deviceId)));
  const authority = { vaultId: device.vaultId, isDevice: (id: Uint8Array) => devices.has(idKey(id)) };
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
    lock,
    desk,
  };
}

/** Bytes of an id given in hex by ourselves. */
export function idBytes(hex: string): Uint8Array {
  const bytes = fromHex(hex);
  if (bytes?.length !== 32) throw new KithError('internal', `not an id: ${hex}`);
  return copyBytes(bytes);
}
