import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { freeBytes } from '../../lib/base/free-bytes.ts';

void describe('memory given back at once', () => {
  void it('leaves every view of it empty', () => {
    const bytes = new Uint8Array(256 * 1024);
    const part = bytes.subarray(100, 200);
    freeBytes(part);
    assert.equal(bytes.length, 0);
    assert.equal(part.length, 0);
    freeBytes(bytes);
  });

  void it('is neither small nor shared', () => {
    const small = new Uint8Array(1000).fill(7);
    freeBytes(small);
    assert.equal(small[999], 7);
    const shared = new Uint8Array(new SharedArrayBuffer(256 * 1024)).fill(7);
    freeBytes(shared);
    assert.equal(shared.at(-1), 7);
  });

  void it('is there for the next who asks, whether the collector comes or not', () => {
    const before = process.memoryUsage.rss();
    for (let i = 0; i < 60; i++) freeBytes(Buffer.allocUnsafeSlow(1024 * 1024).fill(i));
    assert.ok(process.memoryUsage.rss() - before < 20 * 1024 * 1024);
  });
});
