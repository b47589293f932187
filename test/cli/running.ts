import { spawn, type ChildProcess } from 'node:child_process';
import { jsonLines, mainPath, type World } from './harness.ts';

/** A `kith up` that has said it is ready. */
export interface Running {
  readonly pid: number;
  readonly ready: Record<string, unknown>;
  kill(signal: NodeJS.Signals): void;
  /** Its exit status, once it has ended; null where a signal ended it. */
  readonly ended: Promise<number | null>;
}

const all = new WeakMap<World, ChildProcess[]>();

/** Starts `kith up --json` in a world, listening on a free port of this machine only; resolves when it is ready. */
export async function startUp(
  world: World,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<Running> {
  const child = spawn(process.execPath, [mainPath, 'up', '--json', '--listen', '127.0.0.1:0', ...args], {
    cwd: world.folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], TZ: 'UTC', HOME: world.folder, KITH_HOME: world.path('home'), ...env },
  });
  all.set(world, [...(all.get(world) ?? []), child]);
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  let stdout = '';
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ready = await new Promise<Record<string, unknown>>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      const [line] = stdout.includes('\n') ? jsonLines(stdout) : [];
      if (line !== undefined) resolve(line);
    });
    void ended.then((code) => reject(new Error(`kith up ended with ${code}: ${stderr}`)));
  });
  return { pid: child.pid ?? 0, ready, ended, kill: (signal) => void child.kill(signal) };
}

/** Ends what a failed test left running. */
export async function stopAll(world: World): Promise<void> {
  for (const child of all.get(world) ?? []) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const ended = new Promise((resolve) => child.on('close', resolve));
    child.kill('SIGKILL');
    await ended;
  }
}
