import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { KithError, isKithError } from '../../lib/base/errors.ts';
import { CrashWorld, home } from './crash-machine.ts';
import { checkWorksAgain, segmentsIn } from './friend-checks.ts';
import { FriendMachine } from './friend-machine.ts';
import { Seeded } from './seeded.ts';
import { tempFolder } from './temp-folder.ts';
import { atEnd } from './at-end.ts';

export const usedFriends = ['anna', 'ben', 'cara'] as const;

/** A machine with these friends, all up, and one complete backup. */
export async function usedMachine(test: TestContext): Promise<FriendMachine> {
  const machine = await FriendMachine.create(new CrashWorld(await tempFolder(test), 1), usedFriends);
  atEnd(test, () => machine.down());
  assert.equal((await machine.backup()).state, 'complete');
  return machine;
}

/** Exchanges logs with a friend who answers with noise, once for each of these seeds; then all works again. */
export async function noiseEndsEveryExchange(
  machine: FriendMachine,
  firstSeed: number,
  lastSeed: number,
): Promise<void> {
  const before = segmentsIn(machine.disk, home);
  for (let seed = firstSeed; seed <= lastSeed; seed++) {
    const seeded = new Seeded(seed);
    machine.friend('ben').tamper = async (call, answer) => {
      const reply = await answer();
      if (seeded.below(3) === 0) return reply;
      if (seeded.below(8) === 0) throw new KithError('log-forked', 'so it says');
      const body = seeded.coin() ? seeded.bytes(seeded.below(200)) : flipped(seeded, reply.body);
      const download = seeded.coin()
        ? (reply.download ?? []).map((part) => flipped(seeded, part))
        : [seeded.bytes(Math.min(call.downloadBytesMax, seeded.below(2000)))];
      return { body, download };
    };
    await machine.use(async ({ session }) => {
      try {
        await machine.exchangeIn(session, 'ben');
      } catch (error) {
        assert.ok(isKithError(error), `seed ${seed}: ${String(error)}`);
      }
    });
    const now = segmentsIn(machine.disk, home);
    for (const [place, bytes] of before) assert.equal(now.get(place), bytes, `seed ${seed}`);
  }
  machine.friend('ben').tamper = (_, answer) => answer();
  machine.problems.length = 0;
  await checkWorksAgain(machine);
  machine.checkProblems();
}

function flipped(seeded: Seeded, bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  const at = seeded.below(Math.max(1, copy.length));
  if (copy.length > 0) copy[at] = (copy[at] ?? 0) ^ (1 << seeded.below(8));
  return copy;
}
