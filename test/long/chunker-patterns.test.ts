import { it } from 'node:test';
import { plainKernels } from '../../lib/kernels/kernels.ts';
import { assertWithinLimits, patterns } from '../support/chunker-checks.ts';

/** More keys than test/unit/kernels-chunker.test.ts has time for, and others. */
void it('no key comes out of its limits on zeros or repeated patterns: many keys', () => {
  for (const [number, bytes] of patterns().entries()) {
    for (let seed = 0; seed < 30; seed++)
      assertWithinLimits(plainKernels, bytes, 30_000 + 100 * number + seed);
  }
});
