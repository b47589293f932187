import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';

/** The number of `nobody` on most systems. */
const nobody = 65534;

/**
 * Runs a module's text in a process of its own and gives what it passed to `report`. The text loads files of the
 * project by their path from the root (`await load('lib/…')`) and then calls `becomeNobody()`: root can read
 * everything, and nobody might not be able to read the project. Undefined, with the test skipped, where we aren't root.
 */
export async function asNobody(test: Pick<TestContext, 'skip'>, text: string): Promise<unknown> {
  if (process.geteuid?.() !== 0) {
    test.skip('needs root to become another user');
    return undefined;
  }
  const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
  const root = new URL('../../', import.meta.url).href;
  const prelude = `
    const load = (path) => import(${JSON.stringify(root)} + path.replace(/\\.ts$/, ${JSON.stringify(extension)}));
    const becomeNobody = () => { process.setgroups([]); process.setgid(${nobody}); process.setuid(${nobody}); };
    const report = (value) => process.stdout.write(JSON.stringify(value));
  `;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', prelude + text], {
    cwd: '/',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output.stdout += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (output.stderr += chunk));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`the process as nobody ended with ${code}: ${output.stderr}`);
  return JSON.parse(output.stdout);
}
