import { execFileSync, spawn } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from '../lib/base/errors.ts';

/** What one command took. Times in milliseconds; processor time and memory only where GNU time is installed. */
export interface StepFigures {
  /** From its start to its end, as the bench sees it. */
  readonly wallMs: number;
  /** User and system time of the command and of every process that it waited for. */
  readonly cpuMs?: number;
  /** The most memory that the command, or the largest of its processes, ever had in memory. */
  readonly peakBytes?: number;
}

/** A command that ended. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  /** The end of what it said on stderr, for messages. */
  readonly complaint: string;
  readonly figures: StepFigures;
}

/** Where and with what a command runs. */
export interface LaunchOptions {
  readonly cwd: string;
  /** Added to, or in place of, what the bench itself was given. */
  readonly env?: Readonly<Record<string, string>>;
}

const complaintLength = 2000;
/** Seconds of user and of system time, and KiB. */
const format = '%U %S %M';

/**
 * Starts commands one at a time and says what they took.
 *
 * Peak memory is wait4's, taken by GNU time: a child that Node starts itself inherits the high-water mark of Node's own memory
 * through fork and exec, so that small commands would look as big as the bench. Between them stands a process of 1 MB.
 */
export class Launcher {
  readonly #timer: string | undefined;
  readonly #folder: string;
  readonly #signal: AbortSignal | undefined;

  /** The folder takes a small file while a command runs. A signal that fires ends the command and all that it started. */
  constructor(folder: string, signal?: AbortSignal) {
    this.#folder = folder;
    this.#signal = signal;
    this.#timer = ['/usr/bin/time', 'gtime'].find(isGnuTime);
  }

  /** Whether processor time and memory are measured. */
  get measuresAll(): boolean {
    return this.#timer !== undefined;
  }

  /** Resolves whatever the exit status; rejects where the command could not be started, and with the signal's reason. */
  async run(command: string, args: readonly string[], options: LaunchOptions): Promise<Ended> {
    this.#signal?.throwIfAborted();
    const note = join(this.#folder, 'took.txt');
    const [program, rest] =
      this.#timer === undefined
        ? [command, args]
        : [this.#timer, ['-q', '-o', note, '-f', format, '--', command, ...args]];
    const began = performance.now();
    const { code, stdout, complaint, ended } = await this.#spawn(program, rest, options);
    const wallMs = Math.round(ended - began);
    if (this.#timer === undefined) return { code, stdout, complaint, figures: { wallMs } };
    const took = parseTook(await readFile(note, 'latin1'));
    await rm(note);
    return { code, stdout, complaint, figures: { wallMs, ...took } };
  }

  async #spawn(
    program: string,
    args: readonly string[],
    options: LaunchOptions,
  ): Promise<{ code: number; stdout: string; complaint: string; ended: number }> {
    // A process group of its own, so that all of it can be ended.
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    const stop = (): void => {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch (error) {
        if (systemCode(error) !== 'ESRCH') throw error;
      }
    };
    this.#signal?.addEventListener('abort', stop, { once: true });
    try {
      let stdout = '';
      let complaint = '';
      let ended = 0;
      child.stdout.setEncoding('utf8').on('data', (part: string) => {
        stdout += part;
      });
      child.stderr.setEncoding('utf8').on('data', (part: string) => {
        complaint = (complaint + part).slice(-complaintLength);
      });
      child.on('exit', () => {
        ended = performance.now();
      });
      const code = await new Promise<number | null>((resolve, reject) => {
        child.on('error', reject);
        child.on('close', resolve);
      });
      this.#signal?.throwIfAborted();
      return { code: code ?? 128, stdout, complaint: complaint.trim(), ended };
    } finally {
      this.#signal?.removeEventListener('abort', stop);
    }
  }
}

/** What GNU time wrote by our format; its last line, as others may stand above. */
export function parseTook(text: string): { cpuMs: number; peakBytes: number } {
  const [user, system, kibibytes] = (text.trim().split('\n').at(-1) ?? '').split(' ').map(Number);
  const cpuMs = Math.round(((user ?? NaN) + (system ?? NaN)) * 1000);
  const peakBytes = (kibibytes ?? NaN) * 1024;
  if (!Number.isFinite(cpuMs) || !Number.isFinite(peakBytes)) {
    throw new Error(`GNU time said something else than times: ${JSON.stringify(text)}`);
  }
  return { cpuMs, peakBytes };
}

function isGnuTime(path: string): boolean {
  try {
    return execFileSync(path, ['--version'], { encoding: 'utf8', stdio: 'pipe' }).includes('GNU');
  } catch {
    return false;
  }
}
