import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { copyBytes, equalBytes, toHex } from '../../lib/base/bytes.ts';
import { isKithError, type ErrorCode } from '../../lib/base/errors.ts';
import { classBytes, leafBytes } from '../../lib/base/limits.ts';
import { leafHashes, verifyRange } from '../../lib/crypto/merkle.ts';
import type { Holder, InventoryEntry, InventoryOptions, ShardToPut } from '../../lib/holders/holder.ts';
import {
  sampleKeyRecord,
  sampleLog,
  samplePack,
  sampleShard,
  sampleVault,
  type SampleVault,
} from '../support/sample-pack.ts';

export interface HolderUnderTest {
  readonly holder: Holder;
  /** The same store seen afresh, as after a restart: nothing remembered. */
  readonly reopen: () => Promise<Holder>;
  readonly cleanup: () => Promise<void>;
}

export interface HolderToMake {
  readonly vault: SampleVault;
  readonly quotaBytes?: number;
}

/** The code that a promise is rejected with must be this one. */
export function rejectsWith(code: ErrorCode): (error: unknown) => true {
  return (error) => {
    assert.ok(isKithError(error, code), `${code} expected, found ${String(error)}`);
    return true;
  };
}

/** All of an inventory. */
export async function inventoryOf(holder: Holder, options: InventoryOptions = {}): Promise<InventoryEntry[]> {
  const entries: InventoryEntry[] = [];
  for await (const entry of holder.inventory(options)) entries.push(entry);
  return entries;
}

function namesOf(entries: readonly { readonly packId: Uint8Array; readonly index: number }[]): string[] {
  return entries.map(({ packId, index }) => `${toHex(packId)}-${index}`).sort();
}

/** What every holder does, a drive or a friend; run on each kind. */
export function holderContract(
  name: string,
  make: (options: HolderToMake) => Promise<HolderUnderTest>,
  kind: {
    /** A friend deletes nothing at once. */ readonly deletes?: boolean;
    /** A friend always has a quota. */ readonly quotas?: boolean;
  } = {},
): void {
  const { deletes = true, quotas = false } = kind;
  const vault = sampleVault();
  const pack = samplePack(vault);
  const shard = sampleShard(pack, 0);

  function contract(
    title: string,
    body: (made: HolderUnderTest) => Promise<void>,
    options: { readonly quotaBytes?: number } = {},
  ): void {
    void test(title, async () => {
      const made = await make({ vault, ...options });
      try {
        await body(made);
      } finally {
        await made.cleanup();
      }
    });
  }

  void describe(`holder contract: ${name}`, () => {
    contract('is there, empty, and says what it is', async ({ holder }) => {
      assert.deepEqual(await holder.check(), { available: true });
      assert.match(holder.id, /^[0-9a-f]{64}$/);
      assert.deepEqual(await inventoryOf(holder), []);
      assert.equal((await holder.room()).usedBytes, 0);
      assert.deepEqual(await holder.logs.list(), []);
      assert.equal(await holder.getKeyRecord(), undefined);
    });

    contract('says of a shard it lacks that it lacks it', async ({ holder }) => {
      assert.equal(await holder.get(shard, 0, 1), undefined);
      assert.equal(await holder.stat(shard), undefined);
      assert.equal(await holder.manifest(shard), undefined);
      assert.equal(await holder.verify(shard), 'missing');
      if (deletes) assert.equal(await holder.delete(shard), false);
    });

    contract(
      'keeps shards of every class and gives any leaves back with a proof',
      async ({ holder, reopen }) => {
        const packs = classBytes.map((_, classNumber) => samplePack(vault, { class: classNumber, seed: 7 }));
        for (const each of packs) await holder.put(sampleShard(each, 1));
        for (const view of [holder, await reopen()]) {
          for (const each of packs) {
            const kept = sampleShard(each, 1);
            const leaves = kept.payload.length / leafBytes;
            const ranges = new Set([
              [0, leaves].join(),
              [leaves - 1, 1].join(),
              [Math.floor(leaves / 2), Math.ceil(leaves / 4)].join(),
            ]);
            for (const range of ranges) {
              const [first = 0, count = 0] = range.split(',').map(Number);
              const got = await view.get(kept, first, count);
              assert.ok(got !== undefined);
              assert.ok(
                equalBytes(got.bytes, kept.payload.subarray(first * leafBytes, (first + count) * leafBytes)),
              );
              const root = each.roots[1] ?? new Uint8Array(0);
              assert.ok(verifyRange(leafHashes(got.bytes, leafBytes), first, leaves, got.proof, root));
            }
            assert.deepEqual(await view.manifest(kept), each.manifest);
            assert.equal(await view.verify(kept), 'good');
            assert.deepEqual(await view.stat(kept), { fileBytes: each.fileBytes });
          }
        }
      },
    );

    contract('refuses a range that is not there', async ({ holder }) => {
      await holder.put(shard);
      await assert.rejects(holder.get(shard, 0, 2), rejectsWith('usage'));
      await assert.rejects(holder.get(shard, 1, 1), rejectsWith('usage'));
      await assert.rejects(holder.get(shard, 0, 0), rejectsWith('usage'));
      await assert.rejects(holder.get(shard, -1, 1), rejectsWith('usage'));
    });

    contract('hands out arrays of its own', async ({ holder }) => {
      const mine = { ...shard, payload: copyBytes(shard.payload) };
      await holder.put(mine);
      mine.payload.fill(0);
      (await holder.get(shard, 0, 1))?.bytes.fill(1);
      assert.ok(equalBytes((await holder.get(shard, 0, 1))?.bytes ?? new Uint8Array(0), shard.payload));
    });

    contract('lists what it holds, in order, before and after a restart', async ({ holder, reopen }) => {
      const packs = [1, 2, 3, 4, 5].map((seed) => samplePack(vault, { seed }));
      const all = packs.flatMap((each) => each.shards);
      for (const each of all) await holder.put(each);
      for (const view of [holder, await reopen()]) {
        const entries = await inventoryOf(view);
        const names = entries.map(({ packId, index }) => `${toHex(packId)}-${index}`);
        assert.deepEqual(names, namesOf(all));
        assert.ok(entries.every((entry) => entry.class === 0 && entry.damaged === undefined));
        assert.ok(entries.every((entry) => entry.fileBytes === pack.fileBytes));
      }
    });

    contract('stops listing when told to', async ({ holder }) => {
      for (const each of pack.shards) await holder.put(each);
      const aborted = AbortSignal.abort();
      await assert.rejects(async () => {
        for await (const entry of holder.inventory({ signal: aborted })) assert.fail(String(entry.index));
      }, rejectsWith('interrupted'));
    });

    contract('does not begin a put that was called off', async ({ holder }) => {
      await assert.rejects(holder.put(shard, undefined, AbortSignal.abort()), rejectsWith('interrupted'));
      assert.equal(await holder.verify(shard), 'missing');
      assert.equal((await holder.room()).reservedBytes, 0);
    });

    contract('takes the same shard twice and counts it once', async ({ holder }) => {
      await holder.put(shard);
      await holder.put(shard);
      await Promise.all([holder.put(shard), holder.put(shard)]);
      assert.equal((await inventoryOf(holder)).length, 1);
      assert.equal((await holder.room()).usedBytes, pack.fileBytes);
    });

    contract('takes a shard again with a longer manifest', async ({ holder }) => {
      await holder.put(shard);
      const longer = samplePack(vault, { generation: 2, n: 5 });
      assert.ok(equalBytes(longer.packId, pack.packId));
      await holder.put(sampleShard(longer, 0));
      assert.equal(await holder.verify(shard), 'good');
    });

    contract('deletes for good, or not at all', async ({ holder, reopen }) => {
      if (!deletes) {
        await holder.put(shard);
        await assert.rejects(holder.delete(shard), rejectsWith('not-granted'));
        assert.equal(await (await reopen()).verify(shard), 'good');
        return;
      }
      await holder.put(shard);
      await holder.put(sampleShard(pack, 1));
      assert.equal(await holder.delete(shard), true);
      assert.equal(await holder.delete(shard), false);
      for (const view of [holder, await reopen()]) {
        assert.equal(await view.verify(shard), 'missing');
        assert.deepEqual(namesOf(await inventoryOf(view)), namesOf([sampleShard(pack, 1)]));
        assert.equal((await view.room()).usedBytes, pack.fileBytes);
      }
      await holder.put(shard);
      assert.equal(await holder.verify(shard), 'good');
    });

    const other = sampleVault(2);
    const foreign = sampleShard(samplePack(other), 0);
    const flip = (bytes: Uint8Array, at: number): Uint8Array => {
      const flipped = copyBytes(bytes);
      flipped[at] = (flipped[at] ?? 0) ^ 1;
      return flipped;
    };
    const strangersPack = samplePack({ ...vault, device: other.device });
    const lies: readonly (readonly [string, ShardToPut, ErrorCode])[] = [
      ['a payload with a flipped bit', { ...shard, payload: flip(shard.payload, 4711) }, 'not-authentic'],
      ['a payload too short', { ...shard, payload: shard.payload.subarray(1) }, 'not-authentic'],
      ['an empty payload', { ...shard, payload: new Uint8Array(0) }, 'not-authentic'],
      ['leaf hashes of something else', { ...shard, leaves: flip(shard.leaves, 3) }, 'not-authentic'],
      ['no leaf hashes', { ...shard, leaves: new Uint8Array(0) }, 'not-authentic'],
      ['the index of another row', { ...shard, index: 1 }, 'not-authentic'],
      ['an index that no row has', { ...shard, index: 60 }, 'not-authentic'],
      ['the id of another pack', { ...shard, packId: flip(shard.packId, 0) }, 'not-authentic'],
      ['another k', { ...shard, k: 3 }, 'not-authentic'],
      ['another key epoch', { ...shard, keyEpoch: 1 }, 'not-authentic'],
      ['another class', { ...shard, class: 1 }, 'not-authentic'],
      ["another vault's shard", foreign, 'not-authentic'],
      ["a stranger's signature", sampleShard(strangersPack, 0), 'not-authentic'],
      [
        'a manifest with a flipped signature bit',
        { ...shard, manifest: flip(shard.manifest, shard.manifest.length - 1) },
        'not-authentic',
      ],
      ['a manifest cut short', { ...shard, manifest: shard.manifest.subarray(0, 99) }, 'malformed'],
      ['no manifest', { ...shard, manifest: new Uint8Array(0) }, 'malformed'],
    ];
    contract('keeps nothing that does not prove itself', async ({ holder }) => {
      for (const [what, lie, code] of lies) {
        await assert.rejects(holder.put(lie), rejectsWith(code), what);
      }
      assert.deepEqual(await inventoryOf(holder), []);
      const room = await holder.room();
      assert.equal(room.quotaBytes !== undefined, quotas);
      assert.deepEqual(
        { ...room, quotaBytes: undefined, freeBytes: 0 },
        { quotaBytes: undefined, usedBytes: 0, reservedBytes: 0, freeBytes: 0 },
      );
      await holder.put(shard);
      assert.equal(await holder.verify(shard), 'good');
    });

    contract(
      'takes a quota to the byte',
      async ({ holder }) => {
        const [first, second, third] = [0, 1, 2].map((index) => sampleShard(pack, index));
        assert.ok(first !== undefined && second !== undefined && third !== undefined);
        assert.equal((await holder.room()).freeBytes, 2 * pack.fileBytes);
        await holder.put(first);
        assert.equal((await holder.room()).freeBytes, pack.fileBytes);
        await holder.put(second);
        assert.deepEqual(await holder.room(), {
          quotaBytes: 2 * pack.fileBytes,
          usedBytes: 2 * pack.fileBytes,
          reservedBytes: 0,
          freeBytes: 0,
        });
        await assert.rejects(holder.put(third), rejectsWith('quota-exceeded'));
        assert.equal(await holder.verify(third), 'missing');
        await holder.put(first);
        assert.equal((await holder.room()).freeBytes, 0, 'what is there takes nothing');
        if (!deletes) return;
        await holder.delete(first);
        await holder.put(third);
        assert.equal((await holder.room()).freeBytes, 0);
      },
      { quotaBytes: 2 * pack.fileBytes },
    );

    contract(
      'a byte less than a shard is too little',
      async ({ holder }) => {
        await assert.rejects(holder.put(shard), rejectsWith('quota-exceeded'));
        await assert.rejects(holder.reserve(pack.fileBytes), rejectsWith('quota-exceeded'));
        assert.deepEqual(await inventoryOf(holder), []);
      },
      { quotaBytes: pack.fileBytes - 1 },
    );

    contract(
      'reservations hold room for their owner, and give it back',
      async ({ holder }) => {
        const reservation = await holder.reserve(2 * pack.fileBytes);
        assert.equal(reservation.bytes, 2 * pack.fileBytes);
        assert.equal((await holder.room()).reservedBytes, 2 * pack.fileBytes);
        assert.equal((await holder.room()).freeBytes, 0);
        await assert.rejects(holder.put(shard), rejectsWith('quota-exceeded'));
        await assert.rejects(holder.reserve(1), rejectsWith('quota-exceeded'));
        await holder.put(shard, reservation);
        assert.equal(reservation.bytes, pack.fileBytes);
        await holder.put(shard, reservation);
        assert.equal(reservation.bytes, pack.fileBytes, 'what is there already takes nothing');
        await assert.rejects(
          holder.put({ ...sampleShard(pack, 1), payload: shard.payload }, reservation),
          rejectsWith('not-authentic'),
        );
        assert.equal(reservation.bytes, pack.fileBytes, 'what failed takes nothing');
        reservation.release();
        reservation.release();
        assert.deepEqual(await holder.room(), {
          quotaBytes: 2 * pack.fileBytes,
          usedBytes: pack.fileBytes,
          reservedBytes: 0,
          freeBytes: pack.fileBytes,
        });
        await holder.put(sampleShard(pack, 1));
      },
      { quotaBytes: 2 * pack.fileBytes },
    );

    contract(
      'a reservation too small is filled up, if there is room',
      async ({ holder }) => {
        const reservation = await holder.reserve(10);
        await holder.put(shard, reservation);
        assert.equal(reservation.bytes, 0);
        assert.equal((await holder.room()).reservedBytes, 0);
        const another = await holder.reserve(10);
        await assert.rejects(holder.put(sampleShard(pack, 1), another), rejectsWith('quota-exceeded'));
        assert.equal(another.bytes, 10);
        another.release();
        assert.equal((await holder.room()).reservedBytes, 0);
      },
      { quotaBytes: 2 * pack.fileBytes - 1 },
    );

    contract(
      'twenty puts at once stay within the quota',
      async ({ holder, reopen }) => {
        const shards = Array.from({ length: 20 }, (_, i) =>
          sampleShard(samplePack(vault, { seed: 50 + i }), 0),
        );
        const results = await Promise.allSettled(shards.map((each) => holder.put(each)));
        const done = results.filter((result) => result.status === 'fulfilled').length;
        assert.equal(done, 7);
        for (const result of results) {
          if (result.status === 'rejected') rejectsWith('quota-exceeded')(result.reason);
        }
        assert.equal((await inventoryOf(holder)).length, 7);
        const room = await holder.room();
        assert.equal(room.usedBytes, 7 * pack.fileBytes);
        assert.equal(room.reservedBytes, 0);
        assert.equal((await (await reopen()).room()).usedBytes, 7 * pack.fileBytes);
      },
      { quotaBytes: 8 * pack.fileBytes - 1 },
    );

    contract('puts, reads and deletes at once leave each shard whole or gone', async ({ holder }) => {
      const shards = Array.from({ length: 8 }, (_, i) => sampleShard(samplePack(vault, { seed: 80 + i }), 0));
      await Promise.all(
        shards.flatMap((each, i) => [
          holder.put(each),
          holder.get(each, 0, 1),
          holder.verify(each),
          // Which of these comes last is not promised.
          ...(deletes && i % 2 === 0 ? [holder.delete(each), holder.put(each)] : []),
        ]),
      );
      const left = new Set(namesOf(await inventoryOf(holder)));
      for (const [i, each] of shards.entries()) {
        const isLeft = left.has(namesOf([each]).join());
        assert.ok(isLeft || (deletes && i % 2 === 0));
        assert.equal(await holder.verify(each), isLeft ? 'good' : 'missing');
      }
      assert.equal((await holder.room()).usedBytes, left.size * pack.fileBytes);
    });

    contract('keeps logs as they are, and tells them apart', async ({ holder, reopen }) => {
      const logs = [sampleLog(vault, 3), sampleLog(vault, 1, 2)];
      for (const log of logs) {
        for (const { firstIndex, bytes } of log.segments)
          await holder.logs.putSegment(log.logKey, firstIndex, bytes);
      }
      for (const view of [holder, await reopen()]) {
        const held = await view.logs.list();
        assert.deepEqual(
          new Set(
            held.map((log) =>
              [toHex(log.logKey), ...log.segments.map((s) => `${s.firstIndex}:${s.bytes}`)].join(),
            ),
          ),
          new Set(
            logs.map((log) =>
              [toHex(log.logKey), ...log.segments.map((s) => `${s.firstIndex}:${s.bytes.length}`)].join(),
            ),
          ),
        );
        for (const log of logs) {
          for (const { firstIndex, bytes } of log.segments) {
            assert.deepEqual(await view.logs.getSegment(log.logKey, firstIndex), bytes);
          }
        }
        assert.equal(await view.logs.getSegment(logs[0]?.logKey ?? new Uint8Array(32), 99), undefined);
        const used = logs.flatMap((log) => log.segments).reduce((sum, s) => sum + s.bytes.length, 0);
        assert.equal((await view.room()).usedBytes, used);
      }
    });

    contract('a log never changes its past', async ({ holder }) => {
      const [log, fork] = [sampleLog(vault, 2), sampleLog(vault, 2, 1, 'forked')];
      const [segment, forked] = [log.segments[1], fork.segments[1]];
      assert.ok(segment !== undefined && forked !== undefined);
      await holder.logs.putSegment(log.logKey, 2, segment.bytes);
      await holder.logs.putSegment(log.logKey, 2, segment.bytes);
      await assert.rejects(holder.logs.putSegment(log.logKey, 2, forked.bytes), rejectsWith('log-forked'));
      assert.deepEqual(await holder.logs.getSegment(log.logKey, 2), segment.bytes);
      assert.equal((await holder.room()).usedBytes, segment.bytes.length);
    });

    contract('keeps no log that does not prove itself', async ({ holder }) => {
      const log = sampleLog(vault, 1);
      const bytes = log.segments[0]?.bytes ?? new Uint8Array(0);
      const foreignLog = sampleLog(other, 1, 5);
      const strangers = sampleLog({ ...vault, device: other.device }, 1);
      const refused = rejectsWith('not-authentic');
      await assert.rejects(holder.logs.putSegment(log.logKey, 2, bytes), refused);
      await assert.rejects(holder.logs.putSegment(foreignLog.logKey, 0, bytes), refused);
      await assert.rejects(holder.logs.putSegment(log.logKey, 0, flip(bytes, bytes.length - 1)), refused);
      await assert.rejects(
        holder.logs.putSegment(log.logKey, 0, bytes.subarray(0, 50)),
        rejectsWith('malformed'),
      );
      for (const each of [foreignLog, strangers]) {
        const segment = each.segments[0]?.bytes ?? new Uint8Array(0);
        await assert.rejects(holder.logs.putSegment(each.logKey, 0, segment), refused);
      }
      assert.deepEqual(await holder.logs.list(), []);
      assert.equal((await holder.room()).usedBytes, 0);
    });

    contract('keeps the key record, and never one that lacks what it had', async ({ holder, reopen }) => {
      const [one, two, both] = [[1], [2], [1, 2]].map((epochs, i) => sampleKeyRecord(vault, epochs, i + 1));
      assert.ok(one !== undefined && two !== undefined && both !== undefined);
      await holder.putKeyRecord(one);
      await holder.putKeyRecord(one);
      await assert.rejects(holder.putKeyRecord(two), rejectsWith('key-record-stale'));
      assert.deepEqual(await holder.getKeyRecord(), one);
      await holder.putKeyRecord(both);
      assert.deepEqual(await (await reopen()).getKeyRecord(), both);
      await assert.rejects(holder.putKeyRecord(one), rejectsWith('key-record-stale'));
      // Over the network each of these ends the session: the identity signs it, so that somebody made it up.
      const refuses = async (bytes: Uint8Array, code: Parameters<typeof rejectsWith>[0]): Promise<void> => {
        await assert.rejects((await reopen()).putKeyRecord(bytes), rejectsWith(code));
      };
      await refuses(sampleKeyRecord(other, [1]), 'not-authentic');
      await refuses(flip(both, both.length - 1), 'not-authentic');
      await refuses(both.subarray(0, 20), 'malformed');
      const last = await reopen();
      assert.deepEqual(await last.getKeyRecord(), both);
      assert.equal((await last.room()).usedBytes, both.length);
    });
  });
}
