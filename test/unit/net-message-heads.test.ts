import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { concatBytes } from '../../lib/base/bytes.ts';
import { MessageHeads } from '../../lib/net/links/message-heads.ts';

function message(length: number): Uint8Array {
  const head = new Uint8Array([length & 255, (length >> 8) & 255, length >> 16]);
  return concatBytes(head, new Uint8Array(length).fill(0xff));
}

/** The same bytes in pieces of these sizes, over and over. */
function* piecesOf(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

void describe('the lengths of messages', () => {
  void it('pass up to the limit, however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(1000), { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 4 }),
        (lengths, sizes) => {
          const heads = new MessageHeads(1000);
          const bytes = concatBytes(...lengths.map(message));
          for (const piece of piecesOf(bytes, sizes)) assert.ok(heads.take(piece));
          // And then one too long is seen with the last byte of its length, before anything of it has come.
          const [low, middle, high] = message(1001);
          const longHead = [low, middle, high].map((byte) => byte ?? 0);
          assert.ok(heads.take(new Uint8Array(longHead.slice(0, 2))));
          assert.equal(heads.take(new Uint8Array(longHead.slice(2))), false);
        },
      ),
    );
  });

  void it('are refused wherever they stand in a piece', () => {
    const heads = new MessageHeads(10);
    assert.equal(heads.take(concatBytes(message(10), message(0), new Uint8Array([0, 0, 1]))), false);
    assert.equal(new MessageHeads(10).take(new Uint8Array([255, 255, 255])), false);
  });
});
