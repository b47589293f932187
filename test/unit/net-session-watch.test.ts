import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Session } from '../../lib/net/sessions/session.ts';
import { SessionWatch } from '../../lib/net/watch/session-watch.ts';
import { watchStepMs } from '../../lib/net/watch/watchdog.ts';
import { FakeTimers } from '../support/fake-timers.ts';
import { turns } from '../support/net-peers.ts';

const deviceId = new Uint8Array(32).fill(7);

/** What a watch sees of a session that says nothing any more. */
class Mute {
  readonly peer = { deviceId };
  readonly moved = 0;
  readonly busy = false;
  readonly isNear = false;
  ended = false;
  pings = 0;

  ping(): Promise<void> {
    this.pings++;
    return new Promise(() => {});
  }

  end(): void {
    this.ended = true;
  }

  get session(): Session {
    return this as unknown as Session;
  }
}

function watching() {
  const timers = new FakeTimers();
  let doubts = 0;
  const watch = new SessionWatch({
    timers,
    random: () => 0,
    probe: () => {},
    doubted: () => doubts++,
    trusted: () => {},
    hurry: () => {},
    refresh: () => {},
  });
  const step = async (): Promise<void> => {
    timers.advance(watchStepMs);
    await turns(3);
  };
  return { watch, step, doubts: () => doubts };
}

test('a doubted session that stays, since what was to take its place came to nothing, is doubted still, and dialled beside', async () => {
  const steps = async (again: boolean): Promise<number> => {
    const { watch, step, doubts } = watching();
    const mute = new Mute();
    watch.opened(mute.session);
    let count = 0;
    for (; !watch.doubts(mute.session); count++) await step();
    assert.equal(doubts(), 1);
    if (again) {
      watch.opened(mute.session);
      assert.ok(watch.doubts(mute.session));
      assert.equal(doubts(), 2);
    }
    for (; !mute.ended; count++) await step();
    watch.close();
    return count;
  };
  assert.equal(await steps(true), await steps(false), 'it is given up no later');
});

test('a session that ended while another was taking its place is forgotten when that one comes to nothing', () => {
  const { watch } = watching();
  const [before, next, later] = [new Mute(), new Mute(), new Mute()];
  watch.opened(before.session);
  before.ended = true;
  next.ended = true;
  watch.gone(next.session);
  watch.opened(later.session);
  assert.equal(before.pings, 0, 'nobody is asked who is gone');
  watch.close();
});
