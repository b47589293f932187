import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ByteWriter } from '../../lib/base/codec.ts';
import { isKithError } from '../../lib/base/errors.ts';
import {
  decodeRelayCredit,
  decodeRelayData,
  decodeRelayDial,
  decodeRelayEnd,
  decodeRelayIncoming,
  encodeRelayCredit,
  encodeRelayData,
  encodeRelayDial,
  encodeRelayEnd,
  encodeRelayIncoming,
  pipeMessageBytes,
  pipeWindowBytes,
  relayEnd,
} from '../../lib/net/relay/relay-codec.ts';
import { canonical, fuzzDecoder } from '../support/fuzz.ts';
import { checkGolden } from '../support/golden.ts';
import { noise } from '../support/noise.ts';

const malformed = (error: unknown): boolean => isKithError(error, 'malformed');

type Each = <T>(
  name: string,
  sample: T,
  encode: (value: T) => Uint8Array,
  decode: (bytes: Uint8Array) => T,
) => void;

function eachMessage(each: Each): void {
  each('dial', { pipe: 301, device: noise(1, 32) }, encodeRelayDial, decodeRelayDial);
  each('incoming', 2, encodeRelayIncoming, decodeRelayIncoming);
  each('data', { pipe: 3, bytes: noise(2, 100) }, encodeRelayData, decodeRelayData);
  each('credit', { pipe: 4, bytes: pipeWindowBytes }, encodeRelayCredit, decodeRelayCredit);
  each('end', { pipe: 130, reason: relayEnd.budgetUsed }, encodeRelayEnd, decodeRelayEnd);
}

void describe('messages of kith/relay', () => {
  void it('are as their golden vectors', () => {
    eachMessage((name, sample, encode, decode) => {
      assert.deepEqual(
        checkGolden('relay.json', name, () => encode(sample), decode, encode),
        sample,
      );
    });
  });

  void it('refuse what is over a limit, or of the wrong kind of number', () => {
    const data = (length: number): Uint8Array =>
      new ByteWriter().varint(1).bytes(new Uint8Array(length)).finish();
    assert.equal(decodeRelayData(data(pipeMessageBytes)).bytes.length, pipeMessageBytes);
    assert.throws(() => decodeRelayData(data(pipeMessageBytes + 1)), malformed);
    assert.throws(() => decodeRelayData(data(0)), malformed);
    const credit = (bytes: number): Uint8Array => new ByteWriter().varint(1).varint(bytes).finish();
    assert.throws(() => decodeRelayCredit(credit(0)), malformed);
    assert.throws(() => decodeRelayCredit(credit(pipeWindowBytes + 1)), malformed);
    assert.throws(() => decodeRelayIncoming(new Uint8Array([1])), malformed);
    assert.throws(() => decodeRelayIncoming(new Uint8Array([0])), malformed);
    assert.throws(() => decodeRelayDial(encodeRelayDial({ pipe: 2, device: noise(1, 32) })), malformed);
    assert.throws(() => encodeRelayDial({ pipe: 1, device: noise(1, 31) }), RangeError);
  });
});

eachMessage((name, sample, encode, decode) => {
  // Data goes on to the end of its message: shorter and longer ones are valid too.
  fuzzDecoder(`relay ${name}`, [encode(sample)], canonical(decode, encode), {
    prefixesValid: name === 'data',
  });
});
