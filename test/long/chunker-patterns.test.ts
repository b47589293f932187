import assert from 'node:assert/strict';
import { it } from 'node:test';
import { utf8 } from '../../lib/base/bytes.ts';
import { chunkBytesMax, chunkBytesMin } from '../../lib/base/limits.ts';
import { plainKernels } from '../../lib/kernels/kernels.ts';
import { noise } from '../support/noise.ts';

/** More keys than test/unit/kernels-chunker.test.ts has time for, and others. */
void it('no key comes out of its limits on zeros or repeated patterns: many keys', () => {
  const patterns = [
    new Uint8Array(1),
    new Uint8Array([0xff]),
    utf8('ab'),
    utf8('{"id": 0, "name": "none"},\n'),
    noise(12, 4096),
    noise(13, 200_000),
  ];
  for (const [number, pattern] of patterns.entries()) {
    const bytes = new Uint8Array(chunkBytesMax + 100_000);
    for (let at = 0; at < bytes.length; at += pattern.length)
      bytes.set(pattern.subarray(0, bytes.length - at), at);
    for (let seed = 0; seed < 30; seed++) {
      const key = noise(30_000 + 100 * number + seed, 32);
      const cut = plainKernels.chunker(key).cut(bytes, 0, bytes.length, false);
      const fits = cut !== undefined && cut >= chunkBytesMin && cut <= chunkBytesMax;
      assert.ok(fits, `pattern ${number}, seed ${seed}: ${cut}`);
    }
  }
});
