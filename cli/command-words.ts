import { commandGroups } from './command-groups.ts';
import { allCommands } from './commands/index.ts';

/** Every word that may come first, aliases of groups included. */
export function topWords(): string[] {
  const singles = allCommands.filter((command) => !command.name.includes(' ')).map((command) => command.name);
  return [...singles, ...commandGroups.flatMap((group) => [group.name, ...group.aliases])];
}

/** The words that may follow a group's name. */
export function secondWords(group: string): string[] {
  return allCommands.flatMap((command) => {
    const [first, second] = command.name.split(' ');
    return first === group && second !== undefined ? [second] : [];
  });
}
