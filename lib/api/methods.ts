import { KithError } from '../base/errors.ts';
import type { TypedRates } from '../base/rate.ts';
import { absolutePath, count, fields, flag, listOf, oneOf, optional, text, type Check } from './checks.ts';
import { visibilities } from '../trust/visibility.ts';
import type {
  BackupOptions,
  CheckOptions,
  DeviceRevokeOptions,
  DriveOptions,
  FriendOptions,
  InviteOptions,
  LinkFinish,
  LinkOptions,
  ListedEntry,
  Operation,
  PingChoice,
  RepairOptions,
  RestoreOptions,
  VaultApi,
} from '../vault/types.ts';

/** What can be called over the API: all that a vault does but to be closed. */
export type Method = Exclude<keyof VaultApi, 'id' | 'name' | 'close'>;

/** One call as it came over the socket, its arguments checked. */
export interface ApiCall {
  readonly method: Method;
  readonly args: readonly unknown[];
  /** Rates that hold while it is at work, as they were typed. */
  readonly limits?: TypedRates;
  /** Where it reports, and its signal. */
  readonly operation: Operation;
  /** Takes an entry of `list`; resolves when the next one is welcome. */
  readonly onEntry: (entry: ListedEntry) => Promise<void>;
}

interface MethodSpec {
  /** One for each argument. */
  readonly checks: readonly Check[];
  readonly perform: (vault: VaultApi, call: ApiCall) => Promise<unknown>;
}

const friendOptions = {
  name: text,
  quotaBytes: count,
  household: text,
  allow: listOf(text),
  deny: listOf(text),
  uploadLimit: count,
  downloadLimit: count,
  visibility: oneOf(...visibilities),
  wordsMatch: flag,
};

const force = optional(fields({ force: flag }));

type Brief = Parameters<VaultApi['driveList']>[0];
type Force = { readonly force?: boolean };
type SnapshotFilter = Parameters<VaultApi['snapshots']>[0];

/** What was left out came as null. */
function given(value: unknown): unknown {
  return value ?? undefined;
}

const specs: Readonly<Record<Method, MethodSpec>> = {
  driveAdd: {
    checks: [
      fields({ path: absolutePath, name: text, quotaBytes: count, household: text, whole: flag }, ['path']),
    ],
    perform: (vault, { args }) => vault.driveAdd(args[0] as DriveOptions),
  },
  driveList: {
    checks: [optional(fields({ brief: flag }))],
    perform: (vault, { args }) => vault.driveList(given(args[0]) as Brief),
  },
  driveRemove: {
    checks: [text, force],
    perform: (vault, { args }) => vault.driveRemove(args[0] as string, given(args[1]) as Force | undefined),
  },
  card: { checks: [], perform: (vault) => vault.card() },
  reachability: { checks: [], perform: (vault) => vault.reachability() },
  reachabilityAsked: { checks: [], perform: (vault) => vault.reachabilityAsked() },
  friendAdd: {
    checks: [text, optional(fields(friendOptions))],
    perform: (vault, { args }) =>
      vault.friendAdd(args[0] as string, given(args[1]) as FriendOptions | undefined),
  },
  invite: {
    checks: [optional(fields({ name: text, quotaBytes: count, expiresInMs: count }))],
    perform: (vault, { args }) => vault.invite(given(args[0]) as InviteOptions | undefined),
  },
  inviteList: { checks: [], perform: (vault) => vault.inviteList() },
  inviteWithdraw: { checks: [text], perform: (vault, { args }) => vault.inviteWithdraw(args[0] as string) },
  inviteWait: {
    checks: [text],
    perform: (vault, { args, operation: { signal } }) =>
      vault.inviteWait(args[0] as string, signal === undefined ? {} : { signal }),
  },
  accept: {
    checks: [text, optional(fields(friendOptions))],
    perform: (vault, { args }) =>
      vault.accept(args[0] as string, given(args[1]) as FriendOptions | undefined),
  },
  acceptWait: {
    checks: [text, count],
    perform: (vault, { args, operation: { signal } }) =>
      vault.acceptWait(args[0] as string, args[1] as number, signal === undefined ? {} : { signal }),
  },
  friendList: { checks: [], perform: (vault) => vault.friendList() },
  friendShow: { checks: [text], perform: (vault, { args }) => vault.friendShow(args[0] as string) },
  friendSet: {
    checks: [text, fields(friendOptions)],
    perform: (vault, { args }) => vault.friendSet(args[0] as string, args[1] as FriendOptions),
  },
  friendRemove: {
    checks: [text, force],
    perform: (vault, { args }) => vault.friendRemove(args[0] as string, given(args[1]) as Force | undefined),
  },
  friendPing: {
    checks: [text, optional(fields({ sessionOnly: flag }))],
    perform: (vault, { args, operation: { signal } }) =>
      vault.friendPing(args[0] as string, {
        ...(given(args[1]) as PingChoice | undefined),
        ...(signal !== undefined && { signal }),
      }),
  },
  deviceList: { checks: [], perform: (vault) => vault.deviceList() },
  deviceLinkBegin: {
    checks: [
      fields({ phrase: text, listen: fields({ host: text, port: count }, ['host', 'port']) }, ['phrase']),
    ],
    perform: (vault, { args }) => vault.deviceLinkBegin(args[0] as LinkOptions),
  },
  deviceLinkWait: {
    checks: [text],
    perform: (vault, { args, operation: { signal } }) =>
      vault.deviceLinkWait(args[0] as string, signal === undefined ? {} : { signal }),
  },
  deviceLinkFinish: {
    checks: [text, fields({ phrase: text }, ['phrase'])],
    perform: (vault, { args }) => vault.deviceLinkFinish(args[0] as string, args[1] as LinkFinish),
  },
  deviceLinkCancel: {
    checks: [text],
    perform: async (vault, { args }) => {
      await vault.deviceLinkCancel(args[0] as string);
      return null;
    },
  },
  deviceRevoke: {
    checks: [text, fields({ phrase: text }, ['phrase'])],
    perform: (vault, { args }) => vault.deviceRevoke(args[0] as string, args[1] as DeviceRevokeOptions),
  },
  backup: {
    checks: [
      fields(
        {
          paths: listOf(absolutePath),
          excludes: listOf(text),
          excludeFiles: listOf(absolutePath),
          excludeCaches: flag,
          excludeIfPresent: listOf(text),
          excludeLargerThan: count,
          oneFileSystem: flag,
          tags: listOf(text),
          spread: fields({ k: count, n: count }, ['k', 'n']),
          dryRun: flag,
          force: flag,
        },
        ['paths'],
      ),
    ],
    perform: (vault, { args, operation }) => vault.backup({ ...(args[0] as BackupOptions), ...operation }),
  },
  snapshots: {
    checks: [optional(fields({ tag: text, path: absolutePath, host: text }))],
    perform: (vault, { args }) => vault.snapshots(given(args[0]) as SnapshotFilter),
  },
  list: {
    checks: [text],
    perform: async (vault, { args, operation, onEntry }) => {
      for await (const entry of vault.list(args[0] as string)) {
        operation.signal?.throwIfAborted();
        await onEntry(entry);
      }
      return null;
    },
  },
  restore: {
    checks: [
      fields(
        {
          what: text,
          target: absolutePath,
          include: listOf(text),
          exclude: listOf(text),
          overwrite: oneOf('always', 'if-changed', 'if-newer', 'never'),
          deleteExtra: flag,
          dryRun: flag,
          verify: flag,
        },
        ['what', 'target'],
      ),
    ],
    perform: (vault, { args, operation }) => vault.restore({ ...(args[0] as RestoreOptions), ...operation }),
  },
  where: { checks: [text], perform: (vault, { args }) => vault.where(args[0] as string) },
  status: { checks: [], perform: (vault) => vault.status() },
  repair: {
    checks: [optional(fields({ dryRun: flag, quick: flag }))],
    perform: (vault, { args, operation }) =>
      vault.repair({ ...(given(args[0]) as RepairOptions | undefined), ...operation }),
  },
  check: {
    checks: [optional(fields({ readData: flag, readPart: text }))],
    perform: (vault, { args, operation }) =>
      vault.check({ ...(given(args[0]) as CheckOptions | undefined), ...operation }),
  },
  configGet: {
    checks: [optional(text)],
    perform: (vault, { args }) => vault.configGet(given(args[0]) as string | undefined),
  },
  configSet: {
    checks: [text, text],
    perform: (vault, { args }) => vault.configSet(args[0] as string, args[1] as string),
  },
};

/** True for the name of something that can be called. */
export function isMethod(name: string): name is Method {
  return Object.hasOwn(specs, name);
}

/** KithError `malformed` unless the arguments are of the kinds that the method takes: what they mean is the vault's to judge. */
export function checkArguments(method: Method, args: readonly unknown[]): void {
  const { checks } = specs[method];
  if (args.length > checks.length) {
    throw new KithError('malformed', `${method} takes ${checks.length} arguments`);
  }
  for (const [index, check] of checks.entries()) check(args[index], `${method}: argument ${index + 1}`);
}

/** Does what a call asks for; the signal, where it fires, ends it with KithError `interrupted` where the method can be stopped. */
export function performCall(vault: VaultApi, call: ApiCall): Promise<unknown> {
  return specs[call.method].perform(vault, call);
}
