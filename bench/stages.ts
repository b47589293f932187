import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { countOf, formatDuration, formatSize } from '../lib/base/units.ts';
import { makeBigFile, makePhotos, makeTexts, syncedFloorMs } from './bench-files.ts';
import { median } from './bench-results.ts';
import { BenchVault, type MeasuredJob } from './bench-vault.ts';
import { circumstances, saveResult } from './machine.ts';

/**
 * Backup and restore to six drive folders at 3/5: MB/s of source data, shares of the stages, peak memory, and beside it
 * what the disk takes of synced writes (docs/bench.md). Folders of this run are removed, whatever happens.
 */
interface Corpus {
  readonly name: string;
  readonly files: number;
  readonly bytes: number;
  readonly path: string;
}

/** Medians over the rounds; rates in MB/s of source data. */
interface Figures {
  readonly ms: readonly number[];
  readonly medianMs: number;
  readonly rate: number;
  readonly cpuMs: number;
  readonly peakBytes: number;
  readonly stages: Readonly<Record<string, number>>;
}

interface CorpusResult {
  readonly name: string;
  readonly files: number;
  readonly bytes: number;
  readonly storedBytes: number;
  readonly backup: Figures;
  readonly unchanged: Figures;
  readonly restore: Figures;
  readonly syncedFloorMs: number;
}

interface Round {
  readonly backup: MeasuredJob;
  readonly unchanged: MeasuredJob;
  readonly restore: MeasuredJob;
  readonly floorMs: number;
}

const started = circumstances();

const { values } = parseArgs({
  options: {
    stages: { type: 'boolean' },
    quick: { type: 'boolean' },
    rounds: { type: 'string' },
    save: { type: 'string' },
  },
});
const quick = values.quick === true;
const roundCount = Math.max(1, Math.trunc(Number(values.rounds ?? (quick ? '1' : '3'))) || 1);

async function makeCorpora(folder: string): Promise<Corpus[]> {
  const bytes = quick ? 64e6 : 512e6;
  const texts = quick ? 2500 : 20_000;
  const path = (name: string): string => join(folder, name);
  const photoCount = await makePhotos(path('photos'), bytes);
  const textBytes = await makeTexts(path('text'), texts);
  await mkdir(path('big file'));
  await makeBigFile(join(path('big file'), 'film.mp4'), bytes);
  return [
    { name: 'photos', files: photoCount, bytes, path: path('photos') },
    { name: 'text', files: texts, bytes: textBytes, path: path('text') },
    { name: 'big file', files: 1, bytes, path: path('big file') },
  ];
}

async function runRound(folder: string, corpus: Corpus, signal: AbortSignal): Promise<Round> {
  await mkdir(folder);
  try {
    const vault = await BenchVault.make(folder);
    const backup = await vault.backup(corpus.path, signal);
    const unchanged = await vault.backup(corpus.path, signal);
    const restore = await vault.restore(join(folder, 'back'), signal);
    const floorMs = await syncedFloorMs(join(folder, 'floor'), backup.storedBytes);
    return { backup, unchanged, restore, floorMs };
  } finally {
    await rm(folder, { recursive: true });
  }
}

function figures(jobs: readonly MeasuredJob[], bytes: number): Figures {
  const ms = jobs.map((job) => Math.round(job.ms));
  const names = [...new Set(jobs.flatMap((job) => Object.keys(job.stages)))];
  return {
    ms,
    medianMs: median(ms),
    rate: Math.round(bytes / 1000 / median(ms)),
    cpuMs: Math.round(median(jobs.map((job) => job.cpuMs))),
    peakBytes: Math.max(...jobs.map((job) => job.peakBytes)),
    stages: Object.fromEntries(
      names.map((name) => [name, Math.round(median(jobs.map((job) => job.stages[name] ?? 0)))]),
    ),
  };
}

function summarise(corpus: Corpus, rounds: readonly Round[]): CorpusResult {
  const of = (kind: 'backup' | 'unchanged' | 'restore'): Figures =>
    figures(
      rounds.map((round) => round[kind]),
      corpus.bytes,
    );
  return {
    name: corpus.name,
    files: corpus.files,
    bytes: corpus.bytes,
    storedBytes: median(rounds.map((round) => round.backup.storedBytes)),
    backup: of('backup'),
    unchanged: of('unchanged'),
    restore: of('restore'),
    syncedFloorMs: Math.round(median(rounds.map((round) => round.floorMs))),
  };
}

function print(result: CorpusResult): void {
  const { name, files, bytes, storedBytes, syncedFloorMs: floorMs } = result;
  console.log(
    `\n${name}: ${countOf(files, 'file')}, ${formatSize(bytes)}; stored ${formatSize(storedBytes)}`,
  );
  for (const kind of ['backup', 'unchanged', 'restore'] as const) {
    const { medianMs, rate, cpuMs, peakBytes, ms } = result[kind];
    const spread = `${formatDuration(Math.min(...ms))} … ${formatDuration(Math.max(...ms))}`;
    console.log(
      `  ${kind.padEnd(10)}${formatDuration(medianMs).padStart(7)}  ${`${rate} MB/s`.padStart(10)}  ` +
        `cpu ${formatDuration(cpuMs).padStart(6)}  peak ${formatSize(peakBytes).padStart(7)}  (${spread})`,
    );
  }
  const floorRate = `${Math.round(bytes / 1000 / floorMs)} MB/s`;
  console.log(
    `  ${'disk alone'.padEnd(10)}${formatDuration(floorMs).padStart(7)}  ${floorRate.padStart(10)}  the stored bytes, synced`,
  );
  for (const kind of ['backup', 'restore'] as const) {
    const { stages, medianMs } = result[kind];
    const shares = Object.entries(stages)
      .sort(([, a], [, b]) => b - a)
      .map(([stage, ms]) => `${stage} ${Math.round((ms / medianMs) * 100)} %`);
    console.log(`  ${kind} stages, of its time: ${shares.join(', ')}`);
  }
}

async function save(name: string, results: readonly CorpusResult[]): Promise<void> {
  const path = await saveResult(name, { ...started, quick, rounds: roundCount, results });
  console.log(`\nSaved as ${path}`);
}

const controller = new AbortController();
process.on('SIGINT', () => controller.abort(new Error('interrupted')));
const folder = await mkdtemp(join(tmpdir(), 'kith-bench-'));
try {
  console.error('making files …');
  const corpora = await makeCorpora(folder);
  const rounds = new Map<Corpus, Round[]>(corpora.map((corpus) => [corpus, []]));
  for (let round = 1; round <= roundCount; round++) {
    for (const [corpus, done] of rounds) {
      console.error(`round ${round} of ${roundCount}: ${corpus.name} …`);
      done.push(await runRound(join(folder, 'round'), corpus, controller.signal));
    }
  }
  const results = [...rounds].map(([corpus, done]) => summarise(corpus, done));
  console.log(`${countOf(roundCount, 'round')}, medians; six drive folders at 3/5; files in the page cache`);
  for (const result of results) print(result);
  if (values.save !== undefined) await save(values.save, results);
} catch (error) {
  if (!controller.signal.aborted) throw error;
  console.error('bench: interrupted');
  process.exitCode = 130;
} finally {
  await rm(folder, { recursive: true, force: true });
}
