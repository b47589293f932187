import type { TypedRates } from '../base/rate.ts';
import { connectDaemon, type ApiClient } from './client.ts';
import type { About } from './messages.ts';
import type { Method } from './methods.ts';
import type { Reachability } from '../vault/friends/friend-network.ts';
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
  ListedEntry,
  Operation,
  PingChoice,
  PingResult,
  Problem,
  RepairOptions,
  RepairSummary,
  RestoreOptions,
  RestoreSummary,
  SnapshotInfo,
  StatusResult,
  VaultApi,
  WhereResult,
} from '../vault/types.ts';

/** An operation's listeners and signal, and apart from them what it is to do. */
function split<T extends Operation>(
  options: T,
): { readonly operation: Operation; readonly rest: Omit<T, keyof Operation> } {
  const { signal, onProgress, onProblem, onItem, ...rest } = options;
  return {
    operation: {
      ...(signal !== undefined && { signal }),
      ...(onProgress !== undefined && { onProgress }),
      ...(onProblem !== undefined && { onProblem }),
      ...(onItem !== undefined && { onItem }),
    },
    rest,
  };
}

/** A vault that a daemon has open. Paths must be absolute. Errors are the daemon's KithErrors, as if it were here. */
export class RemoteVault implements VaultApi {
  readonly #client: ApiClient;
  readonly #about: About;
  readonly #onProblem: ((problem: Problem) => void) | undefined;

  constructor(client: ApiClient, about: About, onProblem?: (problem: Problem) => void) {
    this.#client = client;
    this.#about = about;
    this.#onProblem = onProblem;
  }

  get id(): string {
    return this.#about.id;
  }

  get name(): string {
    return this.#about.name;
  }

  async #call<T>(method: Method, args: readonly unknown[], operation: Operation = {}): Promise<T> {
    const onProblem = operation.onProblem ?? this.#onProblem;
    const heard = onProblem === undefined ? operation : { ...operation, onProblem };
    return (await this.#client.call(method, args, heard)) as T;
  }

  driveAdd(options: DriveOptions): Promise<DriveInfo> {
    return this.#call('driveAdd', [options]);
  }

  driveList(options?: { readonly brief?: boolean }): Promise<DriveInfo[]> {
    return this.#call('driveList', [options]);
  }

  driveRemove(nameOrId: string, options?: { readonly force?: boolean }): Promise<DriveInfo> {
    return this.#call('driveRemove', [nameOrId, options]);
  }

  card(): Promise<string> {
    return this.#call('card', []);
  }

  reachability(): Promise<Reachability & { readonly asked: boolean }> {
    return this.#call('reachability', []);
  }

  reachabilityAsked(): Promise<void> {
    return this.#call('reachabilityAsked', []);
  }

  friendAdd(card: string, options?: FriendOptions): Promise<FriendInfo> {
    return this.#call('friendAdd', [card, options]);
  }

  invite(options?: InviteOptions): Promise<InviteMade> {
    return this.#call('invite', [options]);
  }

  inviteList(): Promise<InviteInfo[]> {
    return this.#call('inviteList', []);
  }

  inviteWithdraw(id: string): Promise<InviteInfo> {
    return this.#call('inviteWithdraw', [id]);
  }

  inviteWait(id: string, options: { readonly signal?: AbortSignal } = {}): Promise<InviteInfo> {
    return this.#call('inviteWait', [id], options);
  }

  accept(invite: string, options?: FriendOptions): Promise<FriendInfo> {
    return this.#call('accept', [invite, options]);
  }

  acceptWait(
    nameOrId: string,
    msMax: number,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<FriendInfo> {
    return this.#call('acceptWait', [nameOrId, msMax], options);
  }

  friendList(): Promise<FriendInfo[]> {
    return this.#call('friendList', []);
  }

  friendShow(nameOrId: string): Promise<FriendInfo> {
    return this.#call('friendShow', [nameOrId]);
  }

  friendSet(nameOrId: string, options: FriendOptions): Promise<FriendInfo> {
    return this.#call('friendSet', [nameOrId, options]);
  }

  friendRemove(nameOrId: string, options?: { readonly force?: boolean }): Promise<FriendInfo> {
    return this.#call('friendRemove', [nameOrId, options]);
  }

  friendPing(
    nameOrId: string,
    { signal, ...choice }: PingChoice & { readonly signal?: AbortSignal } = {},
  ): Promise<PingResult> {
    const args = choice.sessionOnly === undefined ? [nameOrId] : [nameOrId, choice];
    return this.#call('friendPing', args, signal === undefined ? {} : { signal });
  }

  deviceList(): Promise<DeviceInfo[]> {
    return this.#call('deviceList', []);
  }

  deviceLinkBegin(options: LinkOptions): Promise<LinkBegun> {
    return this.#call('deviceLinkBegin', [options]);
  }

  deviceLinkWait(id: string, options: { readonly signal?: AbortSignal } = {}): Promise<LinkCame> {
    return this.#call('deviceLinkWait', [id], options);
  }

  deviceLinkFinish(id: string, options: LinkFinish): Promise<DeviceInfo> {
    return this.#call('deviceLinkFinish', [id, options]);
  }

  deviceLinkCancel(id: string): Promise<void> {
    return this.#call('deviceLinkCancel', [id]);
  }

  deviceRevoke(nameOrId: string, options: DeviceRevokeOptions): Promise<DeviceRevoked> {
    return this.#call('deviceRevoke', [nameOrId, options]);
  }

  backup(options: BackupOptions): Promise<BackupSummary> {
    const { operation, rest } = split(options);
    return this.#call('backup', [rest], operation);
  }

  snapshots(filter?: {
    readonly tag?: string;
    readonly path?: string;
    readonly host?: string;
  }): Promise<SnapshotInfo[]> {
    return this.#call('snapshots', [filter]);
  }

  list(what: string): AsyncIterable<ListedEntry> {
    const onProblem = this.#onProblem;
    return this.#client.entries('list', [what], onProblem === undefined ? {} : { onProblem });
  }

  restore(options: RestoreOptions): Promise<RestoreSummary> {
    const { operation, rest } = split(options);
    return this.#call('restore', [rest], operation);
  }

  where(what: string): Promise<WhereResult> {
    return this.#call('where', [what]);
  }

  status(): Promise<StatusResult> {
    return this.#call('status', []);
  }

  repair(options: RepairOptions = {}): Promise<RepairSummary> {
    const { operation, rest } = split(options);
    return this.#call('repair', [rest], operation);
  }

  check(options: CheckOptions = {}): Promise<CheckSummary> {
    const { operation, rest } = split(options);
    return this.#call('check', [rest], operation);
  }

  configGet(key?: string): Promise<ConfigEntry[]> {
    return this.#call('configGet', [key]);
  }

  configSet(key: string, value: string): Promise<ConfigEntry> {
    return this.#call('configSet', [key, value]);
  }

  /** Nothing is held here: the vault stays the daemon's. */
  close(): Promise<void> {
    return Promise.resolve();
  }
}

/**
 * The vault of the daemon that runs in a home; undefined where none does. `limits` are rates that hold there while a call is at work. Errors as
 * connectDaemon.
 */
export async function openRemoteVault(
  home: string,
  version: string,
  onProblem?: (problem: Problem) => void,
  limits: TypedRates = {},
): Promise<VaultApi | undefined> {
  const found = await connectDaemon(home, version);
  if (found !== undefined) found.client.limits = limits;
  return found === undefined ? undefined : new RemoteVault(found.client, found.about, onProblem);
}
