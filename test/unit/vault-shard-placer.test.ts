import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KithError } from '../../lib/base/errors.ts';
import type { Holder, Reservation, ShardToPut } from '../../lib/holders/holder.ts';
import type { KnownHolder } from '../../lib/vault/session.ts';
import { PutRace } from '../../lib/vault/shards/put-race.ts';
import { ShardPlacer, type PackToPlace } from '../../lib/vault/shards/shard-placer.ts';
import type { Problem } from '../../lib/vault/types.ts';

const megabytes64 = 64 * 1024 * 1024;

/** A drive of which only what a placer calls is there. */
function driveThat(number: number, put: (shard: ShardToPut) => Promise<void>): KnownHolder {
  const id = number.toString(16).padStart(64, '0');
  const name = `drive-${number}`;
  const reservation: Reservation = { bytes: 0, release: () => undefined };
  const holder: Pick<Holder, 'room' | 'reserve' | 'put'> = {
    room: async () =>
      Promise.resolve({ quotaBytes: undefined, usedBytes: 0, reservedBytes: 0, freeBytes: megabytes64 }),
    reserve: async () => Promise.resolve(reservation),
    put,
  };
  return {
    id,
    kind: 'drive',
    name,
    path: `/${name}`,
    household: undefined,
    quotaBytes: undefined,
    whole: false,
    holder: holder as Holder,
  };
}

function packOf(number: number, sizeClass = 0): PackToPlace {
  return {
    packId: new Uint8Array(32).fill(number),
    k: 1,
    class: sizeClass,
    keyEpoch: 0,
    manifest: new Uint8Array(100),
  };
}

function shards(count: number): { index: number; payload: Uint8Array; leaves: Uint8Array }[] {
  const none = new Uint8Array(0);
  return Array.from({ length: count }, (_, index) => ({ index, payload: none, leaves: none }));
}

async function placerOf(
  drives: readonly KnownHolder[],
  signal?: AbortSignal,
): Promise<{ placer: ShardPlacer; problems: Problem[] }> {
  const problems: Problem[] = [];
  return {
    placer: await ShardPlacer.create(drives, (problem) => void problems.push(problem), { signal }),
    problems,
  };
}

for (const code of ['not-authentic', 'too-new', 'io-error'] as const) {
  test(`a drive that refuses one shard with ${code} gets the next`, async () => {
    let calls = 0;
    const drive = driveThat(1, async () => {
      await Promise.resolve();
      if (calls++ === 0) throw new KithError(code, 'injected');
    });
    const { placer, problems } = await placerOf([drive]);
    assert.deepEqual((await placer.place(packOf(1), shards(1), new Set())).missing, [0]);
    assert.equal((await placer.place(packOf(2), shards(1), new Set())).placed.length, 1);
    assert.equal(problems.length, 1);
  });
}

test('a drive is given up after three I/O errors in a row, at once when it is gone, and told once', async () => {
  let failing = 0;
  let calls = 0;
  const drive = driveThat(1, async () => {
    await Promise.resolve();
    calls++;
    if (failing-- > 0) throw new KithError('io-error', 'injected');
  });
  const { placer, problems } = await placerOf([drive]);
  const put = async (): Promise<void> => void (await placer.place(packOf(calls), shards(1), new Set()));
  failing = 2;
  for (let i = 0; i < 3; i++) await put();
  assert.equal(placer.holders.length, 1, 'the third went well');
  failing = 9;
  for (let i = 0; i < 5; i++) await put();
  assert.equal(calls, 6);
  assert.equal(placer.holders.length, 0);
  assert.equal(problems.length, 1);

  const gone = driveThat(2, async () => Promise.reject(new KithError('holder-unavailable', 'injected')));
  const other = await placerOf([gone]);
  await other.placer.place(packOf(1), shards(1), new Set());
  assert.equal(other.placer.holders.length, 0);
});

test('a drive too full for a large shard still gets small ones, and no second large one', async () => {
  const sizes: number[] = [];
  const drive = driveThat(1, async (shard) => {
    await Promise.resolve();
    sizes.push(shard.class);
    if (shard.class === 3) throw new KithError('disk-full', 'injected');
  });
  const { placer, problems } = await placerOf([drive]);
  for (const [number, sizeClass] of [3, 0, 3, 1].entries())
    await placer.place(packOf(number, sizeClass), shards(1), new Set());
  assert.deepEqual(sizes, [3, 0, 1]);
  assert.equal(problems.length, 1);
});

test('an error of one put is thrown when the others have ended', async () => {
  const abort = new AbortController();
  let ended = false;
  let finish = (): void => undefined;
  const slow = driveThat(1, async () => {
    await new Promise<void>((resolve) => (finish = resolve));
    ended = true;
  });
  const interrupted = driveThat(2, async () => {
    abort.abort();
    setImmediate(() => setImmediate(() => finish()));
    await Promise.reject(new KithError('interrupted', 'injected'));
  });
  const { placer } = await placerOf([slow, interrupted], abort.signal);
  await assert.rejects(placer.place(packOf(1), shards(2), new Set()), { code: 'interrupted' });
  assert.equal(ended, true);
});

test('a friend who takes too long is told to stop, and another takes over', async () => {
  const stopped: string[] = [];
  const slow: KnownHolder = {
    ...driveThat(1, async () => Promise.reject(new Error('unused'))),
    kind: 'friend',
    name: 'slow',
  };
  const put: Holder['put'] = async (_shard, _reservation, signal) =>
    await new Promise((_, reject) => {
      signal?.addEventListener('abort', () => {
        stopped.push('slow');
        reject(new KithError('interrupted', 'stopped'));
      });
    });
  const slowOne: KnownHolder = { ...slow, holder: { ...slow.holder, put } };
  const taken: number[] = [];
  const quick = driveThat(2, async (shard) => {
    await Promise.resolve();
    taken.push(shard.index);
  });
  const problems: Problem[] = [];
  const placer = await ShardPlacer.create([slowOne, quick], (problem) => void problems.push(problem), {
    putMsMax: () => 1,
  });
  for (let number = 0; number < 8; number++) await placer.place(packOf(number), shards(1), new Set());
  assert.equal(taken.length, 8, 'every shard found its place');
  assert.deepEqual(stopped, ['slow'], 'it was asked once');
  assert.deepEqual(
    problems.map(({ item, code }) => [item, code]),
    [['slow', 'holder-unavailable']],
  );
});

/** A friend whose puts never end by themselves. */
function friendWhoNeverEnds(number: number, onAbort: () => void): KnownHolder {
  const base = driveThat(number, async () => Promise.reject(new Error('unused')));
  const put: Holder['put'] = async (_shard, _reservation, signal) =>
    await new Promise((_, reject) => {
      signal?.addEventListener('abort', () => {
        onAbort();
        reject(new KithError('interrupted', 'stopped'));
      });
    });
  return { ...base, kind: 'friend', holder: { ...base.holder, kind: 'friend', put } };
}

test('a friend far behind the others gives way to a spare one, if there is one', async () => {
  let stopped = 0;
  const slow = friendWhoNeverEnds(1, () => stopped++);
  const quick = [2, 3, 4].map((number): KnownHolder => ({
    ...driveThat(number, async () => Promise.resolve()),
    kind: 'friend',
  }));
  const options = { patienceMs: () => 1, putMsMax: () => 2 ** 30 };
  const placer = await ShardPlacer.create([slow, ...quick], () => undefined, options);
  for (let number = 0; number < 8; number++) {
    const { placed, missing } = await placer.place(packOf(number), shards(3), new Set());
    assert.deepEqual([placed.length, missing.length], [3, 0]);
  }
  assert.equal(stopped, 1, 'asked once, and then left alone');

  // With nobody to take over it has all the time that the limit for one put leaves.
  let times = 0;
  let wasAsked = (): void => undefined;
  const asked = new Promise<void>((resolve) => (wasAsked = resolve));
  const clock = { monotonicMs: () => 0 };
  const race = new PutRace({
    clock,
    enough: 1,
    patienceMs: () => {
      times++;
      return 0;
    },
    hasSpare: () => {
      wasAsked();
      return false;
    },
  });
  const controller = new AbortController();
  let end = (): void => undefined;
  const last = race.run(controller, async () => new Promise<void>((resolve) => (end = resolve)));
  await race.run(new AbortController(), async () => Promise.resolve());
  assert.equal(times, 1);
  await asked;
  assert.equal(controller.signal.aborted, false);
  end();
  await last;
  race.end();
});

/** A friend whose connection can go and come back, and whose puts then fail with `code`. */
class Fickle {
  isHere = true;
  puts = 0;
  checks = 0;
  code: 'holder-unavailable' | 'not-granted' = 'holder-unavailable';
  readonly keeper: KnownHolder;

  constructor(number: number) {
    const base = driveThat(number, async () => {
      await Promise.resolve();
      this.puts++;
      if (!this.isHere) throw new KithError(this.code, 'injected');
    });
    const check: Holder['check'] = async () => {
      this.checks++;
      return Promise.resolve(
        this.isHere ? { available: true } : { available: false, foreign: false, reason: 'away' },
      );
    };
    this.keeper = { ...base, kind: 'friend', holder: { ...base.holder, kind: 'friend', check } };
  }
}

/** A placer with such friends, and a clock that is moved by hand. */
async function fickleTown(friends: readonly Fickle[]): Promise<{
  placer: ShardPlacer;
  problems: Problem[];
  putAfter: (ms: number) => Promise<number>;
}> {
  let nowMs = 0;
  let packs = 0;
  const problems: Problem[] = [];
  const placer = await ShardPlacer.create(
    friends.map(({ keeper }) => keeper),
    (problem) => void problems.push(problem),
    { clock: { monotonicMs: () => nowMs } },
  );
  const putAfter = async (ms: number): Promise<number> => {
    nowMs += ms;
    return (await placer.place(packOf(packs++ % 256), shards(1), new Set())).placed.length;
  };
  return { placer, problems, putAfter };
}

test('a friend whose connection went is taken again once it is back, and the others take its part meanwhile', async () => {
  const [fickle, steady] = [new Fickle(1), new Fickle(2)];
  const { placer, problems, putAfter } = await fickleTown([fickle, steady]);
  fickle.isHere = false;
  // Which of them comes first hangs on the pack.
  while (fickle.puts === 0) assert.equal(await putAfter(0), 1);
  assert.deepEqual(placer.holders, [steady.keeper]);
  for (let i = 0; i < 20; i++) assert.equal(await putAfter(100), 1);
  assert.equal(fickle.checks, 0, 'not asked within the first seconds');
  for (let i = 0; i < 10; i++) assert.equal(await putAfter(3_000), 1);
  assert.ok(fickle.checks >= 3 && fickle.checks <= 6, `asked ${fickle.checks} times`);
  assert.equal(fickle.puts, 1, 'nothing is put there until it says that it is back');
  fickle.isHere = true;
  for (let i = 0; i < 20; i++) assert.equal(await putAfter(3_000), 1);
  assert.equal(placer.holders.length, 2);
  assert.ok(fickle.puts > 1);
  assert.equal(problems.length, 1);
});

test('a friend who comes and goes is taken again three times, one who refuses never', async () => {
  const [fickle, steady] = [new Fickle(1), new Fickle(2)];
  const { placer, putAfter } = await fickleTown([fickle, steady]);
  let losses = 0;
  for (let i = 0; i < 400; i++) {
    // There when it is asked, and gone when something is put.
    fickle.isHere = false;
    const before = fickle.puts;
    assert.equal(await putAfter(3_000), 1);
    losses += fickle.puts - before;
    fickle.isHere = true;
    await putAfter(6_000);
  }
  assert.equal(losses, 4);
  assert.equal(placer.holders.length, 1);

  const refusing = new Fickle(3);
  refusing.code = 'not-granted';
  refusing.isHere = false;
  const other = await fickleTown([refusing]);
  for (let i = 0; i < 10; i++) await other.putAfter(10_000);
  assert.deepEqual([refusing.puts, refusing.checks], [1, 0]);

  // Nor one who was given up elsewhere.
  const given = await fickleTown([steady]);
  given.placer.giveUp(steady.keeper);
  const { checks } = steady;
  assert.equal(await given.putAfter(60_000), 0);
  assert.equal(steady.checks, checks);
});
