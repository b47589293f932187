import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { equalBytes, utf8 } from '../../lib/base/bytes.ts';
import { ByteWriter } from '../../lib/base/codec.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { classBytes, frameBytesMax } from '../../lib/base/limits.ts';
import { openFrame, sealFrame, suites } from '../../lib/crypto/aead.ts';
import { blobKinds } from '../../lib/format/blob.ts';
import {
  compressions,
  decodeFrameBody,
  encodeFrameBody,
  frameAdditional,
  frameOrdinals,
  sealedFrameBytesMax,
} from '../../lib/format/frame.ts';
import { decodeIndexBlob, encodeIndexBlob, encodeIndexBlobs } from '../../lib/format/index-blob.ts';
import {
  decodePackDirectory,
  directoryBytesMax,
  encodePackDirectory,
  packBlobsMax,
} from '../../lib/format/pack-directory.ts';
import type { DirectoryFrame, PackDirectory } from '../../lib/format/pack-directory.ts';
import {
  classFor,
  decodePackHead,
  decodePackTrailer,
  encodePackHead,
  encodePackTrailer,
  packFormatBytesMax,
  packHeadBytes,
  packKey,
  packTrailerBytes,
  packTrailerPlainBytes,
} from '../../lib/format/pack-head.ts';
import { fuzzDecoder } from '../support/fuzz.ts';
import { checkGolden, goldenBytes } from '../support/golden.ts';
import { idOf, idsOf, randomIds, sampleDirectory, sampleHead } from './samples.ts';

function isMalformed(error: unknown): boolean {
  return isKithError(error, 'malformed');
}

const trailer = { directoryOffset: 65536 - 40 - 200, directorySealedLength: 200, plainBytes: 2 ** 40 };

void describe('pack head and trailer', () => {
  void it('have their sizes and round-trip', () => {
    const head = encodePackHead(sampleHead);
    assert.equal(head.length, packHeadBytes);
    assert.deepEqual(decodePackHead(head), sampleHead);
    const bytes = encodePackTrailer(trailer);
    assert.equal(bytes.length, packTrailerPlainBytes);
    assert.equal(packTrailerBytes, 40);
    assert.deepEqual(decodePackTrailer(bytes), trailer);
    assert.deepEqual(decodePackTrailer(bytes, 65536), trailer);
  });

  void it('match their golden vectors', () => {
    checkGolden('pack.json', 'head', () => encodePackHead(sampleHead), decodePackHead, encodePackHead);
    checkGolden(
      'pack.json',
      'trailer',
      () => encodePackTrailer(trailer),
      decodePackTrailer,
      encodePackTrailer,
    );
    const sealed = goldenBytes('pack.json', 'sealed frame 5', () =>
      sealFrame(
        1,
        packKey(idOf('sealing key'), sampleHead.salt),
        5,
        frameAdditional(sampleHead, 5),
        utf8('hello'),
      ),
    );
    const key = packKey(idOf('sealing key'), sampleHead.salt);
    const opened = openFrame(suites.aes256Gcm, key, 5, frameAdditional(sampleHead, 5), sealed);
    assert.deepEqual(opened, utf8('hello'));
  });

  void it('refuse a newer version, an unknown suite, reserved bits', () => {
    const head = encodePackHead(sampleHead);
    const changed = (at: number, value: number): Uint8Array => head.slice().fill(value, at, at + 1);
    assert.throws(
      () => decodePackHead(changed(8, 2)),
      (error) => isKithError(error, 'too-new'),
    );
    assert.throws(
      () => decodePackHead(changed(10, 3)),
      (error) => isKithError(error, 'too-new'),
    );
    assert.throws(() => decodePackHead(changed(11, 1)), isMalformed);
    assert.throws(() => decodePackHead(changed(0, 0)), isMalformed);
  });

  void it('refuse a directory that lies outside the pack', () => {
    const bad = (change: Partial<typeof trailer>, packBytes?: number): void => {
      assert.throws(
        () => decodePackTrailer(encodePackTrailer({ ...trailer, ...change }), packBytes),
        isMalformed,
      );
    };
    bad({}, 131072);
    bad({ directoryOffset: 40, directorySealedLength: 65536 - 80 });
    bad({ directorySealedLength: 201 });
    bad({ directoryOffset: packFormatBytesMax - 240 + 65536 });
    bad({
      directoryOffset: 10 * 2 ** 20 - 40 - sealedFrameBytesMax - 1,
      directorySealedLength: sealedFrameBytesMax + 1,
    });
    bad({ directoryOffset: 0xffffffff, directorySealedLength: 0xffffffff });
  });

  void it('derive another key for another salt or sealing key', () => {
    const key = packKey(idOf('sealing key'), idOf('salt'));
    assert.equal(key.length, 32);
    assert.ok(!equalBytes(key, packKey(idOf('sealing key'), idOf('salt 2'))));
    assert.ok(!equalBytes(key, packKey(idOf('sealing key 2'), idOf('salt'))));
  });

  void it('take the smallest class that holds the content', () => {
    assert.equal(classFor(1, 1), 0);
    assert.equal(classFor(3 * 65536, 3), 0);
    assert.equal(classFor(3 * 65536 + 1, 3), 1);
    assert.equal(classFor(32 * 4 * 2 ** 20, 32), 6);
    assert.equal(classFor(32 * 4 * 2 ** 20 + 1, 32), undefined);
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 32 }),
        fc.integer({ min: 1, max: packFormatBytesMax }),
        (k, bytes) => {
          const found = classFor(bytes, k);
          const sizes = classBytes.map((size) => size * k);
          if (found === undefined) assert.ok(bytes > Math.max(...sizes));
          else assert.ok((sizes[found] ?? 0) >= bytes && (found === 0 || (sizes[found - 1] ?? 0) < bytes));
        },
      ),
    );
  });
});

void describe('frames', () => {
  void it('round-trip, compressed or not', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), fc.nat(5000), (body, more) => {
        const plain = encodeFrameBody(compressions.none, body.length, body);
        assert.deepEqual(decodeFrameBody(plain), { compression: 0, plainBytes: body.length, body });
        const packed = encodeFrameBody(compressions.zstd, body.length + more, body);
        assert.deepEqual(decodeFrameBody(packed), { compression: 1, plainBytes: body.length + more, body });
      }),
    );
  });

  void it('match their golden vector', () => {
    checkGolden(
      'pack.json',
      'frame body',
      () => encodeFrameBody(compressions.zstd, 1000, utf8('not really zstd')),
      decodeFrameBody,
      (frame) => encodeFrameBody(frame.compression, frame.plainBytes, frame.body),
    );
  });

  void it('never claim more than a frame holds, nor less than their body', () => {
    const claim = (compression: number, plainBytes: number, bodyBytes: number): Uint8Array =>
      new ByteWriter().u8(compression).u32(plainBytes).bytes(new Uint8Array(bodyBytes)).finish();
    assert.doesNotThrow(() => decodeFrameBody(claim(1, frameBytesMax, 10)));
    assert.throws(() => decodeFrameBody(claim(1, frameBytesMax + 1, 10)), isMalformed);
    assert.throws(() => decodeFrameBody(claim(1, 0xffffffff, 10)), isMalformed);
    assert.throws(() => decodeFrameBody(claim(1, 9, 10)), isMalformed);
    assert.throws(() => decodeFrameBody(claim(0, 9, 10)), isMalformed);
    assert.throws(() => decodeFrameBody(claim(0, 11, 10)), isMalformed);
    assert.throws(() => decodeFrameBody(claim(2, 10, 10)), isMalformed);
    assert.throws(() => encodeFrameBody(1, frameBytesMax + 1, new Uint8Array(1)), RangeError);
    assert.throws(() => encodeFrameBody(0, 2, new Uint8Array(1)), RangeError);
    assert.throws(() => encodeFrameBody(1, 1, new Uint8Array(2)), RangeError);
  });

  void it('open nowhere but in their place', () => {
    const key = packKey(idOf('sealing key'), sampleHead.salt);
    const sealed = sealFrame(sampleHead.suite, key, 5, frameAdditional(sampleHead, 5), utf8('x'));
    const open = (head: typeof sampleHead, ordinal: number): Uint8Array | undefined =>
      openFrame(sampleHead.suite, key, ordinal, frameAdditional(head, ordinal), sealed);
    assert.deepEqual(open(sampleHead, 5), utf8('x'));
    for (const ordinal of [4, 6, frameOrdinals.directory, frameOrdinals.trailer]) {
      assert.equal(open(sampleHead, ordinal), undefined);
    }
    assert.equal(open({ ...sampleHead, keyEpoch: 8 }, 5), undefined);
    assert.equal(open({ ...sampleHead, suite: suites.xchacha20Poly1305 }, 5), undefined);
    assert.equal(open({ ...sampleHead, version: 2 }, 5), undefined);
    assert.equal(open({ ...sampleHead, salt: idOf('other') }, 5), undefined);
  });
});

/** A frame of one blob; what decoding checks can be broken by `change`. */
function frame(change: Partial<DirectoryFrame> = {}): DirectoryFrame {
  const blobs = [{ kind: blobKinds.data, blobId: idOf('b'), offsetInFrame: 0, length: 100 }];
  return { offset: 48, sealedLength: 121, plainBytes: 100, blobs, ...change };
}

/** Directory bytes without the writer's checks. */
function rawDirectory(...frames: DirectoryFrame[]): Uint8Array {
  const writer = new ByteWriter().u8(1).varint(frames.length);
  for (const { offset, sealedLength, plainBytes, blobs } of frames) {
    writer.u32(offset).u32(sealedLength).u32(plainBytes).varint(blobs.length);
    for (const blob of blobs) {
      writer.u8(blob.kind).bytes(blob.blobId).varint(blob.offsetInFrame).varint(blob.length);
    }
  }
  return writer.finish();
}

void describe('pack directory', () => {
  void it('round-trips', () => {
    assert.deepEqual(decodePackDirectory(encodePackDirectory(sampleDirectory)), sampleDirectory);
    assert.deepEqual(decodePackDirectory(encodePackDirectory({ frames: [] })), { frames: [] });
    const lengths = fc.array(fc.nat(3000), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(1000), lengths), { maxLength: 10 }), (shape) => {
        let offset = packHeadBytes;
        const frames = shape.map(([gap, lengths], number): DirectoryFrame => {
          let plainBytes = 0;
          const blobs = lengths.map((length, place) => {
            const blob = {
              kind: blobKinds.tree,
              blobId: idOf(`${number} ${place}`),
              offsetInFrame: plainBytes,
              length,
            };
            plainBytes += length;
            return blob;
          });
          const found = { offset: offset + gap, sealedLength: 21 + plainBytes, plainBytes, blobs };
          offset = found.offset + found.sealedLength;
          return found;
        });
        assert.deepEqual(decodePackDirectory(encodePackDirectory({ frames })), { frames });
      }),
    );
  });

  void it('matches its golden vector', () => {
    const make = (): Uint8Array => encodePackDirectory(sampleDirectory);
    checkGolden('pack.json', 'directory', make, decodePackDirectory, encodePackDirectory);
  });

  void it('refuses what cannot be, in writing and in reading', () => {
    const blob = frame().blobs[0];
    assert.ok(blob !== undefined);
    const wrong: Record<string, DirectoryFrame[]> = {
      'in the head': [frame({ offset: 47 })],
      overlap: [frame(), frame({ offset: 168 })],
      descending: [frame({ offset: 500 }), frame()],
      'beyond the largest pack': [frame({ offset: packFormatBytesMax - packTrailerBytes - 120 })],
      'too short': [frame({ sealedLength: 20 })],
      'too long': [frame({ sealedLength: sealedFrameBytesMax + 1 })],
      'too much plain': [frame({ plainBytes: frameBytesMax + 1 })],
      'no blobs': [frame({ blobs: [] })],
      'blob beyond its frame': [frame({ blobs: [{ ...blob, length: 101 }] })],
      'blob starts beyond its frame': [frame({ blobs: [{ ...blob, offsetInFrame: 101, length: 0 }] })],
      'blobs overlap': [frame({ blobs: [blob, { ...blob, offsetInFrame: 99, length: 1 }] })],
    };
    assert.doesNotThrow(() => decodePackDirectory(rawDirectory(frame(), frame({ offset: 169 }))));
    for (const [name, frames] of Object.entries(wrong)) {
      assert.throws(() => decodePackDirectory(rawDirectory(...frames)), isMalformed, name);
      assert.throws(() => encodePackDirectory({ frames }), RangeError, name);
    }
    const badKind = rawDirectory(frame());
    badKind[15] = 6;
    assert.throws(() => decodePackDirectory(badKind), /blob kind 6/);
  });

  void it('fits one frame, however full the pack is', () => {
    const frames = randomIds(1, packBlobsMax).map((blobId, i): DirectoryFrame => {
      const blobs = [{ kind: blobKinds.data, blobId, offsetInFrame: 0, length: 900 }];
      return { offset: 48 + 921 * i, sealedLength: 921, plainBytes: 900, blobs };
    });
    const bytes = encodePackDirectory({ frames });
    assert.ok(bytes.length < directoryBytesMax);
    assert.equal(decodePackDirectory(bytes).frames.length, packBlobsMax);
    const more = { ...frame(), offset: 48 + 921 * packBlobsMax };
    assert.throws(() => encodePackDirectory({ frames: [...frames, more] }), RangeError);
    const [first, ...others] = frames;
    assert.ok(first !== undefined);
    const blobs = [
      ...first.blobs,
      { kind: blobKinds.data, blobId: idOf('more'), offsetInFrame: 900, length: 0 },
    ];
    assert.throws(() => decodePackDirectory(rawDirectory({ ...first, blobs }, ...others)), isMalformed);
  });

  void it('refuses forged counts at once', () => {
    const frames = new ByteWriter().u8(1).varint(65536).bytes(new Uint8Array(500)).finish();
    assert.throws(() => decodePackDirectory(frames), /65536 items claimed/);
    const blobs = new ByteWriter()
      .u8(1)
      .varint(1)
      .u32(48)
      .u32(121)
      .u32(100)
      .varint(65536)
      .bytes(new Uint8Array(500));
    assert.throws(() => decodePackDirectory(blobs.finish()), /65536 items claimed/);
  });
});

void describe('index blobs', () => {
  const packs = [
    { packId: idOf('pack 1'), directory: sampleDirectory },
    { packId: idOf('pack 2'), directory: { frames: [] } },
  ];

  void it('round-trip and match their golden vector', () => {
    assert.deepEqual(decodeIndexBlob(encodeIndexBlob(packs)), packs);
    assert.deepEqual(decodeIndexBlob(encodeIndexBlob([])), []);
    checkGolden('pack.json', 'index blob', () => encodeIndexBlob(packs), decodeIndexBlob, encodeIndexBlob);
  });

  void it('are cut at 1 MiB, and cover every pack once, in order', () => {
    const directory = (count: number): PackDirectory => {
      const blobs = randomIds(2, count).map((blobId, i) => ({
        kind: blobKinds.data,
        blobId,
        offsetInFrame: i * 10,
        length: 10,
      }));
      return { frames: [{ offset: 48, sealedLength: 100, plainBytes: count * 10, blobs }] };
    };
    const small = directory(5000);
    const many = idsOf('pack', 14).map((packId, i) => ({
      packId,
      directory: i === 9 ? directory(40_000) : small,
    }));
    const blobs = [...encodeIndexBlobs(many)];
    assert.ok(blobs.length > 2);
    assert.equal(blobs.filter((bytes) => bytes.length > 2 ** 20).length, 1);
    assert.deepEqual(
      blobs.flatMap(decodeIndexBlob).map(({ packId }) => packId),
      many.map(({ packId }) => packId),
    );
    assert.deepEqual([...encodeIndexBlobs([])], []);
    assert.deepEqual([...encodeIndexBlobs(packs)], [encodeIndexBlob(packs)]);
    const listed = packs.map(({ packId, directory }) => ({
      packId,
      directory: encodePackDirectory(directory),
    }));
    assert.deepEqual([...encodeIndexBlobs(listed)], [encodeIndexBlob(packs)]);
  });
});

fuzzDecoder('pack head', [encodePackHead(sampleHead)], decodePackHead);
fuzzDecoder('pack trailer', [encodePackTrailer(trailer)], (bytes) => decodePackTrailer(bytes));
fuzzDecoder('frame', [encodeFrameBody(0, 5, utf8('hello'))], decodeFrameBody);
fuzzDecoder('pack directory', [encodePackDirectory(sampleDirectory)], decodePackDirectory);
fuzzDecoder(
  'index blob',
  [encodeIndexBlob([{ packId: idOf('p'), directory: sampleDirectory }])],
  decodeIndexBlob,
);
