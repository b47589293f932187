import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, loadavg, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { makeBigFile, syncedFloorMs } from './bench-files.ts';
import { KithDaemon } from './demo-daemon.ts';
import { runKith } from './run-kith.ts';

/**
 * Backup of one random file to one, three and five friends on this machine, each a process of its own, over each transport: MB/s of
 * source data and of what is sent, peak memory of the owner's daemon, and beside it what the disk takes (docs/bench.md).
 */
const { values } = parseArgs({
  options: {
    quick: { type: 'boolean' },
    rounds: { type: 'string' },
    save: { type: 'string' },
    /** Only with so many friends, only by tcp or udp. */
    friends: { type: 'string' },
    by: { type: 'string' },
  },
});
const quick = values.quick === true;
const fileBytes = quick ? 64e6 : 256e6;
const rounds = Math.max(1, Math.trunc(Number(values.rounds ?? (quick ? '1' : '3'))) || 1);
const resultsFolder = fileURLToPath(new URL('../../bench/results/', import.meta.url));

const cases = [
  { friends: 1, spread: '1/1' },
  { friends: 3, spread: '2/3' },
  { friends: 5, spread: '3/5' },
].filter(({ friends }) => values.friends === undefined || values.friends === String(friends));
const transports = [
  { by: 'tcp', name: 'TCP', flags: ['--no-dht'] },
  { by: 'udp', name: 'UDP (dht)', flags: ['--no-direct'] },
].filter(({ by }) => values.by === undefined || values.by === by);

interface Cpu {
  readonly owner: number;
  readonly friends: number;
}

interface Run {
  readonly backupMs: number;
  readonly restoreMs: number;
  readonly storedBytes: number;
  /** Processor time of the backup and of the restore: the owner's daemon, and all friends. */
  readonly cpuMs: { readonly backup: Cpu; readonly restore: Cpu };
  readonly peakBytes: number;
  readonly friendPeakBytes: number;
}

interface Row {
  readonly transport: string;
  readonly friends: number;
  readonly spread: string;
  readonly runs: readonly Run[];
  readonly floorMs: number;
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
}

const controller = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => controller.abort());

/** One owner and friends, from nothing: the backup and the restore timed as commands through the daemon. */
async function runOnce(
  folder: string,
  count: number,
  spread: string,
  flags: readonly string[],
): Promise<Run> {
  const { signal } = controller;
  const names = ['you', ...Array.from({ length: count }, (_, i) => `friend${i + 1}`)];
  const place = (name: string): { cwd: string; home: string; signal: AbortSignal } => {
    const cwd = join(folder, name);
    return { cwd, home: join(cwd, 'home'), signal };
  };
  const kith = async (name: string, args: readonly string[]): Promise<{ stdout: string; ms: number }> => {
    const ended = await runKith(args, place(name));
    if (ended.code !== 0) throw new Error(`${name}: kith ${args.join(' ')} ended with ${ended.code}`);
    return ended;
  };
  const daemons = new Map<string, KithDaemon>();
  try {
    for (const name of names) {
      await mkdir(join(folder, name), { recursive: true });
      await kith(name, ['init', '--name', name, '--phrase-out', 'phrase.txt', '--quiet']);
      const first = daemons.get('you');
      const bootstrap = first === undefined ? [] : ['--bootstrap', first.listen];
      const args = ['up', '--json', '--listen', '127.0.0.1:0', ...flags, ...bootstrap];
      daemons.set(name, await KithDaemon.start(args, place(name)));
      await kith(name, ['card', '--out', 'card.txt', '--quiet']);
    }
    for (const name of names.slice(1)) {
      await kith(name, ['friend', 'add', '../you/card.txt', '--name', 'you', '--quota', '50GB', '--quiet']);
      await kith('you', [
        'friend',
        'add',
        `../${name}/card.txt`,
        '--name',
        name,
        '--quota',
        '1GB',
        '--quiet',
      ]);
    }
    for (;;) {
      const { stdout } = await kith('you', ['status', '--json']);
      const { friends } = JSON.parse(stdout) as { friends: { online: boolean }[] };
      if (friends.every(({ online }) => online)) break;
      signal.throwIfAborted();
    }
    await makeBigFile(join(folder, 'you', 'film.mp4'), fileBytes);
    const cpu = (): Cpu => {
      const owner = daemons.get('you')?.processorMs() ?? 0;
      const all = [...daemons.values()].reduce((sum, daemon) => sum + daemon.processorMs(), 0);
      return { owner, friends: all - owner };
    };
    const since = (then: Cpu, now: Cpu): Cpu => {
      return { owner: now.owner - then.owner, friends: now.friends - then.friends };
    };
    const atFirst = cpu();
    const backup = await kith('you', ['backup', 'film.mp4', '--spread', spread, '--json', '--no-progress']);
    const summary = JSON.parse(backup.stdout.trim().split('\n').at(-1) ?? '') as { data_stored: number };
    const between = cpu();
    const restore = await kith('you', ['restore', 'latest', '--target', 'back', '--quiet']);
    const atLast = cpu();
    return {
      cpuMs: { backup: since(atFirst, between), restore: since(between, atLast) },
      backupMs: backup.ms,
      restoreMs: restore.ms,
      storedBytes: summary.data_stored,
      peakBytes: daemons.get('you')?.peakBytes() ?? 0,
      friendPeakBytes: Math.max(...names.slice(1).map((name) => daemons.get(name)?.peakBytes() ?? 0)),
    };
  } finally {
    await Promise.all([...daemons.values()].map((daemon) => daemon.stop()));
    await rm(folder, { recursive: true, force: true });
  }
}

const base = await mkdtemp(join(tmpdir(), 'kith-bench-friends-'));
const rows: Row[] = [];
try {
  for (const { friends, spread } of cases) {
    for (const { name, flags } of transports) {
      const runs: Run[] = [];
      for (let round = 0; round < rounds; round++) {
        process.stderr.write(`\r${name}, ${friends} friends, round ${round + 1} of ${rounds}\x1b[K`);
        runs.push(await runOnce(join(base, `${friends}-${round}`), friends, spread, flags));
      }
      const floorMs = await syncedFloorMs(
        join(base, `floor-${rows.length}`),
        median(runs.map((run) => run.storedBytes)),
      );
      rows.push({ transport: name, friends, spread, runs, floorMs });
    }
  }
} finally {
  await rm(base, { recursive: true, force: true });
}
process.stderr.write('\r\x1b[K');
const rate = (bytes: number, ms: number): string => `${Math.round(bytes / 1000 / Math.max(1, ms))}`;
const cpuWords = (all: readonly Cpu[]): string => {
  const aGigabyte = (ms: readonly number[]): number => Math.round((median(ms) * 1e9) / fileBytes);
  return `${aGigabyte(all.map(({ owner }) => owner))} + ${aGigabyte(all.map(({ friends }) => friends))}`;
};
const mega = (bytes: number): string => `${Math.round(bytes / 1e6)}`;
process.stdout.write(
  'transport   friends spread | backup MB/s  sent MB/s  restore MB/s | disk alone MB/s | peak MB owner, friend | processor ms a GB of source: backup, restore (owner + friends)\n',
);
for (const { transport, friends, spread, runs, floorMs } of rows) {
  const backupMs = median(runs.map((run) => run.backupMs));
  const stored = median(runs.map((run) => run.storedBytes));
  const restoreMs = median(runs.map((run) => run.restoreMs));
  process.stdout.write(
    `${transport.padEnd(11)} ${String(friends).padStart(7)} ${spread.padStart(6)} | ` +
      `${rate(fileBytes, backupMs).padStart(11)} ${rate(stored, backupMs).padStart(10)} ${rate(fileBytes, restoreMs).padStart(13)} | ` +
      `${rate(stored, floorMs).padStart(15)} | ` +
      `${mega(Math.max(...runs.map((run) => run.peakBytes)))}, ${mega(Math.max(...runs.map((run) => run.friendPeakBytes)))} | ` +
      `${cpuWords(runs.map(({ cpuMs }) => cpuMs.backup))}, ${cpuWords(runs.map(({ cpuMs }) => cpuMs.restore))}\n`,
  );
}
if (values.save !== undefined) {
  const machine = {
    cpu: cpus()[0]?.model ?? '',
    cores: cpus().length,
    memoryBytes: totalmem(),
    kernel: release(),
    load: loadavg()[0],
  };
  const path = join(resultsFolder, `${values.save}.json`);
  const text = JSON.stringify(
    { date: new Date().toISOString(), node: process.version, machine, fileBytes, rows },
    null,
    2,
  );
  await writeFile(path, `${text}\n`);
}
