import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { initVault, openVault } from '../../lib/vault/index.ts';

/** The compiled command line that belongs to this test. */
export const mainPath: string = findMain();

function findMain(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (dirname(folder) !== folder) {
    for (const path of [join(folder, 'cli', 'kith.cjs'), join(folder, 'dist', 'cli', 'kith.cjs')]) {
      if (existsSync(path)) return path;
    }
    folder = dirname(folder);
  }
  throw new Error('cli/kith.cjs is not built');
}

/** How a process ended and what it said. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly uid?: number;
  readonly input?: string;
  /** Called with all of stdout so far, whenever there is more. */
  readonly onStdout?: (stdout: string, kill: (signal: NodeJS.Signals) => void) => void;
}

/** Runs kith as a process of its own, with nothing of this process's environment but PATH. */
export async function runKith(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const child = spawn(process.execPath, [mainPath, ...args], {
    stdio: 'pipe',
    env: { PATH: process.env['PATH'], TZ: 'UTC', ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    options.onStdout?.(stdout, (signal) => child.kill(signal));
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.stdin.end(options.input ?? '');
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  return { code, stdout, stderr };
}

/** JSON objects of NDJSON output, in order. */
export function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** The one `summary` of a streaming command. */
export function summaryOf(ended: Ended): Record<string, unknown> {
  const lines = jsonLines(ended.stdout);
  const last = lines.at(-1);
  if (last?.['message_type'] !== 'summary') throw new Error(`no summary: ${ended.stdout}${ended.stderr}`);
  return last;
}

/** The last `exit_error` on stderr. */
export function exitErrorOf(ended: Ended): Record<string, unknown> {
  const last = jsonLines(ended.stderr).at(-1);
  if (last?.['message_type'] !== 'exit_error') throw new Error(`no exit_error: ${ended.stderr}`);
  return last;
}

/** One person's computer in a temporary folder: a home, disks, files. */
export class World {
  readonly folder: string;
  readonly #uid: number | undefined;

  private constructor(folder: string, uid: number | undefined) {
    this.folder = folder;
    this.#uid = uid;
  }

  /** With `uid`, the folder belongs to that user and kith runs as them. */
  static async make(uid?: number): Promise<World> {
    const folder = await mkdtemp(join(tmpdir(), 'kith-cli-'));
    if (uid !== undefined) await chown(folder, uid, uid);
    return new World(folder, uid);
  }

  path(...parts: readonly string[]): string {
    return join(this.folder, ...parts);
  }

  /** Runs kith with this world's home. */
  async kith(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
    return runKith(args, {
      cwd: this.folder,
      ...(this.#uid === undefined ? {} : { uid: this.#uid }),
      ...options,
      env: { HOME: this.folder, KITH_HOME: this.path('home'), ...options.env },
    });
  }

  /** Like kith, but any exit status other than 0 is an error with all that was said. */
  async ok(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
    const ended = await this.kith(args, options);
    if (ended.code !== 0) {
      throw new Error(`kith ${args.join(' ')} ended with ${ended.code}\n${ended.stdout}${ended.stderr}`);
    }
    return ended;
  }

  /**
   * An identity whose phrase is in `phrase.txt`, and drives d1 … dN. Made in this process where that gives the same: a
   * process for each costs half a second, and first-light.test.ts shows that the commands do it.
   */
  async start(drives: number): Promise<void> {
    if (this.#uid === undefined) {
      const { phrase } = await initVault({ home: this.path('home'), name: 'tess' });
      await writeFile(this.path('phrase.txt'), `${phrase}\n`);
    } else {
      await this.ok(['init', '--name', 'tess', '--phrase-out', 'phrase.txt']);
    }
    await this.addDrives(...Array.from({ length: drives }, (_, index) => `d${index + 1}`));
  }

  /** Folders of these names become drives of these names. */
  async addDrives(...names: readonly string[]): Promise<void> {
    for (const name of names) {
      await mkdir(this.path(name), { recursive: true });
      if (this.#uid !== undefined) await chown(this.path(name), this.#uid, this.#uid);
    }
    if (this.#uid === undefined) {
      const vault = await openVault({ home: this.path('home') });
      try {
        for (const name of names) await vault.driveAdd({ path: this.path(name), name });
      } finally {
        await vault.close();
      }
    } else {
      for (const name of names) await this.ok(['drive', 'add', name, '--name', name]);
    }
  }

  async remove(): Promise<void> {
    await chmod(this.folder, 0o700);
    await rm(this.folder, { recursive: true, force: true });
  }
}
