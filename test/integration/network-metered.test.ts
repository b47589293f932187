import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toHex } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { NodeLimits } from '../../lib/daemon/node-limits.ts';
import { FriendHolder } from '../../lib/services/store/friend-holder.ts';
import { encodeRoom, storeMethods } from '../../lib/services/store/store-codec.ts';
import { noise } from '../support/noise.ts';
import { connectedPair, until } from '../support/net-peers.ts';
import { samplePack, sampleShard, sampleVault } from '../support/sample-pack.ts';

void describe('a metered line', () => {
  void it('is told to friends at once, to those who come later, and taken back', async (test) => {
    const { a, b } = await connectedPair(test);
    const seen = (): boolean => a.network.presence(toHex(b.identity)).metered;
    assert.equal(seen(), false);
    b.network.setMetered(true);
    await until(seen, 'the word');
    assert.equal(b.network.presence(toHex(a.identity)).metered, false);
    b.network.setMetered(false);
    await until(() => !seen(), 'the word back');
  });

  void it('keeps new data back from a friend, and nothing else', async () => {
    let paused: string | undefined = 'ben is on a metered line';
    const asked: number[] = [];
    const room = { quotaBytes: 100, usedBytes: 10, reservedBytes: 0, freeBytes: 90 };
    const holder = new FriendHolder({
      id: 'b'.repeat(64),
      name: 'ben',
      household: undefined,
      vaultId: noise(1, 32),
      caller: {
        connected: true,
        call: (method) => {
          asked.push(method);
          return Promise.resolve({ body: encodeRoom(room), download: new Uint8Array(0) });
        },
      },
      whyAway: () => 'away',
      whyPaused: () => paused,
      isFriendsDevice: () => true,
      random: (count) => noise(2, count),
    });
    assert.deepEqual(await holder.room(), { ...room, freeBytes: 0 });
    const shard = sampleShard(samplePack(sampleVault()), 0);
    await assert.rejects(holder.put(shard), (error) => isKithError(error, 'holder-unavailable'));
    assert.deepEqual(asked, [storeMethods.room]);
    paused = undefined;
    assert.deepEqual(await holder.room(), room);
  });
});

void describe('limits of a process', () => {
  function limitsOf(
    settings: Record<string, string>,
    given = {},
  ): {
    limits: NodeLimits;
    told: unknown[];
    at: (date: Date) => void;
  } {
    const told: unknown[] = [];
    let now = new Date(2026, 10, 26, 12, 0);
    const limits = new NodeLimits({
      setting: (key) => settings[key] ?? '',
      friends: () => new Map([['b0b', { upload: 7 }]]),
      given,
      setMetered: (isMetered) => told.push(isMetered),
      onBulkFree: () => told.push('free'),
      set: ({ upload, download }, of) => told.push([upload, download, of('b0b'), of('ann')]),
      now: () => now,
    });
    return { limits, told, at: (date) => void (now = date) };
  }
  const settings = (): Record<string, string> => ({
    'limits.upload': '1MB',
    'limits.download': 'auto',
    'limits.schedule': 'thu 12:00-13:00 download=2MB',
    'net.metered': 'no',
  });
  const friend = [{ upload: 7 }, {}];

  void it('are those of the settings and the hour', () => {
    const { limits, told, at } = limitsOf(settings());
    limits.apply();
    at(new Date(2026, 10, 26, 13, 0));
    limits.apply();
    assert.deepEqual(told, [
      [1e6, 2e6, ...friend],
      [1e6, 'auto', ...friend],
    ]);
  });

  void it('are those of the command line where it names some', () => {
    const { limits, told } = limitsOf(settings(), { download: 50_000 });
    limits.apply();
    assert.deepEqual(told, [[1e6, 50_000, ...friend]]);
  });

  void it('are those of commands at work, the lowest of several, until they end', () => {
    const { limits, told } = limitsOf(settings());
    const first = limits.hold({ upload: 300_000 });
    const second = limits.hold({ upload: Number.POSITIVE_INFINITY });
    const third = limits.hold({ upload: 'auto' });
    first();
    first();
    third();
    second();
    limits.hold({})();
    assert.deepEqual(
      told.map((each) => (each as unknown[])[0]),
      [300_000, 300_000, 300_000, 'auto', Number.POSITIVE_INFINITY, 1e6],
    );
  });

  void it('tell when a line becomes metered and when it is free again, once', () => {
    const now = settings();
    const { limits, told } = limitsOf(now);
    now['net.metered'] = 'yes';
    limits.apply();
    limits.apply();
    now['net.metered'] = 'no';
    limits.apply();
    assert.deepEqual(
      told.filter((each) => !Array.isArray(each)),
      [true, false, 'free'],
    );
  });
});
