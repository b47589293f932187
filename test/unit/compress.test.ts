import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { concatBytes, utf8 } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';
import {
  compressBytesMax,
  createCompressor,
  nodeBackEnd,
  packageBackEnd,
  type ZstdBackEnd,
} from '../../lib/pipeline/compress.ts';
import { byteEntropy, looksIncompressible } from '../../lib/pipeline/entropy.ts';
import { readZstdFrame } from '../../lib/pipeline/zstd-frame.ts';
import { goldenBytes } from '../support/golden.ts';
import { noise } from '../support/noise.ts';

const node = nodeBackEnd();
const backEnds: ZstdBackEnd[] = node === undefined ? [packageBackEnd()] : [packageBackEnd(), node];
const damaged = (error: unknown): boolean => isKithError(error, 'damaged');

/** Text-like bytes that compress, of any length. */
function prose(seed: number, count: number): Uint8Array {
  const letters = utf8('eeeeettttaaaooiinnssrrhhlddcumwfgypbvk      ,.\n');
  return noise(seed, count).map(
    (value, i) => letters[(value + (i % 7 === 0 ? 0 : value >> 4)) % letters.length] ?? 0,
  );
}

const mixedBytes = fc
  .record({ seed: fc.nat(1e6), count: fc.integer({ min: 0, max: 700_000 }), kind: fc.nat(3) })
  .map(({ seed, count, kind }) => {
    if (kind === 0) return prose(seed, count);
    if (kind === 1) return new Uint8Array(count).fill(seed & 255);
    const bytes = noise(seed, count);
    if (kind === 2) bytes.set(prose(seed, count >> 1), count >> 2);
    return bytes;
  });

/** A frame put together by hand: descriptor byte, what follows it, blocks of [type, size, content]. */
function frame(head: number[], blocks: readonly (readonly [number, number, Uint8Array])[]): Uint8Array {
  const parts = blocks.map(([type, size, content], i) => {
    const header = (size << 3) | (type << 1) | Number(i === blocks.length - 1);
    return concatBytes(new Uint8Array([header, header >> 8, header >> 16]), content);
  });
  return concatBytes(new Uint8Array([0x28, 0xb5, 0x2f, 0xfd, ...head]), ...parts);
}

const window128k = 7 << 3;
const run = (size: number): readonly [number, number, Uint8Array] => [1, size, new Uint8Array([0x61])];

/** A back end that only counts. */
function countingBackEnd(): ZstdBackEnd & { calls: number } {
  const counting = {
    name: 'counting',
    calls: 0,
    encode: () => {
      counting.calls++;
      return Promise.resolve(new Uint8Array(1));
    },
    decode: () => {
      counting.calls++;
      return Promise.resolve(new Uint8Array(1));
    },
    decodeNow: () => {
      counting.calls++;
      return new Uint8Array(1);
    },
  };
  return counting;
}

for (const backEnd of backEnds) {
  void describe(`compressor on ${backEnd.name}`, () => {
    const compressor = createCompressor(backEnd);

    void it('brings everything back that it took', async () => {
      await fc.assert(
        fc.asyncProperty(mixedBytes, async (plain) => {
          const packed = await compressor.compress(plain);
          if (packed === undefined) return;
          assert.ok(packed.length <= plain.length * 0.97);
          assert.deepEqual(new Uint8Array(await compressor.decompress(packed, plain.length)), plain);
        }),
        { numRuns: 60 },
      );
    });

    void it('takes what is worth it and leaves what is not', async () => {
      for (const count of [2000, 65_536, 65_537, 1_000_000, 4 * 2 ** 20, compressBytesMax]) {
        const packed = await compressor.compress(prose(1, count));
        assert.ok(packed !== undefined && packed.length < count * 0.7, `${count} bytes`);
        assert.deepEqual(new Uint8Array(await compressor.decompress(packed, count)), prose(1, count));
      }
      for (const count of [0, 1, 5, 1000, 65_536, 65_537, 1_000_000]) {
        assert.equal(await compressor.compress(noise(2, count)), undefined, `${count} bytes of noise`);
      }
      await assert.rejects(compressor.compress(new Uint8Array(compressBytesMax + 1)), RangeError);
    });

    void it('works on views, and many at once', async () => {
      const whole = prose(3, 400_000);
      const views = Array.from({ length: 20 }, (_, i) => whole.subarray(i * 1111, i * 1111 + 150_000));
      const packed = await Promise.all(views.map((view) => compressor.compress(view)));
      const back = await Promise.all(
        packed.map((bytes) => compressor.decompress(bytes ?? assert.fail(), 150_000)),
      );
      for (const [i, view] of views.entries())
        assert.deepEqual(new Uint8Array(back[i] ?? assert.fail()), new Uint8Array(view));
      assert.deepEqual(whole, prose(3, 400_000));
    });

    void it('another plain size than the one packed is refused', async () => {
      const plain = prose(4, 10_000);
      const packed = (await compressor.compress(plain)) ?? assert.fail();
      for (const wrong of [0, 1, 9_999, 10_001, 10_000_000, -1, 0.5, Number.NaN, 2 ** 40]) {
        await assert.rejects(compressor.decompress(packed, wrong), damaged, String(wrong));
      }
    });

    void it('cut, spoilt and foreign bytes are refused, or have the size that was asked for', async () => {
      const plain = prose(5, 3000);
      const packed = (await compressor.compress(plain)) ?? assert.fail();
      for (let length = 0; length < packed.length; length += 7) {
        await assert.rejects(
          compressor.decompress(packed.subarray(0, length), 3000),
          damaged,
          `cut at ${length}`,
        );
      }
      for (let at = 0; at < packed.length; at += 5) {
        const spoilt = new Uint8Array(packed);
        spoilt[at] = (spoilt[at] ?? 0) ^ 0x11;
        try {
          assert.equal((await compressor.decompress(spoilt, 3000)).length, 3000);
        } catch (error) {
          assert.ok(damaged(error), String(error));
        }
      }
      await assert.rejects(compressor.decompress(concatBytes(packed, new Uint8Array(1)), 3000), damaged);
      await assert.rejects(compressor.decompress(concatBytes(packed, packed), 6000), damaged);
      for (const junk of [new Uint8Array(0), new Uint8Array(100), noise(6, 100), utf8('plain text')]) {
        await assert.rejects(compressor.decompress(junk, 100), damaged);
      }
    });

    void it('a bomb costs next to nothing', async () => {
      const blocks = Array.from({ length: 8192 }, () => run(128 * 1024));
      const bomb = frame([0, window128k], blocks);
      const before = process.memoryUsage().rss;
      await assert.rejects(compressor.decompress(bomb, 4 * 2 ** 20), damaged);
      const grown = process.memoryUsage().rss - before;
      assert.ok(grown < 64 * 2 ** 20, `1 GiB of promises took ${grown} bytes`);
    });

    void it('a small lie about the size is found out after decoding', async () => {
      await assert.rejects(compressor.decompress(frame([0, window128k], [run(100_000)]), 99_999), damaged);
      const honest = await compressor.decompress(frame([0, window128k], [run(100_000)]), 100_000);
      assert.deepEqual(new Uint8Array(honest), new Uint8Array(100_000).fill(0x61));
    });

    void it('empty content is fine', async () => {
      const empty = frame([0x20, 0], [[0, 0, new Uint8Array(0)]]);
      assert.equal((await compressor.decompress(empty, 0)).length, 0);
    });

    void it('reads the frames of every back end, of now and of before (test/golden/compress.json)', async () => {
      const plain = prose(7, 2500);
      for (const name of ['@toondepauw/node-zstd', 'node:zlib']) {
        const maker = backEnds.find((other) => other.name === name);
        const made = await maker?.encode(plain);
        const stored = goldenBytes(
          'compress.json',
          `2500 bytes of prose by ${name}`,
          () => made ?? assert.fail(),
        );
        for (const packed of made === undefined ? [stored] : [stored, made]) {
          assert.deepEqual(new Uint8Array(await compressor.decompress(packed, 2500)), plain);
        }
      }
    });
  });
}

void describe('what never reaches a back end', () => {
  const counting = countingBackEnd();
  const compressor = createCompressor(counting);

  void it('noise above 64 KiB', async () => {
    counting.calls = 0;
    assert.equal(await compressor.compress(noise(1, 70_000)), undefined);
    assert.equal(counting.calls, 0);
    await compressor.compress(prose(1, 70_000));
    assert.equal(counting.calls, 1);
  });

  void it('frames that are none, or claim too much', async () => {
    const raw = new Uint8Array(10);
    const hostile: [string, Uint8Array][] = [
      [
        'bomb of runs',
        frame(
          [0, window128k],
          Array.from({ length: 100 }, () => run(128 * 1024)),
        ),
      ],
      [
        'bomb of packed blocks',
        frame(
          [0, window128k],
          Array.from({ length: 100 }, () => [2, 10, raw] as const),
        ),
      ],
      ['window of 3.75 TiB', frame([0, 0xff], [[0, 10, raw]])],
      ['window of 16 MiB', frame([0, 14 << 3], [[0, 10, raw]])],
      ['content of 2^63', frame([0xe0, 0, 0, 0, 0, 0, 0, 0, 0x80], [[0, 10, raw]])],
      ['content of another size', frame([0x20, 11], [[0, 10, raw]])],
      ['dictionary', frame([0x21, 1, 10], [[0, 10, raw]])],
      ['reserved bit', frame([0x28, 10], [[0, 10, raw]])],
      ['reserved block type', frame([0x20, 10], [[3, 10, raw]])],
      ['block over its limit', frame([0, 10 << 3], [[1, 128 * 1024 + 1, new Uint8Array(1)]])],
      ['block over its window', frame([0, 0], [run(1025)])],
      ['block beyond the end', frame([0x20, 10], [[0, 10, raw.subarray(1)]])],
      ['no last block', frame([0x20, 10], [[0, 10, raw], [0, 0, raw.subarray(10)]]).subarray(0, 19)], // prettier-ignore
      ['too little inside', frame([0, window128k], [[0, 9, raw.subarray(1)]])],
      ['checksum missing', frame([0x24, 10], [[0, 10, raw]])],
      ['skippable frame', new Uint8Array([0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 1, 2])],
      ['legacy frame', new Uint8Array([0x27, 0xb5, 0x2f, 0xfd, 2, 0, 0, 0, 1, 2])],
    ];
    counting.calls = 0;
    for (const [name, bytes] of hostile)
      await assert.rejects(compressor.decompress(bytes, 10), damaged, name);
    assert.equal(counting.calls, 0);
  });
});

void describe('zstd frames', () => {
  void it('say what they may hold', () => {
    const raw = new Uint8Array(10);
    assert.deepEqual(readZstdFrame(frame([0x20, 10], [[0, 10, raw]])), {
      plainBytesMax: 10,
      windowBytes: 10,
      contentBytes: 10,
    });
    assert.deepEqual(readZstdFrame(frame([0, window128k | 1], [run(7), [2, 10, raw]])), {
      plainBytesMax: 7 + 128 * 1024,
      windowBytes: 144 * 1024,
      contentBytes: undefined,
    });
    assert.equal(readZstdFrame(frame([0x60, 0, 1], [[0, 10, raw]])).contentBytes, 512);
    assert.equal(readZstdFrame(frame([0xa0, 0, 1, 0, 0], [[0, 10, raw]])).contentBytes, 256);
    assert.equal(readZstdFrame(frame([0xe0, 0, 1, 0, 0, 0, 0, 0, 0], [[0, 10, raw]])).contentBytes, 256);
  });

  void it('whatever the bytes: bounds or malformed', () => {
    const start = new Uint8Array([0x28, 0xb5, 0x2f, 0xfd]);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.boolean(), (bytes, marked) => {
        try {
          const bounds = readZstdFrame(marked ? concatBytes(start, bytes) : bytes);
          assert.ok(Number.isSafeInteger(bounds.plainBytesMax));
        } catch (error) {
          assert.ok(isKithError(error, 'malformed'), String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });
});

void describe('entropy probe', () => {
  void it('measures bits a byte', () => {
    assert.equal(byteEntropy(new Uint8Array(4096)), 0);
    assert.equal(byteEntropy(Uint8Array.from({ length: 4096 }, (_, i) => i & 255)), 8);
    assert.equal(byteEntropy(Uint8Array.from({ length: 4096 }, (_, i) => i & 1)), 1);
    assert.ok(byteEntropy(noise(1, 4096)) > 7.9);
    assert.equal(byteEntropy(new Uint8Array(0)), 0);
  });

  void it('one slice that could be packed is reason enough to try', () => {
    const bytes = noise(2, 600_000);
    assert.ok(looksIncompressible(bytes));
    for (const sixth of [1, 3, 5]) {
      const part = new Uint8Array(bytes);
      part.set(prose(3, 20_000), sixth * 100_000 - 10_000);
      assert.ok(!looksIncompressible(part), `text around ${sixth}/6`);
    }
    assert.ok(!looksIncompressible(bytes.subarray(0, 65_536)), 'small input');
  });
});
