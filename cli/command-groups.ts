import type { CommandGroup } from './command.ts';

/** First words that are no commands by themselves. */
export const commandGroups: readonly CommandGroup[] = [
  { name: 'friend', aliases: [], describe: 'People who keep your backups, and you theirs' },
  {
    name: 'drive',
    aliases: ['disk'],
    describe: 'Folders, USB disks and NAS mounts that hold what you back up',
  },
  { name: 'device', aliases: [], describe: 'Your own computers that share this identity' },
  { name: 'config', aliases: [], describe: 'Settings' },
];

/** A group's own name for any of its aliases; other words as they are. */
export function canonicalWord(word: string): string {
  return commandGroups.find((group) => group.aliases.includes(word))?.name ?? word;
}
