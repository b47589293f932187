import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { concatBytes, displayText, fromHex, idKey, textOf, toHex, utf8 } from '../../lib/base/bytes.ts';
import { ByteReader, ByteWriter, fileHead, readFileHead } from '../../lib/base/codec.ts';
import { isKithError } from '../../lib/base/errors.ts';

const malformed = (error: unknown): boolean => isKithError(error, 'malformed');
const reader = (...bytes: number[]): ByteReader => new ByteReader(new Uint8Array(bytes), 'sample');

void describe('bytes', () => {
  void it('hex goes there and back, and what is not hex is undefined', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        assert.deepEqual(fromHex(toHex(bytes)), bytes);
        assert.deepEqual(fromHex(toHex(bytes).toUpperCase()), bytes);
      }),
    );
    for (const bad of ['a', 'zz', '0x10', ' 00', '00\n', '0g']) assert.equal(fromHex(bad), undefined, bad);
  });

  void it('text that is not UTF-8 is undefined, or shown with marks', () => {
    assert.equal(textOf(new Uint8Array([0x61, 0xff])), undefined);
    assert.equal(textOf(new Uint8Array([0xed, 0xa0, 0x80])), undefined);
    assert.equal(displayText(new Uint8Array([0x61, 0xff])), 'a\uFFFD');
    assert.equal(textOf(utf8('\uFEFFgrüße')), '\uFEFFgrüße');
  });

  void it('idKey differs where ids differ', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 8 }), fc.uint8Array({ maxLength: 8 }), (a, b) => {
        assert.equal(idKey(a) === idKey(b), toHex(a) === toHex(b));
      }),
    );
  });
});

void describe('ByteWriter and ByteReader', () => {
  void it('bring every field back', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 0xff }),
        fc.integer({ min: 0, max: 0xffff }),
        fc.integer({ min: 0, max: 0xffffffff }),
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        fc.maxSafeNat(),
        fc.uint8Array({ maxLength: 600 }),
        fc.string({ unit: 'grapheme', maxLength: 20 }),
        (u8, u16, u32, u64, i64, varint, blob, text) => {
          const writer = new ByteWriter();
          writer.u8(u8).u16(u16).u32(u32).u64(u64).i64(i64).varint(varint).blob(blob).text(text).bytes(blob);
          const bytes = writer.finish();
          assert.equal(bytes.length, writer.length);
          const back = new ByteReader(bytes, 'sample');
          assert.equal(back.u8(), u8);
          assert.equal(back.u16(), u16);
          assert.equal(back.u32(), u32);
          assert.equal(back.u64(), u64);
          assert.equal(back.i64(), i64);
          assert.equal(back.varint(), varint);
          assert.deepEqual(back.blob(600), blob);
          assert.equal(back.text(1000), text);
          assert.deepEqual(back.rest(), blob);
          back.end();
        },
      ),
    );
  });

  void it('are little-endian', () => {
    const bytes = new ByteWriter().u16(0x0102).u32(0x03040506).u64(7n).i64(-2n).varint(300).finish();
    assert.equal(toHex(bytes), '0201060504030700000000000000feffffffffffffffac02');
  });

  void it('refuse to write a number that does not fit', () => {
    const writer = new ByteWriter();
    const attempts: (() => unknown)[] = [
      () => writer.u8(256),
      () => writer.u8(-1),
      () => writer.u16(0x10000),
      () => writer.u32(2 ** 32),
      () => writer.u32(1.5),
      () => writer.u32(Number.NaN),
      () => writer.u64(2n ** 64n),
      () => writer.u64(-1n),
      () => writer.i64(2n ** 63n),
      () => writer.varint(-1),
      () => writer.varint(2 ** 53),
      () => writer.varint(0.5),
    ];
    for (const attempt of attempts) assert.throws(attempt, RangeError);
    assert.equal(writer.length, 0);
  });

  void it('finish gives a copy: later writes do not change it', () => {
    const writer = new ByteWriter().u8(1);
    const first = writer.finish();
    writer.u8(2);
    assert.deepEqual(first, new Uint8Array([1]));
  });

  void it('a varint stands in its shortest form and under its limit', () => {
    assert.equal(reader(0x80, 0x01).varint(), 128);
    assert.equal(reader(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f).varint(), Number.MAX_SAFE_INTEGER);
    for (const bytes of [
      [0x80, 0x00],
      [0xff, 0x80, 0x00],
      [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x10],
      [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
      [0x80],
      [],
    ]) {
      assert.throws(() => reader(...bytes).varint(), malformed, bytes.join());
    }
    assert.equal(reader(100).varint(100), 100);
    assert.throws(() => reader(101).varint(100), malformed);
  });

  void it('nothing is taken that is not there', () => {
    assert.throws(() => reader(1).u16(), malformed);
    assert.throws(() => reader(1, 2, 3).u32(), malformed);
    assert.throws(() => reader(1, 2, 3, 4, 5, 6, 7).u64(), malformed);
    assert.throws(() => reader(5, 1, 2).blob(10), malformed);
    assert.throws(() => reader(3, 1, 2, 3).blob(2), malformed);
    assert.throws(() => reader(0xff, 0xff, 0xff, 0x7f).blob(2 ** 40), malformed);
    assert.throws(() => reader(2, 0xc3, 0x28).text(10), malformed);
    assert.throws(() => reader(3, 0, 0).count(10, 1), malformed);
    assert.throws(() => reader(2, 0, 0, 0).count(10, 2), malformed);
    assert.equal(reader(2, 0, 0, 0, 0).count(10, 2), 2);
    assert.throws(() => reader(1).end(), malformed);
    assert.throws(() => reader(1, 2).expect(new Uint8Array([1, 3]), 'the mark'), malformed);
    assert.throws(() => reader(1, 2).bytes(-1), RangeError);
  });

  void it('whatever the bytes, a reader ends or says malformed, and stays inside them', () => {
    const calls = fc.array(fc.constantFrom('u8', 'u16', 'u32', 'u64', 'varint', 'blob', 'text', 'count'), {
      maxLength: 20,
    });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), calls, (bytes, names) => {
        const back = new ByteReader(bytes, 'sample');
        try {
          for (const name of names) {
            if (name === 'blob') assert.ok(back.blob(2 ** 50).length <= bytes.length);
            else if (name === 'text') back.text(2 ** 50);
            else if (name === 'count') assert.ok(back.count(2 ** 50, 1) <= bytes.length);
            else back[name as 'u8']();
          }
        } catch (error) {
          assert.ok(malformed(error), String(error));
        }
        assert.ok(back.offset <= bytes.length && back.remaining >= 0);
        assert.equal(back.offset + back.remaining, bytes.length);
      }),
      { numRuns: 500 },
    );
  });

  void it('reads a view in the middle of a larger buffer', () => {
    const whole = concatBytes(new Uint8Array(7).fill(9), new ByteWriter().u32(77).blob(utf8('x')).finish());
    const back = new ByteReader(whole.subarray(7), 'sample');
    assert.equal(back.u32(), 77);
    assert.equal(back.text(5), 'x');
  });
});

void describe('file heads', () => {
  void it('name the file and its version', () => {
    const head = fileHead('kithtest', 0x0203);
    assert.equal(toHex(head), toHex(utf8('kithtest')) + '0302');
    assert.equal(readFileHead(new ByteReader(head, 'sample'), 'kithtest', 0x0203), 0x0203);
    assert.throws(() => fileHead('short', 1), RangeError);
  });

  void it('another magic, version 0 and a newer version are told apart', () => {
    const read = (head: Uint8Array): number => readFileHead(new ByteReader(head, 'sample'), 'kithtest', 1);
    assert.throws(() => read(fileHead('kithpack', 1)), malformed);
    assert.throws(() => read(fileHead('kithtest', 0)), malformed);
    assert.throws(() => read(fileHead('kithtest', 1).subarray(0, 9)), malformed);
    assert.throws(
      () => read(fileHead('kithtest', 2)),
      (error) => isKithError(error, 'too-new'),
    );
  });
});
