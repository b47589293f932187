import { backupCommand } from './backup.ts';
import { cardCommand } from './card.ts';
import { checkCommand } from './check.ts';
import { completionCommand } from './completion.ts';
import { configGetCommand } from './config-get.ts';
import { configSetCommand } from './config-set.ts';
import { deviceJoinCommand } from './device-join.ts';
import { deviceLinkCommand } from './device-link.ts';
import { deviceListCommand } from './device-list.ts';
import { deviceRevokeCommand } from './device-revoke.ts';
import { downCommand } from './down.ts';
import { driveAddCommand } from './drive-add.ts';
import { driveListCommand } from './drive-list.ts';
import { driveRemoveCommand } from './drive-remove.ts';
import { friendAddCommand } from './friend-add.ts';
import { friendListCommand } from './friend-list.ts';
import { friendPingCommand } from './friend-ping.ts';
import { friendRemoveCommand } from './friend-remove.ts';
import { friendSetCommand } from './friend-set.ts';
import { friendShowCommand } from './friend-show.ts';
import { initCommand } from './init.ts';
import { acceptCommand } from './accept.ts';
import { inviteCommand } from './invite.ts';
import { logCommand } from './log.ts';
import { lsCommand } from './ls.ts';
import { recoverCommand } from './recover.ts';
import { repairCommand } from './repair.ts';
import { restoreCommand } from './restore.ts';
import { snapshotsCommand } from './snapshots.ts';
import { statusCommand } from './status.ts';
import { upCommand } from './up.ts';
import { whereCommand } from './where.ts';
import type { Command } from '../command.ts';

/** Every command, in the order of the help. */
export const allCommands: readonly Command[] = [
  initCommand,
  recoverCommand,
  inviteCommand,
  acceptCommand,
  cardCommand,
  deviceLinkCommand,
  deviceJoinCommand,
  deviceListCommand,
  deviceRevokeCommand,
  friendAddCommand,
  friendListCommand,
  friendShowCommand,
  friendSetCommand,
  friendPingCommand,
  friendRemoveCommand,
  driveAddCommand,
  driveListCommand,
  driveRemoveCommand,
  upCommand,
  downCommand,
  logCommand,
  backupCommand,
  snapshotsCommand,
  lsCommand,
  restoreCommand,
  statusCommand,
  whereCommand,
  checkCommand,
  repairCommand,
  configGetCommand,
  configSetCommand,
  completionCommand,
];
