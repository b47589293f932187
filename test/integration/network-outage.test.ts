import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { equalBytes, idKey, toHex } from '../../lib/base/bytes.ts';
import { KithError } from '../../lib/base/errors.ts';
import { dialCountMax } from '../../lib/net/dialling/dial-schedule.ts';
import type { DialTarget, Link } from '../../lib/net/links/link.ts';
import { FakeTimers } from '../support/fake-timers.ts';
import type { MemoryWire } from '../support/memory-link.ts';
import {
  befriend,
  closeAll,
  FakeTransport,
  noAnswer,
  testPeer,
  turns,
  until,
  wireBetween,
} from '../support/net-peers.ts';
import type { TestPeer } from '../support/net-peers.ts';
import { atEnd } from '../support/at-end.ts';

/** What this side may send to each friend in the first 30 s after an outage, or while it lasts: dials, and messages on links. */
const messagesPerFriendMax = 20;

/** Peers on one clock whose dials reach each other while the line is up. */
class Town {
  readonly timers: FakeTimers = new FakeTimers();
  readonly peers: TestPeer[] = [];
  readonly wires: { readonly wire: MemoryWire; readonly from: TestPeer; readonly to: TestPeer }[] = [];
  readonly transports: Map<TestPeer, FakeTransport> = new Map();
  refreshes = 0;
  line: 'up' | 'silent' | 'refuses' = 'up';
  /** When each dial began, in ms. */
  readonly dialsAtMs: number[] = [];

  add(number: number, run = 0): TestPeer {
    const peer = testPeer(number, { timers: this.timers, run });
    this.peers.push(peer);
    const transport = new FakeTransport((target, signal) => this.#answer(peer, target, signal));
    this.transports.set(peer, transport);
    return peer;
  }

  start(peer: TestPeer): void {
    const transport = this.transports.get(peer) ?? assert.fail('nobody');
    peer.network.start([Object.assign(transport, { refresh: () => void this.refreshes++ })]);
  }

  /** Nothing goes through any more, and nobody is told. */
  cut(): void {
    this.line = 'silent';
    for (const { wire } of this.wires) wire.sever();
  }

  /** Dials of one peer, and messages it has put on links. */
  sentBy(peer: TestPeer): number {
    const messages = this.wires.reduce((sum, { wire, from, to }) => {
      if (from === peer) return sum + wire.written('initiator');
      return to === peer ? sum + wire.written('responder') : sum;
    }, 0);
    return messages + (this.transports.get(peer)?.dialled.length ?? 0);
  }

  /** Moves time on in steps in which what is under way can go on. */
  async pass(ms: number, stepMs = 250): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      this.timers.advance(Math.min(stepMs, left));
      await turns(30);
    }
  }

  async #answer(from: TestPeer, { remoteKey, keyPair }: DialTarget, signal: AbortSignal): Promise<Link> {
    this.dialsAtMs.push(this.timers.nowMs());
    const to = this.peers.findLast(({ keys }) => equalBytes(keys.publicKey, remoteKey));
    if (to === undefined || this.line === 'refuses')
      throw new KithError('peer-unreachable', 'connection refused');
    if (this.line === 'silent') return await noAnswer(signal);
    if (!to.network.wiring.admits(keyPair.publicKey)) throw new KithError('peer-refused', 'it refused');
    const wire = wireBetween(keyPair, to.keys);
    this.wires.push({ wire, from, to });
    to.network.accept(wire.responder);
    return wire.initiator;
  }
}

/** One peer in the middle, and its friends. */
async function townOf(
  test: { after(work: () => Promise<void>): void },
  count: number,
): Promise<{ town: Town; us: TestPeer; friends: TestPeer[] }> {
  const town = new Town();
  const us = town.add(1);
  const friends = Array.from({ length: count }, (_, index) => town.add(index + 2));
  for (const friend of friends) befriend(us, friend);
  atEnd(test, () => closeAll(...town.peers));
  for (const friend of friends) town.start(friend);
  town.start(us);
  await until(() => us.network.peers().length === count, 'all sessions');
  await town.pass(15_000);
  return { town, us, friends };
}

void describe('an outage', () => {
  void it('of which nobody is told is noticed and healed within seconds, both sides dialling', async (test) => {
    const { town, us, friends } = await townOf(test, 3);
    town.cut();
    await town.pass(12_000);
    assert.equal(us.network.peers().length, 0);
    assert.match(us.network.presence(toHex(friends[0]?.identity ?? us.identity)).trouble ?? '', /answer/);
    await town.pass(3_000);
    town.line = 'up';
    await town.pass(6_000);
    assert.equal(us.network.peers().length, 3);
    for (const friend of friends) assert.equal(friend.network.peers().length, 1);
  });

  void it('shorter than a few seconds costs no session', async (test) => {
    const { town, us } = await townOf(test, 1);
    const wires = town.wires.map(({ wire }) => wire);
    for (const wire of wires) wire.setAutomatic(false);
    town.line = 'silent';
    const dials = town.dialsAtMs.length;
    await town.pass(3_500);
    assert.ok(town.dialsAtMs.length > dials, 'it is dialled beside the session');
    for (const wire of wires) wire.setAutomatic(true);
    town.line = 'up';
    await town.pass(30_000);
    assert.equal(us.network.peers().length, 1);
    assert.equal(town.wires.length, wires.length);
  });

  void it('of the sessions there are, while new ones would go through, is healed within 5 s without a moment with nobody there', async (test) => {
    for (const count of [1, 3]) {
      // As with another address outside, whenever it comes.
      for (let waitMs = 0; waitMs < 3_200; waitMs += 400) {
        const { town, us, friends } = await townOf(test, count);
        await town.pass(waitMs, 400);
        for (const { wire } of town.wires) wire.sever();
        for (let passedMs = 0; passedMs < 5_000; passedMs += 200) {
          await town.pass(200, 200);
          assert.equal(us.network.peers().length, count);
        }
        for (const friend of friends) {
          const call = us.network.caller(friend.identity, 'kith/echo').call(0, new Uint8Array([count]));
          assert.deepEqual((await call).body, new Uint8Array([count]));
        }
        await town.pass(5_000);
        const living = town.wires.filter(({ wire }) => !wire.over);
        assert.equal(living.length, count);
        await closeAll(...town.peers);
      }
    }
  });

  void it('that comes again and again costs few dials beside: what answers take is learned', async (test) => {
    const { town, us } = await townOf(test, 1);
    const before = town.dialsAtMs.length;
    for (let passedMs = 0; passedMs < 600_000; passedMs += 5_000) {
      for (const { wire } of town.wires) wire.setAutomatic(false);
      town.line = 'silent';
      await town.pass(3_500, 500);
      for (const { wire } of town.wires) wire.setAutomatic(true);
      town.line = 'up';
      await town.pass(1_500, 500);
      assert.equal(us.network.peers().length, 1);
    }
    const dials = town.dialsAtMs.length - before;
    assert.ok(dials >= 1 && dials <= 10, `${dials} dials of two in ten minutes`);
    test.diagnostic(`dials of two in ten minutes: ${dials}`);
  });

  void it('of one who opens sessions and says nothing is no reason to dial it without end', async (test) => {
    const { town, us } = await townOf(test, 1);
    town.cut();
    await town.pass(8_000);
    town.line = 'up';
    const before = town.dialsAtMs.length;
    // Both sides dial, and each wire is cut as soon as the session is there.
    for (let passedMs = 0; passedMs < 600_000; passedMs += 250) {
      await town.pass(250);
      if (us.network.peers().length > 0) for (const { wire } of town.wires) wire.sever();
    }
    const dials = town.dialsAtMs.length - before;
    assert.ok(dials >= 5 && dials <= 25, `${dials} dials of two in ten minutes`);
    // It heals by itself.
    await town.pass(310_000, 1_000);
    assert.equal(us.network.peers().length, 1);
  });

  void it('of an hour is healed within 20 seconds of its end', async (test) => {
    const { town, us } = await townOf(test, 5);
    town.cut();
    await town.pass(50 * 60_000, 10_000);
    town.line = 'up';
    await town.pass(20_000);
    assert.equal(us.network.peers().length, 5);
  });

  void it('is noticed at once when it is said that something changed', async (test) => {
    const { town, us } = await townOf(test, 4);
    town.cut();
    const { refreshes } = town;
    us.network.disturbed();
    await town.pass(3_500);
    assert.equal(us.network.peers().length, 0);
    assert.ok(town.refreshes > refreshes);
    town.line = 'up';
    await town.pass(4_000);
    assert.equal(us.network.peers().length, 4);
  });

  void it('of a hundred friends is no storm: each is sent little while it lasts, and when all come back', async (test) => {
    const { town, us, friends } = await townOf(test, 100);
    const transport = town.transports.get(us) ?? assert.fail('none');
    const before = town.sentBy(us);
    town.cut();
    await town.pass(30_000, 500);
    const during = town.sentBy(us) - before;
    assert.ok(during <= messagesPerFriendMax * friends.length, `${during} messages to 100 friends`);
    town.line = 'up';
    transport.diallingMax = 0;
    const { refreshes } = town;
    await town.pass(10_000);
    assert.equal(us.network.peers().length, 100);
    await town.pass(20_000, 500);
    const after = town.sentBy(us) - before - during;
    assert.ok(after <= messagesPerFriendMax * friends.length, `${after} messages to 100 friends`);
    assert.ok(transport.diallingMax <= dialCountMax);
    // Ours are two at most; each friend's own, too.
    assert.ok(town.refreshes - refreshes <= 2 * town.peers.length, `${town.refreshes - refreshes}`);
    test.diagnostic(`messages a friend: ${during / 100} while it lasted, ${after / 100} after it`);
  });

  void it('of one whom a hundred had found does not have them all knock in the same moment', async (test) => {
    const { town, us } = await townOf(test, 100);
    town.line = 'refuses';
    const beganMs = town.timers.nowMs();
    town.dialsAtMs.length = 0;
    await us.network.close();
    await town.pass(8_000, 50);
    const counts = new Map<number, number>();
    for (const atMs of town.dialsAtMs) {
      const slot = Math.floor((atMs - beganMs) / 100);
      counts.set(slot, (counts.get(slot) ?? 0) + 1);
    }
    assert.ok(town.dialsAtMs.length >= 300, `${town.dialsAtMs.length} dials`);
    const most = Math.max(...counts.values());
    // A hundred over half a second, at first; then over a second, and ever more.
    assert.ok(most <= 40, `${most} dials within a tenth of a second`);
    test.diagnostic(`dials within a tenth of a second: ${most} at most`);
  });

  void it('of one friend is looked into no longer when he is no friend any more', async (test) => {
    const { town, us, friends } = await townOf(test, 2);
    const [gone] = friends;
    assert.ok(gone !== undefined);
    town.cut();
    await town.pass(12_000);
    us.directory.forget(gone.keys.publicKey);
    us.network.refresh();
    const transport = town.transports.get(us) ?? assert.fail('none');
    const dialled = transport.dialled.length;
    await town.pass(60_000, 1_000);
    const later = transport.dialled.slice(dialled).map(({ remoteKey }) => idKey(remoteKey));
    assert.ok(later.length > 0);
    assert.ok(!later.includes(idKey(gone.keys.publicKey)));
  });
});
