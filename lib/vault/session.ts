import { join } from 'node:path';
import { copyBytes, fromHex, idKey, toHex } from '../base/bytes.ts';
import { KithError, isKithError, messageOf } from '../base/errors.ts';
import { parseSize } from '../base/units.ts';
import { BlobIndex } from '../catalog/blob-index.ts';
import { CatalogState } from '../catalog/catalog-state.ts';
import { LogBook } from '../catalog/log-book.ts';
import { LogCopies } from '../catalog/log-copies.ts';
import type { LogAuthority } from '../catalog/log-carrier.ts';
import type { DiskLock } from '../disk/disk.ts';
import { BlobNamer } from '../format/blob.ts';
import type { ContactKey } from '../format/contact-keys.ts';
import type { LogPosition } from '../format/log-position.ts';
import type { Holder } from '../holders/holder.ts';
import { createCompressor, type Compressor } from '../pipeline/compress.ts';
import { epochKeys, type DeviceKeys, type LiveDevice } from '../trust/device.ts';
import { type NewDevice } from '../trust/own-key-record.ts';
import { RevokedDevices } from '../trust/revocations.ts';
import { openKeyStore } from '../trust/key-store.ts';
import { OwnAddress } from '../trust/own-address.ts';
import { OwnCardFile } from '../trust/own-card-file.ts';
import { DamageBook } from './shards/damage-book.ts';
import { CardInbox } from './friends/card-inbox.ts';
import type { FriendNetwork } from './friends/friend-network.ts';
import { HolderBook } from './holders/holder-book.ts';
import { IndexCache } from './index-cache.ts';
import type { AwayHolder, KnownDrive, KnownFriend, KnownHolder } from './holders/known-holder.ts';
import { LogExchange, type ExchangeOptions, type GrownKeys, type HeardAll } from './logs/log-exchange.ts';
import { noNetwork } from './friends/no-network.ts';
import { PackQueue } from './shards/pack-queue.ts';
import { ProblemDesk } from './problem-desk.ts';
import {
  emptyTemp,
  homeFileBytesMax,
  lockHome,
  openParts,
  revokedError,
  systemSurroundings,
  type SessionParts,
  type Surroundings,
} from './session-parts.ts';
import { Settings } from './settings/settings.ts';
import type { Problem } from './types.ts';

export type { AwayHolder, KnownDrive, KnownFriend, KnownHolder } from './holders/known-holder.ts';

/**
 * An opened vault: keys, logs, state, index, holders. One process has a home at a time. Operations (backup, restore, …) are
 * functions that take a session.
 */
export class Session {
  readonly surroundings: Surroundings;
  readonly home: string;
  /** Its epochs become more while the session lasts. */
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
  /** Id keys of the devices that this identity has certified, as far as is known here; it grows. */
  readonly certifiedDevices: ReadonlySet<string>;
  /** Devices that the identity trusts no more; it grows. */
  readonly revoked: RevokedDevices;
  readonly #lock: DiskLock;
  readonly ownAddress: OwnAddress;
  /** What this identity's other devices have shown of its card. */
  readonly ownCardFile: OwnCardFile;
  /** Called when this device has something to tell its identity's other devices: records, or keys. */
  onNews: () => void = () => undefined;
  /** Called with the ids (hex) of devices of this identity that were not known here. */
  onNewDevices: (deviceIds: readonly string[]) => void = () => undefined;
  /** This device was revoked: called once, when it is heard of. */
  onRevoked: (error: KithError) => void = () => undefined;
  readonly #exchange: LogExchange;
  readonly #holders: HolderBook;
  readonly #cards: CardInbox;
  readonly #desk: ProblemDesk;
  readonly #heldBack = new Set<string>();
  #network: FriendNetwork = noNetwork;
  #holdsRefresh = false;
  /** The state's revision as of the last `takeNews`. */
  #newsTaken: number | undefined;
  #isRefreshOwed = false;
  #keepingContacts = 0;

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
    this.ownAddress = parts.ownAddress;
    this.ownCardFile = parts.ownCardFile;
    parts.logs.onAppended = () => this.onNews();
    this.certifiedDevices = parts.devices;
    this.revoked = parts.revoked;
    this.#lock = parts.lock;
    this.#desk = parts.desk;
    const { disk } = parts.surroundings;
    this.#holders = new HolderBook({ disk, authority: parts.authority, state: parts.state }, noNetwork);
    this.#cards = new CardInbox(this);
    this.#exchange = new LogExchange({
      disk,
      home: parts.home,
      device: parts.device,
      logs: parts.logs,
      logCopies: parts.logCopies,
      keyRecord: parts.keyRecord,
      devices: parts.devices,
      revoked: parts.revoked,
      onGrown: (grown) => this.#keysGrown(grown),
      onProblem: parts.desk.tell,
      onHeard: () => this.#cards.open(),
    });
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
    /** How friends are reached, or what makes that from the opened session; without it all friends are away. */
    readonly network?: FriendNetwork | ((session: Session) => FriendNetwork | Promise<FriendNetwork>);
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
      const { network = noNetwork } = options;
      session.connect(typeof network === 'function' ? await network(session) : network);
      await session.logs.ensureCurrent('first use of this home');
      await session.#loadIndex();
      parts.desk.opened();
      return session;
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /**
   * Runs an operation: what goes wrong in it without ending it is told to the listener, and what opening met before that. What it found
   * out of damage is kept, however it ends.
   */
  heardBy<T>(onProblem: ((problem: Problem) => void) | undefined, work: () => Promise<T>): Promise<T> {
    return this.#desk.heardBy(onProblem, async () => {
      try {
        return await work();
      } finally {
        await this.#saveDamage();
      }
    });
  }

  /** The same for one that writes: packs that it takes out of the index stay out until it ends, whoever reads beside it. */
  async writing<T>(onProblem: ((problem: Problem) => void) | undefined, work: () => Promise<T>): Promise<T> {
    return await this.heardBy(onProblem, async () => {
      try {
        return await work();
      } finally {
        this.#heldBack.clear();
      }
    });
  }

  /** Takes a pack out of the index, so that its blobs count as unknown to the operation that writes. */
  holdBack(packId: Uint8Array): void {
    this.index.removePack(packId);
    this.#heldBack.add(idKey(packId));
  }

  isHeldBack(packId: Uint8Array): boolean {
    return this.#heldBack.has(idKey(packId));
  }

  async #saveDamage(): Promise<void> {
    try {
      await this.damage.save();
    } catch (error) {
      if (!isKithError(error)) throw error;
      this.problem({
        item: this.home,
        message: `what was found damaged could not be noted: ${messageOf(error)}`,
        code: error.code,
      });
    }
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

  /** The vault's key record, encoded. */
  get keyRecord(): Uint8Array {
    return this.#exchange.keyRecord;
  }

  /** Makes the key record another one, durably, and takes in what it says. */
  changeKeyRecord(change: (device: LiveDevice, keyRecord: Uint8Array) => NewDevice): Promise<Uint8Array> {
    return this.#exchange.changeKeyRecord(change);
  }

  /** The same, where a device is being revoked: it is told before its session ends. */
  async revoke(
    deviceId: Uint8Array,
    change: (device: LiveDevice, keyRecord: Uint8Array) => NewDevice,
  ): Promise<void> {
    this.#holdsRefresh = true;
    try {
      await this.#exchange.changeKeyRecord(change);
      await this.#network.farewell?.(deviceId);
    } finally {
      this.#holdsRefresh = false;
      this.#network.refresh();
    }
  }

  /** True while friends are given no contact keys: the epoch may be newer than what is known of who is a friend. */
  get keepsContacts(): boolean {
    return this.#keepingContacts > 0;
  }

  /** The network held something back that it has to look at again: at the next `takeNews` it is refreshed in any case. */
  oweRefresh(): void {
    this.#isRefreshOwed = true;
  }

  /** Does something while friends are given no contact keys; what may be given then, the next `takeNews` has the network give. */
  async keepingContacts<T>(work: () => Promise<T>): Promise<T> {
    this.#keepingContacts++;
    try {
      return await work();
    } finally {
      this.#keepingContacts--;
    }
  }

  #keysGrown({ certificates, voided }: GrownKeys): void {
    const { deviceId } = this.device;
    if (this.revoked.has(deviceId) && !this.isRevoked) {
      const error = revokedError(this.revoked.sinceNs(deviceId));
      this.logs.stopWith(error);
      this.onRevoked(error);
    }
    for (const packId of voided ?? []) if (!this.queue.has(packId)) this.index.removePack(packId);
    if (voided !== undefined) this.loadHolders();
    // Epochs that are new go to friends.
    this.oweRefresh();
    if (!this.#holdsRefresh && (certificates.length > 0 || this.revoked.size > 0)) this.network.refresh();
    this.onNews();
    if (certificates.length > 0) this.onNewDevices(certificates.map((each) => toHex(each.deviceId)));
  }

  /** True from when it is known here that the identity trusts this device no more: nothing of the vault is of use then. */
  get isRevoked(): boolean {
    return this.logs.stop?.code === 'device-revoked';
  }

  /** How friends are reached. */
  get network(): FriendNetwork {
    return this.#network;
  }

  /** From now on friends are reached that way. */
  connect(network: FriendNetwork): void {
    this.#network = network;
    this.#holders.connect(network);
    this.loadHolders();
    this.#newsTaken = undefined;
  }

  /**
   * Takes in what has become of drives, friends, invites and settings since it was last called: after an exchange of logs, which most of
   * the time brings nothing of that, and after records were written. The network is told of whom anything else is said. What fails is
   * done again at the next call.
   */
  takeNews(): void {
    const { revision } = this.state;
    const before = this.#newsTaken;
    if (before === revision && !this.#isRefreshOwed) return;
    this.#isRefreshOwed = false;
    try {
      if (before !== revision) this.loadHolders();
      this.#network.refresh(before === undefined ? undefined : this.state.friendsSince(before));
    } catch (error) {
      this.#isRefreshOwed = true;
      throw error;
    }
    this.#newsTaken = revision;
  }

  /** Takes in which holders the state names now. Those of which it says the same as before stay the same objects. */
  loadHolders(): void {
    const floor = this.settings.value('free.floor');
    this.#holders.load(floor === 'auto' ? undefined : parseSize(floor));
  }

  /** Drives, then friends, each by name. */
  holders(): KnownHolder[] {
    return [...this.drives(), ...this.friends()];
  }

  drives(): KnownDrive[] {
    return this.#holders.drives();
  }

  friends(): KnownFriend[] {
    return this.#holders.friends();
  }

  holder(id: string): KnownHolder | undefined {
    return this.#holders.get(id);
  }

  /** Holders that are there now, and the others with the reason. Looks at each drive, and at friends who are online. */
  async reachable(): Promise<{ here: KnownHolder[]; away: AwayHolder[] }> {
    return await this.#holders.reachable();
  }

  /**
   * Takes what the network learned of a friend's card, given in hex and encoded, into the friends book: at once, or, before any holder
   * was heard in this process, after the next exchange of logs. True if it is in the book now.
   */
  async learnFriendCard(identityHex: string, card: Uint8Array): Promise<boolean> {
    return await this.#cards.take(identityHex, card);
  }

  /** The same for the contact keys that a friend gave, verified (docs/formats/cards-service.md). */
  async learnFriendContact(identityHex: string, keys: readonly ContactKey[]): Promise<boolean> {
    return await this.#cards.takeContact(identityHex, keys);
  }

  /** Positions of logs that this device signed once. If one is beyond what is here, fresh logs are opened, and it is true. */
  async heardOfLogs(positions: readonly LogPosition[]): Promise<boolean> {
    return await this.#exchange.hearOf(positions);
  }

  sealingKeys(keyEpoch: number): Uint8Array[] {
    return epochKeys(this.device, keyEpoch).map((epoch) => epoch.sealing);
  }

  /**
   * Exchanges logs and hands the key record to holders: all are heard before any is given something. A holder that fails is reported
   * and left for next time. KithError `too-new` if one has what this kith must not ignore. Says how many have all the logs now, and
   * which didn't answer.
   */
  exchangeLogs(
    holders: readonly Holder[],
    options: ExchangeOptions = {},
  ): Promise<{ readonly reached: number; readonly gone: ReadonlySet<string> }> {
    // A key record is heard before the logs, in which a friend may be one no longer.
    return this.keepingContacts(() => this.#exchange.exchange(holders, options));
  }

  /** The first half of an exchange: takes what holders know, and says what each of them had that could be heard. */
  hearLogs(holders: readonly Holder[], signal?: AbortSignal): Promise<HeardAll> {
    return this.keepingContacts(() => this.#exchange.hear(holders, signal));
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
      this.#desk.close();
      await this.#lock.release();
    }
  }
}

/** Bytes of an id given in hex by ourselves. */
export function idBytes(hex: string): Uint8Array {
  const bytes = fromHex(hex);
  if (bytes?.length !== 32) throw new KithError('internal', `not an id: ${hex}`);
  return copyBytes(bytes);
}
