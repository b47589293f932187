import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { afterSession, freshDial, lastingMs } from '../../lib/net/dialling/dial-schedule.ts';
import type { DialState } from '../../lib/net/dialling/dial-schedule.ts';
import { AnswerMemory, rememberedMax, rememberedMs } from '../../lib/net/watch/answer-memory.ts';
import { delayKind, outageMsMax, probeDelayMs, probeMsMax, probeMsMin } from '../../lib/net/watch/outage.ts';
import {
  answerMsMax,
  askEveryMs,
  restMs,
  silentMsMin,
  Watchdog,
  watchStepMs,
} from '../../lib/net/watch/watchdog.ts';

/** A session in a made-up world. */
class Peer {
  moved = 0;
  busy = false;
  ended = false;
  isNear = false;
  /** It answers after so many ms; undefined: never. */
  answersMs: number | undefined = 20;
  asked = 0;
  lostAtMs: number | undefined;
  /** A byte comes in this often without being asked for. */
  talksEveryMs: number | undefined;
}

/**
 * Devices over a made-up line: sessions that are given up are dialled anew, with what was learned of their answers, as the network does it.
 */
class Line {
  nowMs = 0;
  readonly dog: Watchdog<Peer> = new Watchdog();
  readonly memory: AnswerMemory = new AnswerMemory();
  readonly #count: number;
  readonly #sessions = new Map<number, Peer>();
  readonly #dueMs = new Map<number, number>();
  readonly #states = new Map<number, DialState>();
  readonly #answers: { readonly arrivesMs: number; readonly askedMs: number; readonly peer: Peer }[] = [];
  /** When each session of a device was given up. */
  readonly lostAtMs: number[][];
  /** When each session of a device came to be doubted. */
  readonly doubtedAtMs: number[][];
  /** What an answer takes that was asked for at such a moment, in ms; undefined: it never comes. */
  takesMs: (atMs: number) => number | undefined = () => 50;

  constructor(count: number) {
    this.#count = count;
    this.lostAtMs = Array.from({ length: count }, () => []);
    this.doubtedAtMs = Array.from({ length: count }, () => []);
    for (let device = 0; device < count; device++) this.#open(device);
  }

  get lost(): number {
    return this.lostAtMs.flat().length;
  }

  #open(device: number): void {
    const key = `${device}`;
    const peer = new Peer();
    const { memory, nowMs } = this;
    this.dog.add(peer, nowMs, memory.usualMs(key, nowMs), memory.graceMs(key, nowMs));
    this.#sessions.set(device, peer);
  }

  #lose(device: number, peer: Peer): void {
    const { dog, memory, nowMs } = this;
    const lived = dog.lived(peer) ?? assert.fail('it is not watched');
    dog.remove(peer);
    this.#sessions.delete(device);
    const isLasting = lived.heardForMs >= lastingMs;
    const mutes = memory.ended(`${device}`, nowMs, { usualMs: lived.usualMs, isLasting, isGivenUp: true });
    const openedAtMs = mutes > 1 ? nowMs : Number.NEGATIVE_INFINITY;
    const state = afterSession(this.#states.get(device) ?? freshDial(0), openedAtMs, nowMs, 0.5);
    this.#states.set(device, state);
    // A dial takes two round trips.
    this.#dueMs.set(device, state.dueAtMs + 2 * (this.takesMs(nowMs) ?? 50));
    this.lostAtMs[device]?.push(nowMs);
  }

  run(ms: number): void {
    for (const untilMs = this.nowMs + ms; this.nowMs < untilMs; this.nowMs += 10) {
      for (let device = 0; device < this.#count; device++) {
        if (!this.#sessions.has(device) && (this.#dueMs.get(device) ?? 0) <= this.nowMs) this.#open(device);
      }
      for (const answer of this.#answers.splice(0)) {
        if (answer.arrivesMs > this.nowMs) this.#answers.push(answer);
        else {
          answer.peer.moved++;
          this.dog.answered(answer.peer, this.nowMs, this.nowMs - answer.askedMs);
        }
      }
      if (this.nowMs % watchStepMs !== 0) continue;
      const { ask, doubted, lost } = this.dog.look(this.nowMs);
      for (const [device, peer] of this.#sessions)
        if (doubted.includes(peer)) this.doubtedAtMs[device]?.push(this.nowMs);
      for (const peer of ask) {
        const tookMs = this.takesMs(this.nowMs);
        if (tookMs !== undefined)
          this.#answers.push({ arrivesMs: this.nowMs + tookMs, askedMs: this.nowMs, peer });
      }
      for (const [device, peer] of this.#sessions) if (lost.includes(peer)) this.#lose(device, peer);
    }
  }
}

/** How many of so many idle sessions are lost to a standstill of the line of so many ms, over all its beginnings; in percent. */
function lostToStandstill(count: number, ms: number): number {
  let lost = 0;
  const beginnings = 60;
  for (let beginning = 0; beginning < beginnings; beginning++) {
    const line = new Line(count);
    const fromMs = 30_000 + beginning * 100;
    // What was asked for meanwhile is answered once the line moves on.
    line.takesMs = (atMs) => (atMs + 50 > fromMs && atMs < fromMs + ms ? fromMs + ms - atMs + 50 : 50);
    line.run(60_000);
    lost += line.lost;
  }
  return (100 * lost) / (beginnings * count);
}

/** Lets the watchdog look after the peers for a while of fake time, and answers as they would. */
class World {
  nowMs = 0;
  readonly dog: Watchdog<Peer> = new Watchdog();
  readonly peers: Peer[];
  #nextLookMs = watchStepMs;
  readonly #answers: { readonly atMs: number; readonly askedMs: number; readonly peer: Peer }[] = [];

  constructor(count: number) {
    this.peers = Array.from({ length: count }, () => new Peer());
    for (const peer of this.peers) this.dog.add(peer, 0);
  }

  get asked(): number {
    return this.peers.reduce((sum, { asked }) => sum + asked, 0);
  }

  get lost(): Peer[] {
    return this.peers.filter(({ lostAtMs }) => lostAtMs !== undefined);
  }

  peer(index: number): Peer {
    const peer = this.peers[index];
    assert.ok(peer !== undefined);
    return peer;
  }

  silence(): void {
    for (const peer of this.peers) {
      peer.answersMs = undefined;
      peer.talksEveryMs = undefined;
    }
  }

  ask(peers: readonly Peer[]): void {
    for (const peer of peers) {
      peer.asked++;
      if (peer.answersMs === undefined) continue;
      this.#answers.push({ atMs: this.nowMs + peer.answersMs, askedMs: this.nowMs, peer });
    }
  }

  run(ms: number): void {
    const untilMs = this.nowMs + ms;
    for (; this.nowMs < untilMs; this.nowMs += 10) {
      for (const peer of this.peers) {
        if (peer.talksEveryMs !== undefined && this.nowMs % peer.talksEveryMs === 0) peer.moved++;
      }
      for (const answer of this.#answers.splice(0)) {
        const { peer, atMs, askedMs } = answer;
        if (atMs > this.nowMs) this.#answers.push(answer);
        // An answer on its way when the line was cut doesn't come.
        else if (peer.answersMs !== undefined) {
          peer.moved++;
          this.dog.answered(peer, this.nowMs, this.nowMs - askedMs);
        }
      }
      if (this.nowMs < this.#nextLookMs) continue;
      this.#nextLookMs = this.nowMs + watchStepMs;
      const { ask, lost } = this.dog.look(this.nowMs);
      this.ask(ask);
      for (const peer of lost) {
        peer.lostAtMs = this.nowMs;
        peer.ended = true;
      }
    }
  }
}

void describe('the watchdog', () => {
  void it('asks one session at a time while all is well, however many there are', () => {
    for (const count of [1, 3, 20, 200]) {
      const world = new World(count);
      world.run(60_000);
      assert.equal(world.lost.length, 0);
      assert.ok(world.asked <= 60_000 / askEveryMs, `${world.asked} asked of ${count}`);
      assert.ok(world.asked >= 60_000 / (restMs + askEveryMs), `${world.asked} asked of ${count}`);
    }
  });

  void it('asks nobody from whom something comes', () => {
    const world = new World(3);
    for (const peer of world.peers) peer.talksEveryMs = 1_000;
    world.run(60_000);
    assert.equal(world.asked, 0);
  });

  void it('gives all up within five seconds once the line is cut, after two questions each at most', () => {
    for (const count of [2, 5, 50, 200]) {
      const world = new World(count);
      for (const peer of world.peers) peer.talksEveryMs = 10_000;
      world.run(31_000);
      const askedBefore = world.asked;
      world.silence();
      world.run(4_800);
      assert.equal(world.lost.length, count, `of ${count}`);
      assert.ok(world.asked - askedBefore <= 2 * count, `${world.asked - askedBefore} questions to ${count}`);
    }
  });

  void it('doubts who is silent seconds before it gives them up, and nobody who has answered since', (test) => {
    for (const count of [1, 3]) {
      const tookMs: number[] = [];
      for (let beginsMs = 30_000; beginsMs < 33_000; beginsMs += 50) {
        const line = new Line(count);
        line.takesMs = (atMs) => (atMs < beginsMs ? 50 : undefined);
        line.run(beginsMs);
        assert.equal(line.doubtedAtMs.flat().length, 0);
        line.run(7_000);
        const first = line.doubtedAtMs.map(([atMs]) => (atMs ?? assert.fail('never doubted')) - beginsMs);
        for (const [device, ms] of first.entries())
          assert.ok(ms < (line.lostAtMs[device]?.[0] ?? assert.fail('never lost')) - beginsMs);
        tookMs.push(...first);
      }
      const mean = tookMs.reduce((sum, ms) => sum + ms, 0) / tookMs.length;
      const [least, most] = [Math.min(...tookMs), Math.max(...tookMs)];
      test.diagnostic(`${count}: from a cut to the doubt ${least}, ${mean.toFixed(0)}, ${most} ms`);
      assert.ok(least >= 800 && most <= 3_600, `${least} to ${most}`);
    }
    const line = new Line(1);
    // Slow, but not slower than it was.
    line.takesMs = () => 1_500;
    line.run(60_000);
    assert.ok(line.doubtedAtMs.flat().length <= 1);
  });

  void it('says nothing of a doubt any more once something comes in, or after a standstill of its own', () => {
    for (const ends of ['answer', 'excuse', 'byte']) {
      const world = new World(1);
      const peer = world.peer(0);
      world.silence();
      world.run(4_000);
      assert.equal(world.dog.doubts(peer), true);
      if (ends === 'answer') world.dog.answered(peer, world.nowMs, 900);
      else if (ends === 'excuse') world.dog.excuse(world.nowMs);
      else peer.moved++;
      assert.equal(world.dog.doubts(peer), false, ends);
    }
  });

  void it('takes a session to be outlived where the one in its place was heard of since it was asked', () => {
    const [before, next] = [new Peer(), new Peer()];
    const dog = new Watchdog<Peer>();
    dog.add(before, 0);
    dog.add(next, 500);
    before.moved++;
    // What came before it was asked is no answer.
    assert.equal(dog.suspect(before, 1_000), true);
    assert.equal(dog.suspect(before, 1_000), false);
    dog.look(1_400);
    assert.equal(dog.isOutlived(before, next), false);
    assert.deepEqual(dog.look(1_800).doubted, [before]);
    assert.equal(dog.isOutlived(before, next), false);
    next.moved++;
    dog.look(2_200);
    assert.equal(dog.isOutlived(before, next), true);
    before.moved++;
    assert.equal(dog.isOutlived(before, next), false);
  });

  void it('gives an only session a third question', () => {
    const world = new World(1);
    world.run(30_000);
    const beganMs = world.nowMs;
    world.silence();
    world.run(12_000);
    const tookMs = (world.peer(0).lostAtMs ?? assert.fail('not given up')) - beganMs;
    assert.ok(tookMs > 3_000 && tookMs <= 6_800, `${tookMs}`);
  });

  void it('gives up what is silent after an alarm within three seconds, and nothing else', () => {
    const world = new World(4);
    world.run(4_000);
    world.silence();
    world.ask(world.dog.alarm(world.nowMs));
    world.run(3_000);
    assert.equal(world.lost.length, 4);

    const well = new World(4);
    well.run(4_000);
    well.ask(well.dog.alarm(well.nowMs));
    well.run(30_000);
    assert.equal(well.lost.length, 0);
  });

  void it('takes nobody who has come since for a witness that what was there before goes on', () => {
    const world = new World(2);
    world.run(20_000);
    world.silence();
    // With another address outside: who ended at once is back at once, and talks.
    world.run(1_000);
    const back = new Peer();
    back.talksEveryMs = 500;
    world.peers.push(back);
    world.dog.add(back, world.nowMs);
    world.run(4_000);
    assert.deepEqual(
      world.peers.map(({ lostAtMs }) => lostAtMs !== undefined),
      [true, true, false],
    );
  });

  void it('takes nobody near for a witness of the line that leads out', () => {
    const lostAfter = (isNear: boolean, witnessIsNear: boolean): number => {
      const world = new World(0);
      for (const near of [isNear, isNear, witnessIsNear]) {
        const peer = Object.assign(new Peer(), { isNear: near });
        world.peers.push(peer);
        world.dog.add(peer, 0);
      }
      world.run(20_000);
      const beganMs = world.nowMs;
      world.silence();
      world.peer(2).talksEveryMs = 1_000;
      world.run(40_000);
      assert.equal(world.lost.length, 2);
      return Math.max(...world.lost.map(({ lostAtMs = Number.NaN }) => lostAtMs - beganMs));
    };
    assert.ok(lostAfter(false, true) <= 4_800);
    // Who is away in our own network, while others outside answer, may be busy.
    assert.ok(lostAfter(true, false) >= 10_000);
    assert.ok(lostAfter(false, false) >= 10_000);
  });

  void it('lets one peer be busy for ten seconds while others answer', () => {
    const world = new World(5);
    world.run(20_000);
    const busy = world.peer(2);
    busy.answersMs = undefined;
    world.run(10_000);
    assert.equal(world.lost.length, 0);
    busy.answersMs = 20;
    busy.moved++;
    world.run(30_000);
    assert.equal(world.lost.length, 0);
    // One that stays away is given up alone.
    busy.answersMs = undefined;
    world.run(25_000);
    assert.deepEqual(world.lost, [busy]);
  });

  void it('takes moving bytes for life, in an answer’s place', () => {
    const world = new World(2);
    for (const peer of world.peers) {
      // The answers wait behind bulk on a slow line.
      peer.answersMs = undefined;
      peer.busy = true;
      peer.talksEveryMs = 1_000;
    }
    world.run(60_000);
    assert.equal(world.lost.length, 0);
  });

  void it('waits longer where a call is under way', () => {
    const lostAfter = (busy: boolean, count: number): number => {
      const world = new World(count);
      world.run(20_000);
      for (const peer of world.peers) peer.busy = busy;
      world.run(3_000);
      world.silence();
      const beganMs = world.nowMs;
      world.run(30_000);
      return Math.max(...world.peers.map(({ lostAtMs }) => (lostAtMs ?? assert.fail('not lost')) - beganMs));
    };
    for (const count of [1, 4]) {
      assert.ok(lostAfter(true, count) > lostAfter(false, count));
      // A serving side says every five seconds that it is at work.
      assert.ok(lostAfter(true, count) >= 6_500);
      assert.ok(lostAfter(true, count) <= 18_000);
    }
  });

  void it('takes no call that began in the silence for work that the other side has', () => {
    const world = new World(2);
    world.run(20_000);
    world.silence();
    world.run(1_000);
    for (const peer of world.peers) peer.busy = true;
    world.run(4_500);
    assert.equal(world.lost.length, 2);
  });

  void it('does not take a slow line for a cut one, once it knows it', () => {
    const world = new World(3);
    for (const peer of world.peers) peer.answersMs = 1_200;
    world.run(30_000);
    for (const peer of world.peers) peer.answersMs = 3_000;
    world.run(60_000);
    assert.equal(world.lost.length, 0);
  });

  void it('blames nobody for its own standstill', () => {
    const world = new World(3);
    world.run(20_000);
    const asked = world.asked;
    world.silence();
    while (world.asked === asked) world.run(10);
    // Both questions are out, and then this process stands still for a while.
    world.run(watchStepMs);
    world.nowMs += 4_000;
    world.dog.excuse(world.nowMs);
    for (const peer of world.peers) {
      peer.answersMs = 20;
      peer.moved++;
    }
    world.run(20_000);
    assert.equal(world.lost.length, 0);
  });

  void it('forgets what has ended otherwise', () => {
    const world = new World(3);
    for (const peer of world.peers) peer.ended = true;
    world.run(watchStepMs + 10);
    assert.equal(world.dog.count, 0);
    assert.equal(world.lost.length, 0);
  });
});

void describe('a line that is slow, or stands still', () => {
  void it('is learned after one loss at most, if its delay jumps', () => {
    for (const count of [1, 3]) {
      for (const tookMs of [2_500, 3_000, 4_000, 5_500]) {
        const line = new Line(count);
        line.run(60_000);
        line.takesMs = () => tookMs;
        line.run(600_000);
        const most = Math.max(...line.lostAtMs.map((times) => times.length));
        assert.ok(
          most <= (tookMs < silentMsMin ? 0 : 1),
          `${tookMs} ms: ${most} of ${count} devices’ sessions`,
        );
      }
    }
  });

  void it('from the beginning costs no more', () => {
    for (const count of [1, 3]) {
      for (const tookMs of [2_500, 3_000, 4_000]) {
        const line = new Line(count);
        line.takesMs = () => tookMs;
        line.run(600_000);
        for (const { length } of line.lostAtMs) assert.ok(length <= 1, `${tookMs} ms: ${length} of ${count}`);
      }
    }
  });

  void it('loses nobody in three seconds, and few in four', () => {
    for (const count of [1, 2, 3, 10]) {
      assert.equal(lostToStandstill(count, 3_000), 0);
      assert.ok(lostToStandstill(count, 4_000) <= 15, `${lostToStandstill(count, 4_000)} % of ${count}`);
    }
    assert.ok(lostToStandstill(1, 5_000) <= 60);
  });

  void it('is noticed within five seconds where it leads nowhere any longer, an only friend within 6.8', () => {
    for (const count of [1, 2, 3, 10]) {
      const tookMs: number[] = [];
      for (let beginning = 0; beginning < 60; beginning++) {
        const line = new Line(count);
        const fromMs = 30_000 + beginning * 100;
        line.takesMs = (atMs) => (atMs + 50 > fromMs && atMs < fromMs + 8_000 ? undefined : 50);
        line.run(60_000);
        for (const [firstMs = Number.NaN] of line.lostAtMs) tookMs.push(firstMs - fromMs);
      }
      const mean = tookMs.reduce((sum, took) => sum + took, 0) / tookMs.length;
      assert.ok(Math.max(...tookMs) <= (count === 1 ? 6_800 : 5_200), `${Math.max(...tookMs)} of ${count}`);
      assert.ok(mean <= (count === 1 ? silentMsMin + 1_500 : silentMsMin + 500), `${mean} of ${count}`);
    }
  });

  void it('is noticed as soon as ever when answers have been quick again for a quarter of a minute', () => {
    const line = new Line(3);
    line.run(30_000);
    line.takesMs = () => undefined;
    line.run(5_200);
    assert.equal(line.lost, 3);
    line.takesMs = () => 50;
    line.run(20_000);
    line.takesMs = () => undefined;
    line.run(5_200);
    assert.equal(line.lost, 6);
  });

  void it('whose other end opens sessions and says nothing is dialled ever more rarely', () => {
    for (const count of [1, 3]) {
      const line = new Line(count);
      line.takesMs = () => undefined;
      line.run(600_000);
      for (const times of line.lostAtMs) {
        assert.ok(times.length >= 5 && times.length <= 15, `${times.length} in ten minutes`);
        const [last = 0, before = 0] = times.toReversed();
        assert.ok(last - before > 60_000, `${last - before} ms between the last two`);
      }
    }
  });
});

void describe('what was learned of answers', () => {
  const quick = { usualMs: 50, isLasting: true, isGivenUp: false };

  void it('outlives the session, for an hour', () => {
    const memory = new AnswerMemory();
    assert.equal(memory.usualMs('a', 0), 0);
    assert.equal(memory.graceMs('a', 0), 0);
    memory.ended('a', 0, { ...quick, usualMs: 1_500, isGivenUp: true });
    assert.equal(memory.usualMs('a', rememberedMs - 1), 1_500);
    assert.equal(3 * memory.graceMs('a', rememberedMs - 1), answerMsMax);
    assert.equal(memory.usualMs('a', rememberedMs), 0);
    assert.equal(memory.graceMs('a', rememberedMs), 0);
    // Who ended otherwise gets no grace.
    memory.ended('a', 10, quick);
    assert.equal(memory.graceMs('a', 10), 0);
  });

  void it('counts the sessions in a row that fell silent at once', () => {
    const memory = new AnswerMemory();
    const mute = { usualMs: 0, isLasting: false, isGivenUp: true };
    assert.equal(memory.ended('a', 0, mute), 1);
    assert.equal(memory.ended('a', 1, mute), 2);
    // One that was short for another reason proves nothing.
    assert.equal(memory.ended('a', 2, { ...mute, isGivenUp: false }), 2);
    assert.equal(memory.ended('a', 3, mute), 3);
    assert.equal(memory.ended('b', 3, mute), 1);
    assert.equal(memory.ended('a', 4, { ...mute, isLasting: true }), 0);
    assert.equal(memory.ended('a', 5, mute), 1);
  });

  void it('is kept of so many devices only, the latest', () => {
    const memory = new AnswerMemory();
    for (let device = 0; device < rememberedMax + 10; device++) memory.ended(`${device}`, device, quick);
    assert.equal(memory.size, rememberedMax);
    assert.equal(memory.usualMs('9', 2_000), 0);
    assert.equal(memory.usualMs('10', 2_000), 50);
    memory.ended('late', rememberedMs + 5_000, quick);
    assert.equal(memory.size, 1);
  });
});

void describe('after an outage', () => {
  void it('those who fell silent are tried every few seconds, later more rarely, and after an hour no more', () => {
    assert.equal(probeDelayMs(0, 0), probeMsMin);
    assert.equal(probeDelayMs(0, 15_000), probeMsMin);
    assert.equal(probeDelayMs(0, 100_000), 10_000);
    assert.equal(probeDelayMs(0, 600_000), probeMsMax);
    assert.equal(probeDelayMs(0, outageMsMax), undefined);
  });

  void it('a sleep is known by either clock', () => {
    const before = { monotonicMs: 1_000, wallMs: 50_000 };
    const after = (monotonicMs: number, wallMs: number): string =>
      delayKind(before, { monotonicMs: 1_000 + monotonicMs, wallMs: 50_000 + wallMs }, 1_500);
    assert.equal(after(1_510, 1_510), 'none');
    assert.equal(after(3_000, 3_000), 'stall');
    // A stopped process, and a suspended computer, whose monotonic clock stood still.
    assert.equal(after(20_000, 20_000), 'sleep');
    assert.equal(after(1_500, 8 * 3_600_000), 'sleep');
    // A clock that was set back is no sleep.
    assert.equal(after(1_500, -3_600_000), 'none');
  });
});
