import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concatBytes, equalBytes, toHex } from '../../lib/base/bytes.ts';
import { KithError, isKithError } from '../../lib/base/errors.ts';
import { leafBytes } from '../../lib/base/limits.ts';
import { shardFileName } from '../../lib/format/shard-file.ts';
import type { InventoryEntry, ShardToPut } from '../../lib/holders/holder.ts';
import type { CallReply } from '../../lib/net/service.ts';
import type { FriendHolder } from '../../lib/services/store/friend-holder.ts';
import { InFlight } from '../../lib/services/store/in-flight.ts';
import { InventoryMirror } from '../../lib/services/store/inventory-mirror.ts';
import {
  decodeInventoryAsked,
  decodeInventoryPage,
  encodeEntries,
  encodeInventoryPage,
  type InventoryAsked,
  type InventoryPage,
} from '../../lib/services/store/inventory-page.ts';
import {
  encodeFound,
  encodeLogPage,
  encodeNumber,
  encodePut,
  storeMethods,
} from '../../lib/services/store/store-codec.ts';
import { inventoryOf, rejectsWith } from '../contract/holder-contract.ts';
import type { CallPair, CallStage } from '../support/call-pair.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { friendDevice, friendOver, pairWith, sampleHosting, type Given } from '../support/hosted-friend.ts';
import { sampleKeyRecord, sampleLog, samplePack, sampleShard, sampleVault } from '../support/sample-pack.ts';

const vault = sampleVault();
const pack = samplePack(vault);
const shard = sampleShard(pack, 0);
const log = sampleLog(vault, 1);
const segment = log.segments[0]?.bytes ?? new Uint8Array(0);
const keys = sampleKeyRecord(vault, [1]);
const vaultHex = toHex(vault.vaultId);
const noBytes = new Uint8Array(0);

interface Friend {
  readonly disk: FaultDisk;
  readonly given: Given;
  readonly pair: CallPair;
  readonly holder: FriendHolder;
  /** Another device of the owner, in a session of its own. */
  readonly another: () => { readonly pair: CallPair; readonly holder: FriendHolder };
}

async function friend(quotaBytes?: number, disk: FaultDisk = new FaultDisk()): Promise<Friend> {
  const given: Given = { vault, quotaBytes };
  const hosting = await sampleHosting(disk, { given: [given] });
  const another = () => {
    const pair = pairWith(hosting, vault);
    return { pair, holder: friendOver(pair, vault) };
  };
  return { disk, given, another, ...another() };
}

function pathOf({ packId, index }: { packId: Uint8Array; index: number }): string {
  const xx = toHex(packId).slice(0, 2);
  return `/home/shards/${vaultHex}/${xx}/${shardFileName(packId, index)}`;
}

function isAway(error: unknown): true {
  assert.ok(isKithError(error, 'holder-unavailable'), String(error));
  assert.equal(error.details['name'], 'ben');
  assert.equal(error.details['foreign'], false);
  assert.match(String(error.details['holder']), /^[0-9a-f]{64}$/);
  return true;
}

const works: readonly {
  readonly what: string;
  readonly work: (holder: FriendHolder) => Promise<unknown>;
}[] = [
  { what: 'room', work: (holder) => holder.room() },
  { what: 'reserve', work: (holder) => holder.reserve(5) },
  { what: 'put', work: (holder) => holder.put(sampleShard(pack, 1)) },
  { what: 'get', work: (holder) => holder.get(shard, 0, 1) },
  { what: 'stat', work: (holder) => holder.stat(shard) },
  { what: 'manifest', work: (holder) => holder.manifest(shard) },
  { what: 'inventory', work: (holder) => inventoryOf(holder) },
  { what: 'verify', work: (holder) => holder.verify(shard) },
  { what: 'settle', work: (holder) => holder.settle([shard]) },
  { what: 'logs.list', work: (holder) => holder.logs.list() },
  { what: 'logs.put', work: (holder) => holder.logs.putSegment(log.logKey, 0, segment) },
  { what: 'logs.get', work: (holder) => holder.logs.getSegment(log.logKey, 0) },
  { what: 'key record put', work: (holder) => holder.putKeyRecord(keys) },
  { what: 'key record get', work: (holder) => holder.getKeyRecord() },
];

const stages: readonly CallStage[] = ['call', 'credit', 'upload', 'reply'];

for (const { what, work } of works) {
  void test(`${what}: no session, one that ends or falls silent at any stage, is unavailable, and it works again`, async () => {
    const { pair, holder } = await friend();
    await holder.put(shard);
    pair.cut();
    await assert.rejects(work(holder), isAway);
    assert.deepEqual(await holder.check(), { available: false, foreign: false, reason: 'not connected' });
    let hits = 0;
    for (const stage of stages) {
      for (const fate of ['cut', 'silent'] as const) {
        pair.open();
        let hit = false;
        pair.fate = (call) => {
          if (call.stage !== stage || hit) return 'go';
          hit = true;
          return fate;
        };
        if (stage === 'call' || stage === 'reply') await assert.rejects(work(holder), isAway);
        else await work(holder).catch((error: unknown) => isAway(error));
        if (hit) hits++;
      }
    }
    assert.ok(hits >= 4);
    pair.fate = () => 'go';
    pair.open();
    await work(holder);
    assert.equal(await holder.verify(shard), 'good');
  });
}

void test('a put that ends in the middle leaves nothing at the friend, and no room taken', async () => {
  for (const stage of ['call', 'credit', 'upload'] as const) {
    const { disk, pair, holder, another } = await friend(2 * pack.fileBytes);
    pair.fate = (call) => (call.stage === stage ? 'cut' : 'go');
    const files = disk.files();
    await assert.rejects(holder.put(shard), isAway);
    assert.deepEqual(disk.files(), files);
    const room = await another().holder.room();
    assert.equal(room.freeBytes, 2 * pack.fileBytes, stage);
  }
});

void test('a put whose answer is lost is there, and done again without harm', async () => {
  const { pair, holder } = await friend(pack.fileBytes);
  pair.fate = ({ stage }) => (stage === 'reply' ? 'cut' : 'go');
  await assert.rejects(holder.put(shard), isAway);
  pair.fate = () => 'go';
  pair.open();
  assert.equal(await holder.verify(shard), 'good');
  await holder.put(shard);
  assert.equal((await holder.room()).usedBytes, pack.fileBytes);
});

void test('a put called off waits for nothing', async () => {
  const { pair, holder } = await friend();
  const controller = new AbortController();
  pair.fate = ({ stage }) => {
    if (stage === 'upload') controller.abort(new KithError('interrupted', 'called off'));
    return 'go';
  };
  await assert.rejects(holder.put(shard, undefined, controller.signal), rejectsWith('interrupted'));
  pair.fate = () => 'go';
  assert.equal(await holder.verify(shard), 'missing');
  assert.equal((await holder.room()).reservedBytes, 0);
});

void test('a get called off ends at once, and at the friend as well', async () => {
  const { pair, holder } = await friend();
  await holder.put(shard);
  const controller = new AbortController();
  let answers = 0;
  pair.fate = ({ stage }) => {
    if (stage === 'call') controller.abort();
    if (stage === 'reply') answers++;
    return 'go';
  };
  const { signal } = controller;
  await assert.rejects(holder.get(shard, 0, 1, { signal }), rejectsWith('interrupted'));
  assert.equal(answers, 0);
  await assert.rejects(holder.get(shard, 0, 1, { signal }), rejectsWith('interrupted'));
  pair.fate = () => 'go';
  assert.equal((await holder.get(shard, 0, 1))?.bytes.length, leafBytes);
});

void test('room is held before the first byte is asked for', async () => {
  const { pair, holder } = await friend(pack.fileBytes - 1);
  await assert.rejects(holder.put(shard), (error) => {
    assert.match(String(error), /"ben" gives .* more don't fit/);
    return rejectsWith('quota-exceeded')(error);
  });
  await holder.logs.putSegment(log.logKey, 0, segment);
  const before = pair.trace.length;
  await assert.rejects(holder.put(shard), rejectsWith('quota-exceeded'));
  assert.deepEqual(
    pair.trace.slice(before).map(({ stage }) => stage),
    ['call'],
    'no credit was given',
  );
});

void test('segments and key records find no room either, before they are sent', async () => {
  const { pair, holder } = await friend(10);
  await assert.rejects(holder.logs.putSegment(log.logKey, 0, segment), rejectsWith('quota-exceeded'));
  await assert.rejects(holder.putKeyRecord(keys), rejectsWith('quota-exceeded'));
  assert.ok(pair.trace.every(({ stage }) => stage === 'call'));
  assert.equal((await holder.room()).reservedBytes, 0);
});

void test('two sessions race for the last bytes of a quota: one gets them, to the byte', async () => {
  const { holder, another } = await friend(pack.fileBytes);
  const other = another();
  const results = await Promise.allSettled([holder.put(shard), other.holder.put(sampleShard(pack, 1))]);
  const failed = results.filter((result) => result.status === 'rejected');
  assert.equal(failed.length, 1);
  rejectsWith('quota-exceeded')(failed[0]?.reason);
  assert.deepEqual(await holder.room(), {
    quotaBytes: pack.fileBytes,
    usedBytes: pack.fileBytes,
    reservedBytes: 0,
    freeBytes: 0,
  });
  assert.deepEqual(await other.holder.room(), await holder.room());
});

void test('a reservation ends with its session; a put that has one from before reserves anew', async () => {
  const { pair, holder, another } = await friend(2 * pack.fileBytes);
  const other = another();
  const old = await holder.reserve(2 * pack.fileBytes);
  await assert.rejects(other.holder.reserve(1), rejectsWith('quota-exceeded'));
  pair.cut();
  assert.equal((await other.holder.room()).freeBytes, 2 * pack.fileBytes);
  pair.open();
  const theirs = await other.holder.reserve(10);
  await holder.put(shard, old);
  assert.equal((await holder.room()).reservedBytes, 10, "another session's is not touched");
  old.release();
  theirs.release();
  await holder.room();
  assert.equal((await holder.room()).reservedBytes, 0);
});

void test('a session has 64 reservations, each within the quota', async () => {
  const { holder } = await friend(1000);
  const results = await Promise.allSettled(Array.from({ length: 70 }, () => holder.reserve(1)));
  assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 64);
  for (const each of results) if (each.status === 'rejected') rejectsWith('limit-exceeded')(each.reason);
  assert.equal((await holder.room()).reservedBytes, 64);
  const boundless = await friend();
  await assert.rejects(boundless.holder.reserve(2 ** 53 - 1), rejectsWith('limit-exceeded'));
  await assert.rejects((await friend(1000)).holder.reserve(1001), rejectsWith('quota-exceeded'));
});

void test('at most 14 MiB of puts are on their way, and small ones go side by side', async () => {
  const { pair, holder } = await friend();
  const shards = Array.from({ length: 5 }, (_, i) =>
    sampleShard(samplePack(vault, { class: 6, seed: 90 + i }), 0),
  );
  await Promise.all(shards.map((each) => holder.put(each)));
  assert.ok(pair.inFlightBytesMax <= 14 * 2 ** 20 && pair.inFlightBytesMax > 12 * 2 ** 20);
  pair.inFlightBytesMax = 0;
  await Promise.all(pack.shards.map((each) => holder.put(each)));
  assert.ok(pair.inFlightBytesMax > 3 * 65_536);
});

void test('bytes in flight: in order, the largest alone, and one that waits can be called off', async () => {
  const flight = new InFlight(10);
  const begun: number[] = [];
  const gates: (() => void)[] = [];
  const send = (bytes: number, signal?: AbortSignal): Promise<void> =>
    flight.run(bytes, signal, async () => {
      begun.push(bytes);
      await new Promise<void>((resolve) => gates.push(resolve));
    });
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const controller = new AbortController();
  const all = [send(6), send(4), send(99)];
  const off = assert.rejects(send(1, controller.signal), rejectsWith('interrupted'));
  all.push(send(2));
  await turn();
  assert.deepEqual(begun, [6, 4]);
  controller.abort();
  await off;
  gates.splice(0).forEach((open) => open());
  await turn();
  assert.deepEqual(begun, [6, 4, 99]);
  gates.splice(0).forEach((open) => open());
  await turn();
  assert.deepEqual(begun, [6, 4, 99, 2]);
  gates.splice(0).forEach((open) => open());
  await Promise.all(all);
  await assert.rejects(
    flight.run(1, AbortSignal.abort(), async () => undefined),
    rejectsWith('interrupted'),
  );
});

void test('a full disk at the friend says so, without its paths, and keeps nothing of the put', async () => {
  const disk = new FaultDisk({ capacityBytes: 2 * pack.fileBytes });
  const { holder } = await friend(undefined, disk);
  await holder.put(shard);
  const files = disk.files();
  await assert.rejects(holder.put(sampleShard(pack, 1)), rejectsWith('disk-full'));
  disk.failAt(disk.steps + 1, 'ENOSPC');
  await assert.rejects(holder.putKeyRecord(keys), (error) => {
    assert.ok(isKithError(error, 'disk-full'));
    assert.ok(!`${error.message}${JSON.stringify(error.details)}`.includes('/home'));
    return true;
  });
  assert.deepEqual(disk.files(), files);
  assert.equal((await holder.room()).reservedBytes, 0);
});

void test('an error of the disk at each step of a put: an account without remainder, and the next try works', async () => {
  const whole = await friend();
  const from = whole.disk.steps;
  await whole.holder.put(shard);
  for (let step = from + 1; step <= whole.disk.steps; step++) {
    for (const [code, expected] of [
      ['ENOSPC', 'disk-full'],
      ['EIO', 'io-error'],
    ] as const) {
      const { disk, holder } = await friend();
      disk.failAt(step, code);
      await assert.rejects(holder.put(shard), rejectsWith(expected));
      const { reservedBytes, usedBytes } = await holder.room();
      assert.equal(reservedBytes, 0);
      assert.equal(usedBytes, disk.peek(pathOf(shard))?.length ?? 0);
      await holder.put(shard);
      assert.equal(await holder.verify(shard), 'good');
    }
  }
});

const changes = [
  {
    what: 'put',
    work: (holder: FriendHolder) => holder.put(shard),
    isDone: async (holder: FriendHolder) => {
      const state = await holder.verify(shard);
      assert.notEqual(state, 'damaged');
      return state === 'good';
    },
  },
  {
    what: 'log put',
    work: (holder: FriendHolder) => holder.logs.putSegment(log.logKey, 0, segment),
    isDone: async (holder: FriendHolder) => {
      const found = await holder.logs.getSegment(log.logKey, 0);
      assert.ok(found === undefined || equalBytes(found, segment));
      return found !== undefined;
    },
  },
  {
    what: 'key record put',
    work: (holder: FriendHolder) => holder.putKeyRecord(keys),
    isDone: async (holder: FriendHolder) => {
      const found = await holder.getKeyRecord();
      assert.ok(found === undefined || equalBytes(found, keys));
      return found !== undefined;
    },
  },
];

for (const { what, work, isDone } of changes) {
  void test(`a friend killed at every step of a ${what}: unavailable, then all of it or nothing`, async () => {
    const whole = await friend();
    const from = whole.disk.steps;
    await work(whole.holder);
    assert.ok(whole.disk.steps >= from + 4);
    for (let step = from + 1; step <= whole.disk.steps; step++) {
      const { disk, holder } = await friend();
      disk.crashAt(step);
      await assert.rejects(work(holder), isAway);
      for (const mode of ['lose-unsynced', 'process-killed', 'mixed'] as const) {
        const found = disk.afterCrash(mode, step);
        const again = await friend(undefined, found);
        await isDone(again.holder);
        await work(again.holder);
        assert.ok(await isDone(again.holder));
        const later = await friend(undefined, found.afterCrash('lose-unsynced'));
        assert.ok(await isDone(later.holder), 'it had said so');
        assert.deepEqual(await later.holder.room(), await again.holder.room());
      }
    }
  });
}

void test('the quota is lowered: nothing goes, nothing comes; the owner sees both', async () => {
  const { given, holder } = await friend(4 * pack.fileBytes);
  await holder.put(shard);
  await holder.put(sampleShard(pack, 1));
  given.quotaBytes = pack.fileBytes;
  await assert.rejects(holder.put(sampleShard(pack, 2)), rejectsWith('quota-exceeded'));
  assert.deepEqual(await holder.room(), {
    quotaBytes: pack.fileBytes,
    usedBytes: 2 * pack.fileBytes,
    reservedBytes: 0,
    freeBytes: 0,
  });
  assert.equal((await inventoryOf(holder)).length, 2);
});

void test('answers come from the disk: what is deleted, cut or lost under a running store shows at once', async () => {
  const { disk, holder } = await friend();
  const kept = [0, 1, 2].map((index) => sampleShard(pack, index));
  for (const each of kept) await holder.put(each);
  assert.equal((await inventoryOf(holder)).length, 3);
  const [gone, short, whole] = kept;
  assert.ok(gone !== undefined && short !== undefined && whole !== undefined);
  await disk.unlink(pathOf(gone));
  disk.poke(pathOf(short), (disk.peek(pathOf(short)) ?? noBytes).subarray(0, 700));
  assert.equal(await holder.stat(gone), undefined);
  assert.equal(await holder.get(gone, 0, 1), undefined);
  assert.equal(await holder.manifest(gone), undefined);
  assert.deepEqual(await holder.stat(short), { fileBytes: 700 });
  await assert.rejects(holder.get(short, 0, 1), rejectsWith('shard-damaged'));
  assert.equal(await holder.verify(short), 'damaged');
  const found = await inventoryOf(holder);
  assert.deepEqual(
    found.map(({ index, damaged }) => [index, damaged !== undefined]),
    [
      [1, true],
      [2, false],
    ],
  );
  disk.detach('/home/shards');
  assert.deepEqual(await inventoryOf(holder), []);
  await disk.unlink('/home/hosted/kith-store.json');
  await assert.rejects(inventoryOf(holder), isAway);
  const { available } = await holder.check();
  assert.equal(available, false);
});

void test('bit rot in a payload is found by the one who reads, and by verify', async () => {
  const { disk, holder } = await friend();
  await holder.put(shard);
  const bytes = disk.peek(pathOf(shard)) ?? noBytes;
  bytes[4000] = (bytes[4000] ?? 0) ^ 1;
  disk.poke(pathOf(shard), bytes);
  await assert.rejects(holder.get(shard, 0, 1), (error) => {
    assert.ok(!String(error).includes('/home'));
    return rejectsWith('shard-damaged')(error);
  });
  assert.equal(await holder.verify(shard), 'damaged');
  await holder.put(shard);
  assert.equal(await holder.verify(shard), 'good');
});

void test('words and details of a friend without its store have no paths', async () => {
  const { disk, holder } = await friend();
  await disk.unlink('/home/hosted/kith-store.json');
  await assert.rejects(holder.room(), (error) => {
    assert.ok(isKithError(error));
    assert.ok(!`${error.message}${JSON.stringify(error.details)}`.includes('/home'));
    return isAway(error);
  });
  const found = await holder.check();
  assert.ok(!found.available && found.reason.startsWith('"ben" says: ') && !found.reason.includes('/home'));
});

void test('a friend that grants no room any more is unavailable', async () => {
  const given: Given[] = [{ vault, quotaBytes: undefined }];
  const pair = pairWith(await sampleHosting(new FaultDisk(), { given }), vault);
  const holder = friendOver(pair, vault);
  await holder.put(shard);
  given.length = 0;
  assert.equal(pair.open(), false);
  await assert.rejects(holder.room(), isAway);
});

void test('what a stranger to the formats sends is refused, and harms nothing', async () => {
  const { pair, holder, disk } = await friend();
  const head = {
    packId: shard.packId,
    index: 0,
    k: 2,
    class: 0,
    keyEpoch: 0,
    reservation: 0,
    payloadBytes: 65_536,
    leavesBytes: 32,
    manifestBytes: 100,
  };
  const files = disk.files();
  const bad = rejectsWith('malformed');
  await assert.rejects(pair.call(storeMethods.put, encodePut(head), { upload: [new Uint8Array(5)] }), bad);
  await assert.rejects(pair.call(storeMethods.put, encodePut(head)), bad);
  await assert.rejects(
    pair.call(storeMethods.put, encodePut({ ...head, payloadBytes: 5 * 2 ** 20 }), {
      upload: [new Uint8Array(5 * 2 ** 20 + 132)],
    }),
    bad,
  );
  for (const method of [...Object.values(storeMethods), 0, 17, 65_535]) {
    for (const body of [new Uint8Array(3), new Uint8Array(4000).fill(255), new Uint8Array(40).fill(1)]) {
      await pair.call(method, body, { upload: [new Uint8Array(9)], downloadBytesMax: 100 }).then(
        () => undefined,
        (error: unknown) => assert.ok(isKithError(error), String(error)),
      );
    }
  }
  const tooLong = new Uint8Array(8 * 2 ** 20 + 1);
  const name = concatBytes(log.logKey, new Uint8Array(8));
  const long = rejectsWith('limit-exceeded');
  await assert.rejects(pair.call(storeMethods.putSegment, name, { upload: [tooLong] }), long);
  await assert.rejects(pair.call(storeMethods.putKeyRecord, noBytes, { upload: [tooLong] }), long);
  assert.deepEqual(disk.files(), files);
  await holder.put(shard);
  await assert.rejects(
    pair.call(storeMethods.get, concatBytes(shard.packId, new Uint8Array([0, 0, 1])), {
      downloadBytesMax: 99,
    }),
    rejectsWith('usage'),
  );
  assert.equal((await holder.room()).reservedBytes, 0);
});

void test('a friend that lies about a range: wrong lengths never get through', async () => {
  const { pair, holder } = await friend();
  const large = sampleShard(samplePack(vault, { class: 2 }), 0);
  await holder.put(large);
  const honest = await holder.get(large, 1, 2);
  assert.equal(honest?.bytes.length, 2 * leafBytes);
  const lies: readonly ((reply: CallReply) => CallReply)[] = [
    ({ body, download }) => ({ body, download: download.subarray(1) }),
    ({ body }) => ({ body, download: noBytes }),
    ({ download }) => ({ body: encodeFound(0), download }),
    ({ download }) => ({ body: encodeFound(31), download: download.subarray(0, 2 * leafBytes + 31) }),
    ({ download }) => ({ body: encodeFound(2 ** 53 - 1), download }),
    ({ download }) => ({ body: noBytes, download }),
    ({ download }) => ({ body: new Uint8Array([2]), download }),
    ({ body, download }) => ({ body: concatBytes(body, noBytes, new Uint8Array(1)), download }),
  ];
  for (const lie of lies) {
    pair.lie = (_, reply) => lie(reply);
    await assert.rejects(holder.get(large, 1, 2), (error) => {
      assert.ok(isKithError(error, 'shard-damaged', 'holder-unavailable'), String(error));
      return true;
    });
  }
  pair.lie = () => ({ body: encodeFound(undefined), download: noBytes });
  assert.equal(await holder.get(large, 1, 2), undefined, 'missing only when it is said');
});

void test('answers that make no sense are no answers', async () => {
  const { pair, holder } = await friend();
  await holder.put(shard);
  await holder.logs.putSegment(log.logKey, 0, segment);
  const asks = works.filter(({ what }) => !['settle', 'logs.put', 'key record put'].includes(what));
  const junk = [noBytes, new Uint8Array([9]), new Uint8Array(3000).fill(255)];
  for (const { what, work } of asks) {
    for (const body of junk) {
      if (['reserve', 'put'].includes(what) && body.length === 1) continue;
      pair.lie = (_, reply) => ({ body, download: reply.download });
      await assert.rejects(work(holder), isAway, what);
    }
  }
  for (const body of junk) {
    pair.lie = () => ({ body, download: noBytes });
    assert.equal((await holder.check()).available, false);
  }
  pair.lie = (_, { body }) => ({ body, download: new Uint8Array(5) });
  await assert.rejects(holder.logs.getSegment(log.logKey, 0), isAway);
  await assert.rejects(holder.manifest(shard), isAway);
  pair.lie = () => ({ body: encodeNumber(2 ** 50), download: noBytes });
  const reservation = await holder.reserve(7);
  await holder.put(sampleShard(pack, 1), reservation);
  assert.equal(reservation.bytes, 7, 'a put leaves no more than there was');
  pair.lie = () => ({ body: encodeNumber(0), download: noBytes });
  await assert.rejects(holder.reserve(7), isAway);
});

void test('a list of logs that is out of order, told twice or without end is none', async () => {
  const { pair, holder } = await friend();
  const [a, b] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
  const some = (logKey: Uint8Array, ...indices: number[]) => ({
    logKey,
    segments: indices.map((firstIndex) => ({ firstIndex, bytes: 1 })),
  });
  for (const logs of [[some(b, 1), some(a, 1)], [some(a, 2, 1)], [some(a, 1, 1)], [some(a, 1), some(a, 1)]]) {
    pair.lie = () => ({ body: encodeLogPage({ logs, more: false }), download: noBytes });
    await assert.rejects(holder.logs.list(), isAway);
  }
  for (const logs of [[], [some(a, 1)], [some(a)]]) {
    pair.lie = () => ({ body: encodeLogPage({ logs, more: true }), download: noBytes });
    await assert.rejects(holder.logs.list(), isAway);
  }
  let calls = 0;
  pair.lie = () => ({ body: encodeLogPage({ logs: [some(a, calls++)], more: true }), download: noBytes });
  await assert.rejects(holder.logs.list(), isAway);
  assert.ok(calls < 1000);
});

const signer = {
  vaultId: vault.vaultId,
  deviceId: friendDevice.publicKey,
  deviceSecretKey: friendDevice.secretKey,
};

/** A friend that makes its own pages, and signs them. */
function pagesFrom(
  pair: CallPair,
  make: (asked: InventoryAsked, ordinal: number) => InventoryPage,
): () => number {
  let calls = 0;
  pair.instead = (method, body) => {
    if (method !== storeMethods.inventory) return undefined;
    const page = make(decodeInventoryAsked(body), calls++);
    return { body: encodeInventoryPage(page, body, signer), download: noBytes };
  };
  return () => calls;
}

/** Entries of one folder, in order, that never end. */
function entryAt(folder: number, ordinal: number): InventoryEntry {
  const packId = new Uint8Array(32);
  packId[0] = folder;
  new DataView(packId.buffer).setUint32(1, ordinal);
  return { packId, index: 0, class: undefined, fileBytes: 1, sinceMs: 0, damaged: undefined };
}

void test('a false inventory ends in an error, and soon', async () => {
  const { pair, holder } = await friend();
  const one = { same: false, more: false, entries: encodeEntries([entryAt(3, 0)]) };
  const lies: readonly ((asked: InventoryAsked, ordinal: number) => InventoryPage)[] = [
    () => ({ next: undefined, sections: [{ ...one, firstByte: 4 }] }),
    () => ({ next: undefined, sections: [{ firstByte: 9, same: true, more: false, entries: noBytes }] }),
    ({ from }) => ({ next: from, sections: [] }),
    () => ({ next: 0, sections: [] }),
    (_, ordinal) => ({ next: ordinal === 0 ? 5 : undefined, sections: [{ ...one, firstByte: 3 }] }),
    () => ({ next: 3, sections: [{ ...one, more: true, firstByte: 3 }] }),
    ({ after }) => ({
      next: after === undefined ? 3 : undefined,
      sections: [
        after === undefined
          ? { ...one, more: true, firstByte: 3 }
          : { firstByte: 3, same: true, more: false, entries: noBytes },
      ],
    }),
    // One shard a page, without end.
    (_, ordinal) => ({
      next: 3,
      sections: [{ firstByte: 3, same: false, more: true, entries: encodeEntries([entryAt(3, ordinal)]) }],
    }),
  ];
  for (const [i, lie] of lies.entries()) {
    const calls = pagesFrom(pair, lie);
    await assert.rejects(inventoryOf(friendOver(pair, vault)), isAway, `lie ${i}`);
    assert.ok(calls() <= 5000, `${calls()} calls`);
  }
  pair.instead = () => undefined;
  pair.lie = (method, { body, download }) => {
    if (method === storeMethods.inventory) body[body.length - 1] = (body.at(-1) ?? 0) ^ 1;
    return { body, download };
  };
  await assert.rejects(inventoryOf(holder), isAway);
});

void test('an old page is no answer to a new question', async () => {
  const { pair, holder } = await friend();
  await holder.put(shard);
  let old: Uint8Array | undefined;
  pair.lie = (method, reply) => {
    if (method !== storeMethods.inventory) return reply;
    old ??= reply.body;
    return { body: old, download: noBytes };
  };
  assert.equal((await inventoryOf(holder)).length, 1);
  await assert.rejects(inventoryOf(holder), isAway);
  await assert.rejects(inventoryOf(friendOver(pair, vault)), isAway);
});

void test('a list that ended in an error leaves nothing false behind', async () => {
  const { pair, holder } = await friend();
  const packs = [1, 2, 3, 4, 5, 6].map((seed) => samplePack(vault, { seed }));
  for (const each of packs) await holder.put(sampleShard(each, 0));
  const before = await inventoryOf(holder);
  const first = before[0]?.packId[0] ?? 0;
  pagesFrom(pair, (_, ordinal) => {
    if (ordinal > 0) throw new KithError('holder-unavailable', 'gone');
    const entries = encodeEntries([{ ...entryAt(first, 1) }]);
    return { next: first + 1, sections: [{ firstByte: first, same: false, more: false, entries }] };
  });
  await assert.rejects(inventoryOf(holder));
  pair.instead = () => undefined;
  assert.deepEqual(await inventoryOf(holder), before);
});

void test('the second listing brings only folders that have changed', async () => {
  const { disk, pair, holder, another } = await friend();
  const packs = Array.from({ length: 30 }, (_, i) =>
    samplePack(vault, { seed: i + 1, n: 2, k: 1, spare: 0 }),
  );
  const shards = packs.flatMap((each) => each.shards);
  for (const each of shards) await holder.put(each);
  let entriesBytes = 0;
  let sameCount = 0;
  pair.lie = (method, reply, body) => {
    if (method !== storeMethods.inventory) return reply;
    const page = decodeInventoryPage(reply.body, body, vault.vaultId, () => true);
    for (const { entries, same } of page.sections) {
      entriesBytes += entries.length;
      if (same) sameCount++;
    }
    return reply;
  };
  const told = async (): Promise<InventoryEntry[]> => {
    entriesBytes = 0;
    sameCount = 0;
    const listed = await inventoryOf(holder);
    assert.deepEqual(listed, await inventoryOf(another().holder), 'the same as told anew');
    return listed;
  };
  assert.equal((await told()).length, 60);
  assert.ok(entriesBytes > 0);
  assert.equal((await told()).length, 60);
  assert.equal(entriesBytes, 0, 'nothing has changed');
  const folders = sameCount;
  const gone = shards[7];
  assert.ok(gone !== undefined);
  await disk.unlink(pathOf(gone));
  assert.equal((await told()).length, 59);
  assert.ok(sameCount >= folders - 1 && entriesBytes < 1000);
  const back = shards[7];
  assert.ok(back !== undefined);
  await holder.put(back);
  assert.equal((await told()).length, 60);
});

void test('a large store is told in pages, each shard once and in order', async () => {
  const { pair } = await friend();
  const folders = new Map([0, 1, 77, 255].map((folder) => [folder, folder === 77 ? 9000 : 700]));
  const all = [...folders].flatMap(([folder, count]) =>
    Array.from({ length: count }, (_, i) => entryAt(folder, i)),
  );
  // A store of that many files would take long to make: pages are cut from a list, as the service cuts them.
  const mirror = new InventoryMirror();
  const calls = pagesFrom(pair, ({ from, after }) => {
    const rest = all.filter(
      ({ packId }) =>
        (packId[0] ?? 0) >= from && (after === undefined || Buffer.compare(packId, after.packId) > 0),
    );
    const some = rest.slice(0, 4000);
    const sections = [...folders.keys()]
      .map((firstByte) => {
        const mine = some.filter(({ packId }) => packId[0] === firstByte);
        const left = rest.filter(({ packId }) => packId[0] === firstByte).length;
        return { firstByte, same: false, more: mine.length < left, entries: encodeEntries(mine) };
      })
      .filter(({ entries }) => entries.length > 0);
    const last = sections.at(-1);
    const next =
      rest.length === some.length
        ? undefined
        : last?.more === true
          ? last.firstByte
          : (last?.firstByte ?? 0) + 1;
    return { next, sections };
  });
  const found = await inventoryOf(friendOver(pair, vault, mirror));
  assert.deepEqual(found, all);
  assert.ok(calls() > 2);
});

void test('the service cuts a folder over pages by itself', async () => {
  const { disk, pair, holder } = await friend();
  // Files that are no shards inside, but have their names: 4200 damaged ones in one folder.
  await holder.put(shard);
  const folder = pathOf(shard).slice(0, pathOf(shard).lastIndexOf('/'));
  const first = shard.packId[0] ?? 0;
  for (let i = 0; i < 4200; i++) {
    disk.poke(`${folder}/${shardFileName(entryAt(first, i).packId, 1)}`, new Uint8Array(1));
  }
  let pages = 0;
  pair.lie = (method, reply) => {
    if (method === storeMethods.inventory) pages++;
    return reply;
  };
  const found = await inventoryOf(holder);
  assert.equal(found.length, 4201);
  assert.equal(new Set(found.map(({ packId }) => toHex(packId))).size, 4201);
  assert.equal(found.filter(({ damaged }) => damaged === undefined).length, 1);
  assert.ok(pages >= 2, `${pages} pages`);
  pages = 0;
  assert.deepEqual(await inventoryOf(holder), found);
  assert.equal(pages, 1, 'and remembers it whole');
});

void test('a listing called off ends between pages', async () => {
  const { pair, holder } = await friend();
  const controller = new AbortController();
  const calls = pagesFrom(pair, ({ from }, ordinal) => {
    if (ordinal === 2) controller.abort();
    return { next: from + 1, sections: [] };
  });
  await assert.rejects(async () => {
    for await (const entry of holder.inventory({ signal: controller.signal }))
      assert.fail(String(entry.index));
  }, rejectsWith('interrupted'));
  assert.equal(calls(), 3);
});

void test('many large calls at once of one session end well', async () => {
  const { holder } = await friend();
  const shards: ShardToPut[] = Array.from({ length: 40 }, (_, i) =>
    sampleShard(samplePack(vault, { seed: i + 1 }), 0),
  );
  await Promise.all(shards.map((each) => holder.put(each)));
  const results = await Promise.all(shards.flatMap((each) => [holder.verify(each), holder.verify(each)]));
  assert.ok(results.every((result) => result === 'good'));
  const ranges = await Promise.all(shards.map((each) => holder.get(each, 0, 1)));
  assert.ok(ranges.every((range, i) => equalBytes(range?.bytes ?? noBytes, shards[i]?.payload ?? noBytes)));
});
