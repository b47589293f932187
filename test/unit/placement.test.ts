import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { householdOf, rankHolders, type Candidate } from '../../lib/placement/choose.ts';
import { lesserTolerance, tolerance, type HeldShard } from '../../lib/placement/health.ts';
import { automaticSpread, formatSpread, parseSpread } from '../../lib/placement/spread.ts';
import { verdictOf, type VaultFacts } from '../../lib/placement/verdict.ts';
import { allHolders, bringBack, holderNoun, untilBack, type NamedHolder } from '../../lib/placement/words.ts';
import { Seeded } from '../support/seeded.ts';

/** By trying every set of lost households, smallest first. */
function toleranceByForce(shards: readonly HeldShard[], k: number): number | undefined {
  const households = [...new Set(shards.map((shard) => shard.household))];
  const distinct = (lost: ReadonlySet<string>): number =>
    new Set(shards.filter((shard) => !lost.has(shard.household)).map((shard) => shard.index)).size;
  let least: number | undefined;
  for (let set = 0; set < 2 ** households.length; set++) {
    const lost = new Set(households.filter((_, i) => (set & (1 << i)) !== 0));
    if (distinct(lost) < k) least = Math.min(least ?? Number.POSITIVE_INFINITY, lost.size);
  }
  if (least === 0) return undefined;
  return least === undefined ? households.length : least - 1;
}

const heldShards = (households: number): fc.Arbitrary<HeldShard[]> =>
  fc.array(fc.record({ index: fc.nat(8), household: fc.nat(households - 1).map((number) => `h${number}`) }), {
    maxLength: 14,
  });

test('property: tolerance is what trying every loss says', () => {
  fc.assert(
    fc.property(heldShards(7), fc.integer({ min: 1, max: 6 }), (shards, k) => {
      assert.equal(tolerance(shards, k), toleranceByForce(shards, k));
    }),
    { numRuns: 500 },
  );
});

test('property: with many households it promises no more than holds', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 30 }), fc.integer({ min: 1, max: 5 }), (seed, k) => {
      const seeded = new Seeded(seed);
      const shards = Array.from({ length: 24 }, () => ({
        index: seeded.below(20),
        household: `h${seeded.below(17)}`,
      }));
      const promised = tolerance(shards, k);
      const truth = toleranceByForce(shards, k);
      assert.equal(promised === undefined, truth === undefined);
      assert.ok((promised ?? -1) <= (truth ?? -1));
    }),
    { numRuns: 8 },
  );
});

test('tolerance of plain cases', () => {
  const each = (n: number): HeldShard[] =>
    Array.from({ length: n }, (_, i) => ({ index: i, household: `h${i}` }));
  assert.equal(tolerance(each(5), 3), 2);
  assert.equal(tolerance(each(3), 3), 0);
  assert.equal(tolerance(each(2), 3), undefined);
  assert.equal(tolerance([], 1), undefined);
  const oneHome = each(5).map((shard) => ({ ...shard, household: 'one' }));
  assert.equal(tolerance(oneHome, 3), 0, 'all in one house: its loss is the end');
  const twice = [...each(3), ...each(3).map((shard) => ({ ...shard, household: 'whole' }))];
  assert.equal(tolerance(twice, 3), 1, 'a drive with everything, and one shard each at three others');
  assert.equal(
    tolerance(
      Array.from({ length: 4 }, (_, i) => ({ index: 0, household: `h${i}` })),
      1,
    ),
    3,
  );
  assert.equal(lesserTolerance(2, undefined), undefined);
  assert.equal(lesserTolerance(2, 1), 1);
});

const candidates: fc.Arbitrary<Candidate[]> = fc.uniqueArray(
  fc.record({
    id: fc.nat(30).map((number) => `holder-${number}`),
    household: fc.option(
      fc.nat(3).map((number) => `house-${number}`),
      { nil: undefined },
    ),
    freeBytes: fc.nat(1000),
  }),
  { selector: (candidate) => candidate.id, maxLength: 12 },
);

const packIds = fc.uint8Array({ minLength: 32, maxLength: 32 });

test('property: no holder twice, none that is taken, none without room; a household each first', () => {
  fc.assert(
    fc.property(
      candidates,
      packIds,
      fc.nat(500),
      fc.array(fc.nat(30)),
      (list, packId, bytes, takenNumbers) => {
        const taken = new Set(takenNumbers.map((number) => `holder-${number}`));
        const ranked = rankHolders(packId, list, bytes, taken);
        const byId = new Map(list.map((candidate) => [candidate.id, candidate]));
        assert.equal(new Set(ranked).size, ranked.length);
        const eligible = list.filter(({ id, freeBytes }) => !taken.has(id) && freeBytes >= bytes);
        assert.deepEqual(new Set(ranked), new Set(eligible.map(({ id }) => id)), 'and nobody is forgotten');
        const household = (id: string): string => {
          const candidate = byId.get(id);
          assert.ok(candidate !== undefined);
          return householdOf(candidate);
        };
        const used = new Set(list.filter(({ id }) => taken.has(id)).map(householdOf));
        let repeats = false;
        for (const id of ranked) {
          const again = used.has(household(id));
          assert.ok(again || !repeats, 'a fresh household never comes after a used one');
          repeats ||= again;
          used.add(household(id));
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('property: the order depends on nothing but pack, holders and room', () => {
  fc.assert(
    fc.property(candidates, packIds, fc.nat(), (list, packId, seed) => {
      const seeded = new Seeded(seed);
      const shuffled = list
        .map((candidate) => ({ candidate, draw: seeded.below(2 ** 30) }))
        .sort((a, b) => a.draw - b.draw)
        .map(({ candidate }) => candidate);
      const none = new Set<string>();
      assert.deepEqual(rankHolders(packId, shuffled, 1, none), rankHolders(packId, list, 1, none));
    }),
  );
});

test('packs go to holders in proportion to their room', () => {
  const rooms = [100, 100, 200, 400];
  const list = rooms.map((freeBytes, i) => ({ id: `holder-${i}`, household: undefined, freeBytes }));
  const first = [0, 0, 0, 0];
  const packs = 4000;
  const seeded = new Seeded(7);
  for (let i = 0; i < packs; i++) {
    const [best] = rankHolders(seeded.bytes(32), list, 1, new Set());
    const place = list.findIndex(({ id }) => id === best);
    first[place] = (first[place] ?? 0) + 1;
  }
  for (const [i, room] of rooms.entries()) {
    const expected = (packs * room) / 800;
    assert.ok(Math.abs((first[i] ?? 0) - expected) < expected * 0.15, first.join(' '));
  }
});

test('a holder that comes takes shards from others, and moves none between them', () => {
  const list = Array.from({ length: 6 }, (_, i) => ({
    id: `holder-${i}`,
    household: undefined,
    freeBytes: 100,
  }));
  const more = [...list, { id: 'holder-new', household: undefined, freeBytes: 100 }];
  const seeded = new Seeded(3);
  for (let i = 0; i < 200; i++) {
    const packId = seeded.bytes(32);
    const before = rankHolders(packId, list, 1, new Set());
    const after = rankHolders(packId, more, 1, new Set()).filter((id) => id !== 'holder-new');
    assert.deepEqual(after, before);
  }
});

test('spreads are parsed, bounded and written', () => {
  for (const text of ['1/1', '3/5', ' 4 / 6 ', '32/62']) {
    const spread = parseSpread(text);
    assert.equal(formatSpread(spread), text.replaceAll(' ', ''));
  }
  for (const text of ['', '3', '5/3', '0/1', '33/40', '3/63', '3/5/7', '-1/2', 'a/b', '1.5/2', '3/5 GB']) {
    assert.throws(() => parseSpread(text), { code: 'usage' }, text);
  }
});

test('the automatic spread leaves room to lose a holder, and needs no more than there are', () => {
  let tolerated = 0;
  for (let holders = 1; holders <= 30; holders++) {
    const { k, n } = automaticSpread(holders);
    assert.ok(k >= 1 && n >= k && n <= holders);
    if (holders >= 2) assert.ok(n - k >= 1);
    assert.ok(n - k >= tolerated, 'more holders never mean less safety');
    tolerated = n - k;
  }
});

function drivesNamed(...names: string[]): NamedHolder[] {
  return names.map((name) => ({ kind: 'drive', name }));
}

function friendsNamed(...names: string[]): NamedHolder[] {
  return names.map((name) => ({ kind: 'friend', name }));
}

const fine: VaultFacts = {
  drives: 5,
  friends: 0,
  away: [],
  snapshotCount: 3,
  pendingCount: 0,
  notRestorableNow: 0,
  lost: 0,
  tolerates: 2,
  wanted: 2,
  shardsMissing: 0,
  weakest: [],
  inForce: 2,
};

const verdicts: readonly (readonly [string, Partial<VaultFacts>, string, RegExp | null])[] = [
  ['all is well', {}, 'Safe', null],
  ['no drive yet', { drives: 0, snapshotCount: 0, tolerates: null, wanted: null }, 'Waiting', /drive add/],
  ['no backup yet', { snapshotCount: 0, tolerates: null, wanted: null }, 'Waiting', /kith backup/],
  [
    'only a waiting backup',
    { snapshotCount: 0, pendingCount: 1, tolerates: null, wanted: null },
    'Waiting',
    /connect|add/,
  ],
  ['one disk less than wanted', { tolerates: 1, shardsMissing: 4 }, 'Thin', /kith repair/],
  ['one disk away', { tolerates: 1, away: drivesNamed('red') }, 'Thin', /connect red;.*kith drive remove/],
  [
    'friends away',
    { tolerates: 1, friends: 3, away: friendsNamed('anna', 'ben') },
    'Thin',
    /ask anna and ben to run kith up.*kith friend remove/,
  ],
  [
    'a friend without room',
    { tolerates: 1, friends: 3, away: [{ kind: 'friend', name: 'anna', withoutRoom: true }] },
    'Thin',
    /^ask anna for room: they type kith friend set NAME --allow store/,
  ],
  [
    'nobody at all',
    { drives: 0, friends: 0, snapshotCount: 0, tolerates: null, wanted: null },
    'Waiting',
    /^kith invite \(a friend\), or kith drive add PATH$/,
  ],
  ['no loss may happen', { tolerates: 0, shardsMissing: 8 }, 'At risk', /kith repair/],
  [
    'a single copy',
    { tolerates: 0, wanted: 0, inForce: 0, drives: 1 },
    'At risk',
    /drive add.*then kith repair/,
  ],
  [
    'one copy although there are disks for more',
    { tolerates: 0, wanted: 0, inForce: 0 },
    'At risk',
    /kith config set spread auto, then kith repair/,
  ],
  ['all under one roof', { tolerates: 0 }, 'At risk', /another roof/],
  [
    'not restorable now',
    { tolerates: null, notRestorableNow: 1, away: drivesNamed('red', 'blue') },
    'At risk',
    /red and blue/,
  ],
  ['the newest waits', { pendingCount: 1 }, 'Waiting', /connect|add/],
  [
    'lost',
    { lost: 1, tolerates: null, notRestorableNow: 1 },
    'Lost',
    /^kith check .*, then kith backup PATH/,
  ],
];

for (const [what, facts, verdict, next] of verdicts) {
  test(`verdict: ${what} is "${verdict}"`, () => {
    const result = verdictOf({ ...fine, ...facts });
    assert.equal(result.verdict, verdict);
    if (next === null) assert.equal(result.nextStep, null);
    else assert.match(result.nextStep ?? '', next);
    assert.doesNotMatch(result.sentence, /undefined|null|NaN/);
  });
}

test('property: what can not be restored is never called safe, and bad never looks better than good', () => {
  const order = ['Safe', 'Waiting', 'Thin', 'At risk', 'Lost'];
  const facts = fc.record({
    drives: fc.integer({ min: 1, max: 9 }),
    friends: fc.nat(3),
    away: fc.subarray([...drivesNamed('red', 'blue'), ...friendsNamed('anna')]),
    snapshotCount: fc.integer({ min: 1, max: 9 }),
    pendingCount: fc.nat(2),
    notRestorableNow: fc.nat(2),
    lost: fc.nat(2),
    tolerates: fc.option(fc.nat(4)),
    wanted: fc.option(fc.nat(4)),
    shardsMissing: fc.nat(9),
    weakest: fc.subarray(['3f9a1c22', '9d11aa02']),
    inForce: fc.nat(4),
  });
  fc.assert(
    fc.property(facts, (some) => {
      const { verdict } = verdictOf(some);
      if (some.lost > 0) assert.equal(verdict, 'Lost');
      else if (some.notRestorableNow > 0 || some.tolerates === null || some.tolerates === 0)
        assert.equal(verdict, 'At risk');
      else if (verdict === 'Safe') assert.ok(some.wanted === null || some.tolerates >= some.wanted);
      const worse = verdictOf({ ...some, lost: some.lost + 1 }).verdict;
      assert.ok(order.indexOf(worse) >= order.indexOf(verdict));
    }),
    { numRuns: 300 },
  );
});

test('words for disks, friends, and both', () => {
  const some = (drives: number, friends: number): string[] => [
    holderNoun({ drives, friends }).one,
    holderNoun({ drives, friends }).many,
    allHolders({ drives, friends }),
  ];
  assert.deepEqual(some(0, 0), ['disk', 'disks', 'disks']);
  assert.deepEqual(some(2, 0), ['disk', 'disks', 'disks']);
  assert.deepEqual(some(0, 2), ['friend', 'friends', 'friends']);
  assert.deepEqual(some(1, 2), ['disk or friend', 'disks or friends', 'disks and friends']);
  const red = drivesNamed('red', 'red');
  const friends = friendsNamed('ben', 'anna');
  assert.deepEqual([bringBack([]), untilBack([])], ['', '']);
  assert.deepEqual([bringBack(red), untilBack(red)], ['Connect red', 'red is back']);
  assert.deepEqual(
    [bringBack(friends), untilBack(friends)],
    ['Wait until anna or ben is online', 'anna or ben is online'],
  );
  assert.deepEqual(
    [bringBack([...red, ...friends]), untilBack([...red, ...friends])],
    ['Connect red, or wait until anna or ben is online', 'red is back or anna or ben is online'],
  );
});
