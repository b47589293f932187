import { existsSync } from 'node:fs';
import { mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatSize } from '../lib/base/units.ts';
import { parseBenchOptions, roundsOf, usage, type BenchOptions } from './bench-options.ts';
import type { CorpusResult, Round } from './bench-results.ts';
import { runRound } from './bench-round.ts';
import { aimsOf } from './aims.ts';
import { corpusLines } from './bench-table.ts';
import type { CorpusName } from './corpora-made.ts';
import { prepareCorpus, sourceOf, type CorpusPlan } from './corpus-store.ts';
import { Launcher } from './launcher.ts';
import { circumstances, saveResult } from './machine.ts';
import type { PeerName } from './peer.ts';
import { rotated, versionOf } from './peers.ts';
import { surveyFolder } from './survey.ts';

/**
 * kith by its command line against restic and borg, one after the other on the same folders (docs/bench.md). All of it happens in a
 * temporary folder, which is removed whatever happens. Exit status 1 where kith restored something else than it was given,
 * 2 for a mistake on the command line or too little room.
 */
class BadStart extends Error {}

/** What a file takes beyond its bytes, at most. */
const blockBytes = 4096;

const say = (line: string): void => console.error(line);
const started = circumstances();
const controller = new AbortController();
const { signal } = controller;
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => controller.abort(new Error('interrupted')));
}

function options(): BenchOptions {
  try {
    return parseBenchOptions(process.argv.slice(2), process.env['INIT_CWD'] ?? process.cwd());
  } catch (error) {
    throw new BadStart(`${(error as Error).message}\n\n${usage}`);
  }
}

/** Versions of the wanted programs that are here. */
function installed(wanted: readonly PeerName[]): Partial<Record<PeerName, string>> {
  const versions: Partial<Record<PeerName, string>> = {};
  for (const name of wanted) {
    const version = versionOf(name);
    if (version === undefined) say(`${name} is not installed here: left out`);
    else versions[name] = version;
  }
  return versions;
}

/** Bytes on the disk at the fullest moment: corpora that are made (and kept until the end where they are to be), and a round of one of them. */
async function roomNeeded(
  plans: readonly CorpusPlan[],
  peers: readonly PeerName[],
  kept: boolean,
): Promise<number> {
  let keptBytes = 0;
  let most = 0;
  for (const plan of plans) {
    const { path, recipe } = sourceOf(plan);
    const here = existsSync(path) || recipe === undefined;
    const { bytes, files } = here ? await surveyFolder(path, signal) : recipe;
    const onDisk = bytes + files * blockBytes;
    const made = here ? 0 : onDisk;
    // The copy, kith's six drives, as much again for the disk alone or what each program restored, and a store for each of the others.
    const round = onDisk * (1 + 1.6 + Math.max(1.6, peers.length) + 1.1 * (peers.length - 1));
    most = Math.max(most, keptBytes + made + round);
    if (kept) keptBytes += made;
  }
  return most;
}

async function checkRoom(folder: string, needed: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  say(`up to ${formatSize(needed)} of room needed, ${formatSize(bavail * bsize)} free`);
  if (bavail * bsize < needed) {
    throw new BadStart(
      `not enough room in ${folder}: set TMPDIR to a larger disk, or choose with --corpus or --quick`,
    );
  }
}

async function measure(
  plan: CorpusPlan,
  peers: readonly PeerName[],
  rounds: number,
  folder: string,
): Promise<CorpusResult> {
  say(`${plan.name}: making files where they are missing`);
  const corpus = await prepareCorpus(plan, signal);
  const launcher = new Launcher(folder, signal);
  if (!launcher.measuresAll) say('GNU time is not installed here: processor time and memory are left out');
  const done: Round[] = [];
  for (let round = 0; round < rounds; round++) {
    say(`${plan.name}: round ${round + 1} of ${rounds}`);
    const order = rotated(peers, round);
    done.push(await runRound({ corpus, peers: order, launcher, folder: join(folder, 'round'), signal, say }));
  }
  const { name, origin, files, bytes } = corpus;
  return { name, origin, files, bytes, rounds: done };
}

async function main(folder: string): Promise<void> {
  if (process.argv.includes('--help')) {
    console.log(usage);
    return;
  }
  const chosen = options();
  const versions = installed(chosen.peers);
  const peers = Object.keys(versions) as PeerName[];
  const plan = (name: CorpusName): CorpusPlan => ({
    name,
    quick: chosen.quick,
    folder: chosen.corporaFolder ?? join(folder, 'corpora'),
    text: chosen.text,
  });
  const plans = chosen.corpora.map(plan);
  await checkRoom(folder, await roomNeeded(plans, peers, chosen.corporaFolder !== undefined));
  const results: CorpusResult[] = [];
  for (const [i, one] of plans.entries()) {
    const result = await measure(one, peers, roundsOf(one.name, chosen), folder);
    results.push(result);
    console.log(`${i === 0 ? '' : '\n'}${corpusLines(result).join('\n')}`);
    if (chosen.corporaFolder === undefined) await rm(one.folder, { recursive: true, force: true });
  }
  if (chosen.quick)
    console.log('\nAims are for the full folders: with small ones the start of a process weighs more.');
  if (chosen.save !== undefined) {
    const aims = Object.fromEntries(results.map((result) => [result.name, aimsOf(result)]));
    const path = await saveResult(chosen.save, { ...started, versions, quick: chosen.quick, results, aims });
    console.log(`\nSaved as ${path}`);
  }
  const wrong = results.filter(({ rounds }) =>
    rounds.some(({ peers: all }) => (all.kith?.differences ?? 0) > 0),
  );
  if (wrong.length === 0) return;
  console.error(
    `bench: kith restored something else than it was given: ${wrong.map(({ name }) => name).join(', ')}`,
  );
  process.exitCode = 1;
}

const folder = await mkdtemp(join(tmpdir(), 'kith-bench-'));
try {
  await main(folder);
} catch (error) {
  if (!signal.aborted && !(error instanceof BadStart)) throw error;
  console.error(`bench: ${signal.aborted ? 'interrupted' : (error as Error).message}`);
  process.exitCode = signal.aborted ? 130 : 2;
} finally {
  // What was told to end may write a last file.
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}
