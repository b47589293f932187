import yargs from 'yargs';
import { KithError } from '../lib/base/errors.ts';
import { Args } from './args.ts';
import { globalOptions } from './command.ts';
import { allCommands, commandGroups } from './commands/index.ts';
import { canonicalWord, secondWords, topWords } from './command-words.ts';
import { didYouMean } from './suggest.ts';
import type { CommandModule, Options } from 'yargs';
import type { Command, OptionSpec, OptionSpecs } from './command.ts';

/** A command line that is well formed: every word of it is known. */
export interface ParsedLine {
  readonly command: Command;
  readonly args: Args;
}

// What follows `--` is never an option. yargs forgets that when it looks for positionals, so such words go through
// it under names that no real argument can have (a NUL can't be in one).
const coverMark = '\0';

function coverRest(argv: readonly string[]): { covered: string[]; uncover: (text: string) => string } {
  const split = argv.indexOf('--');
  if (split < 0) return { covered: [...argv], uncover: (text) => text };
  const rest = argv.slice(split + 1);
  return {
    covered: [...argv.slice(0, split), ...rest.map((_, index) => `${coverMark}${index}`)],
    uncover: (text) => (text.startsWith(coverMark) ? (rest[Number(text.slice(1))] ?? text) : text),
  };
}

function yargsOption(spec: OptionSpec): Options {
  return {
    ...(spec.type === 'flag'
      ? { type: 'boolean' }
      : { type: 'string', requiresArg: spec.valueOptional !== true }),
    ...(spec.type === 'list' ? { array: true } : {}),
    ...(spec.alias === undefined ? {} : { alias: spec.alias }),
  };
}

function yargsOptions(specs: OptionSpecs): Record<string, Options> {
  return Object.fromEntries(Object.entries(specs).map(([name, spec]) => [name, yargsOption(spec)]));
}

function yargsCommand(command: Command, select: (argv: Record<string, unknown>) => void): CommandModule {
  // What is missing is said by checkComplete, in our words: for yargs every positional is optional.
  const positionals = command.positionals.map((p) => (p.many === true ? `[${p.name}..]` : `[${p.name}]`));
  return {
    command: [command.name.split(' ').at(-1), ...positionals].join(' '),
    describe: command.describe,
    builder: (parser) => {
      for (const p of command.positionals) {
        parser.positional(p.name, { type: 'string', array: p.many === true });
      }
      return parser.options(yargsOptions(command.options));
    },
    handler: select,
  };
}

/** The command that the words seem to ask for, to word errors by. */
function guessCommand(argv: readonly string[]): Command | undefined {
  const words = argv.filter((word) => !word.startsWith('-')).map(canonicalWord);
  return allCommands.find((command) => {
    const name = command.name.split(' ');
    return words.some((_, at) => name.every((part, index) => words[at + index] === part));
  });
}

/** yargs's complaint in words that say what to do. */
function usageError(message: string, argv: readonly string[], uncover: (text: string) => string): KithError {
  const command = guessCommand(argv);
  const unknown = /^Unknown (?:argument|command)s?: (.*)$/s.exec(message)?.[1];
  if (unknown !== undefined) {
    const name = uncover(unknown.split(', ')[0] ?? unknown);
    const dashed = argv.find(
      (word) => word.replace(/^-+/, '').split('=')[0] === name && word.startsWith('-'),
    );
    if (dashed !== undefined || argv.some((word) => /^-[a-zA-Z]{2,}$/.test(word) && name.length === 1)) {
      const known = Object.keys({ ...globalOptions, ...command?.options });
      const option = name.length === 1 ? `-${name}` : `--${name}`;
      const hint = didYouMean(name, known, (near) => `--${near}`);
      return new KithError('usage', `Unknown option ${option}.${hint}`, hintDetails(command));
    }
    if (command !== undefined) {
      return new KithError(
        'usage',
        `"${name}" is one word too many for kith ${command.name}.`,
        hintDetails(command),
      );
    }
    const group = commandGroups.find((g) => argv.some((word) => canonicalWord(word) === g.name));
    const known = group === undefined ? topWords() : secondWords(group.name);
    const prefix = group === undefined ? '' : `${group.name} `;
    const hint = didYouMean(name, known, (near) => `kith ${prefix}${near}`);
    return new KithError('usage', `Unknown command "${prefix}${name}".${hint}`);
  }
  const option = /^Not enough arguments following: (.*)$/.exec(message)?.[1];
  if (option !== undefined) {
    return new KithError('usage', `--${option} needs a value.`, hintDetails(command));
  }
  return new KithError('usage', message, hintDetails(command));
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

/** Reads a command line (without node and script). KithError `usage` says what is wrong, with the nearest that is known. */
export async function parseLine(argv: readonly string[]): Promise<ParsedLine> {
  const { covered, uncover } = coverRest(argv);
  let parsed: ParsedLine | undefined;
  const parser = yargs(covered)
    .scriptName('kith')
    .detectLocale(false)
    .locale('en')
    .exitProcess(false)
    .help(false)
    .version(false)
    .parserConfiguration({
      'boolean-negation': false,
      'camel-case-expansion': false,
      'dot-notation': false,
      'greedy-arrays': false,
      // Hex prefixes of snapshots are text, also where they look like 0012 or 1e5.
      'parse-numbers': false,
      'parse-positional-numbers': false,
    })
    .strict()
    .fail((message: string | null, error: Error | undefined) => {
      if (error instanceof KithError) throw error;
      throw usageError(message ?? error?.message ?? 'the command line is not understood', covered, uncover);
    })
    .options(yargsOptions(globalOptions));

  function selector(command: Command): (values: Record<string, unknown>) => void {
    return (values) => {
      const plain = Object.fromEntries(
        Object.entries(values).map(([name, value]) => [name, uncoverValue(value, uncover)]),
      );
      parsed = { command, args: new Args(plain) };
    };
  }
  for (const command of allCommands) {
    if (!command.name.includes(' ')) parser.command(yargsCommand(command, selector(command)));
  }
  for (const group of commandGroups) {
    parser.command({
      command: [group.name, ...group.aliases],
      describe: group.describe,
      builder: (sub) => {
        for (const command of allCommands) {
          if (command.name.startsWith(`${group.name} `))
            sub.command(yargsCommand(command, selector(command)));
        }
        return sub.demandCommand(1, `${group.name} needs one of: ${secondWords(group.name).join(', ')}.`);
      },
      handler: () => {},
    });
  }
  await parser.parseAsync();
  if (parsed === undefined) throw new KithError('usage', 'No command given.');
  checkComplete(parsed.command, parsed.args);
  return parsed;
}

function uncoverValue(value: unknown, uncover: (text: string) => string): unknown {
  if (typeof value === 'string') return uncover(value);
  if (Array.isArray(value)) return value.map((item: unknown) => uncoverValue(item, uncover));
  return value;
}
