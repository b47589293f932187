import assert from 'node:assert/strict';
import { test } from 'node:test';
import { equalBytes, toHex } from '../../lib/base/bytes.ts';
import { KithError } from '../../lib/base/errors.ts';
import type { Hosting } from '../../lib/custody/hosting.ts';
import type { VaultStore } from '../../lib/custody/vault-store.ts';
import type { Disk } from '../../lib/disk/disk.ts';
import { decodeDriveMarker, encodeDriveMarker } from '../../lib/format/drive-marker.ts';
import { segmentFileName } from '../../lib/format/segment.ts';
import { shardFileName } from '../../lib/format/shard-file.ts';
import { rejectsWith } from '../contract/holder-contract.ts';
import { CrashError, FaultDisk, type CrashMode } from '../support/fault-disk.ts';
import { friendIdentity, sampleHosting, type Given } from '../support/hosted-friend.ts';
import { sampleKeyRecord, sampleLog, samplePack, sampleShard, sampleVault } from '../support/sample-pack.ts';

const vault = sampleVault();
const other = sampleVault(2);
const pack = samplePack(vault);
const shard = sampleShard(pack, 0);
const log = sampleLog(vault, 2);
const segment = log.segments[1]?.bytes ?? new Uint8Array(0);
const [oldKeys, newKeys] = [sampleKeyRecord(vault, [1]), sampleKeyRecord(vault, [1, 2], 2)];
const vaultHex = toHex(vault.vaultId);
const marker = '/home/hosted/kith-store.json';
const xx = toHex(pack.packId).slice(0, 2);
const shardPath = `/home/shards/${vaultHex}/${xx}/${shardFileName(pack.packId, 0)}`;
const modes: readonly CrashMode[] = ['lose-unsynced', 'keep-all', 'mixed', 'process-killed'];

function storeOf(hosting: Hosting, of = vault): VaultStore {
  const store = hosting.storeOf(toHex(of.vaultId));
  assert.ok(store !== undefined);
  return store;
}

async function openStore(disk: Disk, given: readonly Given[] = [{ vault, quotaBytes: undefined }]) {
  return storeOf(await sampleHosting(disk, { given }));
}

/** Waits at the first write to the temporary folder until it is let go. */
function slowDisk(disk: FaultDisk): { disk: Disk; started: Promise<void>; go: () => void } {
  let go = (): void => undefined;
  let start = (): void => undefined;
  const gate = new Promise<void>((resolve) => (go = resolve));
  const started = new Promise<void>((resolve) => (start = resolve));
  let isFirst = true;
  const slow = new Proxy(disk, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      if (name !== 'write') return value.bind(target) as unknown;
      return async (...args: Parameters<Disk['write']>) => {
        await target.write(...args);
        if (!isFirst) return;
        isFirst = false;
        start();
        await gate;
      };
    },
  });
  return { disk: slow, started, go };
}

void test('files lie where the home has a place for them', async () => {
  const disk = new FaultDisk();
  const store = await openStore(disk);
  await store.put(shard);
  await store.logs.putSegment(log.logKey, 2, segment);
  await store.putKeyRecord(oldKeys);
  assert.deepEqual(disk.files(), [
    `/home/hosted/keys/${vaultHex}.keys`,
    marker,
    `/home/hosted/logs/${vaultHex}/${toHex(log.logKey)}/${segmentFileName(2)}`,
    shardPath,
  ]);
  const { vault: owner } = decodeDriveMarker(disk.peek(marker) ?? new Uint8Array(0));
  assert.equal(owner, toHex(friendIdentity));
});

void test('a start cut at every step is made good by the next', async () => {
  const whole = new FaultDisk();
  await sampleHosting(whole, { given: [] });
  for (let step = 1; step <= whole.steps; step++) {
    const disk = new FaultDisk();
    disk.crashAt(step);
    await assert.rejects(sampleHosting(disk, { given: [] }), CrashError);
    for (const mode of modes) {
      const found = disk.afterCrash(mode, step);
      const store = await openStore(found);
      await store.put(shard);
      assert.equal(await store.verify(shard), 'good', `step ${step}, ${mode}`);
    }
  }
});

void test('the marker is made once', async () => {
  const disk = new FaultDisk();
  await openStore(disk);
  const before = disk.peek(marker);
  const { steps } = disk;
  await openStore(disk);
  assert.equal(disk.steps, steps);
  assert.deepEqual(disk.peek(marker), before);
});

void test('without its marker a store is unavailable and has lost nothing, also after a start', async () => {
  const disk = new FaultDisk();
  const store = await openStore(disk);
  await store.put(shard);
  const kept = disk.peek(marker) ?? new Uint8Array(0);
  await disk.unlink(marker);
  const gone = rejectsWith('holder-unavailable');
  for (const each of [store, await openStore(disk)]) {
    await assert.rejects(each.get(shard, 0, 1), gone);
    await assert.rejects(each.stat(sampleShard(pack, 1)), gone);
    await assert.rejects(each.put(sampleShard(pack, 1)), gone);
    await assert.rejects(each.inventory().next(), gone);
    await assert.rejects(each.logs.list(), gone);
    await assert.rejects(each.getKeyRecord(), gone);
    await assert.rejects(each.room(), gone);
    await assert.rejects(each.reserve(1), gone);
    await assert.rejects(each.holdShard(shard, 10), gone);
  }
  assert.equal(disk.peek(marker), undefined, 'none is made in its place');
  disk.poke(marker, kept);
  assert.equal(await store.verify(shard), 'good');
});

void test('without hosted/, shards alone keep a start from making a new store', async () => {
  const disk = new FaultDisk();
  await (await openStore(disk)).put(shard);
  disk.detach('/home/hosted');
  const hosting = await sampleHosting(disk, { given: [{ vault, quotaBytes: undefined }] });
  assert.deepEqual((await hosting.check()).available, false);
  await assert.rejects(storeOf(hosting).verify(shard), rejectsWith('holder-unavailable'));
  assert.equal(disk.peek(marker), undefined);
});

void test('with the marker there, shards that are gone are missing', async () => {
  const disk = new FaultDisk();
  const store = await openStore(disk);
  await store.put(shard);
  disk.detach('/home/shards');
  for (const each of [store, await openStore(disk)]) {
    assert.equal(await each.verify(shard), 'missing');
    assert.equal(await each.stat(shard), undefined);
    assert.equal((await each.measuredRoom()).usedBytes, 0);
  }
  await store.put(shard);
  assert.equal(await store.verify(shard), 'good');
});

void test("another identity's store is foreign", async () => {
  const disk = new FaultDisk();
  const store = await openStore(disk);
  const found = decodeDriveMarker(disk.peek(marker) ?? new Uint8Array(0));
  disk.poke(marker, encodeDriveMarker({ ...found, vault: vaultHex }));
  await assert.rejects(store.room(), (error) => {
    assert.ok(error instanceof KithError);
    assert.equal(error.details['foreign'], true);
    return rejectsWith('holder-unavailable')(error);
  });
  disk.poke(marker, new Uint8Array(5000));
  await assert.rejects(store.room(), rejectsWith('holder-unavailable'));
});

void test('nobody reaches what is kept for another', async () => {
  const disk = new FaultDisk();
  const given = [vault, other].map((each) => ({ vault: each, quotaBytes: undefined }));
  const hosting = await sampleHosting(disk, { given });
  await storeOf(hosting).put(shard);
  await storeOf(hosting).putKeyRecord(oldKeys);
  const theirs = storeOf(hosting, other);
  assert.equal(await theirs.verify(shard), 'missing');
  assert.equal(await theirs.getKeyRecord(), undefined);
  assert.equal((await theirs.room()).usedBytes, 0);
  await assert.rejects(theirs.put(shard), rejectsWith('not-authentic'));
  assert.equal(hosting.storeOf(toHex(sampleVault(3).vaultId)), undefined);
});

void test("an owner's first write leaves alone what another has under way", async () => {
  const inner = new FaultDisk();
  const given = [vault, other].map((each) => ({ vault: each, quotaBytes: undefined }));
  const { disk, started, go } = slowDisk(inner);
  await sampleHosting(inner, { given });
  const hosting = await sampleHosting(disk, { given });
  const slow = storeOf(hosting).put(shard);
  await started;
  const theirs = sampleShard(samplePack(other), 0);
  await storeOf(hosting, other).put(theirs);
  go();
  await slow;
  assert.equal(await storeOf(hosting).verify(shard), 'good');
  assert.equal(await storeOf(hosting, other).verify(theirs), 'good');
});

void test('quotas are each their own, to the byte; the floor counts reservations of all', async () => {
  const disk = new FaultDisk({ capacityBytes: 10 * pack.fileBytes });
  const given = [vault, other].map((each) => ({ vault: each, quotaBytes: 8 * pack.fileBytes }));
  const hosting = await sampleHosting(disk, { given });
  const [ours, theirs] = [storeOf(hosting), storeOf(hosting, other)];
  const free = (await disk.freeBytes('/home'))?.free ?? 0;
  const reservation = await ours.reserve(8 * pack.fileBytes);
  await assert.rejects(ours.reserve(1), rejectsWith('quota-exceeded'));
  assert.equal((await theirs.room()).freeBytes, free - 8 * pack.fileBytes);
  await assert.rejects(theirs.reserve(free - 8 * pack.fileBytes + 1), rejectsWith('disk-full'));
  (await theirs.reserve(free - 8 * pack.fileBytes)).release();
  reservation.release();
  assert.equal((await theirs.room()).freeBytes, 8 * pack.fileBytes);
});

void test('free space measured before another owner wrote does not count', async () => {
  const inner = new FaultDisk({ capacityBytes: 4 * pack.fileBytes });
  const given = [vault, other].map((each) => ({ vault: each, quotaBytes: undefined }));
  let open = (): void => undefined;
  let measured = (): void => undefined;
  const gate = new Promise<void>((resolve) => (open = resolve));
  const wasMeasured = new Promise<void>((resolve) => (measured = resolve));
  let isSlow = false;
  const disk = new Proxy(inner, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (name === 'freeBytes')
        return async (path: string) => {
          const seen = await target.freeBytes(path);
          if (!isSlow) return seen;
          measured();
          await gate;
          return seen;
        };
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  const hosting = await sampleHosting(disk, { given });
  const [ours, theirs] = [storeOf(hosting), storeOf(hosting, other)];
  await theirs.room();
  const reservation = await ours.reserve(pack.fileBytes);
  const free = (await ours.room()).freeBytes;
  isSlow = true;
  // Measured while the reservation stood for the file, checked when neither does.
  const claim = assert.rejects(theirs.reserve(free + 1), rejectsWith('disk-full'));
  await wasMeasured;
  isSlow = false;
  await ours.put(shard, reservation);
  open();
  await claim;
});

void test('a quota lowered below what is used: nothing goes, nothing comes, reservations do not help', async () => {
  const disk = new FaultDisk();
  const mine = { vault, quotaBytes: 3 * pack.fileBytes };
  const store = await openStore(disk, [mine]);
  await store.put(shard);
  await store.put(sampleShard(pack, 1));
  const reservation = await store.reserve(pack.fileBytes);
  mine.quotaBytes = pack.fileBytes;
  const files = disk.files();
  await assert.rejects(store.put(sampleShard(pack, 2), reservation), rejectsWith('quota-exceeded'));
  await assert.rejects(store.holdShard(sampleShard(pack, 2), 1, reservation), rejectsWith('quota-exceeded'));
  await assert.rejects(store.logs.putSegment(log.logKey, 2, segment), rejectsWith('quota-exceeded'));
  assert.equal(reservation.bytes, pack.fileBytes);
  assert.deepEqual(disk.files(), files);
  await store.put(shard);
  assert.equal(await store.verify(sampleShard(pack, 1)), 'good');
  assert.deepEqual(await store.room(), {
    quotaBytes: pack.fileBytes,
    usedBytes: 2 * pack.fileBytes,
    reservedBytes: pack.fileBytes,
    freeBytes: 0,
  });
  mine.quotaBytes = 3 * pack.fileBytes;
  await store.put(sampleShard(pack, 2), reservation);
  reservation.release();
  assert.equal((await store.room()).freeBytes, 0);
});

void test('a hold takes from its reservation first, and gives back what was not used', async () => {
  const store = await openStore(new FaultDisk(), [{ vault, quotaBytes: 2 * pack.fileBytes }]);
  const reservation = await store.reserve(100);
  const hold = await store.holdShard(shard, pack.fileBytes, reservation);
  assert.equal(reservation.bytes, 0);
  assert.equal((await store.room()).reservedBytes, pack.fileBytes);
  hold.release();
  hold.release();
  assert.equal(reservation.bytes, 100);
  assert.equal((await store.room()).reservedBytes, 100);
  const used = await store.holdShard(shard, pack.fileBytes, reservation);
  await store.put(shard, used.reservation);
  used.release();
  assert.equal(reservation.bytes, 0);
  assert.equal((await store.room()).reservedBytes, 0);
  const again = await store.reserve(50);
  const nothing = await store.holdShard(shard, pack.fileBytes, again);
  assert.equal(again.bytes, 50, 'a file in the place of one as large needs none');
  nothing.release();
  const left = await store.holdShard(sampleShard(pack, 1), pack.fileBytes, again);
  again.release();
  left.release();
  assert.equal((await store.room()).reservedBytes, 0, 'released meanwhile');
  await assert.rejects(
    store.holdShard(sampleShard(pack, 1), pack.fileBytes + 1),
    rejectsWith('quota-exceeded'),
  );
});

void test('what is used is counted anew for status', async () => {
  const disk = new FaultDisk();
  const given = [{ vault, quotaBytes: 10 * pack.fileBytes }];
  const hosting = await sampleHosting(disk, { given });
  const store = storeOf(hosting);
  await store.put(shard);
  await store.put(sampleShard(pack, 1));
  await disk.unlink(shardPath);
  assert.equal((await hosting.useOf(vaultHex)).usedBytes, pack.fileBytes);
  given.length = 0;
  assert.deepEqual(await hosting.useOf(vaultHex), {
    quotaBytes: 0,
    usedBytes: pack.fileBytes,
    reservedBytes: 0,
  });
  assert.equal(hosting.storeOf(vaultHex), undefined);
});

const changes: readonly {
  readonly what: string;
  readonly prepare: (store: VaultStore) => Promise<void>;
  readonly work: (store: VaultStore) => Promise<unknown>;
  readonly isDone: (store: VaultStore) => Promise<boolean>;
}[] = [
  {
    what: 'put',
    prepare: async () => undefined,
    work: (store) => store.put(shard),
    isDone: async (store) => {
      const state = await store.verify(shard);
      assert.notEqual(state, 'damaged');
      return state === 'good';
    },
  },
  {
    what: 'log put',
    prepare: async () => undefined,
    work: (store) => store.logs.putSegment(log.logKey, 2, segment),
    isDone: async (store) => {
      const found = await store.logs.getSegment(log.logKey, 2);
      assert.ok(found === undefined || equalBytes(found, segment));
      return found !== undefined;
    },
  },
  {
    what: 'key record put',
    prepare: (store) => store.putKeyRecord(oldKeys),
    work: (store) => store.putKeyRecord(newKeys),
    isDone: async (store) => {
      const found = await store.getKeyRecord();
      assert.ok(found !== undefined && (equalBytes(found, oldKeys) || equalBytes(found, newKeys)));
      return equalBytes(found, newKeys);
    },
  },
];

for (const { what, prepare, work, isDone } of changes) {
  const prepared = async (): Promise<FaultDisk> => {
    const disk = new FaultDisk();
    await prepare(await openStore(disk));
    return disk.afterCrash('lose-unsynced');
  };
  void test(`a hosted ${what} cut at every step: all of it or nothing, and an account without remainder`, async () => {
    const whole = await prepared();
    await work(await openStore(whole));
    assert.ok(whole.steps >= 4);
    for (let step = 1; step <= whole.steps + 1; step++) {
      const disk = await prepared();
      disk.crashAt(step);
      const store = await openStore(disk);
      if (step <= whole.steps) await assert.rejects(work(store), CrashError);
      else await work(store);
      for (const mode of modes) {
        for (let seed = 1; seed <= (mode === 'mixed' ? 8 : 1); seed++) {
          const found = disk.afterCrash(mode, seed);
          const again = await openStore(found);
          const done = await isDone(again);
          assert.ok(done || step <= whole.steps, `${mode}: lost though it had returned`);
          await work(again);
          assert.ok(await isDone(again));
          assert.deepEqual(await again.room(), await (await openStore(found)).room());
          assert.ok(!found.files().some((path) => path.startsWith('/home/hosted/tmp/')));
          const later = await openStore(found.afterCrash('lose-unsynced'));
          assert.ok(await isDone(later), `step ${step}, ${mode}: lost in the second crash`);
        }
      }
    }
  });
}
