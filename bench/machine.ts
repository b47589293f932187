import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Others at work when the bench began: over the number of cores, times say little and processor time more. */
const loadAtStart = Math.round((loadavg()[0] ?? 0) * 10) / 10;
const resultsFolder = fileURLToPath(new URL('../../bench/results/', import.meta.url));

/** Where and of what figures were taken: the head of every saved result. */
export function circumstances(): Readonly<Record<string, unknown>> {
  return {
    date: new Date().toISOString().slice(0, 10),
    commit: commit(),
    node: process.version,
    machine: {
      cpu: cpus()[0]?.model.trim(),
      cores: cpus().length,
      memoryBytes: totalmem(),
      system: `${process.platform} ${release()} ${process.arch}`,
    },
    loadAtStart,
  };
}

/** Writes `bench/results/NAME.json` and returns its path. */
export async function saveResult(name: string, document: Readonly<Record<string, unknown>>): Promise<string> {
  await mkdir(resultsFolder, { recursive: true });
  const path = join(resultsFolder, `${basename(name, '.json')}.json`);
  await writeFile(path, `${JSON.stringify(document, null, 2)}\n`);
  return path;
}

function commit(): string | undefined {
  try {
    const git = (...args: string[]): string =>
      execFileSync('git', args, { cwd: resultsFolder, encoding: 'utf8', stdio: 'pipe' }).trim();
    const changed =
      git('status', '--porcelain', '--', '../../lib', '../../cli', '../../bench') === ''
        ? ''
        : ' and changes';
    return `${git('rev-parse', '--short', 'HEAD')}${changed}`;
  } catch {
    return undefined;
  }
}
