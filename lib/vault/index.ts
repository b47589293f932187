import { KithError } from '../base/errors.ts';
import { encodeSetting } from '../format/catalog-records.ts';
import { recordKinds } from '../format/log-kinds.ts';
import { logRoles } from '../format/segment.ts';
import { backup } from './backup.ts';
import { check } from './check.ts';
import { driveAdd, driveList, driveRemove } from './drives.ts';
import { exchangeWithAll } from './exchange.ts';
import { card, friendAdd, friendList, friendPing, friendRemove, friendSet, friendShow } from './friends.ts';
import { list } from './list.ts';
import { repair } from './repair.ts';
import { restore } from './restore.ts';
import { Session } from './session.ts';
import { Settings } from './settings.ts';
import { allSnapshots, snapshotInfo } from './snapshots.ts';
import { status } from './status.ts';
import type {
  BackupOptions,
  BackupSummary,
  CheckOptions,
  CheckSummary,
  ConfigEntry,
  DriveInfo,
  DriveOptions,
  FriendInfo,
  FriendOptions,
  PingResult,
  ListedEntry,
  OpenOptions,
  RepairOptions,
  RepairSummary,
  RestoreOptions,
  RestoreSummary,
  SnapshotInfo,
  StatusResult,
  VaultApi,
  WhereResult,
} from './types.ts';
import { where } from './where.ts';

export { initVault } from './init.ts';
export { recoverVault } from './recover.ts';
export { exchangeWith } from './exchange.ts';
export { noNetwork } from './no-network.ts';
export { operationKinds, type VaultMethod } from './operation-kinds.ts';
export { Session, systemSurroundings, type Surroundings } from './session.ts';
export type * from './friend-network.ts';
export type * from './known-holder.ts';
export type * from './types.ts';

/** Opens a home for this process. Errors as Session.open. */
export async function openVault(
  options: OpenOptions & Pick<Parameters<typeof Session.open>[0], 'surroundings' | 'network'>,
): Promise<VaultApi> {
  return vaultOf(await Session.open(options));
}

/** The use cases over a session that is open. Closing the vault closes it. */
export function vaultOf(session: Session): VaultApi {
  return new Vault(session);
}

/** The owner's use cases over one session. */
class Vault implements VaultApi {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  get id(): string {
    return this.#session.id;
  }

  get name(): string {
    return this.#session.name;
  }

  driveAdd(options: DriveOptions): Promise<DriveInfo> {
    return driveAdd(this.#session, options);
  }

  driveList(): Promise<DriveInfo[]> {
    return driveList(this.#session);
  }

  driveRemove(nameOrId: string, options: { readonly force?: boolean } = {}): Promise<DriveInfo> {
    return driveRemove(this.#session, nameOrId, options.force === true);
  }

  card(): Promise<string> {
    return card(this.#session);
  }

  friendAdd(text: string, options: FriendOptions = {}): Promise<FriendInfo> {
    return friendAdd(this.#session, text, options);
  }

  friendList(): Promise<FriendInfo[]> {
    return friendList(this.#session);
  }

  friendShow(nameOrId: string): Promise<FriendInfo> {
    return friendShow(this.#session, nameOrId);
  }

  friendSet(nameOrId: string, options: FriendOptions): Promise<FriendInfo> {
    return friendSet(this.#session, nameOrId, options);
  }

  friendRemove(nameOrId: string, options: { readonly force?: boolean } = {}): Promise<FriendInfo> {
    return friendRemove(this.#session, nameOrId, options.force === true);
  }

  friendPing(nameOrId: string, options: { readonly signal?: AbortSignal } = {}): Promise<PingResult> {
    return friendPing(this.#session, nameOrId, options.signal);
  }

  backup(options: BackupOptions): Promise<BackupSummary> {
    return backup(this.#session, options);
  }

  async snapshots(
    filter: { readonly tag?: string; readonly path?: string; readonly host?: string } = {},
  ): Promise<SnapshotInfo[]> {
    const { tag, path, host } = filter;
    return (await allSnapshots(this.#session))
      .map(snapshotInfo)
      .filter(
        (info) =>
          (tag === undefined || info.tags.includes(tag)) &&
          (path === undefined || info.paths.includes(path)) &&
          (host === undefined || info.hostname === host),
      );
  }

  list(what: string): AsyncIterable<ListedEntry> {
    return list(this.#session, what);
  }

  restore(options: RestoreOptions): Promise<RestoreSummary> {
    return restore(this.#session, options);
  }

  where(what: string): Promise<WhereResult> {
    return where(this.#session, what);
  }

  status(): Promise<StatusResult> {
    return status(this.#session);
  }

  repair(options: RepairOptions = {}): Promise<RepairSummary> {
    return repair(this.#session, options);
  }

  check(options: CheckOptions = {}): Promise<CheckSummary> {
    return check(this.#session, options);
  }

  async configGet(key?: string): Promise<ConfigEntry[]> {
    const { settings } = this.#session;
    return key === undefined ? settings.all() : [settings.entry(key)];
  }

  async configSet(key: string, value: string): Promise<ConfigEntry> {
    const session = this.#session;
    Settings.check(key, value);
    await exchangeWithAll(session);
    const current = session.settings.entry(key);
    if (current.origin === 'kith.toml') {
      throw new KithError('usage', `${key} is set in kith.toml, which wins; change it there.`);
    }
    const atNs = session.state.settingTimeNs(key, session.surroundings.clock.nowNs());
    const body = encodeSetting({ key, value, atNs });
    await session.logs.append(logRoles.catalog, [{ kind: recordKinds.setting, body }]);
    session.loadHolders();
    await exchangeWithAll(session);
    return session.settings.entry(key);
  }

  async close(): Promise<void> {
    await this.#session.close();
  }
}
