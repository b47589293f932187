import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { utf8 } from '../../lib/base/bytes.ts';
import { ByteWriter } from '../../lib/base/codec.ts';
import { isKithError } from '../../lib/base/errors.ts';
import {
  decodeCall,
  decodeCallId,
  decodeCredit,
  decodeData,
  decodeFailure,
  decodePace,
  decodeReply,
  encodeCall,
  encodeCallId,
  encodeCredit,
  encodeData,
  encodeFailure,
  encodePace,
  encodeReply,
} from '../../lib/net/calls/call-codec.ts';
import {
  commonVersion,
  decodeGoodbye,
  decodeHello,
  decodeOffers,
  decodePing,
  encodeGoodbye,
  encodeHello,
  encodeOffers,
  encodePing,
  signHello,
  verifyHello,
} from '../../lib/net/sessions/hello.ts';
import type { Hello } from '../../lib/net/sessions/hello.ts';
import { meteredExtensions, saysMetered } from '../../lib/net/rates/metered.ts';
import {
  bulkBytesMax,
  bulkMessageBytes,
  callBodyBytesMax,
  replyBodyBytesMax,
} from '../../lib/net/service.ts';
import { canonical, fuzzDecoder } from '../support/fuzz.ts';
import { checkGolden } from '../support/golden.ts';
import { keyPairOf } from '../support/net-peers.ts';
import { noise } from '../support/noise.ts';

const device = keyPairOf(1);
const handshakeHash = noise(2, 64);

const hello: Hello = {
  runId: noise(3, 16),
  moment: 300,
  deviceId: new Uint8Array(device.publicKey),
  card: noise(4, 500),
  signature: signHello(handshakeHash, 1, device.secretKey),
  extensions: [{ tag: 7, bytes: utf8('later') }],
};
const offers = {
  moment: 301,
  services: [
    { name: 'kith/cards', versions: { min: 1, max: 1 } },
    { name: 'kith/store', versions: { min: 1, max: 2 } },
  ],
  extensions: [],
};
const goodbye = { code: 'superseded', words: 'another session took its place', extensions: [] };
const call = { id: 1, method: 3, uploadBytes: bulkBytesMax, downloadBytesMax: 70_000, body: noise(5, 200) };
const reply = { id: 1, downloadBytes: 70_000, body: noise(6, 100) };
const failure = {
  id: 128,
  code: 'quota-exceeded',
  words: 'no room',
  details: [
    ['bytes', 5_000_000_000],
    ['less', -1],
    ['name', 'Ann'],
    ['none', null],
    ['yes', true],
    ['no', false],
  ],
} as const;
const data = { id: 2, bytes: noise(7, 300) };
const credit = { id: 2, bytes: 300 };

const malformed = (error: unknown): boolean => isKithError(error, 'malformed');

/** Every message: name, a sample, its codec. */
function eachMessage(
  work: <T>(
    name: string,
    sample: T,
    encode: (value: T) => Uint8Array,
    decode: (bytes: Uint8Array) => T,
  ) => void,
): void {
  work('hello', hello, encodeHello, decodeHello);
  work('offers', offers, encodeOffers, decodeOffers);
  work('metered offers', { ...offers, extensions: meteredExtensions(true) }, encodeOffers, decodeOffers);
  work('goodbye', goodbye, encodeGoodbye, decodeGoodbye);
  work('ping', 0xdeadbeef, encodePing, decodePing);
  work('call', call, encodeCall, decodeCall);
  work('reply', reply, encodeReply, decodeReply);
  work('failure', failure as ReturnType<typeof decodeFailure>, encodeFailure, decodeFailure);
  work('data', data, encodeData, decodeData);
  work('credit', credit, encodeCredit, decodeCredit);
  work('pace', { id: 2, bytes: 0 }, encodePace, decodePace);
  work('call id', 70_000, encodeCallId, decodeCallId);
}

void describe('messages on the wire', () => {
  void it('are as their golden vectors', () => {
    eachMessage((name, sample, encode, decode) => {
      assert.deepEqual(
        checkGolden('wire.json', name, () => encode(sample), decode, encode),
        sample,
      );
    });
  });

  void it('say that a line is metered by one byte, and nothing by any other', () => {
    assert.equal(saysMetered(meteredExtensions(true)), true);
    assert.equal(saysMetered(meteredExtensions(false)), false);
    for (const bytes of [[], [0], [2], [1, 1]]) {
      assert.equal(saysMetered([{ tag: 1, bytes: new Uint8Array(bytes) }]), false, String(bytes));
    }
  });

  void it('refuse what is over a limit', () => {
    const longCall = (body: number, method = 1, bulk = 0): Uint8Array =>
      new ByteWriter().varint(1).varint(method).varint(bulk).varint(0).blob(new Uint8Array(body)).finish();
    assert.equal(decodeCall(longCall(callBodyBytesMax)).body.length, callBodyBytesMax);
    assert.throws(() => decodeCall(longCall(callBodyBytesMax + 1)), malformed);
    const longReply = (body: number): Uint8Array =>
      new ByteWriter().varint(1).varint(0).blob(new Uint8Array(body)).finish();
    assert.equal(decodeReply(longReply(replyBodyBytesMax)).body.length, replyBodyBytesMax);
    assert.throws(() => decodeReply(longReply(replyBodyBytesMax + 1)), malformed);
    assert.throws(() => decodeCall(longCall(0, 65_536)), malformed);
    assert.throws(() => decodeCall(longCall(0, 1, bulkBytesMax + 1)), malformed);
    const longData = new ByteWriter()
      .varint(1)
      .bytes(new Uint8Array(bulkMessageBytes + 1))
      .finish();
    assert.throws(() => decodeData(longData), malformed);
    assert.throws(() => decodeData(longData.subarray(0, 1)), malformed);
    assert.throws(() => decodeCallId(new Uint8Array([0])), malformed);
    assert.throws(() => decodeCredit(new Uint8Array([1, 0])), malformed);
    const longCard = { ...hello, card: new Uint8Array(64 * 1024 + 1) };
    assert.throws(
      () => encodeHello(longCard),
      (error) => isKithError(error, 'limit-exceeded'),
    );
  });

  void it('refuse services without order, proper names or versions', () => {
    const raw = (...services: [string, number, number][]): Uint8Array => {
      const writer = new ByteWriter().varint(1).varint(services.length);
      for (const [name, min, max] of services) writer.text(name).u16(min).u16(max);
      return writer.varint(0).finish();
    };
    assert.equal(decodeOffers(raw(['a/b', 1, 64])).services.length, 1);
    for (const bad of [
      raw(['a/b', 0, 1]),
      raw(['a/b', 2, 1]),
      raw(['a/b', 1, 65]),
      raw(['a', 1, 1]),
      raw(['A/b', 1, 1]),
      raw(['a/b', 1, 1], ['a/b', 1, 1]),
      raw(['a/c', 1, 1], ['a/b', 1, 1]),
      raw(
        ...Array.from({ length: 65 }, (_, i): [string, number, number] => [
          `a/${String(i).padStart(2, '0')}`,
          1,
          1,
        ]),
      ),
    ]) {
      assert.throws(() => decodeOffers(bad), malformed);
    }
  });

  void it('have a version of the hello that a newer one announces', () => {
    const newer = encodeHello(hello);
    newer[8] = 2;
    assert.throws(
      () => decodeHello(newer),
      (error) => isKithError(error, 'too-new'),
    );
  });
});

void describe('the signature of a hello', () => {
  void it('holds for its link, its role and its device', () => {
    assert.equal(verifyHello(hello, handshakeHash, 1), true);
    assert.equal(verifyHello(hello, handshakeHash, 2), false);
    assert.equal(verifyHello(hello, noise(8, 64), 1), false);
    assert.equal(verifyHello({ ...hello, deviceId: keyPairOf(2).publicKey }, handshakeHash, 1), false);
  });
});

void describe('the common version', () => {
  void it('is the highest in both ranges', () => {
    assert.equal(commonVersion({ min: 1, max: 1 }, { min: 1, max: 2 }), 1);
    assert.equal(commonVersion({ min: 1, max: 3 }, { min: 2, max: 9 }), 3);
    assert.equal(commonVersion({ min: 1, max: 1 }, { min: 2, max: 2 }), undefined);
  });
});

eachMessage((name, sample, encode, decode) => {
  // Data goes on to the end of its message: shorter and longer ones are valid too.
  fuzzDecoder(name, [encode(sample)], canonical(decode, encode), { prefixesValid: name === 'data' });
});
