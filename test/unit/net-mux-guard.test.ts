import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isKithError } from '../../lib/base/errors.ts';
import { messageBurst, messagesPerSecondMax } from '../../lib/net/links/message-budget.ts';
import { messageBytesMax, MuxGuard, remoteOpensMax } from '../../lib/net/links/mux-guard.ts';

const malformed = (error: unknown): boolean => isKithError(error, 'malformed');
const check = (...bytes: number[]): void => new MuxGuard(() => 0).check(new Uint8Array(bytes));

void describe('the guard before Protomux', () => {
  void it('lets messages of channels pass, and control messages but batches', () => {
    check(1, 0, 5, 5);
    check(0, 1, 1, 1, 97, 0);
    check(0, 2, 1);
    check(0, 3, 1);
    check(0xfd, 1, 1, 0);
  });

  void it('refuses batches, however their numbers are written', () => {
    assert.throws(() => check(0, 0, 1), malformed);
    assert.throws(() => check(0xfd, 0, 0, 0, 1), malformed);
    assert.throws(() => check(0, 0xfe, 0, 0, 0, 0, 1), malformed);
    assert.throws(() => check(0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0xfd, 0, 0), malformed);
  });

  void it('refuses what is cut short or too long', () => {
    assert.throws(() => check(), malformed);
    assert.throws(() => check(0xfd, 1), malformed);
    assert.throws(() => check(0), malformed);
    const long = new Uint8Array(messageBytesMax + 1).fill(1);
    assert.throws(() => new MuxGuard(() => 0).check(long), malformed);
    new MuxGuard(() => 0).check(long.subarray(1));
  });

  void it('lets as many messages come as an honest friend needs, and a flood for ten seconds', () => {
    let nowMs = 0;
    const guard = new MuxGuard(() => nowMs);
    const message = new Uint8Array([1, 9]);
    // Three quarters of what may come, for a minute.
    for (let ms = 0; ms < 60_000; ms += 10) {
      nowMs += 10;
      for (let i = 0; i < (messagesPerSecondMax / 100) * 0.75; i++) guard.check(message);
    }
    // Twice as much, which lasts as long as the bucket does.
    let flooded = 0;
    assert.throws(() => {
      for (;;) {
        nowMs += 10;
        for (let i = 0; i < messagesPerSecondMax / 50; i++) guard.check(message);
        flooded += 10;
      }
    }, /more than 20000 messages a second/);
    assert.ok(Math.abs(flooded - 10_000) <= 100, `${flooded} ms`);
    // All at once.
    const other = new MuxGuard(() => 0);
    for (let i = 0; i < messageBurst; i++) other.check(message);
    assert.throws(() => {
      for (let i = 0; i < 300; i++) other.check(message);
    }, malformed);
  });

  void it('counts channels that are opened', () => {
    const guard = new MuxGuard(() => 0);
    const open = new Uint8Array([0, 1, 1, 1, 97, 0]);
    for (let i = 0; i < remoteOpensMax; i++) guard.check(open);
    assert.throws(() => guard.check(open), malformed);
  });
});
