import { KithError } from '../lib/base/errors.ts';
import { listOf } from '../lib/base/units.ts';
import { Args } from './args.ts';
import { globalOptions } from './command.ts';
import { canonicalWord, commandGroups } from './command-groups.ts';
import { commandLoaders } from './command-loaders.ts';
import { readOptions, SpecBook, type ReadLine } from './read-options.ts';
import { didYouMean } from './suggest.ts';
import type { Command, OptionSpecs } from './command.ts';

/** A command line that is well formed: every word of it is known. */
export interface ParsedLine {
  readonly command: Command;
  readonly args: Args;
}

/** Reads a command line (without node and script). KithError `usage` says what is wrong, with the nearest that is known. */
export async function parseLine(argv: readonly string[]): Promise<ParsedLine> {
  // Mostly the command comes before options of its own, and then no other command need be loaded.
  const start = readOptions(argv, new SpecBook(globalOptions));
  const load = loaderOf(start.words);
  const command = load === undefined ? await searchCommand(argv) : await load();
  const line = readOptions(argv, new SpecBook(globalOptions, command.options));
  if (line.stop !== undefined) throw stopError(line.stop, { ...globalOptions, ...command.options }, command);
  const args = new Args({ ...line.values, ...positionalsOf(command, line.words) });
  checkComplete(command, args);
  return { command, args };
}

/** The name that the first words make: `backup`, `drive add`, or what stands in its place. */
function nameIn(words: readonly string[]): string | undefined {
  const [word, second] = words;
  if (word === undefined) return undefined;
  const first = canonicalWord(word);
  const isGroup = commandGroups.some((group) => group.name === first);
  return isGroup && second !== undefined ? `${first} ${second}` : first;
}

function loaderOf(words: readonly string[]): (() => Promise<Command>) | undefined {
  const name = nameIn(words);
  return name !== undefined && Object.hasOwn(commandLoaders, name) ? commandLoaders[name] : undefined;
}

/** The command of a line that has options of its own before it, or the error that says what is wrong with its words. */
async function searchCommand(argv: readonly string[]): Promise<Command> {
  const all = await Promise.all(Object.values(commandLoaders).map((load) => load()));
  const books = all.map(({ options }) => options);
  const { words, stop } = readOptions(argv, new SpecBook(globalOptions, ...books));
  const load = loaderOf(words);
  if (load !== undefined) return await load();
  const name = nameIn(words);
  if (name === undefined) {
    if (stop !== undefined) throw stopError(stop, globalOptions);
    throw new KithError('usage', 'No command given.');
  }
  const [first = ''] = name.split(' ');
  const names = Object.keys(commandLoaders);
  const isGroup = commandGroups.some((group) => group.name === first);
  const seconds = names.filter((known) => known.startsWith(`${first} `)).map((known) => known.split(' ')[1]);
  if (isGroup && name === first) {
    throw new KithError('usage', `${first} needs one of: ${seconds.join(', ')}.`);
  }
  const tops = [...names.filter((known) => !known.includes(' ')), ...groupWords()];
  const known = isGroup ? names.filter((one) => one.startsWith(`${first} `)) : tops;
  const hint = (await settingHint(name)) ?? didYouMean(name, known, (near) => `kith ${near}`);
  throw new KithError('usage', `Unknown command "${name}".${hint}`);
}

/** For a setting, or what several begin with, in the place of a command: how to see them. */
async function settingHint(name: string): Promise<string | undefined> {
  const { Settings } = await import('../lib/vault/settings/settings.ts');
  const word = name.replace(/^config /, '');
  const keys = Settings.keys().filter((key) => key === word || key.startsWith(`${word}.`));
  const [first] = keys;
  if (first === undefined) return undefined;
  const what = keys.length === 1 ? 'is a setting' : 'are settings';
  return ` ${listOf(keys, 'and')} ${what}: kith config get ${first}; kith config set ${first} VALUE`;
}

function groupWords(): string[] {
  return commandGroups.flatMap((group) => [group.name, ...group.aliases]);
}

function stopError(stop: NonNullable<ReadLine['stop']>, specs: OptionSpecs, command?: Command): KithError {
  const details = hintDetails(command);
  if (stop.why === 'no-value') return new KithError('usage', `--${stop.name} needs a value.`, details);
  if (stop.why === 'too-much') return new KithError('usage', `--${stop.name} takes no value.`, details);
  const hint = didYouMean(stop.name, Object.keys(specs), (near) => `--${near}`);
  return new KithError('usage', `Unknown option ${stop.option}.${hint}`, details);
}

/** The words after the command's name by the names that it has for them. */
function positionalsOf(command: Command, words: readonly string[]): Record<string, unknown> {
  const rest = words.slice(command.name.split(' ').length);
  const values: Record<string, unknown> = {};
  for (const { name, many } of command.positionals) {
    if (rest.length === 0) break;
    values[name] = many === true ? rest.splice(0) : rest.shift();
  }
  const [extra] = rest;
  if (extra === undefined) return values;
  throw new KithError(
    'usage',
    `"${extra}" is one word too many for kith ${command.name}.`,
    hintDetails(command),
  );
}

function hintDetails(command: Command | undefined): { details?: { command: string } } {
  return command === undefined ? {} : { details: { command: command.name } };
}

function checkComplete(command: Command, args: Args): void {
  const details = hintDetails(command);
  for (const positional of command.positionals) {
    if (positional.required && args.list(positional.name).length === 0) {
      const name = positional.name.toUpperCase();
      throw new KithError(
        'usage',
        `${command.name} needs ${name}: ${positional.describe.toLowerCase()}.`,
        details,
      );
    }
  }
  for (const [name, spec] of Object.entries(command.options)) {
    if (spec.required === true && args.text(name) === undefined) {
      throw new KithError(
        'usage',
        `${command.name} needs --${name} ${spec.value ?? ''}`.trim() + '.',
        details,
      );
    }
    if (spec.choices === undefined) continue;
    const value = args.text(name);
    if (value !== undefined && !spec.choices.includes(value)) {
      throw new KithError(
        'usage',
        `--${name} is one of ${spec.choices.join(', ')}; not "${value}".`,
        details,
      );
    }
  }
}
