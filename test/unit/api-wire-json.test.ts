import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { displayText, utf8 } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { decodeMessage, encodeMessage } from '../../lib/api/messages.ts';
import { checkArguments, isMethod } from '../../lib/api/methods.ts';
import { operationKinds } from '../../lib/vault/operation-kinds.ts';
import { decodeWire, encodeWire } from '../../lib/api/wire-json.ts';
import { fuzzDecoder } from '../support/fuzz.ts';
import { Seeded } from '../support/seeded.ts';

/** Keys that try to be taken for a tag, or for the prototype. */
const keys = fc.oneof(fc.string(), fc.constantFrom('$bigint', '$bytes', '$object', '__proto__', 'type', '$'));

const { value: values } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constant(null),
    fc.boolean(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).filter((number) => !Object.is(number, -0)),
    fc.string({ unit: 'binary' }),
    fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n }),
    fc.uint8Array({ maxLength: 50 }),
    fc.array(tie('value'), { maxLength: 5 }),
    fc
      .array(fc.tuple(keys, tie('value')), { maxLength: 5 })
      .map((fields) => Object.fromEntries(fields) as unknown),
  ),
}));

describe('JSON on the wire', () => {
  it('gives back what was put in, whatever it looks like, on one line', () => {
    fc.assert(
      fc.property(values, (value) => {
        const text = encodeWire(value);
        assert.ok(!text.includes('\n'));
        assert.deepEqual(decodeWire(text), value);
      }),
    );
  });

  it('leaves out what is undefined and refuses what has no place in JSON', () => {
    assert.equal(encodeWire({ a: undefined, b: 1 }), '{"b":1}');
    assert.equal(encodeWire([undefined]), '[null]');
    const circle: unknown[] = [];
    circle.push(circle);
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, () => 1, Symbol('x'), circle]) {
      assert.throws(
        () => encodeWire([value]),
        (error) => isKithError(error, 'internal'),
      );
    }
  });

  it('answers everything else with "malformed"', () => {
    const hostile = [
      '',
      '{',
      'nul',
      '{"$bigint":1}',
      '{"$bigint":"1e9"}',
      `{"$bigint":"${'9'.repeat(1000)}"}`,
      '{"$bytes":"a"}',
      '{"$bytes":"****"}',
      '{"$bytes":"AAAA","x":1}',
      '{"$object":[]}',
      '{"$else":{}}',
      `${'['.repeat(100_000)}${']'.repeat(100_000)}`,
      `${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`,
    ];
    for (const text of hostile) {
      assert.throws(
        () => decodeWire(text),
        (error) => isKithError(error, 'malformed'),
        text.slice(0, 40),
      );
    }
  });

  it('survives altered texts', () => {
    const seeded = new Seeded(7);
    const sample = encodeWire({ $a: [1n, new Uint8Array([1, 2, 3]), { b: 'text', $c: null }], d: -1.5 });
    for (let round = 0; round < 5000; round++) {
      const bytes = utf8(sample);
      for (let change = 0; change <= seeded.below(3); change++) {
        bytes[seeded.below(bytes.length)] = seeded.below(128);
      }
      try {
        decodeWire(Buffer.from(bytes).toString());
      } catch (error) {
        assert.ok(isKithError(error, 'malformed'), String(error));
      }
    }
  });

  it('has no way to reach a prototype', () => {
    const value = decodeWire('{"__proto__":{"admin":true}}');
    assert.equal(Object.getPrototypeOf(value), Object.prototype);
    assert.equal((value as Record<string, unknown>)['admin'], undefined);
  });
});

fuzzDecoder(
  'JSON on the wire',
  [
    { a: 1n, b: [new Uint8Array(9), null, { $x: 'y' }] },
    ['text', { paths: ['/a'], spread: { k: 2, n: 3 } }],
  ].map((value) => utf8(encodeWire(value))),
  (bytes) => decodeWire(displayText(bytes)),
);

fuzzDecoder(
  'a line of an answer',
  [
    { type: 'result', value: { bytes: 7n } } as const,
    { type: 'item', action: 'stored', path: '/a', bytes: 3 } as const,
    { type: 'error', code: 'malformed', message: 'no', details: {} } as const,
  ].map((message) => utf8(encodeMessage(message).trimEnd())),
  (bytes) => decodeMessage(displayText(bytes)),
);

describe('arguments of calls', () => {
  it('are taken or refused with "malformed", whatever they are', () => {
    const methods = Object.keys(operationKinds).filter(isMethod);
    const fields = fc.dictionary(
      fc.constantFrom(
        'path',
        'paths',
        'what',
        'target',
        'force',
        'quick',
        'spread',
        'name',
        'quotaBytes',
        '__proto__',
      ),
      fc.oneof(values, fc.constantFrom('/a', ['/a'], true, 5)),
    );
    const list = fc.array(fc.oneof(values, fields, fc.constant('latest')), { maxLength: 3 });
    fc.assert(
      fc.property(fc.constantFrom(...methods), list, (method, args) => {
        try {
          checkArguments(method, args);
        } catch (error) {
          assert.ok(isKithError(error, 'malformed'), String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });
});
