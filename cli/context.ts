import { access, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import envPaths from 'env-paths';
import { systemClock } from '../lib/base/clock.ts';
import { KithError, isKithError, messageOf } from '../lib/base/errors.ts';
import { parseRates, type TypedRates } from '../lib/base/rate.ts';
import { ProgressView } from './progress.ts';
import { kithVersion } from './version.ts';
import { shown } from './words.ts';
import type { Operation, Problem, VaultApi } from '../lib/vault/types.ts';
import type { Args } from './args.ts';
import type { Output } from './output.ts';

/** What a command works with besides its own arguments. */
export interface Context {
  /** Absolute path of the home folder. */
  readonly home: string;
  /** Undefined where none was given; read before anything is opened. */
  readonly passphrase: string | undefined;
  /** `--limit-upload` and `--limit-download`, which make sense. */
  readonly limits: TypedRates;
  readonly output: Output;
  readonly signal: AbortSignal;
  readonly progress: boolean;
}

/** Files with a passphrase or a phrase are a line or two. */
const secretFileBytesMax = 65536;

/** The first line of a file with a passphrase; KithError `usage` where there is none. */
async function readPassphraseFile(path: string): Promise<string> {
  const text = await readSmallFile(path, 'passphrase file');
  const line = text.split(/\r?\n/, 1)[0] ?? '';
  if (line === '')
    throw new KithError('usage', `the passphrase file ${path} has no passphrase in its first line.`);
  return line;
}

/** Text of a file of at most 64 KiB, unless told otherwise; KithError `usage` names `what` where it can't be read. */
export async function readSmallFile(
  path: string,
  what: string,
  bytesMax: number = secretFileBytesMax,
): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new KithError('usage', `the ${what} can't be read: ${messageOf(cause)}`, { cause });
  }
  if (bytes.length > bytesMax) throw new KithError('usage', `${path} is too large for a ${what}.`);
  return new TextDecoder().decode(bytes);
}

/** `--home`, else `KITH_HOME`, else the platform's folder for application data. */
export function homeFolder(option: string | undefined, environment: NodeJS.ProcessEnv): string {
  const given = option ?? environment['KITH_HOME'];
  return given === undefined || given === '' ? envPaths('kith', { suffix: '' }).data : resolve(given);
}

/** `--passphrase-file`, else `KITH_PASSPHRASE`, else `KITH_PASSPHRASE_FILE`; an empty variable counts as absent. */
export async function passphraseGiven(
  option: string | undefined,
  environment: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  if (option !== undefined) return readPassphraseFile(option);
  const text = environment['KITH_PASSPHRASE'];
  if (text !== undefined && text !== '') return text;
  const file = environment['KITH_PASSPHRASE_FILE'];
  return file === undefined || file === '' ? undefined : readPassphraseFile(file);
}

/** KithError `usage` for a rate that is none. */
function typedRates(args: Args): TypedRates {
  const upload = args.text('limit-upload');
  const download = args.text('limit-download');
  const typed = { ...(upload !== undefined && { upload }), ...(download !== undefined && { download }) };
  parseRates(typed);
  return typed;
}

/** Builds a command's context from the global options. */
export async function makeContext(args: Args, output: Output, signal: AbortSignal): Promise<Context> {
  const progress = !args.flag('no-progress') && !output.quiet;
  return {
    home: homeFolder(args.text('home'), process.env),
    passphrase: await passphraseGiven(args.text('passphrase-file'), process.env),
    limits: typedRates(args),
    output,
    signal,
    progress,
  };
}

/** Options for opening or making a vault; the passphrase is left out where there is none. */
export function keyOptions(context: Context): { home: string; passphrase?: string } {
  const { home, passphrase } = context;
  return passphrase === undefined ? { home } : { home, passphrase };
}

/** KithError `vault-missing` where a home has none: for commands that open none. */
export async function requireVault(home: string): Promise<void> {
  const there = await access(join(home, 'keystore')).then(
    () => true,
    () => false,
  );
  if (there) return;
  throw new KithError(
    'vault-missing',
    `there is no kith vault in ${home}. Make one with \`kith init\`, or bring one back with \`kith recover\`.`,
  );
}

/** The vault of a home, wherever it is open. */
interface Opened {
  readonly vault: VaultApi;
  readonly close: () => Promise<void>;
}

/** Asks the daemon that runs in this home, if one does. */
async function openDaemonsVault(context: Context): Promise<Opened | undefined> {
  const { findSocket } = await import('../lib/api/socket-path.ts');
  if ((await findSocket(context.home)) === undefined) return undefined;
  const { openRemoteVault } = await import('../lib/api/remote-vault.ts');
  const onProblem = (problem: Problem): void => context.output.problem(problem);
  const vault = await openRemoteVault(context.home, kithVersion(), onProblem, context.limits);
  return vault === undefined ? undefined : { vault, close: () => vault.close() };
}

/** Opens the vault in this process, with a network of its own for as long as the command takes. */
async function openLocalVault(context: Context): Promise<Opened> {
  const { openHome } = await import('../lib/daemon/open-home.ts');
  const { vault, node } = await openHome({
    home: context.home,
    passphrase: context.passphrase,
    network: undefined,
    limits: parseRates(context.limits),
    // The very function that operations are given: then nobody need keep apart whose a problem is.
    onProblem: context.output.problem,
  });
  const close = async (): Promise<void> => {
    try {
      await node?.close();
    } finally {
      await vault.close();
    }
  };
  try {
    await node?.start(() => undefined, context.signal);
  } catch (error) {
    await close();
    throw error;
  }
  return { vault, close };
}

async function openWherever(context: Context): Promise<Opened> {
  const opened = await openDaemonsVault(context);
  if (opened !== undefined) return opened;
  try {
    return await openLocalVault(context);
  } catch (error) {
    // A daemon may have come up just now.
    const daemons = isKithError(error, 'locked') ? await openDaemonsVault(context) : undefined;
    if (daemons === undefined) throw error;
    return daemons;
  }
}

/**
 * Takes the vault where it is open: the daemon's if one runs, else in this process. Works, and closes it whatever happens. The code
 * for it is loaded only here: help stays quick.
 */
export async function withVault<T>(context: Context, work: (vault: VaultApi) => Promise<T>): Promise<T> {
  const opened = await openWherever(context);
  try {
    return await work(opened.vault);
  } finally {
    await opened.close();
  }
}

/** Runs a long operation with its progress, problems and items shown as the options ask. */
export async function withOperation<T>(
  context: Context,
  work: (operation: Operation) => Promise<T>,
): Promise<T> {
  const { output } = context;
  const terminal = context.progress && !output.json && process.stderr.isTTY && process.env['TERM'] !== 'dumb';
  const view = new ProgressView({
    draw: terminal ? (text) => process.stderr.write(text) : undefined,
    // Some terminals say 0 for not knowing.
    columns: () => process.stderr.columns || 80,
    status: context.progress && output.json ? (fields) => output.event('status', fields) : undefined,
    clock: systemClock,
  });
  output.live = view;
  try {
    return await work({
      signal: context.signal,
      onProgress: (progress) => view.update(progress),
      onProblem: output.problem,
      ...(output.verbose && {
        onItem: ({ action, path, bytes }) => {
          output.event('verbose_status', { action, item: path, bytes });
          output.print(`${action.padEnd(10)} ${shown(path)}`);
        },
      }),
    });
  } finally {
    view.clear();
    output.live = undefined;
  }
}
