import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { delayKind, outageMsMax, probeDelayMs, probeMsMax, probeMsMin } from '../../lib/net/outage.ts';
import { askEveryMs, restMs, Watchdog, watchStepMs } from '../../lib/net/watchdog.ts';

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

  void it('gives an only session a third question', () => {
    const world = new World(1);
    world.run(30_000);
    const beganMs = world.nowMs;
    world.silence();
    world.run(12_000);
    const tookMs = (world.peer(0).lostAtMs ?? assert.fail('not given up')) - beganMs;
    assert.ok(tookMs > 3_000 && tookMs <= 6_500, `${tookMs}`);
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
