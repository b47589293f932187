import { backupCommand } from './backup.ts';
import { completionCommand } from './completion.ts';
import { configGetCommand } from './config-get.ts';
import { configSetCommand } from './config-set.ts';
import { driveAddCommand } from './drive-add.ts';
import { driveListCommand } from './drive-list.ts';
import { driveRemoveCommand } from './drive-remove.ts';
import { initCommand } from './init.ts';
import { lsCommand } from './ls.ts';
import { recoverCommand } from './recover.ts';
import { repairCommand } from './repair.ts';
import { restoreCommand } from './restore.ts';
import { snapshotsCommand } from './snapshots.ts';
import { statusCommand } from './status.ts';
import { whereCommand } from './where.ts';
import type { Command, CommandGroup } from '../command.ts';

/** Every command, in the order of the help. */
export const allCommands: readonly Command[] = [
  initCommand,
  recoverCommand,
  driveAddCommand,
  driveListCommand,
  driveRemoveCommand,
  backupCommand,
  snapshotsCommand,
  lsCommand,
  restoreCommand,
  statusCommand,
  whereCommand,
  repairCommand,
  configGetCommand,
  configSetCommand,
  completionCommand,
];

/** First words that are no commands by themselves. */
export const commandGroups: readonly CommandGroup[] = [
  {
    name: 'drive',
    aliases: ['disk'],
    describe: 'Folders, USB disks and NAS mounts that hold what you back up',
  },
  { name: 'config', aliases: [], describe: 'Settings' },
];
