import type { VaultApi } from './types.ts';

/** A method of the vault that a command calls. */
export type VaultMethod = {
  [Name in keyof VaultApi]: VaultApi[Name] extends (...args: never[]) => unknown ? Name : never;
}[Exclude<keyof VaultApi, 'close'>];

/**
 * Whether a method appends to logs or changes what holders have. In one session writers must take turns; readers may run beside each
 * other and beside one writer (docs/vault.md, "Side by side").
 */
export const operationKinds: Readonly<Record<VaultMethod, 'read' | 'write'>> = {
  driveAdd: 'write',
  driveList: 'read',
  driveRemove: 'write',
  card: 'read',
  reachability: 'read',
  reachabilityAsked: 'write',
  friendAdd: 'write',
  invite: 'write',
  inviteList: 'read',
  inviteWithdraw: 'write',
  inviteWait: 'read',
  accept: 'write',
  acceptWait: 'read',
  friendList: 'read',
  friendShow: 'read',
  friendSet: 'write',
  friendRemove: 'write',
  friendPing: 'read',
  deviceList: 'read',
  deviceLinkBegin: 'read',
  deviceLinkWait: 'read',
  deviceLinkFinish: 'write',
  deviceLinkCancel: 'read',
  deviceRevoke: 'write',
  backup: 'write',
  snapshots: 'read',
  list: 'read',
  restore: 'read',
  where: 'read',
  status: 'read',
  repair: 'write',
  check: 'read',
  configGet: 'read',
  configSet: 'write',
};
