import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatDuration, formatSize } from '../lib/base/units.ts';
import { compareTrees } from '../lib/source/compare.ts';
import { mtimeGrainNs } from '../lib/source/native.ts';
import { BenchVault } from './bench-vault.ts';
import { makeBigFile } from './bench-files.ts';

/**
 * One random file through backup and restore to six drive folders, with the peak memory of both processes: run it as
 * `node dist/bench/big-file.js [GB]` (default 5). Needs four times the file's size in the folder for temporary files.
 * Exit status 1 if a process had more memory than it may, or the file came back changed.
 */
const peakBytesMax = 400e6;

const gigabytes = Number(process.argv[2] ?? '5');
if (!(gigabytes > 0 && gigabytes <= 1000)) throw new RangeError('name a size in GB, such as 5');
const bytes = Math.round(gigabytes * 1e9);
const controller = new AbortController();
const { signal } = controller;
process.on('SIGINT', () => controller.abort(new Error('interrupted')));
const folder = await mkdtemp(join(tmpdir(), 'kith-big-file-'));
try {
  const path = join(folder, 'film.mp4');
  await makeBigFile(path, bytes, signal);
  const vault = await BenchVault.make(folder);
  for (const [name, work] of [
    ['backup', () => vault.backup(path, signal)],
    ['restore', () => vault.restore(join(folder, 'back'), signal)],
  ] as const) {
    const { ms, cpuMs, peakBytes } = await work();
    const rate = formatSize((bytes / ms) * 1000);
    console.log(
      `${name.padEnd(8)} ${formatSize(bytes)} in ${formatDuration(ms)} (${rate}/s, cpu ${formatDuration(cpuMs)}), at most ${formatSize(peakBytes)} of memory`,
    );
    if (peakBytes > peakBytesMax) {
      console.log(`  that is more than ${formatSize(peakBytesMax)}`);
      process.exitCode = 1;
    }
  }
  const options = { mtimeGrainNs: mtimeGrainNs(), signal };
  for await (const difference of compareTrees(path, join(folder, 'back', path), options)) {
    console.log(`  ${difference}`);
    process.exitCode = 1;
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
