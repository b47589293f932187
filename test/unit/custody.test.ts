import assert from 'node:assert/strict';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';
import { equalBytes, toHex } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { KeyedLocks } from '../../lib/custody/keyed-locks.ts';
import { RoomBook, defaultFreeFloor, type CountedBytes } from '../../lib/custody/room-book.ts';
import type { Disk } from '../../lib/disk/disk.ts';
import type { DriveHolder } from '../../lib/holders/drive.ts';
import { inventoryOf, rejectsWith } from '../contract/holder-contract.ts';
import { CrashError, FaultDisk, type CrashMode } from '../support/fault-disk.ts';
import { sampleDrive } from '../support/sample-drive.ts';
import { sampleKeyRecord, sampleLog, samplePack, sampleShard, sampleVault } from '../support/sample-pack.ts';

const vault = sampleVault();
const pack = samplePack(vault);
const shard = sampleShard(pack, 0);
const modes: readonly CrashMode[] = ['lose-unsynced', 'keep-all', 'mixed', 'process-killed'];

async function freshDisk(): Promise<FaultDisk> {
  const disk = new FaultDisk();
  await sampleDrive(disk, '/drive', vault);
  return disk.afterCrash('keep-all');
}

function tempFiles(disk: FaultDisk): string[] {
  return disk.files().filter((path) => path.startsWith('/drive/tmp/'));
}

interface Change {
  readonly what: string;
  readonly prepare: (drive: DriveHolder) => Promise<void>;
  readonly work: (drive: DriveHolder) => Promise<unknown>;
  /** Throws unless the drive shows the state before or after the change; true for after. */
  readonly isDone: (drive: DriveHolder) => Promise<boolean>;
}

const log = sampleLog(vault, 2);
const segment = log.segments[1]?.bytes ?? new Uint8Array(0);
const [oldKeys, newKeys] = [sampleKeyRecord(vault, [1]), sampleKeyRecord(vault, [1, 2], 2)];

async function isWhole(drive: DriveHolder): Promise<boolean> {
  const state = await drive.verify(shard);
  assert.notEqual(state, 'damaged');
  assert.equal((await inventoryOf(drive)).length, state === 'good' ? 1 : 0);
  return state === 'good';
}

const changes: readonly Change[] = [
  {
    what: 'put',
    prepare: async () => undefined,
    work: (drive) => drive.put(shard),
    isDone: isWhole,
  },
  {
    what: 'delete',
    prepare: (drive) => drive.put(shard),
    work: (drive) => drive.delete(shard),
    isDone: async (drive) => !(await isWhole(drive)),
  },
  {
    what: 'putSegment',
    prepare: async () => undefined,
    work: (drive) => drive.logs.putSegment(log.logKey, 2, segment),
    isDone: async (drive) => {
      const found = await drive.logs.getSegment(log.logKey, 2);
      assert.ok(found === undefined || equalBytes(found, segment));
      return found !== undefined;
    },
  },
  {
    what: 'putKeyRecord',
    prepare: (drive) => drive.putKeyRecord(oldKeys),
    work: (drive) => drive.putKeyRecord(newKeys),
    isDone: async (drive) => {
      const found = await drive.getKeyRecord();
      assert.ok(found !== undefined && (equalBytes(found, oldKeys) || equalBytes(found, newKeys)));
      return equalBytes(found, newKeys);
    },
  },
];

async function prepared(change: Change): Promise<FaultDisk> {
  const disk = await freshDisk();
  await change.prepare(await sampleDrive(disk, '/drive', vault));
  return disk.afterCrash('lose-unsynced');
}

for (const change of changes) {
  void test(`${change.what} cut at every step: before or after, never between, and done once it returned`, async () => {
    const whole = await prepared(change);
    await change.work(await sampleDrive(whole, '/drive', vault));
    assert.ok(whole.steps >= 2, `${whole.steps} steps`);
    for (let step = 1; step <= whole.steps + 1; step++) {
      const disk = await prepared(change);
      disk.crashAt(step);
      const drive = await sampleDrive(disk, '/drive', vault);
      if (step <= whole.steps) await assert.rejects(change.work(drive), CrashError);
      else await change.work(drive);
      for (const mode of modes) {
        for (let seed = 1; seed <= (mode === 'mixed' ? 12 : 1); seed++) {
          const found = disk.afterCrash(mode, seed);
          const again = await sampleDrive(found, '/drive', vault);
          const isDone = await change.isDone(again);
          if (step > whole.steps) assert.ok(isDone, `${mode}: lost though it had returned`);
          await change.work(again);
          assert.ok(await change.isDone(again));
          if (change.what !== 'delete')
            assert.deepEqual(tempFiles(found), [], 'leftovers of the crash are removed');
          const reopened = await sampleDrive(found, '/drive', vault);
          assert.deepEqual(await again.room(), await reopened.room(), 'the account is exact');
          // What an earlier process left unsynced is durable once this one has said so.
          if (change.what !== 'delete') {
            const later = await sampleDrive(found.afterCrash('lose-unsynced'), '/drive', vault);
            assert.ok(await change.isDone(later), `step ${step}, ${mode}: lost in the second crash`);
          }
        }
      }
    }
  });

  void test(`${change.what} with an error at every step: an account without remainder, and the next try works`, async () => {
    const whole = await prepared(change);
    await change.work(await sampleDrive(whole, '/drive', vault));
    for (const [code, expected] of [
      ['ENOSPC', 'disk-full'],
      ['EIO', 'io-error'],
    ] as const) {
      for (let step = 1; step <= whole.steps; step++) {
        const disk = await prepared(change);
        const drive = await sampleDrive(disk, '/drive', vault);
        disk.failAt(step, code);
        await assert.rejects(change.work(drive), rejectsWith(expected), `step ${step}`);
        assert.deepEqual(tempFiles(disk), [], `step ${step}: something stayed behind`);
        const reopened = await sampleDrive(disk, '/drive', vault);
        assert.deepEqual(await drive.room(), await reopened.room(), `step ${step}`);
        await change.work(drive);
        assert.ok(await change.isDone(drive));
        assert.deepEqual(await drive.room(), await (await sampleDrive(disk, '/drive', vault)).room());
      }
    }
  });
}

void test('a full disk takes nothing, and keeps nothing of the attempt', async () => {
  const disk = new FaultDisk({ capacityBytes: 2 * pack.fileBytes });
  const drive = await sampleDrive(disk, '/drive', vault);
  await drive.put(shard);
  const before = disk.files();
  await assert.rejects(drive.put(sampleShard(pack, 1)), rejectsWith('disk-full'));
  assert.deepEqual(disk.files(), before);
  assert.deepEqual((await drive.room()).reservedBytes, 0);
});

void test('a put costs four steps once its folders are there', async () => {
  const disk = await freshDisk();
  const drive = await sampleDrive(disk, '/drive', vault);
  await drive.put(shard);
  const before = disk.steps;
  await drive.put(sampleShard(pack, 1));
  assert.equal(disk.steps - before, 4);
  assert.deepEqual(
    disk.trace.slice(before).map((line) => line.split(' ')[0]),
    ['write', 'fsync', 'rename', 'sync'],
  );
});

void test('a folder that was there when the one above was synced is not made durable once more', async () => {
  const other = samplePack(vault, { seed: 2 });
  assert.notEqual(other.packId[0], pack.packId[0]);
  const made = await freshDisk();
  const maker = await sampleDrive(made, '/drive', vault);
  await maker.put(shard);
  await maker.put(sampleShard(other, 0));
  const disk = made.afterCrash('keep-all');
  const drive = await sampleDrive(disk, '/drive', vault);
  await drive.put(sampleShard(pack, 1));
  const before = disk.steps;
  await drive.put(sampleShard(other, 1));
  assert.equal(disk.steps - before, 4);
});

void test('a folder whose name a power cut could still take back is made durable before a put returns', async () => {
  const other = samplePack(vault, { seed: 2 });
  const made = await freshDisk();
  const maker = await sampleDrive(made, '/drive', vault);
  await maker.put(shard);
  const folder = made.files().find((path) => path.endsWith('.shard')) ?? '';
  // Named by a process that died before it synced the folder above.
  made.crashAt(made.steps + 2);
  const named = join(dirname(dirname(folder)), toHex(other.packId.subarray(0, 1)));
  await assert.rejects(made.makeFolder(named), CrashError);
  const disk = made.afterCrash('process-killed');
  const drive = await sampleDrive(disk, '/drive', vault);
  await drive.put(sampleShard(pack, 1));
  await drive.put(sampleShard(other, 1));
  const after = await sampleDrive(disk.afterCrash('lose-unsynced'), '/drive', vault);
  assert.equal(await after.verify(sampleShard(other, 1)), 'good');
});

void test('a room book: any number of claims at once stay within the quota', async () => {
  const book = new RoomBook(
    { name: 'x', measure: async () => 40, disk: async () => undefined },
    {
      quotaBytes: 100,
      freeFloorBytes: 0,
    },
  );
  const results = await Promise.allSettled(Array.from({ length: 20 }, () => book.reserve(7)));
  assert.equal(results.filter((result) => result.status === 'fulfilled').length, 8);
  assert.deepEqual(await book.room(), { quotaBytes: 100, usedBytes: 40, reservedBytes: 56, freeBytes: 4 });
  for (const result of results) if (result.status === 'fulfilled') result.value.release();
  assert.equal((await book.room()).freeBytes, 60);
  await assert.rejects(book.reserve(-1), RangeError);
  await assert.rejects(book.reserve(0.5), RangeError);
});

void test('a room book: a listing made while a file changes does not count', async () => {
  let files = 10;
  let measured = 0;
  const release: (() => void)[] = [];
  const book: RoomBook = new RoomBook(
    {
      name: 'x',
      measure: async () => {
        measured++;
        const seen = files;
        if (measured === 2) await new Promise<void>((resolve) => release.push(resolve));
        return seen;
      },
      disk: async () => undefined,
    },
    { quotaBytes: 100, freeFloorBytes: 0 },
  );
  let finish = (): void => undefined;
  const writing = new Promise<void>((resolve) => (finish = resolve));
  const growing = book.grow(5, undefined, async () => {
    await writing;
    files += 5;
    return { grown: 5 };
  });
  await new Promise((resolve) => setImmediate(resolve));
  book.forget();
  const room = book.room();
  await new Promise((resolve) => setImmediate(resolve));
  finish();
  await growing;
  for (const each of release) each();
  assert.equal((await room).usedBytes, 15);
  assert.equal(measured, 3);
});

void test('a room book: what shards and logs take is taken from a listing made anyway, unless something has changed', async () => {
  const told: CountedBytes[] = [];
  const book = new RoomBook(
    {
      name: 'x',
      measure: async (counted) => {
        told.push(counted);
        return (counted.shards ?? 30) + (counted.logs ?? 7);
      },
      disk: async () => undefined,
    },
    { quotaBytes: undefined, freeFloorBytes: 0 },
  );
  const usedBytes = async (): Promise<number> => (await book.room()).usedBytes;
  book.counting('shards')(20);
  assert.equal(await usedBytes(), 27);
  // Counted, and then the disk was away.
  book.forget();
  assert.equal(await usedBytes(), 37);
  // Away while it was counted.
  const away = book.counting('shards');
  book.forget();
  away(20);
  assert.equal(await usedBytes(), 37);
  // Used by a write as well, and then out of date.
  book.forget();
  book.counting('shards')(20);
  await book.grow(5, undefined, async () => ({ grown: 5 }));
  assert.equal(await usedBytes(), 32);
  // While something is written.
  book.forget();
  await book.grow(5, undefined, async () => {
    book.forget();
    book.counting('shards')(20);
    return { grown: 5 };
  });
  assert.equal(await usedBytes(), 37);
  book.forget();
  book.counting('shards')(20);
  book.counting('logs')(1);
  assert.equal(await usedBytes(), 21);
  assert.deepEqual(told, [{ shards: 20 }, {}, {}, { shards: 20 }, {}, {}, { shards: 20, logs: 1 }]);
});

void test('room after an inventory looks at no shard again, and counts what lies in the wrong folder', async () => {
  const inner = await freshDisk();
  const looks: string[] = [];
  const disk: Disk = new Proxy<Disk>(inner, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown => {
        if (name === 'stat') looks.push(String(args[0]));
        return Reflect.apply(value, target, args);
      };
    },
  });
  const writer = await sampleDrive(inner, '/drive', vault);
  await writer.put(shard);
  await writer.put(sampleShard(pack, 1));
  const path = inner.files().find((name) => name.endsWith('.shard')) ?? '';
  const folder = dirname(path);
  const other = join(dirname(folder), basename(folder) === '00' ? '01' : '00');
  await inner.makeFolder(other);
  await inner.write(join(other, basename(path)), [new Uint8Array(1000)], { sync: true });
  const used = (await (await sampleDrive(inner, '/drive', vault)).room()).usedBytes;
  const drive = await sampleDrive(disk, '/drive', vault);
  let entries = 0;
  for await (const { fileBytes } of drive.inventory()) entries += fileBytes > 0 ? 1 : 0;
  assert.equal(entries, 2);
  looks.length = 0;
  assert.equal((await drive.room()).usedBytes, used);
  assert.deepEqual(
    looks.filter((path) => path.endsWith('.shard')),
    [],
  );
});

void test('a room book: free space measured before a write ended does not count', async () => {
  let free = 100;
  let open = (): void => undefined;
  const gate = new Promise<void>((resolve) => (open = resolve));
  let isSlow = false;
  const book = new RoomBook(
    {
      name: 'x',
      measure: async () => 0,
      disk: async () => {
        const seen = free;
        if (isSlow) await gate;
        return { free: seen, total: 1000 };
      },
    },
    { quotaBytes: undefined, freeFloorBytes: 0 },
  );
  const reservation = await book.reserve(60);
  isSlow = true;
  const claim = assert.rejects(book.reserve(50), rejectsWith('disk-full'));
  await new Promise((resolve) => setImmediate(resolve));
  await book.grow(60, reservation, async () => {
    free -= 60;
    return { grown: 60 };
  });
  isSlow = false;
  open();
  await claim;
  assert.equal((await book.room()).freeBytes, 40);
});

void test("a room book: another book's reservation is a mistake", async () => {
  const make = (): RoomBook =>
    new RoomBook(
      { name: 'x', measure: async () => 0, disk: async () => undefined },
      {
        quotaBytes: undefined,
        freeFloorBytes: undefined,
      },
    );
  const reservation = await make().reserve(5);
  await assert.rejects(
    make().grow(5, reservation, async () => ({ grown: 5 })),
    RangeError,
  );
});

void test('a room book: a reservation released while a put fails is not kept', async () => {
  const book = new RoomBook(
    { name: 'x', measure: async () => 0, disk: async () => undefined },
    {
      quotaBytes: 10,
      freeFloorBytes: 0,
    },
  );
  const reservation = await book.reserve(10);
  await assert.rejects(
    book.grow(10, reservation, async () => {
      reservation.release();
      return { grown: 0, error: new Error('failed') };
    }),
    /failed/,
  );
  assert.deepEqual(await book.room(), { quotaBytes: 10, usedBytes: 0, reservedBytes: 0, freeBytes: 10 });
});

void test('the floor is 5 % of a disk, between 1 and 20 GB', () => {
  assert.equal(defaultFreeFloor(10e9), 1e9);
  assert.equal(defaultFreeFloor(100e9), 5e9);
  assert.equal(defaultFreeFloor(4e12), 20e9);
});

void test('keyed locks: one at a time for a key, all at once for others, failures harm nobody', async () => {
  const locks = new KeyedLocks();
  const events: string[] = [];
  const work =
    (name: string, fail = false) =>
    async (): Promise<string> => {
      events.push(`+${name}`);
      await new Promise((resolve) => setImmediate(resolve));
      events.push(`-${name}`);
      if (fail) throw new Error(name);
      return name;
    };
  const results = await Promise.allSettled([
    locks.run('a', work('a1', true)),
    locks.run('a', work('a2')),
    locks.run('b', work('b1')),
    locks.run('a', work('a3')),
  ]);
  assert.deepEqual(
    results.map((result) => result.status),
    ['rejected', 'fulfilled', 'fulfilled', 'fulfilled'],
  );
  assert.deepEqual(
    events.filter((event) => event.includes('a')),
    ['+a1', '-a1', '+a2', '-a2', '+a3', '-a3'],
  );
  assert.ok(events.indexOf('+b1') < events.indexOf('-a1'));
});

void test('a stray error in a put is not swallowed', async () => {
  const disk = await freshDisk();
  const drive = await sampleDrive(disk, '/drive', vault);
  disk.failAt(1, 'EWHATEVER');
  await assert.rejects(drive.put(shard), (error) => {
    assert.ok(isKithError(error, 'io-error'));
    assert.equal(error.details['system'], 'EWHATEVER');
    return true;
  });
});
