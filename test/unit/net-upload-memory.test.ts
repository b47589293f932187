import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { keptBytesMax, keptMs, UploadMemory } from '../../lib/net/upload-memory.ts';
import { FakeTimers } from '../support/fake-timers.ts';

const mib = 2 ** 20;

void describe('memory for uploads', () => {
  void it('is used again by an upload of about the same length, and by one at a time', () => {
    const memory = new UploadMemory(new FakeTimers());
    const first = memory.take(4 * mib + 2500);
    assert.equal(first.length, 4 * mib + 2500);
    const beside = memory.take(4 * mib + 2500);
    assert.notEqual(beside.buffer, first.buffer);
    memory.giveBack(first);
    const second = memory.take(4 * mib + 2800);
    assert.equal(second.buffer, first.buffer);
    assert.equal(second.length, 4 * mib + 2800);
    assert.notEqual(memory.take(4 * mib + 2800).buffer, first.buffer);
  });

  void it('is bounded, and let go after the last upload', () => {
    const timers = new FakeTimers();
    const memory = new UploadMemory(timers);
    const blocks = Array.from({ length: 8 }, () => memory.take(4 * mib));
    for (const block of blocks) memory.giveBack(block);
    assert.equal(memory.keptBytes, 16 * mib);
    assert.ok(memory.keptBytes <= keptBytesMax);
    timers.advance(keptMs - 1);
    memory.giveBack(memory.take(4 * mib));
    timers.advance(keptMs - 1);
    assert.equal(memory.keptBytes, 16 * mib);
    timers.advance(1);
    assert.equal(memory.keptBytes, 0);
    assert.equal(timers.pending, 0);
  });

  void it('keeps the small ones not at all, and nothing once it has ended', () => {
    const timers = new FakeTimers();
    const memory = new UploadMemory(timers);
    memory.giveBack(memory.take(1000));
    assert.equal(memory.keptBytes, 0);
    memory.giveBack(memory.take(mib));
    const late = memory.take(2 * mib);
    memory.end();
    memory.giveBack(late);
    assert.equal(memory.keptBytes, 0);
    assert.equal(timers.pending, 0);
  });
});
