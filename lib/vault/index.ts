import { KithError } from '../base/errors.ts';
import { encodeSetting } from '../format/catalog-records.ts';
import { recordKinds } from '../format/log-kinds.ts';
import { logRoles } from '../format/segment.ts';
import { backup } from './backup.ts';
import { driveAdd, driveList, driveRemove } from './drives.ts';
import { exchangeWithAll } from './exchange.ts';
import { list } from './list.ts';
import { repair } from './repair.ts';
import { restore } from './restore.ts';
import { Session, type Surroundings } from './session.ts';
import { Settings } from './settings.ts';
import { allSnapshots, snapshotInfo } from './snapshots.ts';
import { status } from './status.ts';
import type {
  BackupOptions,
  BackupSummary,
  ConfigEntry,
  DriveInfo,
  DriveOptions,
  FriendInfo,
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
export { systemSurroundings, type Surroundings } from './session.ts';
export type * from './types.ts';

/** Opens a home for this process. Errors as Session.open. */
export async function openVault(
  options: OpenOptions & { readonly surroundings?: Surroundings },
): Promise<VaultApi> {
  return new Vault(await Session.open(options));
}

function notYet(): Promise<never> {
  return Promise.reject(new KithError('internal', 'not wired yet'));
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
    return notYet();
  }
  friendAdd(): Promise<FriendInfo> {
    return notYet();
  }
  friendList(): Promise<FriendInfo[]> {
    return notYet();
  }
  friendShow(): Promise<FriendInfo> {
    return notYet();
  }
  friendSet(): Promise<FriendInfo> {
    return notYet();
  }
  friendRemove(): Promise<FriendInfo> {
    return notYet();
  }
  friendPing(): Promise<PingResult> {
    return notYet();
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
