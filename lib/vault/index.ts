import { KithError } from '../base/errors.ts';
import { encodeSetting } from '../format/catalog-records.ts';
import { recordKinds } from '../format/log-kinds.ts';
import { logRoles } from '../format/segment.ts';
import { Session } from './session.ts';
import { Settings } from './settings/settings.ts';
import { allSnapshots, snapshotInfo } from './read/snapshots.ts';
import type { Reachability } from './friends/friend-network.ts';
import type {
  BackupOptions,
  BackupSummary,
  CheckOptions,
  CheckSummary,
  ConfigEntry,
  DeviceInfo,
  DeviceRevoked,
  DeviceRevokeOptions,
  DriveInfo,
  DriveOptions,
  FriendInfo,
  FriendOptions,
  InviteInfo,
  InviteMade,
  InviteOptions,
  LinkBegun,
  LinkCame,
  LinkFinish,
  LinkOptions,
  PingChoice,
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

export { noNetwork } from './friends/no-network.ts';
export { operationKinds, type VaultMethod } from './operation-kinds.ts';
export { Session } from './session.ts';
export { systemSurroundings, type Surroundings } from './session-parts.ts';
export type * from './friends/friend-network.ts';
export type * from './holders/known-holder.ts';
export type * from './types.ts';

/** As initVault in init.ts, whose code is loaded when it is called. */
export const initVault: typeof import('./init.ts').initVault = async (options) =>
  (await import('./init.ts')).initVault(options);

/** As exchangeWith in exchange.ts, whose code is loaded when it is called. */
export const exchangeWith: typeof import('./logs/exchange.ts').exchangeWith = async (...args) =>
  (await import('./logs/exchange.ts')).exchangeWith(...args);

/** As joinVault in join.ts, whose code is loaded when it is called. */
export const joinVault: typeof import('./devices/join.ts').joinVault = async (options) =>
  (await import('./devices/join.ts')).joinVault(options);

/** As recoverVault in recover.ts, whose code is loaded when it is called. */
export const recoverVault: typeof import('./recover/recover.ts').recoverVault = async (options) =>
  (await import('./recover/recover.ts')).recoverVault(options);

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

/** The owner's use cases over one session. Each loads its code when it is first called: a command starts sooner. */
class Vault implements VaultApi {
  readonly #opened: Session;

  constructor(session: Session) {
    this.#opened = session;
  }

  /** KithError `device-revoked` once that is known: what it says of the vault would be of yesterday, and no advice would help. */
  get #session(): Session {
    const { isRevoked, logs } = this.#opened;
    if (isRevoked && logs.stop !== undefined) throw logs.stop;
    return this.#opened;
  }

  get id(): string {
    return this.#opened.id;
  }

  get name(): string {
    return this.#opened.name;
  }

  async driveAdd(options: DriveOptions): Promise<DriveInfo> {
    const { driveAdd } = await import('./holders/drives.ts');
    return await driveAdd(this.#session, options);
  }

  async driveList(options: { readonly brief?: boolean } = {}): Promise<DriveInfo[]> {
    const { driveList } = await import('./holders/drives.ts');
    return await driveList(this.#session, options.brief === true);
  }

  async driveRemove(nameOrId: string, options: { readonly force?: boolean } = {}): Promise<DriveInfo> {
    const { driveRemove } = await import('./holders/drives.ts');
    return await driveRemove(this.#session, nameOrId, options.force === true);
  }

  async card(): Promise<string> {
    const { card } = await import('./friends/friends.ts');
    return await card(this.#session);
  }

  async reachability(): Promise<Reachability & { readonly asked: boolean }> {
    const { wasAsked } = await import('./devices/asked.ts');
    const asked = wasAsked(this.#session);
    const standing = this.#session.network.standing?.();
    if (standing !== undefined) return { ...standing.reachability, asked };
    const { notUp } = await import('./friends/no-network.ts');
    return { ...notUp, asked };
  }

  async reachabilityAsked(): Promise<void> {
    const { noteAsked } = await import('./devices/asked.ts');
    await noteAsked(this.#session);
  }

  async friendAdd(text: string, options: FriendOptions = {}): Promise<FriendInfo> {
    const { friendAdd } = await import('./friends/friends.ts');
    return await friendAdd(this.#session, text, options);
  }

  async invite(options: InviteOptions = {}): Promise<InviteMade> {
    const { invite } = await import('./invites/invites.ts');
    return await invite(this.#session, options);
  }

  async inviteList(): Promise<InviteInfo[]> {
    const { inviteList } = await import('./invites/invites.ts');
    return await inviteList(this.#session);
  }

  async inviteWithdraw(id: string): Promise<InviteInfo> {
    const { inviteWithdraw } = await import('./invites/invites.ts');
    return await inviteWithdraw(this.#session, id);
  }

  async inviteWait(id: string, options: { readonly signal?: AbortSignal } = {}): Promise<InviteInfo> {
    const { inviteWait } = await import('./invites/invites.ts');
    return await inviteWait(this.#session, id, options.signal);
  }

  async accept(text: string, options: FriendOptions = {}): Promise<FriendInfo> {
    const { accept } = await import('./invites/invite-accept.ts');
    return await accept(this.#session, text, options);
  }

  async acceptWait(
    nameOrId: string,
    msMax: number,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<FriendInfo> {
    const { acceptWait } = await import('./invites/invite-accept.ts');
    return await acceptWait(this.#session, nameOrId, msMax, options.signal);
  }

  async friendList(): Promise<FriendInfo[]> {
    const { friendList } = await import('./friends/friends.ts');
    return await friendList(this.#session);
  }

  async friendShow(nameOrId: string): Promise<FriendInfo> {
    const { friendShow } = await import('./friends/friends.ts');
    return await friendShow(this.#session, nameOrId);
  }

  async friendSet(nameOrId: string, options: FriendOptions): Promise<FriendInfo> {
    const { friendSet } = await import('./friends/friends.ts');
    return await friendSet(this.#session, nameOrId, options);
  }

  async friendRemove(nameOrId: string, options: { readonly force?: boolean } = {}): Promise<FriendInfo> {
    const { friendRemove } = await import('./friends/friends.ts');
    return await friendRemove(this.#session, nameOrId, options.force === true);
  }

  async friendPing(
    nameOrId: string,
    options: PingChoice & { readonly signal?: AbortSignal } = {},
  ): Promise<PingResult> {
    const { friendPing } = await import('./friends/friends.ts');
    return await friendPing(this.#session, nameOrId, options);
  }

  async deviceList(): Promise<DeviceInfo[]> {
    const { deviceList } = await import('./devices/devices.ts');
    return await deviceList(this.#session);
  }

  async deviceLinkBegin(options: LinkOptions): Promise<LinkBegun> {
    const { linkBegin } = await import('./devices/device-link.ts');
    return await linkBegin(this.#session, options);
  }

  async deviceLinkWait(id: string, options: { readonly signal?: AbortSignal } = {}): Promise<LinkCame> {
    const { linkWait } = await import('./devices/device-link.ts');
    return await linkWait(this.#session, id, options.signal);
  }

  async deviceLinkFinish(id: string, options: LinkFinish): Promise<DeviceInfo> {
    const { linkFinish } = await import('./devices/device-link.ts');
    return await linkFinish(this.#session, id, options);
  }

  async deviceLinkCancel(id: string): Promise<void> {
    const { linkCancel } = await import('./devices/device-link.ts');
    await linkCancel(this.#opened, id);
  }

  async deviceRevoke(nameOrId: string, options: DeviceRevokeOptions): Promise<DeviceRevoked> {
    const { deviceRevoke } = await import('./devices/device-revoke.ts');
    return await deviceRevoke(this.#session, nameOrId, options);
  }

  async backup(options: BackupOptions): Promise<BackupSummary> {
    const { backup } = await import('./backup/backup.ts');
    return await backup(this.#session, options);
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

  async *list(what: string): AsyncGenerator<ListedEntry> {
    const { list } = await import('./read/list.ts');
    yield* list(this.#session, what);
  }

  async restore(options: RestoreOptions): Promise<RestoreSummary> {
    const { restore } = await import('./restore/restore.ts');
    return await restore(this.#session, options);
  }

  async where(what: string): Promise<WhereResult> {
    const { where } = await import('./read/where.ts');
    return await where(this.#session, what);
  }

  async status(): Promise<StatusResult> {
    const { status } = await import('./status.ts');
    return await status(this.#session);
  }

  async repair(options: RepairOptions = {}): Promise<RepairSummary> {
    const { repair } = await import('./repair/repair.ts');
    return await repair(this.#session, options);
  }

  async check(options: CheckOptions = {}): Promise<CheckSummary> {
    const { check } = await import('./check/check.ts');
    return await check(this.#session, options);
  }

  async configGet(key?: string): Promise<ConfigEntry[]> {
    const { settings } = this.#session;
    return key === undefined ? settings.all() : [settings.entry(key)];
  }

  async configSet(key: string, value: string): Promise<ConfigEntry> {
    const session = this.#session;
    Settings.checkSet(key, value);
    const { exchangeWithAll } = await import('./logs/exchange.ts');
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
    await this.#opened.close();
  }
}
