import type { Args } from './args.ts';
import type { Context } from './context.ts';

/** An option of a command. Names are in kebab-case and without dashes. */
export interface OptionSpec {
  /** `flag` takes no value, `text` one, `list` one each time it is given. */
  readonly type: 'flag' | 'text' | 'list';
  readonly describe: string;
  /** One letter, or another name that is taken as well. */
  readonly alias?: string;
  /** What stands for the value in help, such as `DIR`. */
  readonly value?: string;
  readonly choices?: readonly string[];
  readonly required?: boolean;
  /** The value may be left out: `--wait` or `--wait=10m`. */
  readonly valueOptional?: boolean;
}

export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

/** A word after the command's name; only the last one may be `many`. */
export interface PositionalSpec {
  readonly name: string;
  readonly describe: string;
  readonly required: boolean;
  readonly many?: boolean;
}

/** How a command ended when it did end: exit status 0, or another with the reason for people. */
export interface Outcome {
  readonly exit: number;
  readonly message: string;
}

/**
 * What the first Ctrl-C does: `stop` aborts the context's signal and lets the command end in good order, so does `end` for a
 * command that runs until it is told to, `exit` ends the process at once (nothing is being changed).
 */
export type OnInterrupt = 'stop' | 'end' | 'exit';

/** One command. Parsing, help, completion and suggestions are all made from this. */
export interface Command {
  /** One or two words: `backup`, `drive add`. */
  readonly name: string;
  readonly describe: string;
  readonly positionals: readonly PositionalSpec[];
  readonly options: OptionSpecs;
  /** Command lines with what each does. */
  readonly examples: readonly (readonly [line: string, does: string])[];
  readonly onInterrupt: OnInterrupt;
  /** Undefined means done. Errors are thrown. */
  run(context: Context, args: Args): Promise<Outcome | undefined>;
}

/** A word that gathers commands, as `drive` does `add`, `list` and `remove`. */
export interface CommandGroup {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly describe: string;
}

/** Options that every command takes. */
export const globalOptions: OptionSpecs = {
  home: { type: 'text', value: 'DIR', describe: 'Where this identity lives (also KITH_HOME)' },
  json: { type: 'flag', describe: 'Print JSON for programs' },
  quiet: { type: 'flag', alias: 'q', describe: 'Print only results, warnings and errors' },
  verbose: { type: 'flag', alias: 'v', describe: 'Say what is done, item by item' },
  'no-progress': { type: 'flag', describe: 'No live progress line, no status objects' },
  'passphrase-file': {
    type: 'text',
    value: 'FILE',
    describe: 'File with the passphrase (also KITH_PASSPHRASE_FILE, KITH_PASSPHRASE)',
  },
  'limit-upload': {
    type: 'text',
    value: 'RATE',
    describe: 'Send no more than so many bytes a second meanwhile, such as 2MB; none; auto',
  },
  'limit-download': {
    type: 'text',
    value: 'RATE',
    describe: 'Take no more than so many bytes a second meanwhile, such as 2MB; none',
  },
  help: { type: 'flag', alias: 'h', describe: 'Show help' },
  version: { type: 'flag', describe: 'Show the version' },
};
