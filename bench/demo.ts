import { realpathSync, statSync } from 'node:fs';
import { mkdtemp, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { utf8 } from '../lib/base/bytes.ts';
import { messageOf } from '../lib/base/errors.ts';
import { FolderChain } from '../lib/source/folder-chain.ts';
import { removeTree } from '../lib/source/remove-tree.ts';
import { Screen } from './demo-screen.ts';
import { DrivesStory } from './demo-drives.ts';
import { FriendsStory, type DemoTransport } from './demo-friends.ts';
import { DemoFailure, Stage } from './demo-stage.ts';

const usage = `Usage: npm run demo [-- [--keep] [FOLDER]]

Starts seven computers as processes of their own on this machine: you and six friends. Backs up FOLDER (default: a
made-up one of about 256 MB) to the friends, kills three of them, deletes your home, recovers from the 24 words and one
friend's card, restores, and compares everything.
FOLDER is only read. Everything else happens in a temporary folder, which is removed at the end.

  --drives        six folders that stand for disks in place of friends; two of them die
  --transport T   direct (TCP), dht (UDP, found by key) or both, which is the default
  --keep          leave the temporary folder
  --scale N       size of the made-up folder: 1 is about 256 MB
  --help          this text
`;

interface Asked {
  readonly given: string | undefined;
  readonly keep: boolean;
  readonly scale: number;
  readonly drives: boolean;
  readonly transport: DemoTransport;
}

/** A mistake in how the demo was called; exit status 2. */
class UsageFailure extends Error {}

function readCommandLine(): Asked | 'help' {
  let parsed;
  try {
    parsed = parseArgs({
      allowPositionals: true,
      options: {
        keep: { type: 'boolean' },
        drives: { type: 'boolean' },
        scale: { type: 'string' },
        transport: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new UsageFailure(messageOf(error), { cause: error });
  }
  const { values, positionals } = parsed;
  if (values.help === true) return 'help';
  if (positionals.length > 1) throw new UsageFailure('name one folder');
  const scale = Number(values.scale ?? '1');
  if (!(scale >= 0.001 && scale <= 100)) throw new UsageFailure('--scale is a number from 0.001 to 100');
  const { transport = 'both' } = values;
  if (transport !== 'both' && transport !== 'direct' && transport !== 'dht')
    throw new UsageFailure('--transport is direct, dht or both');
  const [path] = positionals;
  return {
    given: path === undefined ? undefined : folderAt(path),
    keep: values.keep === true,
    scale,
    drives: values.drives === true,
    transport,
  };
}

/** The folder itself, whatever links lead to it. */
function folderAt(path: string): string {
  const folder = resolve(path);
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new UsageFailure(`${folder} is not a folder`);
  }
  const real = realpathSync(folder);
  if (!relative(real, realpathSync(tmpdir())).startsWith('..')) {
    throw new UsageFailure(`${folder} has the folder for temporary files in it; set TMPDIR to one elsewhere`);
  }
  return real;
}

/** Removes a folder with all that is in it, whatever its names and modes. */
function remove(folder: string): void {
  const chain = new FolderChain(utf8(dirname(folder)));
  try {
    removeTree(chain, utf8(basename(folder)));
  } finally {
    chain.close();
  }
}

async function runDemo(asked: Asked): Promise<number> {
  const screen = new Screen();
  const controller = new AbortController();
  const stop = (): void => controller.abort(new Error('interrupted'));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
  // Nobody reads any more (`| head`): there is nothing to tell, but a folder to remove.
  process.stdout.on('error', stop);
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'kith-demo-')));
  const { given, keep, scale, drives, transport } = asked;
  screen.title('kith demo');
  screen.gap();
  screen.say(
    drives
      ? 'A folder goes out to six disks. Two of them die, and the computer with all its keys is lost. ' +
          'With 24 words on paper and the disks that are left, everything comes back.'
      : 'A folder goes out to six friends. Three of them are lost, and your own computer with all its keys. ' +
          'With 24 words on paper and the card of one friend, everything comes back.',
    0,
  );
  screen.gap();
  screen.say(`All of it happens in ${folder}${keep ? '.' : ', which is removed at the end.'}`, 0);
  try {
    const stage = new Stage({ folder, given, scale, screen, signal: controller.signal });
    const story = drives ? new DrivesStory(stage) : new FriendsStory(stage, transport);
    const good = await story.tell();
    if (!good) process.stderr.write('demo: not everything came back as it was; see "Comparison" above.\n');
    return good ? 0 : 1;
  } catch (error) {
    screen.clear();
    if (controller.signal.aborted) {
      process.stderr.write('demo: interrupted\n');
      return 130;
    }
    const text = error instanceof DemoFailure ? error.message : error instanceof Error ? error.stack : error;
    process.stderr.write(`demo: ${String(text)}\n`);
    return 1;
  } finally {
    screen.clear();
    if (keep) screen.say(`Left for you: ${folder}`, 0);
    else remove(folder);
  }
}

async function main(): Promise<number> {
  try {
    const asked = readCommandLine();
    if (asked !== 'help') return await runDemo(asked);
    process.stdout.write(usage);
    return 0;
  } catch (error) {
    if (!(error instanceof UsageFailure)) throw error;
    process.stderr.write(`demo: ${error.message}\n\n${usage}`);
    return 2;
  }
}

process.exitCode = await main();
