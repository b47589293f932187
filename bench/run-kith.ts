import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The compiled command line that belongs to this bench. */
export const kithMain: string = fileURLToPath(new URL('../cli/kith.cjs', import.meta.url));

/** How kith ended. */
export interface KithEnded {
  /** Exit status; 130 where a signal ended it. */
  readonly code: number;
  /** What it said on stdout. What it says on stderr goes to ours: the live progress line among it. */
  readonly stdout: string;
  readonly ms: number;
}

export interface KithOptions {
  readonly cwd: string;
  readonly home: string;
  /** Asks kith to stop; the promise then resolves when it has. */
  readonly signal?: AbortSignal | undefined;
  /** Called with each whole line of stdout as it comes. */
  readonly onLine?: (line: string) => void;
}

/** Runs the real command line as a process of its own. */
export async function runKith(args: readonly string[], options: KithOptions): Promise<KithEnded> {
  const { cwd, home, signal, onLine } = options;
  signal?.throwIfAborted();
  const env: NodeJS.ProcessEnv = { ...process.env, KITH_HOME: home };
  delete env['KITH_PASSPHRASE'];
  delete env['KITH_PASSPHRASE_FILE'];
  const began = performance.now();
  const child = spawn(process.execPath, [kithMain, ...args], {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const stop = (): void => {
    child.kill('SIGINT');
  };
  signal?.addEventListener('abort', stop, { once: true });
  try {
    let stdout = '';
    let shown = 0;
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      stdout += part;
      for (let end = stdout.indexOf('\n', shown); end >= 0; end = stdout.indexOf('\n', shown)) {
        onLine?.(stdout.slice(shown, end));
        shown = end + 1;
      }
    });
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', resolve);
    });
    return { code: code ?? 130, stdout, ms: performance.now() - began };
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}
