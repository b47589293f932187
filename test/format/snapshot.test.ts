import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { toHex, utf8 } from '../../lib/base/bytes.ts';
import { ByteReader, ByteWriter } from '../../lib/base/codec.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { readIndexRef, writeIndexRef } from '../../lib/format/index-blob.ts';
import type { IndexRef } from '../../lib/format/index-blob.ts';
import { sealedFrameBytesMax } from '../../lib/format/frame.ts';
import { decodeSnapshot, encodeSnapshot, snapshotBytesMax, snapshotId } from '../../lib/format/snapshot.ts';
import type { Snapshot } from '../../lib/format/snapshot.ts';
import { fuzzDecoder } from '../support/fuzz.ts';
import { checkGolden, goldenBytes } from '../support/golden.ts';
import { idOf, sampleIndexRef, sampleSnapshot, withoutUndefined } from './samples.ts';

const firstSnapshot: Snapshot = {
  ...sampleSnapshot,
  partial: false,
  parent: undefined,
  sources: [],
  excludes: [],
  tags: [],
};

function encodeRef(ref: IndexRef): Uint8Array {
  const writer = new ByteWriter();
  writeIndexRef(writer, ref);
  return writer.finish();
}

function decodeRef(bytes: Uint8Array): IndexRef {
  const reader = new ByteReader(bytes, 'index ref');
  const ref = readIndexRef(reader);
  reader.end();
  return ref;
}

void describe('snapshot', () => {
  void it('round-trips', () => {
    assert.deepEqual(decodeSnapshot(encodeSnapshot(sampleSnapshot)), sampleSnapshot);
    assert.deepEqual(decodeSnapshot(encodeSnapshot(firstSnapshot)), withoutUndefined(firstSnapshot));
    const text = fc.string({ unit: 'binary', maxLength: 60 });
    const change = fc.record({
      host: text,
      user: text,
      partial: fc.boolean(),
      timeNs: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      sources: fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 5 }),
      excludes: fc.array(text, { maxLength: 5 }),
      tags: fc.array(text, { maxLength: 5 }),
      metadata: fc.subarray(['xattrs', 'holes', 'trustedXattrs'] as const),
    });
    fc.assert(
      fc.property(change, (change) => {
        const snapshot = { ...sampleSnapshot, ...change };
        assert.deepEqual(decodeSnapshot(encodeSnapshot(snapshot)), snapshot);
      }),
    );
  });

  void it('matches its golden vectors', () => {
    const file = 'snapshot.json';
    checkGolden(file, 'all fields', () => encodeSnapshot(sampleSnapshot), decodeSnapshot, encodeSnapshot);
    const complete: Snapshot = { ...sampleSnapshot, metadata: ['xattrs', 'holes'] };
    checkGolden(file, 'with metadata', () => encodeSnapshot(complete), decodeSnapshot, encodeSnapshot);
    checkGolden(file, 'first', () => encodeSnapshot(firstSnapshot), decodeSnapshot, encodeSnapshot);
    const id = snapshotId(encodeSnapshot(sampleSnapshot));
    assert.equal(toHex(id), toHex(goldenBytes(file, 'id of all fields', () => id)));
  });

  void it('leaves out kinds of metadata that this kith does not know', () => {
    const bytes = encodeSnapshot({ ...sampleSnapshot, metadata: ['xattrs'] });
    bytes[bytes.length - 1] = 0x80;
    assert.deepEqual(decodeSnapshot(bytes).metadata, ['xattrs']);
  });

  void it('has an id that every byte counts for', () => {
    const bytes = encodeSnapshot(sampleSnapshot);
    const altered = bytes.slice();
    altered[bytes.length - 1] = 1;
    assert.notEqual(toHex(snapshotId(bytes)), toHex(snapshotId(altered)));
  });

  void it('fits a record of the catalog, or says so', () => {
    const isOver = (error: unknown): boolean => isKithError(error, 'limit-exceeded');
    const pathsOf = (bytes: number): Uint8Array[] =>
      Array.from({ length: 4096 }, () => new Uint8Array(bytes));
    assert.ok(encodeSnapshot({ ...sampleSnapshot, sources: pathsOf(250) }).length <= snapshotBytesMax);
    assert.throws(() => encodeSnapshot({ ...sampleSnapshot, sources: pathsOf(260) }), isOver);
    assert.throws(() => encodeSnapshot({ ...sampleSnapshot, host: 'h'.repeat(256) }), isOver);
    assert.throws(() => encodeSnapshot({ ...sampleSnapshot, sources: [new Uint8Array(65537)] }), isOver);
    assert.throws(() => decodeSnapshot(new Uint8Array(snapshotBytesMax + 1)), /too many/);
  });

  void it('refuses a partial mark that is neither', () => {
    const bytes = encodeSnapshot(sampleSnapshot);
    const at = 10 + 64 + 16 + 'almond'.length + 1 + 'ada'.length + 1;
    assert.equal(bytes[at], 1);
    bytes[at] = 2;
    assert.throws(
      () => decodeSnapshot(bytes),
      (error) => isKithError(error, 'malformed'),
    );
  });
});

void describe('index ref', () => {
  void it('round-trips and points only where something can be', () => {
    assert.deepEqual(decodeRef(encodeRef(sampleIndexRef)), sampleIndexRef);
    const wrong: Partial<IndexRef>[] = [
      { sealedLength: sealedFrameBytesMax + 1 },
      { offset: 128 * 2 ** 20 },
      { ordinal: 65536 },
      { offsetInFrame: 4 * 2 ** 20, length: 1 },
    ];
    for (const change of wrong) {
      const ref = { ...sampleIndexRef, ...change };
      assert.throws(() => encodeRef(ref), RangeError);
      const raw = new ByteWriter().bytes(ref.blobId).bytes(ref.packId);
      raw.u32(ref.offset).u32(ref.sealedLength).u32(ref.ordinal).varint(ref.offsetInFrame).varint(ref.length);
      assert.throws(
        () => decodeRef(raw.finish()),
        (error) => isKithError(error, 'malformed'),
      );
    }
    assert.throws(() => encodeRef({ ...sampleIndexRef, blobId: utf8('short') }), RangeError);
    assert.throws(() => encodeRef({ ...sampleIndexRef, packId: idOf('x').subarray(1) }), RangeError);
  });
});

fuzzDecoder('snapshot', [encodeSnapshot(sampleSnapshot), encodeSnapshot(firstSnapshot)], decodeSnapshot);
fuzzDecoder('index ref', [encodeRef(sampleIndexRef)], decodeRef);
