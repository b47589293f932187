import { globalOptions } from './command.ts';
import { canonicalWord, commandGroups } from './command-groups.ts';
import { allCommands } from './commands/index.ts';
import { table } from './words.ts';
import type { Command, OptionSpec, OptionSpecs } from './command.ts';

function optionRow([name, spec]: readonly [string, OptionSpec]): string[] {
  const short = spec.alias?.length === 1 ? `-${spec.alias}, ` : '    ';
  const long = spec.alias !== undefined && spec.alias.length > 1 ? ` (or --${spec.alias})` : '';
  const value = spec.value === undefined ? '' : ` ${spec.value}`;
  const end = spec.required === true ? ' (required)' : spec.type === 'list' ? ' (repeatable)' : '';
  return [`  ${short}--${name}${value}`, `${spec.describe}${long}${end}`];
}

function section(title: string, rows: readonly string[][]): string[] {
  return rows.length === 0 ? [] : ['', ...table([`${title}:`, ''], rows)];
}

function usageLine(command: Command): string {
  const words = command.positionals.map((positional) => {
    const name = `${positional.name.toUpperCase()}${positional.many === true ? '…' : ''}`;
    return positional.required ? name : `[${name}]`;
  });
  const required = Object.entries(command.options).flatMap(([name, spec]) =>
    spec.required === true ? [`--${name} ${spec.value ?? ''}`.trim()] : [],
  );
  return ['kith', command.name, ...words, ...required, '[options]'].join(' ');
}

/** Help of one command, with examples. */
export function commandHelp(command: Command): string {
  const lines = [
    usageLine(command),
    '',
    `${command.describe}.`,
    ...section(
      'Words',
      command.positionals.map((p) => [`  ${p.name.toUpperCase()}`, p.describe]),
    ),
    ...section('Options', Object.entries(command.options).map(optionRow)),
    ...section(
      'Options of every command',
      Object.entries(globalOptions)
        // One of the command's own counts in its place.
        .filter(([name]) => command.options[name] === undefined)
        .map(optionRow),
    ),
    '',
    'Examples:',
    ...command.examples.flatMap(([line, does]) => [`  ${line}`, `      ${does}`]),
  ];
  return lines.join('\n');
}

function commandRows(commands: readonly Command[]): string[][] {
  return commands.map((command) => [`  kith ${command.name}`, command.describe]);
}

/** Help of a group such as `drive`. */
export function groupHelp(name: string): string {
  const group = commandGroups.find((g) => g.name === name);
  const aliases = group?.aliases.map((alias) => ` (also: kith ${alias})`).join('') ?? '';
  const commands = allCommands.filter((command) => command.name.startsWith(`${name} `));
  return [`${group?.describe ?? name}${aliases}.`, ...section('Commands', commandRows(commands))].join('\n');
}

/** Help of kith as a whole. */
export function mainHelp(): string {
  const options: OptionSpecs = globalOptions;
  return [
    'kith keeps your files on other disks, encrypted and spread, so that some of them may be lost.',
    ...section('Commands', commandRows(allCommands)),
    ...section('Options of every command', Object.entries(options).map(optionRow)),
    '',
    'Start with:  kith init',
    'One command: kith COMMAND --help',
  ].join('\n');
}

/** The help that a command line with --help asks for: of the command or group that it names, else of all. */
export function helpFor(argv: readonly string[]): string {
  const words = argv.filter((word) => !word.startsWith('-')).map(canonicalWord);
  for (const [at, word] of words.entries()) {
    const pair = allCommands.find((command) => command.name === `${word} ${words[at + 1] ?? ''}`);
    const single = pair ?? allCommands.find((command) => command.name === word);
    if (single !== undefined) return commandHelp(single);
    if (commandGroups.some((group) => group.name === word)) return groupHelp(word);
  }
  return mainHelp();
}
