import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ByteReader, ByteWriter } from '../../lib/base/codec.ts';

void describe('a growing writer', () => {
  void it('writes every kind of number across the end of its buffer', () => {
    // Whatever the sizes that it grows through, each start in a wide range puts some number astride the end.
    for (let before = 0; before < 2100; before++) {
      for (const write of [
        (writer: ByteWriter) => writer.u8(7),
        (writer: ByteWriter) => writer.u16(7),
        (writer: ByteWriter) => writer.u32(7),
        (writer: ByteWriter) => writer.u64(7n),
        (writer: ByteWriter) => writer.i64(7n),
        (writer: ByteWriter) => writer.varint(7),
      ]) {
        const writer = new ByteWriter();
        for (let i = 0; i < before; i += 300) writer.bytes(new Uint8Array(Math.min(300, before - i)));
        const bytes = write(writer).finish();
        assert.equal(bytes[before], 7);
        assert.ok(bytes.subarray(0, before).every((byte) => byte === 0));
        assert.equal(new ByteReader(bytes, 'test').bytes(before).length, before);
      }
    }
  });
});
