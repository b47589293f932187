import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isKithError } from '../../lib/base/errors.ts';
import { messageBytesMax, MuxGuard, remoteOpensMax } from '../../lib/net/mux-guard.ts';

const malformed = (error: unknown): boolean => isKithError(error, 'malformed');
const check = (...bytes: number[]): void => new MuxGuard().check(new Uint8Array(bytes));

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
    assert.throws(() => new MuxGuard().check(long), malformed);
    new MuxGuard().check(long.subarray(1));
  });

  void it('counts channels that are opened', () => {
    const guard = new MuxGuard();
    const open = new Uint8Array([0, 1, 1, 1, 97, 0]);
    for (let i = 0; i < remoteOpensMax; i++) guard.check(open);
    assert.throws(() => guard.check(open), malformed);
  });
});
