import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { mainPath } from '../cli/harness.ts';
import type { Household } from './cell.ts';
import { befriend, seen } from './people.ts';

const execute = promisify(execFile);

/**
 * Two on one cable without a router, so that they have nothing but what IPv6 gives each interface by itself: their cards lead nowhere, and
 * the local network alone tells them of each other. Resolves with how long it took, in ms; throws where they don't find each other.
 */
export async function runLinkOnly(household: Household): Promise<number> {
  const { spaces } = household;
  spaces.add('a', 'b', 'switch');
  spaces.ip('switch', 'link add name br0 type bridge', 'link set br0 up');
  for (const name of ['a', 'b']) {
    spaces.allowIPv6(name);
    spaces.plug(name, 'eth0', undefined, 'switch');
  }
  const [a, b] = await Promise.all([household.start('a', 'link-only'), household.start('b', 'link-only')]);
  await befriend(a, b);
  const beganMs = performance.now();
  await Promise.all([a.sees('b'), b.sees('a')]);
  const tookMs = performance.now() - beganMs;
  const { via, address } = await seen(a, b);
  if (via !== 'direct' || address?.startsWith('[fe80:') !== true)
    throw new Error(`they met another way: ${via} ${address}`);
  // A command that works by itself listens nowhere, and asks. Who was answered just now isn't answered again at once: b starts anew.
  await a.down();
  await b.restart([], { listen: null, through: spaces.through('b') });
  const [program = '', ...through] = spaces.through('a');
  const ping = [process.execPath, mainPath, '--home', a.home, '--json', 'friend', 'ping', 'b'];
  const { stdout } = await execute(program, [...through, ...ping]);
  const { ok } = JSON.parse(stdout) as { readonly ok: boolean };
  if (!ok) throw new Error(`not found by a command: ${stdout}`);
  return tookMs;
}
