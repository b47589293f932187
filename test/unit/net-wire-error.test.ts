import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { utf8 } from '../../lib/base/bytes.ts';
import { KithError } from '../../lib/base/errors.ts';
import { decodeFailure, encodeFailure } from '../../lib/net/calls/call-codec.ts';
import { errorOf, failureOf, plainText } from '../../lib/net/calls/wire-error.ts';

const across = (error: unknown): KithError => errorOf(decodeFailure(encodeFailure(failureOf(1, error))));

void describe('errors across the wire', () => {
  void it('keep code, words and plain details where a friend may speak of them', () => {
    const details = { bytes: 5, name: 'Ann', full: true, none: null, list: ['a'], half: 0.5 };
    const error = across(new KithError('quota-exceeded', 'no\nroom \u202eleft', { details }));
    assert.equal(error.code, 'quota-exceeded');
    assert.equal(error.message, 'no room left');
    assert.deepEqual({ ...error.details }, { bytes: 5, name: 'Ann', full: true, none: null });
  });

  void it("say nothing of what is the other side's own affair", () => {
    for (const secret of [
      new Error('/home/bob/secret'),
      new KithError('internal', '/home/bob/secret'),
      new KithError('wrong-passphrase', '/home/bob/secret', { details: { path: '/home/bob/secret' } }),
      new KithError('io-error', 'EIO /home/bob/secret', { details: { path: '/home/bob/secret' } }),
      '/home/bob/secret',
    ]) {
      const error = across(secret);
      assert.ok(['failed', 'io-error'].includes(error.code));
      assert.doesNotMatch(error.message, /bob/);
      assert.deepEqual({ ...error.details }, {});
    }
  });

  void it('take any other code for a holder that is not there', () => {
    for (const code of ['internal', 'wrong-phrase', 'vault-exists', 'toString', '__proto__', '']) {
      assert.equal(errorOf({ id: 1, code, words: 'x', details: [] }).code, 'holder-unavailable');
    }
    const odd = errorOf({
      id: 1,
      code: 'failed',
      words: '\u0000\u001b[31m',
      details: [['__proto__', 'x\u0007']],
    });
    assert.equal(odd.message, ' [31m');
    assert.equal(Object.getPrototypeOf(odd.details), Object.prototype);
  });

  void it('cut text at a whole character', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 60 }),
        fc.integer({ min: 4, max: 40 }),
        (text, max) => {
          const plain = plainText(text, max);
          assert.ok(utf8(plain).length <= max);
          assert.doesNotMatch(plain, /[\p{Cc}\p{Cf}\u2028\u2029]/u);
          if (utf8(text).length <= max && !/[\p{Cc}\p{Cf}\u2028\u2029\p{Cs}]/u.test(text))
            assert.equal(plain, text);
        },
      ),
    );
    assert.equal(plainText('ééé', 5), 'éé');
    assert.equal(plainText('', 5), '');
  });
});
