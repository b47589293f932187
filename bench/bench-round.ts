import { execFile } from 'node:child_process';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { compareTrees } from '../lib/source/compare.ts';
import { mtimeGrainNs } from '../lib/source/native.ts';
import { syncedFloorMs } from './bench-files.ts';
import type { PeerRound, Round, Step } from './bench-results.ts';
import { copyCorpus, type Corpus } from './corpus-store.ts';
import { editCorpus, editOneLine } from './edits.ts';
import type { Launcher, StepFigures } from './launcher.ts';
import type { Peer, PeerName } from './peer.ts';
import { makePeer } from './peers.ts';

/** Shards that kith writes at a time: two packs of six. */
const floorFilesAtOnce = 12;
const floorFolders = 6;
const differencesShown = 10;

export interface RoundOptions {
  readonly corpus: Corpus;
  /** In the order of this round. */
  readonly peers: readonly PeerName[];
  readonly launcher: Launcher;
  /** Made for the round, and removed after it. */
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

/** A program and what is known of it so far. */
interface Runner {
  readonly peer: Peer;
  readonly steps: Partial<Record<Step, StepFigures>>;
  storedBytes: number;
  addedBytes: number;
  lineAddedBytes?: number;
  lineSaidBytes?: number;
  differences: number;
}

/**
 * All steps of all programs with one corpus: each step by one program after the other, so that what slows the machine for a while
 * slows all of them. Before each timed step everything is on the disk that was written before.
 */
export async function runRound(options: RoundOptions): Promise<Round> {
  const { corpus, folder, signal } = options;
  const source = join(folder, 'source');
  await mkdir(folder);
  try {
    await copyCorpus(corpus, source, signal);
    const runners: Runner[] = options.peers.map((name) => ({
      peer: makePeer(name, options.launcher, folder),
      steps: {},
      storedBytes: 0,
      addedBytes: 0,
      differences: 0,
    }));
    for (const { peer } of runners) await peer.prepare();
    const diskAloneMs = await firstBackups(runners, source, options);
    const edited = await editCorpus(corpus.name, corpus.path, source);
    await editedBackups(runners, source, options);
    await restores(runners, source, options);
    await timed('check', runners, options, async ({ peer, steps }) => {
      const figures = await peer.check();
      if (figures !== undefined) steps.check = figures;
    });
    if (corpus.name === 'text') await lineBackups(runners, source, options);
    return {
      peers: Object.fromEntries(runners.map((runner) => [runner.peer.name, told(runner)])),
      order: options.peers,
      diskAloneMs,
      editedFiles: edited.files,
      editedBytes: edited.newBytes,
    };
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function firstBackups(
  runners: readonly Runner[],
  source: string,
  options: RoundOptions,
): Promise<number> {
  let diskAloneMs = 0;
  await timed('initial', runners, options, async (runner) => {
    const { peer, steps } = runner;
    steps.initial = (await peer.backup(source)).figures;
    runner.storedBytes = peer.storedBytes();
    if (peer.name !== 'kith') return;
    await synced(options);
    const at = join(options.folder, 'disk alone');
    const floor = { folders: floorFolders, filesAtOnce: floorFilesAtOnce };
    diskAloneMs = Math.round(await syncedFloorMs(at, runner.storedBytes, floor));
    await rm(at, { recursive: true });
  });
  await timed('unchanged', runners, options, async ({ peer, steps }) => {
    steps.unchanged = (await peer.backup(source)).figures;
  });
  return diskAloneMs;
}

async function editedBackups(
  runners: readonly Runner[],
  source: string,
  options: RoundOptions,
): Promise<void> {
  await timed('edited', runners, options, async (runner) => {
    const before = runner.peer.storedBytes();
    runner.steps.edited = (await runner.peer.backup(source)).figures;
    runner.addedBytes = runner.peer.storedBytes() - before;
  });
}

/**
 * Restores are compared whole with the source. What came back stays until the round has ended: for minutes after a removal ext4 looks for
 * inodes that were not in use just now, and whoever makes many files then would pay for those that another program's restore left.
 */
async function restores(runners: readonly Runner[], source: string, options: RoundOptions): Promise<void> {
  await timed('restore', runners, options, async (runner) => {
    const target = join(options.folder, `back from ${runner.peer.name}`);
    await mkdir(target);
    runner.steps.restore = await runner.peer.restore(target);
    const compared = compareTrees(source, join(target, source), {
      mtimeGrainNs: mtimeGrainNs(),
      signal: options.signal,
    });
    for await (const difference of compared) {
      if (runner.differences++ < differencesShown) options.say(`  ${runner.peer.name}: ${difference}`);
    }
  });
}

async function lineBackups(runners: readonly Runner[], source: string, options: RoundOptions): Promise<void> {
  editOneLine(source);
  await timed('one line', runners, options, async (runner) => {
    const before = runner.peer.storedBytes();
    const { saidStoredBytes } = await runner.peer.backup(source);
    runner.lineAddedBytes = runner.peer.storedBytes() - before;
    if (saidStoredBytes !== undefined) runner.lineSaidBytes = saidStoredBytes;
  });
}

async function timed(
  step: string,
  runners: readonly Runner[],
  options: RoundOptions,
  work: (runner: Runner) => Promise<void>,
): Promise<void> {
  for (const runner of runners) {
    options.say(`  ${step}: ${runner.peer.name}`);
    await synced(options);
    await work(runner);
  }
}

async function synced({ signal }: RoundOptions): Promise<void> {
  signal.throwIfAborted();
  await promisify(execFile)('sync');
}

function told(runner: Runner): PeerRound {
  const { peer, ...figures } = runner;
  return { redundancy: peer.redundancy, ...figures };
}
