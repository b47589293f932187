import { readFileSync } from 'node:fs';
import { openVault } from '../lib/vault/index.ts';
import type { VaultJob, VaultJobResult } from './bench-vault.ts';

/** One backup or restore in a process of its own, so that its memory can be told. The job is JSON in the first argument. */
const job = JSON.parse(process.argv[2] ?? '') as VaultJob;

/** The most memory that this process ever had, in bytes. */
function peakBytes(): number {
  if (process.platform === 'linux') {
    // Not getrusage: its figure has the parent's memory at the time of the fork in it.
    const match = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'latin1'));
    if (match !== null) return Number(match[1]) * 1024;
  }
  return process.resourceUsage().maxRSS * 1024;
}

const vault = await openVault({ home: job.home });
let result: Omit<VaultJobResult, 'peakBytes' | 'cpuMs'>;
try {
  if (job.kind === 'backup') {
    const summary = await vault.backup({ paths: [job.path], spread: job.spread });
    const sound = summary.state === 'complete' && summary.filesUnreadable === 0;
    result = { sound, storedBytes: summary.dataStored, stages: summary.stages };
  } else {
    const summary = await vault.restore({ what: 'latest', target: job.target });
    result = { sound: summary.filesFailed === 0, storedBytes: 0, stages: summary.stages };
  }
} finally {
  await vault.close();
}
const { user, system } = process.cpuUsage();
const measured = {
  ...result,
  cpuMs: (user + system) / 1000,
  peakBytes: peakBytes(),
} satisfies VaultJobResult;
process.stdout.write(JSON.stringify(measured));
