import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isKithError, KithError } from '../../lib/base/errors.ts';
import { classBytes, leafBytes } from '../../lib/base/limits.ts';
import { leafHashes, merkleRoot, rangeProof } from '../../lib/crypto/merkle.ts';
import { packIdOf, type Manifest } from '../../lib/format/manifest.ts';
import type { GetOptions, Holder, ShardRange } from '../../lib/holders/holder.ts';
import { plainCoder } from '../../lib/kernels/reed-solomon.ts';
import { latencyBytes, patienceMsMin, ReadPace, skippedMax } from '../../lib/vault/shards/read-pace.ts';
import { ShardReader } from '../../lib/vault/shards/shard-reader.ts';
import type { RowRange, RowSource } from '../../lib/workers/open-job.ts';
import { FakeTime } from '../support/fake-time.ts';
import { Seeded } from '../support/seeded.ts';

const k = 2;
const sizeClass = 2;
const shardBytes = classBytes[sizeClass] ?? 0;
const leaves = shardBytes / leafBytes;

/** A pack of two data rows and two more, and what is true of it. */
function codedPack(): { readonly manifest: Manifest; readonly rows: readonly Uint8Array[] } {
  const seeded = new Seeded(3);
  const data = [seeded.bytes(shardBytes), seeded.bytes(shardBytes)];
  const available = data.map((bytes, index) => ({ index, bytes }));
  const rows = plainCoder.reconstruct(k, available, [0, 1, 2, 3]);
  const roots = rows.map((row) => merkleRoot(leafHashes(row, leafBytes)));
  const packId = packIdOf(k, sizeClass, roots.slice(0, k));
  const none = new Uint8Array(32);
  const facts = {
    signature: new Uint8Array(64),
    vaultId: none,
    keyEpoch: 0,
    generation: 1,
    n: 4,
    spare: 0,
    signer: none,
  };
  return { manifest: { ...facts, packId, k, class: sizeClass, roots }, rows };
}

/** Rows of friends, none of which lies in a file here. */
function ranges(rows: readonly RowSource[]): RowRange[] {
  return rows.map((row) => {
    assert.ok('bytes' in row);
    return row;
  });
}

/** A friend with one row, who answers when its gate lets it; each question is counted. */
class Friend {
  readonly kind = 'friend';
  readonly id: string;
  readonly name: string;
  readonly row: number;
  questions = 0;
  /** Questions that were called off before they were answered. */
  calledOff = 0;
  /** Leaves that it gives altered. */
  readonly bad = new Set<number>();
  /** What the next questions are answered with, before any bytes. */
  readonly errors: KithError[] = [];
  gate: Promise<void> = Promise.resolve();
  readonly #bytes: Uint8Array;

  constructor(row: number, bytes: Uint8Array) {
    this.row = row;
    this.id = `friend ${row}`;
    this.name = this.id;
    this.#bytes = bytes;
  }

  /** Nothing is answered until the result is called. */
  shut(): () => void {
    let open = (): void => {};
    this.gate = new Promise((resolve) => (open = resolve));
    return open;
  }

  async get(
    _: unknown,
    firstLeaf: number,
    leafCount: number,
    { signal }: GetOptions = {},
  ): Promise<ShardRange> {
    this.questions++;
    await new Promise<void>((resolve, reject) => {
      void this.gate.then(resolve);
      signal?.addEventListener('abort', () => {
        this.calledOff++;
        reject(signal.reason as Error);
      });
    });
    const error = this.errors.shift();
    if (error !== undefined) throw error;
    const bytes = this.#bytes.slice(firstLeaf * leafBytes, (firstLeaf + leafCount) * leafBytes);
    for (let leaf = 0; leaf < leafCount; leaf++) {
      if (this.bad.has(firstLeaf + leaf)) bytes[leaf * leafBytes] = (bytes[leaf * leafBytes] ?? 0) ^ 1;
    }
    return { bytes, proof: rangeProof(leafHashes(this.#bytes, leafBytes), firstLeaf, leafCount) };
  }
}

const pack = codedPack();

function readerOfFour({ isBack = false } = {}) {
  const { manifest, rows } = pack;
  const friends = rows.map((bytes, row) => new Friend(row, bytes));
  const time = new FakeTime();
  const problems: string[] = [];
  const reader = new ShardReader({
    places: {
      holdersOf: (_, index) => friends.filter(({ row }) => row === index) as unknown as Holder[],
      isKnownAt: () => true,
      away: () => [],
      isBack: async () => {
        await Promise.resolve();
        return isBack;
      },
    },
    coder: plainCoder,
    onProblem: ({ item }) => problems.push(item),
    time: { monotonicMs: () => time.monotonicMs(), after: time.after },
  });
  const questions = (): number[] => friends.map((each) => each.questions);
  return { manifest, rows, friends, time, reader, problems, questions };
}

function leavesOf(row: Uint8Array | undefined, first: number, count: number): Uint8Array | undefined {
  return row?.subarray(first * leafBytes, (first + count) * leafBytes);
}

void describe('reading from a friend that is much slower than the others', () => {
  async function warm({ reader, manifest }: ReturnType<typeof readerOfFour>): Promise<void> {
    for (let i = 0; i < 8; i++) await reader.gather(manifest, 1, i % leaves, 1);
  }

  for (const verified of [false, true]) {
    const how = verified ? 'verified here' : 'as it comes';
    void it(`asks others once it is late, and takes what comes first: ${how}`, async () => {
      const four = readerOfFour();
      const { manifest, rows, friends, time, reader, questions } = four;
      await warm(four);
      const open = friends[0]?.shut();
      const before = questions();
      const gathering = verified
        ? reader.gatherVerified(manifest, 0, 1, 1)
        : reader.gather(manifest, 0, 1, 1);
      await time.pass(patienceMsMin - 1);
      assert.deepEqual(questions(), [1, before[1], before[2], before[3]]);
      await time.pass(1);
      const found = ranges(await gathering);
      const want = leavesOf(rows[0], 1, 1);
      if (verified) assert.deepEqual(found[0]?.bytes, want);
      else {
        assert.deepEqual(
          found.map(({ index }) => index),
          [1, 2],
        );
        assert.deepEqual(plainCoder.reconstruct(k, [...found], [0])[0], want);
      }
      // Nobody waits for its answer any more: it is told so.
      assert.deepEqual(
        friends.map(({ calledOff }) => calledOff),
        [1, 0, 0, 0],
      );
      open?.();
    });
  }

  void it('takes its answer if that comes before the others are through', async () => {
    const four = readerOfFour();
    const { manifest, rows, friends, time, reader, problems } = four;
    await warm(four);
    const open = friends[0]?.shut();
    const openOther = friends[2]?.shut();
    const gathering = reader.gather(manifest, 0, 2, 1);
    await time.pass(patienceMsMin);
    assert.equal(friends[2]?.questions, 1);
    open?.();
    assert.deepEqual(ranges(await gathering)[0]?.bytes, leavesOf(rows[0], 2, 1));
    await time.settle();
    assert.deepEqual(
      friends.map(({ calledOff }) => calledOff),
      [0, 0, 1, 0],
    );
    // That it didn't answer then is no fault of it.
    assert.deepEqual(problems, []);
    openOther?.();
    assert.deepEqual(ranges(await reader.gather(manifest, 2, 0, 1))[0]?.bytes, leavesOf(rows[2], 0, 1));
  });

  void it('no longer asks it first when others were sooner three times, and tries it again after a while', async () => {
    const four = readerOfFour();
    const { manifest, friends, time, reader } = four;
    await warm(four);
    const open = friends[0]?.shut();
    const all = [0, 1, 2].map((leaf) => reader.gather(manifest, 0, leaf, 1));
    await time.pass(patienceMsMin);
    await Promise.all(all);
    assert.equal(friends[0]?.questions, 3);
    for (let i = 0; i < skippedMax; i++) await reader.gather(manifest, 0, i % leaves, 1);
    assert.equal(friends[0]?.questions, 3);
    open?.();
    await reader.gather(manifest, 0, 0, 1);
    assert.equal(friends[0]?.questions, 4);
    // It answered in time: it is one like the others again.
    await reader.gather(manifest, 0, 1, 1);
    assert.equal(friends[0]?.questions, 5);
  });

  void it('waits for it where nobody else could give the bytes', async () => {
    const four = readerOfFour();
    const { manifest, rows, friends, time, reader } = four;
    await warm(four);
    const open = friends[0]?.shut();
    for (const row of [2, 3]) for (let leaf = 0; leaf < leaves; leaf++) friends[row]?.bad.add(leaf);
    const gathering = reader.gatherVerified(manifest, 0, 0, 1);
    await time.pass(patienceMsMin);
    open?.();
    assert.deepEqual((await gathering)[0]?.bytes, leavesOf(rows[0], 0, 1));
  });
});

void describe('the pace of holders', () => {
  const answer = async (): Promise<number> => 1;
  const never = (): Promise<number> => new Promise(() => {});

  void it('calls nobody slow before others have answered, nor all of them where the line is slow', async () => {
    const time = new FakeTime();
    const pace = new ReadPace(time);
    let asked = 0;
    const others = async (): Promise<number> => ++asked;
    void pace.first({ holderId: 'a', bytes: 1, ask: never, others, otherBytes: 1 });
    await time.pass(100_000);
    assert.equal(asked, 0);
    for (let i = 0; i < 8; i++) {
      const slow = (): Promise<number> => new Promise((resolve) => time.after(10_000, () => resolve(1)));
      const taken = pace.timed('b', 1, slow);
      await time.pass(10_000);
      await taken;
    }
    void pace.first({ holderId: 'a', bytes: 1, ask: never, others, otherBytes: 1 });
    await time.pass(39_999);
    assert.equal(asked, 0);
    await time.pass(1);
    assert.equal(asked, 1);
  });

  /** Somebody has given eight answers of so many bytes; when a question for others is late by that, in ms. */
  async function lateAt(ofBytes: number, tookMs: number, bytes: number): Promise<number> {
    const time = new FakeTime();
    const pace = new ReadPace(time);
    for (let i = 0; i < 8; i++) {
      const taken = pace.timed(
        'b',
        ofBytes,
        () => new Promise<number>((resolve) => time.after(tookMs, () => resolve(1))),
      );
      await time.pass(tookMs);
      await taken;
    }
    const startMs = time.monotonicMs();
    const asked = new Promise<number>((resolve) => {
      const others = async (): Promise<number> => {
        resolve(time.monotonicMs() - startMs);
        return 1;
      };
      void pace.first({ holderId: 'a', bytes, ask: never, others, otherBytes: 1 });
    });
    await time.pass(100_000);
    return await asked;
  }

  void it('gives a long answer the time that its bytes need, and a short one no more than that', async () => {
    // Beyond what any answer takes: 17 times the bytes.
    const short = latencyBytes / 4;
    const long = 16 * latencyBytes;
    assert.equal(await lateAt(short, 250, short), 1000);
    assert.equal(await lateAt(short, 250, long), 13_600);
    assert.equal(await lateAt(long, 3400, long), 13_600);
    assert.equal(await lateAt(long, 3400, short), 1000);
  });

  void it('knows by those it called off that everybody is slow now', async () => {
    const time = new FakeTime();
    const pace = new ReadPace(time);
    for (let i = 0; i < 8; i++) await pace.timed('b', 1, answer);
    // The line has become slow: b is called off again and again.
    const untilCalledOff = (signal: AbortSignal): Promise<number> =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      });
    for (let i = 0; i < 16; i++) {
      const callOff = new AbortController();
      const asked = pace.timed('b', 1, () => untilCalledOff(callOff.signal), callOff.signal);
      await time.pass(2000);
      callOff.abort(new KithError('interrupted', 'called off'));
      await assert.rejects(asked);
    }
    let asked = 0;
    const others = async (): Promise<number> => ++asked;
    void pace.first({ holderId: 'a', bytes: 1, ask: never, others, otherBytes: 1 });
    await time.pass(7999);
    assert.equal(asked, 0);
    await time.pass(1);
    assert.equal(asked, 1);
  });

  void it('asks no more than so much twice', async () => {
    const time = new FakeTime();
    const pace = new ReadPace(time);
    for (let i = 0; i < 8; i++) await pace.timed('b', 1, answer);
    let asked = 0;
    const question = {
      bytes: 1,
      ask: never,
      others: async (): Promise<number> => ++asked,
      otherBytes: 10 * 2 ** 20,
    };
    for (let i = 0; i < 5; i++) void pace.first({ ...question, holderId: `slow ${i}` });
    await time.pass(patienceMsMin);
    assert.equal(asked, 3);
    assert.equal(pace.extraBytes, 30 * 2 ** 20);
  });
});

void describe('a range that has to be made from others', () => {
  void it('is asked for once of each holder, and leaves of what is whole not again', async () => {
    const { manifest, rows, friends, reader, questions, problems } = readerOfFour();
    // Of a range of four leaves row 0 has a bad one, and of row 2 and 3 others are: only row 1 gives it whole.
    friends[0]?.bad.add(0);
    friends[2]?.bad.add(1);
    friends[3]?.bad.add(1);
    const [found] = await reader.gatherVerified(manifest, 0, 0, 4);
    assert.deepEqual(found?.bytes, leavesOf(rows[0], 0, 4));
    assert.deepEqual(problems.sort(), ['friend 0', 'friend 2', 'friend 3']);
    // The whole range once each; then each leaf with what is known of row 1 and one other row.
    assert.equal(questions()[1], 1);
    assert.deepEqual(questions(), [5, 1, 2, 1]);
  });

  void it('is had wherever each of its leaves is in its own row or in k others, whatever else is bad', async () => {
    const seeded = new Seeded(5);
    const answers = { given: 0, refused: 0 };
    for (let run = 0; run < 300; run++) {
      const { manifest, rows, friends, reader } = readerOfFour();
      const [share = 0, row = 0, ...bits] = seeded.bytes(2 + 4 * leaves);
      for (const [at, bit] of bits.entries()) if (bit < share) friends[at % 4]?.bad.add(Math.floor(at / 4));
      const goodRows = (leaf: number): Friend[] => friends.filter(({ bad }) => !bad.has(leaf));
      const isThere = (leaf: number): boolean =>
        goodRows(leaf).length >= k || goodRows(leaf).some((friend) => friend.row === row % 4);
      const [first, count] = [run % leaves, 1 + ((run >> 2) % leaves)];
      if (first + count > leaves) continue;
      const wanted = Array.from({ length: count }, (_, i) => first + i);
      const found = await reader.leaves(manifest, row % 4, first, count).catch((error: unknown) => {
        assert.ok(isKithError(error, 'not-restorable'));
        return undefined;
      });
      const expected = wanted.every(isThere) ? leavesOf(rows[row % 4], first, count) : undefined;
      assert.deepEqual(
        found,
        expected,
        `run ${run}: leaves ${first} to ${first + count - 1} of row ${row % 4}`,
      );
      answers[found === undefined ? 'refused' : 'given']++;
    }
    assert.ok(answers.given > 20 && answers.refused > 20, JSON.stringify(answers));
  });

  void it('of one leaf is asked for again where a holder failed the first time', async () => {
    const { manifest, rows, friends, reader } = readerOfFour();
    friends[0]?.errors.push(new KithError('malformed', 'an answer that is no answer'));
    for (const row of [2, 3]) friends[row]?.bad.add(1);
    const [found] = await reader.gatherVerified(manifest, 0, 1, 1);
    assert.deepEqual(found?.bytes, leavesOf(rows[0], 1, 1));
  });

  void it('is had by all who wait when a friend is back, not only by the first', async () => {
    const { manifest, rows, friends, reader } = readerOfFour({ isBack: true });
    for (const row of [2, 3]) for (const leaf of [0, 1]) friends[row]?.bad.add(leaf);
    friends[0]?.errors.push(new KithError('holder-unavailable', 'it went'));
    const both = await Promise.all([0, 1].map((leaf) => reader.gatherVerified(manifest, 0, leaf, 1)));
    for (const [leaf, found] of both.entries()) assert.deepEqual(found[0]?.bytes, leavesOf(rows[0], leaf, 1));
  });
});
