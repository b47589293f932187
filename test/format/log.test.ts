import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { isKithError } from '../../lib/base/errors.ts';
import { systemRandom } from '../../lib/crypto/random.ts';
import { signKeyPair } from '../../lib/crypto/sign.ts';
import {
  flagsOfKind,
  kindName,
  recordFlags,
  recordKinds,
  unknownKindAction,
} from '../../lib/format/log-kinds.ts';
import {
  openLogRecord,
  readRecordHead,
  recordBodyBytesMax,
  recordBytesMax,
  sealLogRecord,
} from '../../lib/format/log-record.ts';
import type { RecordPlace } from '../../lib/format/log-record.ts';
import {
  attestLog,
  decodeSegment,
  encodeSegment,
  parseSegmentFileName,
  segmentFileName,
  segmentHash,
  verifySegment,
} from '../../lib/format/segment.ts';
import type { SegmentHead } from '../../lib/format/segment.ts';
import { fuzzDecoder } from '../support/fuzz.ts';
import { checkGolden, goldenBytes } from '../support/golden.ts';
import { Seeded } from '../support/seeded.ts';

const idOf = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);
const notAuthentic = (error: unknown): boolean => isKithError(error, 'not-authentic');
const malformed = (error: unknown): boolean => isKithError(error, 'malformed');
const tooMuch = (error: unknown): boolean => isKithError(error, 'limit-exceeded');

const vaultId = idOf(1);
const device = signKeyPair(idOf(2));
const log = signKeyPair(idOf(3));
const stranger = signKeyPair(idOf(4));
const key = idOf(5);
const place: RecordPlace = { vaultId, deviceId: device.publicKey, logKey: log.publicKey, index: 7 };

function seededRecord(kind: number, body: Uint8Array, index: number): Uint8Array {
  const seeded = new Seeded(index);
  return sealLogRecord(kind, 3, key, { ...place, index }, body, (count) => seeded.bytes(count));
}

const head: SegmentHead = {
  vaultId,
  deviceId: device.publicKey,
  logKey: log.publicKey,
  role: 1,
  firstIndex: 7,
  previous: idOf(6),
  attestation: attestLog(vaultId, device.publicKey, log.publicKey, 1, device.secretKey),
};

const records = [
  seededRecord(recordKinds.setting, new Uint8Array([1, 2, 3]), 7),
  seededRecord(recordKinds.forget, new Uint8Array(0), 8),
];

const segment = (): Uint8Array => encodeSegment(head, records, log.secretKey);

void describe('the table of kinds', () => {
  void it('gives every kind a number, a name and one way to be unknown', () => {
    const numbers = Object.values(recordKinds);
    assert.equal(new Set(numbers).size, numbers.length);
    for (const [name, kind] of Object.entries(recordKinds)) {
      assert.equal(kindName(kind), name);
      assert.ok([recordFlags.skipIfUnknown, recordFlags.stopIfUnknown].includes(flagsOfKind(kind) as 1 | 2));
    }
    const stop = numbers.filter((kind) => flagsOfKind(kind) === recordFlags.stopIfUnknown);
    assert.deepEqual(
      stop.sort((a, b) => a - b),
      [8, 10, 64, 66, 67, 68],
    );
    assert.throws(() => flagsOfKind(63), RangeError);
  });

  void it('says what to do with what it does not know', () => {
    assert.equal(unknownKindAction(recordKinds.pack, recordFlags.stopIfUnknown), 'known');
    assert.equal(unknownKindAction(63, recordFlags.skipIfUnknown), 'skip');
    assert.equal(unknownKindAction(63, recordFlags.stopIfUnknown), 'stop');
    assert.equal(unknownKindAction(recordKinds.pack, recordFlags.stopIfUnknown, 2), 'stop');
    assert.equal(unknownKindAction(recordKinds.setting, recordFlags.skipIfUnknown, 2), 'skip');
  });
});

void describe('log record', () => {
  void it('opens where and with what it was sealed', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.values(recordKinds)),
        fc.nat(0xffffffff),
        fc.uint8Array({ maxLength: 300 }),
        fc.maxSafeNat(),
        (kind, keyEpoch, body, index) => {
          const bytes = sealLogRecord(kind, keyEpoch, key, { ...place, index }, body, systemRandom);
          const expected = { kind, flags: flagsOfKind(kind), version: 1, keyEpoch };
          assert.deepEqual(readRecordHead(bytes), expected);
          assert.deepEqual(openLogRecord(bytes, key, { ...place, index }), { ...expected, body });
        },
      ),
    );
  });

  void it('opens at no other place and with no other key', () => {
    const bytes = seededRecord(recordKinds.setting, new Uint8Array([9]), 7);
    assert.deepEqual(openLogRecord(bytes, key, place).body, new Uint8Array([9]));
    for (const other of [
      { ...place, vaultId: idOf(9) },
      { ...place, deviceId: idOf(9) },
      { ...place, logKey: idOf(9) },
      { ...place, index: 8 },
    ]) {
      assert.throws(() => openLogRecord(bytes, key, other), notAuthentic);
    }
    assert.throws(() => openLogRecord(bytes, idOf(6), place), notAuthentic);
  });

  void it('opens with no bit changed, in the head neither', () => {
    const bytes = seededRecord(recordKinds.setting, new Uint8Array([9]), 7);
    for (let at = 0; at < bytes.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const altered = bytes.map((byte, i) => (i === at ? byte ^ (1 << bit) : byte));
        assert.throws(
          () => openLogRecord(altered, key, place),
          (error) => isKithError(error, 'not-authentic', 'malformed'),
        );
      }
    }
  });

  void it('takes bodies up to its limit', () => {
    const seal = (length: number): Uint8Array =>
      sealLogRecord(recordKinds.snapshot, 0, key, place, new Uint8Array(length), systemRandom);
    const longest = seal(recordBodyBytesMax);
    assert.ok(longest.length <= recordBytesMax);
    assert.equal(openLogRecord(longest, key, place).body.length, recordBodyBytesMax);
    assert.throws(() => seal(recordBodyBytesMax + 1), tooMuch);
  });

  void it('has a fresh nonce each time', () => {
    const seal = (): string =>
      sealLogRecord(recordKinds.setting, 0, key, place, idOf(1), systemRandom).toString();
    assert.notEqual(seal(), seal());
  });
});

void describe('log segment', () => {
  void it('comes back as it was written, and is verified', () => {
    const bytes = segment();
    const back = decodeSegment(bytes);
    assert.deepEqual(back.head, head);
    assert.deepEqual(back.records, records);
    verifySegment(back);
    assert.equal(segmentHash(bytes).length, 32);
    assert.notDeepEqual(segmentHash(bytes), segmentHash(bytes.slice(1)));
  });

  void it('is refused with any bit changed', () => {
    const bytes = segment();
    for (let at = 0; at < bytes.length; at++) {
      const altered = bytes.map((byte, i) => (i === at ? byte ^ 4 : byte));
      assert.throws(
        () => verifySegment(decodeSegment(altered)),
        (error) => isKithError(error, 'not-authentic', 'malformed', 'too-new'),
      );
    }
  });

  void it('is refused where the device did not attest just this log', () => {
    for (const attestation of [
      attestLog(vaultId, device.publicKey, log.publicKey, 2, device.secretKey),
      attestLog(idOf(9), device.publicKey, log.publicKey, 1, device.secretKey),
      attestLog(vaultId, device.publicKey, stranger.publicKey, 1, device.secretKey),
      attestLog(vaultId, device.publicKey, log.publicKey, 1, stranger.secretKey),
    ]) {
      const bytes = encodeSegment({ ...head, attestation }, records, log.secretKey);
      assert.throws(() => verifySegment(decodeSegment(bytes)), notAuthentic);
    }
  });

  void it('holds at least one record, and no more bytes than it may', () => {
    assert.throws(() => encodeSegment(head, [], log.secretKey), RangeError);
    assert.throws(() => encodeSegment(head, [new Uint8Array(recordBytesMax + 1)], log.secretKey), tooMuch);
    const large = Array.from({ length: 9 }, () => new Uint8Array(1e6));
    assert.throws(() => encodeSegment(head, large, log.secretKey), tooMuch);
    assert.throws(() => encodeSegment(head, records, stranger.secretKey), RangeError);
    const many = Array.from({ length: 65536 }, () => new Uint8Array(1));
    assert.equal(decodeSegment(encodeSegment(head, many, log.secretKey)).records.length, 65536);
    assert.throws(() => encodeSegment(head, [...many, new Uint8Array(1)], log.secretKey), tooMuch);
  });

  void it('is the first of its log just when nothing is before it', () => {
    const first = { ...head, firstIndex: 0, previous: new Uint8Array(32) };
    assert.equal(decodeSegment(encodeSegment(first, records, log.secretKey)).head.firstIndex, 0);
    assert.throws(() => encodeSegment({ ...head, firstIndex: 0 }, records, log.secretKey), RangeError);
    assert.throws(() => encodeSegment({ ...first, firstIndex: 1 }, records, log.secretKey), RangeError);
    const bytes = encodeSegment({ ...head, firstIndex: 1 }, records, log.secretKey);
    // First index: after 10 bytes of file head, three ids and the role.
    const at = 10 + 3 * 32 + 1;
    assert.equal(bytes[at], 1);
    bytes[at] = 0;
    assert.throws(() => decodeSegment(bytes), malformed);
  });

  void it('has a file name that sorts by place', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.maxSafeNat(), (a, b) => {
        assert.equal(parseSegmentFileName(segmentFileName(a)), a);
        assert.equal(Math.sign(a - b), segmentFileName(a) < segmentFileName(b) ? -1 : a === b ? 0 : 1);
      }),
    );
    assert.equal(segmentFileName(42), '000000000000002a.seg');
    for (const name of [
      '2a.seg',
      '000000000000002A.seg',
      '000000000000002a.seg.tmp',
      'ffffffffffffffff.seg',
      '',
    ]) {
      assert.equal(parseSegmentFileName(name), undefined);
    }
  });
});

void describe('golden vectors of logs', () => {
  void it('record', () => {
    const make = (): Uint8Array => seededRecord(recordKinds.setting, new Uint8Array([1, 2, 3]), 7);
    const bytes = goldenBytes('log.json', 'record', make);
    assert.deepEqual(openLogRecord(bytes, key, place), {
      kind: recordKinds.setting,
      flags: recordFlags.skipIfUnknown,
      version: 1,
      keyEpoch: 3,
      body: new Uint8Array([1, 2, 3]),
    });
    assert.deepEqual(make(), bytes);
  });

  void it('segment and its hash', () => {
    const found = checkGolden('log.json', 'segment', segment, decodeSegment, (value) =>
      encodeSegment(value.head, value.records, log.secretKey),
    );
    verifySegment(found);
    const hash = goldenBytes('log.json', 'segmentHash', () => segmentHash(segment()));
    assert.deepEqual(segmentHash(segment()), hash);
  });
});

fuzzDecoder('log record head', [records[0] ?? new Uint8Array(0)], readRecordHead);
fuzzDecoder('log segment', [segment()], decodeSegment);
