import { setTimeout } from 'node:timers/promises';
import { KithError } from '../../lib/base/errors.ts';
import { requireVault } from '../context.ts';
import { logText } from '../log-words.ts';
import { localTime, shown } from '../words.ts';
import type { LogEntry } from '../../lib/daemon/log-file.ts';
import type { Args } from '../args.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

/** Entries shown unless told otherwise, and at most. */
const countDefault = 50;
const countMax = 100_000;

/** How often it is looked for more. */
const followMs = 200;

function entryLine(entry: LogEntry): string {
  const { time, level } = entry;
  const date = Date.parse(time);
  const when = Number.isNaN(date) ? '' : `${localTime(BigInt(date) * 1_000_000n)}  `;
  return `${when}${level === 'info' ? '' : `${level}: `}${shown(logText(entry))}`;
}

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const { output, home, signal } = context;
  const given = args.text('lines') ?? String(countDefault);
  const count = /^\d{1,6}$/.test(given) ? Number(given) : Number.NaN;
  if (!(count <= countMax))
    throw new KithError('usage', `--lines takes a number up to ${countMax}, not "${given}".`);
  await requireVault(home);
  const { readLog, followLog } = await import('../../lib/daemon/read-log.ts');
  const entries = count === 0 ? [] : await readLog(home, count);
  if (!args.flag('follow')) {
    output.document(entries);
    if (entries.length === 0) output.say('Nothing has been written yet. kith up writes the log.');
    output.print(...entries.map(entryLine));
    return undefined;
  }
  const show = (entry: LogEntry): void => {
    output.document(entry);
    output.print(entryLine(entry));
  };
  for (const entry of entries) show(entry);
  const rest = (): Promise<void> => setTimeout(followMs, undefined, { signal }).catch(() => undefined);
  for await (const entry of followLog(home, signal, rest)) {
    show(entry);
    await output.drained();
    if (output.closed) break;
  }
  return undefined;
}

export const logCommand: Command = {
  name: 'log',
  describe: 'What the kith that runs here has done',
  positionals: [],
  options: {
    lines: { type: 'text', alias: 'n', value: 'N', describe: `So many entries (default: ${countDefault})` },
    follow: { type: 'flag', alias: 'f', describe: 'Go on showing what is added, until Ctrl-C' },
  },
  examples: [
    ['kith log', 'the newest entries'],
    ['kith log -n 500 --json', 'for programs'],
    ['kith log --follow', 'watch it work'],
  ],
  onInterrupt: 'end',
  run,
};
