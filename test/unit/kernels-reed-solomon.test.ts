import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { invert, invertMatrix, multiply } from '../../lib/kernels/gf256.ts';
import { plainCoder } from '../../lib/kernels/reed-solomon.ts';
import { describeCoder, slowInvert, slowMultiply } from '../support/coder-checks.ts';

void describe('GF(2^8)', () => {
  void it('multiplies and inverts as by hand', () => {
    for (let a = 0; a < 256; a++) {
      for (let b = 0; b < 256; b++) assert.equal(multiply(a, b), slowMultiply(a, b));
      if (a > 0) assert.equal(invert(a), slowInvert(a));
    }
    assert.throws(() => invert(0), RangeError);
  });

  void it('inverts matrices, and refuses those that have no inverse', () => {
    const matrix = [
      [0, 1, 2],
      [3, 4, 5],
      [6, 7, 9],
    ];
    const inverse = invertMatrix(matrix);
    const product = matrix.map((row) =>
      [0, 1, 2].map((j) => row.reduce((sum, value, i) => sum ^ multiply(value, inverse[i]?.[j] ?? 0), 0)),
    );
    assert.deepEqual(product, [
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ]);
    assert.deepEqual(matrix[0], [0, 1, 2], 'the input was changed');
    assert.throws(() => invertMatrix([[1, 2], [1, 2]]), RangeError); // prettier-ignore
    assert.throws(() => invertMatrix([[0]]), RangeError);
    assert.throws(() => invertMatrix([[1, 2]]), RangeError);
  });
});

// kernels-wasm.test.ts holds the others against this one; all of this on them: test/long/kernel-versions.test.ts.
describeCoder('plain', plainCoder);
