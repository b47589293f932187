import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { initVault, openVault, type Spread } from '../lib/vault/index.ts';

/** What a job's process is told. */
export type VaultJob =
  | { readonly kind: 'backup'; readonly home: string; readonly path: string; readonly spread: Spread }
  | { readonly kind: 'restore'; readonly home: string; readonly target: string };

/** What a job's process tells. */
export interface VaultJobResult {
  /** Nothing was left out or failed. */
  readonly sound: boolean;
  readonly storedBytes: number;
  /** Milliseconds by stage; stages that overlap count each. */
  readonly stages: Readonly<Record<string, number>>;
  /** Processor time of all its threads: steadier than the clock where others work on the same machine. */
  readonly cpuMs: number;
  /** The most memory that the process ever had. */
  readonly peakBytes: number;
}

/** A job and how long its process took, its start included. */
export interface MeasuredJob extends VaultJobResult {
  readonly ms: number;
}

const driveCount = 6;
const spread: Spread = { k: 3, n: 5 };
const jobMain = fileURLToPath(new URL('vault-job.js', import.meta.url));

/** A home and six drives in a folder. */
export class BenchVault {
  readonly #home: string;

  private constructor(home: string) {
    this.#home = home;
  }

  static async make(folder: string): Promise<BenchVault> {
    const home = join(folder, 'home');
    await initVault({ home, name: 'bench' });
    const vault = await openVault({ home });
    try {
      for (let index = 1; index <= driveCount; index++) {
        const path = join(folder, `drive ${index}`);
        await mkdir(path);
        await vault.driveAdd({ path });
      }
    } finally {
      await vault.close();
    }
    return new BenchVault(home);
  }

  backup(path: string, signal?: AbortSignal): Promise<MeasuredJob> {
    return runJob({ kind: 'backup', home: this.#home, path, spread }, signal);
  }

  restore(target: string, signal?: AbortSignal): Promise<MeasuredJob> {
    return runJob({ kind: 'restore', home: this.#home, target }, signal);
  }
}

async function runJob(job: VaultJob, signal: AbortSignal | undefined): Promise<MeasuredJob> {
  signal?.throwIfAborted();
  const began = performance.now();
  const child = spawn(process.execPath, [jobMain, JSON.stringify(job)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    // As the command line has it (cli/kith.cts).
    env: { UV_THREADPOOL_SIZE: '16', ...process.env },
  });
  const stop = (): void => {
    child.kill('SIGKILL');
  };
  signal?.addEventListener('abort', stop, { once: true });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    output += part;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  signal?.removeEventListener('abort', stop);
  signal?.throwIfAborted();
  if (code !== 0) throw new Error(`the ${job.kind} ended with exit status ${code}`);
  const result = JSON.parse(output) as VaultJobResult;
  if (!result.sound) throw new Error(`the ${job.kind} was not complete`);
  return { ...result, ms: performance.now() - began };
}
