import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { KithError } from '../../lib/base/errors.ts';
import { WriterQueue } from '../../lib/daemon/operations.ts';
import { hourMs } from '../../lib/daemon/schedule.ts';
import { Scheduler } from '../../lib/daemon/scheduler.ts';
import { FakeTime } from '../support/fake-time.ts';
import { gate } from '../support/fake-vault.ts';
import { atEnd } from '../support/at-end.ts';

class Setting {
  readonly time = new FakeTime();
  readonly queue = new WriterQueue();
  readonly logged: string[] = [];
  /** What happened, with the second at which it did. */
  readonly done: string[] = [];
  graceMs: number | undefined;
  readonly here = new Map<string, boolean>();
  repair: (signal: AbortSignal) => Promise<string | undefined> = () => Promise.resolve(undefined);
  exchange: (id: string, signal: AbortSignal) => Promise<void> = () => Promise.resolve();
  readonly scheduler: Scheduler;

  constructor(test: TestContext) {
    const note = (what: string): void => void this.done.push(`${what} ${this.time.monotonicMs() / 1000}`);
    this.scheduler = new Scheduler({
      clock: this.time,
      timers: this.time,
      queue: this.queue,
      log: (level, event) => void this.logged.push(`${level} ${event}`),
      grace: () => Promise.resolve(this.graceMs),
      look: () => Promise.resolve([...this.here].map(([id, here]) => ({ id, here }))),
      repair: async (signal) => {
        note('repair');
        return this.repair(signal);
      },
      exchangeWith: async (id, signal) => {
        note(`exchange ${id}`);
        await this.exchange(id, signal);
      },
    });
    atEnd(test, () => this.scheduler.close());
  }
}

describe('what the daemon does by itself', () => {
  it('exchanges logs with a friend that comes, then repairs; and repairs a grace after it went', async (test) => {
    const set = new Setting(test);
    set.graceMs = 4000;
    set.scheduler.presence('ben', true);
    await set.scheduler.start();
    await set.time.pass(5000);
    assert.deepEqual(set.done, ['exchange ben 0', 'repair 1']);
    set.scheduler.presence('ben', false);
    set.scheduler.presence('ben', false);
    await set.time.pass(10_000);
    assert.deepEqual(set.done.slice(2), ['repair 9', 'repair 10', 'repair 12']);
    set.scheduler.presence('ben', true);
    await set.time.pass(10_000);
    assert.deepEqual(set.done.slice(5), ['exchange ben 15', 'repair 16']);
  });

  it('exchanges logs with two hundred friends that come at once, one after the other, and a command has its turn in between', async (test) => {
    const set = new Setting(test);
    await set.scheduler.start();
    const begun = gate();
    const first = gate();
    set.exchange = async (id) => {
      if (id !== 'friend 0') return;
      begun.open();
      await first.passed;
    };
    const friends = Array.from({ length: 200 }, (_, index) => `friend ${index}`);
    for (const id of friends) set.scheduler.presence(id, true);
    await begun.passed;
    set.scheduler.presence('friend 7', false);
    const turn = { name: 'the backup', signal: new AbortController().signal, background: false };
    const user = set.queue.run(turn, () => Promise.resolve(void set.done.push('backup')));
    first.open();
    await user;
    assert.deepEqual(set.done, ['exchange friend 0 0', 'backup']);
    await set.time.settle();
    assert.deepEqual(set.logged, []);
    const others = friends.filter((id) => id !== 'friend 0' && id !== 'friend 7');
    assert.deepEqual(
      set.done.slice(2),
      others.map((id) => `exchange ${id} 0`),
    );
  });

  it('has a friend whose exchange gave way to a command wait behind the others', async (test) => {
    const set = new Setting(test);
    await set.scheduler.start();
    const begun = gate();
    let slow = true;
    set.exchange = async (id, signal) => {
      if (id !== 'slow' || !slow) return;
      begun.open();
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      slow = false;
      throw signal.reason;
    };
    for (const id of ['slow', 'ben', 'cara']) set.scheduler.presence(id, true);
    await begun.passed;
    const turn = { name: 'the backup', signal: new AbortController().signal, background: false };
    await set.queue.run(turn, () => Promise.resolve(void set.done.push('backup')));
    await set.time.settle();
    assert.deepEqual(set.done, [
      'exchange slow 0',
      'backup',
      'exchange ben 0',
      'exchange cara 0',
      'exchange slow 0',
    ]);
    assert.deepEqual(set.logged, []);
  });

  it('tries a friend again once that went and came while its exchange failed', async (test) => {
    const set = new Setting(test);
    await set.scheduler.start();
    const begun = gate();
    const over = gate();
    let isFirst = true;
    set.exchange = async () => {
      if (!isFirst) return;
      isFirst = false;
      begun.open();
      await over.passed;
      throw new KithError('holder-unavailable', 'gone');
    };
    set.scheduler.presence('ben', true);
    await begun.passed;
    set.scheduler.presence('ben', false);
    set.scheduler.presence('ben', true);
    over.open();
    await set.time.pass(100_000);
    const exchanges = set.done.filter((each) => each.startsWith('exchange'));
    assert.deepEqual(exchanges, ['exchange ben 0', 'exchange ben 0']);
  });

  it('sees that a disk is gone within a quarter of the grace', async (test) => {
    const set = new Setting(test);
    set.graceMs = 20_000;
    set.here.set('usb', true);
    await set.scheduler.start();
    await set.time.pass(11_000);
    assert.deepEqual(set.done, ['repair 1']);
    set.here.set('usb', false);
    await set.time.pass(25_000);
    assert.deepEqual(set.done.slice(1), ['repair 35']);
  });

  it('takes a changed grace into force at once', async (test) => {
    const set = new Setting(test);
    set.here.set('usb', false);
    await set.scheduler.start();
    await set.time.pass(60_000);
    assert.deepEqual(set.done, []);
    set.graceMs = 2000;
    set.scheduler.changed();
    await set.time.settle();
    assert.deepEqual(set.done, ['repair 60']);
  });

  it('looks every hour, and soon when something waits', async (test) => {
    const set = new Setting(test);
    await set.scheduler.start();
    await set.time.pass(2 * hourMs);
    assert.deepEqual(set.done, ['repair 3600', 'repair 7200']);
    set.scheduler.request();
    await set.time.pass(1000);
    assert.deepEqual(set.done.slice(2), ['repair 7201']);
  });

  it('gives way to a command and comes back when it has ended', async (test) => {
    const set = new Setting(test);
    await set.scheduler.start();
    set.scheduler.request();
    const begun = gate();
    set.repair = async (signal) => {
      begun.open();
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      throw signal.reason;
    };
    await set.time.pass(1000);
    await begun.passed;
    const backup = gate();
    const turn = { name: 'the backup', signal: new AbortController().signal, background: false };
    const user = set.queue.run(turn, () => backup.passed);
    set.repair = () => Promise.resolve('3 pieces rebuilt');
    await set.time.pass(30_000);
    assert.deepEqual(set.logged, ['info repair-gave-way']);
    backup.open();
    await user;
    await set.time.settle();
    assert.deepEqual(set.logged, ['info repair-gave-way', 'info repaired']);
  });

  it('tries again what failed, later each time, and logs it', async (test) => {
    const set = new Setting(test);
    await set.scheduler.start();
    let failures = 2;
    set.repair = () =>
      failures-- > 0 ? Promise.reject(new KithError('io-error', 'no')) : Promise.resolve(undefined);
    set.scheduler.request();
    await set.time.pass(600_000);
    assert.deepEqual(set.done, ['repair 1', 'repair 61', 'repair 181']);
    assert.deepEqual(set.logged.filter((line) => line.startsWith('warn')).length, 2);

    set.exchange = () => Promise.reject(new KithError('holder-unavailable', 'gone'));
    set.scheduler.presence('ben', true);
    await set.time.pass(100_000);
    assert.deepEqual(set.done.slice(3), ['exchange ben 600', 'exchange ben 630', 'exchange ben 690']);
    set.scheduler.presence('ben', false);
    await set.time.pass(600_000);
    assert.equal(set.done.length, 6, 'nothing is tried with a friend that is away');
  });

  it('ends what is under way when it is closed, and nothing begins after', async (test) => {
    const set = new Setting(test);
    await set.scheduler.start();
    const begun = gate();
    set.repair = async (signal) => {
      begun.open();
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      set.done.push('ended');
      throw signal.reason;
    };
    set.scheduler.request();
    await set.time.pass(1000);
    await begun.passed;
    await set.scheduler.close();
    assert.deepEqual(set.done, ['repair 1', 'ended']);
    set.scheduler.presence('ben', true);
    set.scheduler.request();
    await set.time.pass(hourMs);
    assert.equal(set.done.length, 2);
  });
});
