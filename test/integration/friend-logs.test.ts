import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { segmentFileName } from '../../lib/format/segment.ts';
import type { HeldLog } from '../../lib/holders/holder.ts';
import {
  decodeLogCursor,
  decodeLogPage,
  encodeFound,
  encodeLogPage,
  storeMethods,
} from '../../lib/services/store/store-codec.ts';
import { home } from '../support/crash-machine.ts';
import { secondTree } from '../support/crash-source.ts';
import { checkWorksAgain, lackingAt, segmentsIn } from '../support/friend-checks.ts';
import { FriendHome, friendHome, type Tamper } from '../support/friend-home.ts';
import type { FriendMachine } from '../support/friend-machine.ts';
import { noiseEndsEveryExchange, usedFriends, usedMachine } from '../support/friend-noise.ts';
import { atEnd } from '../support/at-end.ts';

const names = usedFriends;

/** Where a friend keeps a segment that the home has under this place. */
function pathAt(machine: FriendMachine, place: string): string {
  return `${friendHome}/hosted/logs/${machine.vaultId}/${place}`;
}

/** Places of the home's longest log, in order. */
function longestLog(machine: FriendMachine): string[] {
  const logs = new Map<string, string[]>();
  for (const place of segmentsIn(machine.disk, home).keys()) {
    const key = place.slice(0, 64);
    logs.set(key, [...(logs.get(key) ?? []), place]);
  }
  const [longest] = [...logs.values()].sort((a, b) => b.length - a.length);
  assert.ok(longest !== undefined && longest.length >= 3);
  return longest.sort();
}

function checkAllHaveAll(machine: FriendMachine, after: string, ...who: readonly string[]): void {
  for (const name of who) assert.deepEqual(lackingAt(machine, name), [], `${name} after ${after}`);
}

describe('logs and friends', () => {
  it('what is written reaches everybody who is online before it is said to be done', async (t) => {
    const machine = await usedMachine(t);
    const dora = new FriendHome(machine.world, 'dora');
    await dora.up();
    await machine.down('cara');
    const others = machine.with(dora);
    atEnd(t, () => others.down());
    const online = ['anna', 'ben'];
    await others.use(async (opened) => {
      const { vault, session, wires } = opened;
      const length = (): number => session.logs.heads().reduce((sum, head) => sum + head.length, 0);
      const steps: readonly [string, () => Promise<unknown>][] = [
        ['config set', () => vault.configSet('trash.keep', '9d')],
        ['friend set', () => vault.friendSet('cara', { household: 'street 1' })],
        ['friend add', async () => online.push((await vault.friendAdd(dora.card)).name)],
        ['drive add', () => vault.driveAdd({ path: '/drive' })],
        ['drive remove', () => vault.driveRemove('drive', { force: true })],
        ['backup', () => others.change(secondTree).then(() => others.backupIn(opened))],
        ['friend remove', () => vault.friendRemove('cara', { force: true })],
      ];
      for (const [name, step] of steps) {
        const before = length();
        await step();
        assert.ok(length() > before, `${name} writes something`);
        checkAllHaveAll(others, name, ...online);
      }
      assert.ok(lackingAt(others, 'cara').length >= steps.length, 'who is away has nothing of it');
      await vault.friendAdd(machine.friend('cara').card);
      await others.up('cara');
      await wires.settled();
      assert.equal(await others.exchangeIn(session, 'cara'), true);
      checkAllHaveAll(others, 'she came', ...online, 'cara');
    });
    others.checkProblems();
  });

  it('one who has less, as after a disk was put back, is given what is lacking', async (t) => {
    const machine = await usedMachine(t);
    const old = machine.friend('ben').restarted();
    await machine.change(secondTree);
    await machine.backup();
    await machine.down('ben');
    const again = machine.with(old);
    atEnd(t, () => again.down());
    await again.up();
    assert.ok(lackingAt(again, 'ben').length > 0);
    assert.equal(await again.exchange('ben'), true);
    checkAllHaveAll(again, 'the exchange', ...names);
    again.checkProblems();
    await checkWorksAgain(again);
  });

  it('one who lacks a segment in the middle, or has another that is damaged, is made whole', async (t) => {
    const machine = await usedMachine(t);
    const { disk } = machine.friend('ben');
    const places = longestLog(machine);
    const cases: readonly [string, () => void, 'exchange' | 'repair'][] = [
      ['the last is garbled', () => garble(places.at(-1)), 'exchange'],
      ['the last is cut short', () => poke(places.at(-1), (bytes) => bytes.subarray(0, 90)), 'exchange'],
      ['one is empty', () => poke(places[1], () => new Uint8Array(0)), 'exchange'],
      ['one before the last is garbled', () => garble(places[1]), 'repair'],
      [
        'one in the middle is gone',
        () => disk.detach(pathAt(machine, places[0]?.slice(0, 64) ?? '')),
        'exchange',
      ],
    ];
    function poke(place: string | undefined, change: (bytes: Uint8Array) => Uint8Array): void {
      const path = pathAt(machine, place ?? '');
      disk.poke(path, change(disk.peek(path) ?? new Uint8Array(0)));
    }
    function garble(place: string | undefined): void {
      poke(place, (bytes) => bytes.fill(0x55, bytes.length - 80));
    }
    for (const [what, break_, how] of cases) {
      await machine.down('ben');
      break_();
      await machine.up('ben');
      assert.ok(lackingAt(machine, 'ben').length > 0, what);
      if (how === 'exchange') assert.equal(await machine.exchange('ben'), true, what);
      else await machine.repair();
      checkAllHaveAll(machine, what, ...names);
    }
    machine.checkProblems();
    await checkWorksAgain(machine);
  });

  it('a segment that is gone from the middle comes back', async (t) => {
    const machine = await usedMachine(t);
    const [, middle] = longestLog(machine);
    const friend = machine.friend('ben');
    friend.tamper = hiding(middle ?? '');
    // It doesn't say so, and is given it: what lies there is what it was.
    assert.equal(await machine.exchange('ben'), true);
    friend.tamper = (_, answer) => answer();
    await friend.disk.unlink(pathAt(machine, middle ?? ''));
    assert.deepEqual(lackingAt(machine, 'ben'), [middle]);
    assert.equal(await machine.exchange('ben'), true);
    checkAllHaveAll(machine, 'the exchange', ...names);
    machine.checkProblems();
  });
});

/** Leaves a segment out of all listings. */
function hiding(place: string): Tamper {
  return relisted((logs) =>
    logs.map(({ logKey, segments }) => ({
      logKey,
      segments: segments.filter(
        ({ firstIndex }) => `${Buffer.from(logKey).toString('hex')}/${segmentFileName(firstIndex)}` !== place,
      ),
    })),
  );
}

/** Changes what the listing of logs says. */
function relisted(change: (logs: readonly HeldLog[]) => readonly HeldLog[]): Tamper {
  return async (call, answer) => {
    const reply = await answer();
    if (call.method !== storeMethods.listLogs) return reply;
    const page = decodeLogPage(reply.body);
    const logs = change(page.logs).toSorted((a, b) => Buffer.compare(a.logKey, b.logKey));
    return { body: encodeLogPage({ ...page, logs }) };
  };
}

/** Logs that nobody has, from a number on. */
function phantoms(from: number, count: number): HeldLog[] {
  return Array.from({ length: count }, (_, i) => {
    const logKey = new Uint8Array(32);
    new DataView(logKey.buffer).setUint32(0, from + i);
    return { logKey, segments: [{ firstIndex: 0, bytes: 500 }] };
  });
}

const withMore = (log: HeldLog): HeldLog => ({
  ...log,
  segments: [...log.segments, { firstIndex: (log.segments.at(-1)?.firstIndex ?? 0) + 1, bytes: 700 }],
});

const absent = { body: encodeFound(undefined) };

const silentOn =
  (...methods: readonly number[]): Tamper =>
  (call, answer) =>
    methods.includes(call.method) ? Promise.resolve(absent) : answer();

/** What a friend who lies may do, how many calls one exchange may cost, and what the owner is told. */
const lies: readonly [string, Tamper, number, RegExp | undefined][] = [
  [
    'lists logs without end',
    (call, answer) => {
      if (call.method !== storeMethods.listLogs) return answer();
      const after = decodeLogCursor(call.body)?.logKey;
      const from = after === undefined ? 0 : new DataView(after.buffer, after.byteOffset).getUint32(0) + 1;
      return Promise.resolve({ body: encodeLogPage({ logs: phantoms(from, 1), more: true }) });
    },
    300,
    /makes no sense: logs without end/,
  ],
  [
    'lists the same page over and over',
    (call, answer) =>
      call.method === storeMethods.listLogs
        ? Promise.resolve({ body: encodeLogPage({ logs: phantoms(7, 2), more: true }) })
        : answer(),
    10,
    /makes no sense: logs out of order/,
  ],
  ['lists more logs than a vault can have', relistedMany(), 60, /lists 6000 logs/],
  [
    'lists logs that it does not have',
    relisted((logs) => [...logs, ...phantoms(1, 900)]),
    600,
    /does not have/,
  ],
  ['says it has more of every log than it has', relisted((logs) => logs.map(withMore)), 60, undefined],
  [
    'keeps what it has to itself',
    silentOn(storeMethods.getSegment, storeMethods.getKeyRecord),
    120,
    undefined,
  ],
  ['lists nothing', relisted(() => []), 120, undefined],
];

function relistedMany(): Tamper {
  return (call, answer) => {
    if (call.method !== storeMethods.listLogs) return answer();
    const after = decodeLogCursor(call.body)?.logKey;
    const from = after === undefined ? 0 : new DataView(after.buffer, after.byteOffset).getUint32(0) + 1;
    return Promise.resolve({ body: encodeLogPage({ logs: phantoms(from, 1000), more: from < 5000 }) });
  };
}

describe('a friend who lies about logs', () => {
  it('costs little, whatever the lie, and the others are served', async (t) => {
    const machine = await usedMachine(t);
    const friend = machine.friend('ben');
    for (const [number, [what, tamper, callsMax, told]] of lies.entries()) {
      let calls = 0;
      friend.tamper = (call, answer) => {
        calls++;
        return tamper(call, answer);
      };
      const before = segmentsIn(machine.disk, home);
      await machine.exchange('ben');
      assert.ok(calls > 2 && calls <= callsMax, `${what}: ${calls} calls`);
      assert.deepEqual(segmentsIn(machine.disk, home), before, `${what}: nothing was written at home`);
      await machine.use(({ vault }) => vault.configSet('trash.keep', `${number + 9}d`));
      checkAllHaveAll(machine, what, 'anna', 'cara');
      assert.equal(machine.problems.length > 0, told !== undefined, what);
      for (const { item, message } of machine.problems) {
        assert.equal(item, 'ben', message);
        assert.match(message, told ?? /^nothing is told$/);
      }
      friend.tamper = (_, answer) => answer();
      await machine.exchange('ben');
      machine.problems.length = 0;
      checkAllHaveAll(machine, `${what}, and no more`, ...names);
    }
    await checkWorksAgain(machine);
    machine.checkProblems();
  });

  it('hides the newest of its segments: others who have them are believed', async (t) => {
    const machine = await usedMachine(t);
    const kept = machine.keepHome();
    await machine.change(secondTree);
    await machine.backup();
    machine.putBack(kept);
    const newest = new Set(longestLog(machine));
    // It owns up to what the old home has, and to nothing since.
    machine.friend('ben').tamper = relisted((logs) =>
      logs.map(({ logKey, segments }) => ({
        logKey,
        segments: segments.filter(({ firstIndex }) => {
          const place = `${Buffer.from(logKey).toString('hex')}/${segmentFileName(firstIndex)}`;
          return newest.has(place) || !place.startsWith(longestLog(machine)[0]?.slice(0, 64) ?? '');
        }),
      })),
    );
    await machine.backup();
    await checkWorksAgain(machine);
  });

  // More seeds: test/long/friend-noise.test.ts.
  it('answers anything with noise: every exchange ends, and nothing of it is believed', async (t) => {
    await noiseEndsEveryExchange(await usedMachine(t), 1, 10);
  });
});
