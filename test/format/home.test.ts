import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { concatBytes } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';
import {
  appendKeysHead,
  decodeAppendKeys,
  encodeAppendKeys,
  splitAppendKeys,
} from '../../lib/format/append-keys.ts';
import {
  decodePending,
  encodePending,
  pendingHead,
  splitPending,
} from '../../lib/format/pending-snapshot.ts';
import { fuzzDecoder } from '../support/fuzz.ts';
import { checkGolden } from '../support/golden.ts';

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
const filled = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);

const seeds = [
  { role: 1, appendSeed: filled(1) },
  { role: 2, appendSeed: filled(2) },
] as const;
const pending = { snapshot: new Uint8Array([1, 2, 3]), packs: [filled(3), filled(4)] };

describe('append keys of a home', () => {
  it('come back as they were written', () => {
    const role = fc.constantFrom(1 as const, 2 as const);
    const logs = fc.array(fc.record({ role, appendSeed: bytes32 }, { noNullPrototype: true }), {
      maxLength: 16,
    });
    fc.assert(
      fc.property(logs, (value) => assert.deepEqual(decodeAppendKeys(encodeAppendKeys(value)), value)),
    );
  });

  it('keep their golden bytes', () => {
    const value = checkGolden(
      'home.json',
      'append-keys',
      () => encodeAppendKeys(seeds),
      decodeAppendKeys,
      encodeAppendKeys,
    );
    assert.deepEqual(value, seeds);
  });

  it('refuse an unknown role, a foreign head and stray bytes', () => {
    const plain = encodeAppendKeys(seeds);
    plain[1] = 3;
    assert.throws(
      () => decodeAppendKeys(plain),
      (error) => isKithError(error, 'malformed'),
    );
    assert.throws(
      () => splitAppendKeys(pendingHead()),
      (error) => isKithError(error, 'malformed'),
    );
    assert.deepEqual(splitAppendKeys(concatBytes(appendKeysHead(), filled(9))), filled(9));
  });

  fuzzDecoder('append keys', [encodeAppendKeys(seeds), encodeAppendKeys([])], decodeAppendKeys);
});

describe('pending snapshots of a home', () => {
  it('come back as they were written', () => {
    const record = fc.record(
      { snapshot: fc.uint8Array(), packs: fc.array(bytes32) },
      { noNullPrototype: true },
    );
    fc.assert(fc.property(record, (value) => assert.deepEqual(decodePending(encodePending(value)), value)));
  });

  it('keep their golden bytes', () => {
    const value = checkGolden(
      'home.json',
      'pending',
      () => encodePending(pending),
      decodePending,
      encodePending,
    );
    assert.deepEqual(value, pending);
  });

  it('refuse a foreign head and a newer version', () => {
    assert.throws(
      () => splitPending(appendKeysHead()),
      (error) => isKithError(error, 'malformed'),
    );
    const newer = pendingHead();
    newer[8] = 2;
    assert.throws(
      () => splitPending(newer),
      (error) => isKithError(error, 'too-new'),
    );
  });

  fuzzDecoder('pending snapshot', [encodePending(pending)], decodePending);
});
