import { spawn, spawnSync } from 'node:child_process';
import { mainPath } from './harness.ts';

/** True where util-linux' `script` makes a pseudo-terminal. */
export const hasTerminal: boolean =
  process.platform === 'linux' &&
  /util-linux/.test(spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout);

/**
 * Runs kith on a pseudo-terminal. Each answer is typed once its prompt was shown (`^D` closes the terminal's input). Resolves with the exit
 * status and all that was shown.
 */
export async function kithOnTerminal(
  args: readonly string[],
  answers: readonly (readonly [prompt: RegExp, typed: string])[],
  options: { readonly cwd: string; readonly env: Readonly<Record<string, string>> },
): Promise<{ readonly code: number | null; readonly shown: string }> {
  const line = [process.execPath, mainPath, ...args].map((word) => `'${word}'`).join(' ');
  const child = spawn('script', ['-qec', line, '/dev/null'], {
    cwd: options.cwd,
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { PATH: process.env['PATH'], TZ: 'UTC', TERM: 'dumb', SHELL: '/bin/sh', ...options.env },
  });
  const left = [...answers];
  let shown = '';
  let from = 0;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    shown += text;
    for (let next = left[0]; next !== undefined && next[0].test(shown.slice(from)); next = left[0]) {
      left.shift();
      from = shown.length;
      child.stdin.write(next[1]);
    }
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  if (left.length > 0) throw new Error(`never shown: ${String(left[0]?.[0])} in\n${shown}`);
  return { code, shown: shown.replaceAll('\r\n', '\n') };
}
