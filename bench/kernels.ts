import { chunkBytesMax } from '../lib/base/limits.ts';
import { openFrame, sealFrame, suites } from '../lib/crypto/aead.ts';
import { Hasher } from '../lib/crypto/hash.ts';
import { createChunker } from '../lib/kernels/chunker.ts';
import { plainCoder } from '../lib/kernels/reed-solomon.ts';
import { createCompressor } from '../lib/pipeline/compress.ts';
import { noise, text } from './corpora.ts';

/**
 * MB/s of every kernel on one core, of source bytes: the median of several rounds, and the slowest and fastest.
 * Run it as `node dist/bench/kernels.js`.
 */
const roundsCount = 9;
const mebibyte = 1024 * 1024;

async function measure(name: string, bytes: number, work: () => unknown): Promise<void> {
  const rates: number[] = [];
  await work();
  for (let round = 0; round < roundsCount; round++) {
    const began = performance.now();
    await work();
    rates.push(bytes / 1000 / (performance.now() - began));
  }
  rates.sort((a, b) => a - b);
  const [low = 0, median = 0, high = 0] = [rates[0], rates[roundsCount >> 1], rates.at(-1)];
  const shown = [median, low, high].map((rate) => rate.toFixed(0).padStart(6));
  console.log(`${name.padEnd(34)}${shown[0]} MB/s   (${shown[1]?.trim()} … ${shown[2]?.trim()})`);
}

const random = noise(16 * mebibyte);
const words = text(16 * mebibyte);
const key = random.slice(0, 32);

const chunker = createChunker(key);
function cutAll(bytes: Uint8Array): number {
  let chunks = 0;
  for (let start = 0; start < bytes.length; chunks++) {
    start = chunker.cut(bytes, start, Math.min(bytes.length, start + chunkBytesMax), true) ?? bytes.length;
  }
  return chunks;
}
await measure('chunk, noise', random.length, () => cutAll(random));
await measure('chunk, text', words.length, () => cutAll(words));

const hasher = Hasher.keyed(key);
await measure('hash, BLAKE3 keyed, 512 KiB', random.length, () => {
  for (let at = 0; at < random.length; at += mebibyte / 2)
    hasher.hash(random.subarray(at, at + mebibyte / 2));
});

const compressor = createCompressor();
const frame = words.slice(0, mebibyte);
const packed = await compressor.compress(frame);
if (packed === undefined) throw new Error('the sample text did not compress');
await measure(`compress, text (${(frame.length / packed.length).toFixed(1)} : 1)`, frame.length, () =>
  compressor.compress(frame),
);
await measure('compress, noise (skipped)', mebibyte, () => compressor.compress(random.subarray(0, mebibyte)));
await measure('decompress, text', frame.length, () => compressor.decompress(packed, frame.length));

for (const [name, suite] of Object.entries(suites)) {
  const about = random.slice(0, 64);
  const sealed = sealFrame(suite, key, 0, about, frame);
  await measure(`seal, ${name}`, frame.length, () => sealFrame(suite, key, 0, about, frame));
  await measure(`open, ${name}`, frame.length, () => openFrame(suite, key, 0, about, sealed));
}

for (const [k, rows] of [
  [3, [3, 4, 5, 6]],
  [4, [4, 5, 6, 7, 8, 9]],
  [10, [10, 11, 12, 13, 14, 15]],
] as const) {
  const data = Array.from({ length: k }, (_, j) => random.slice(j * mebibyte, (j + 1) * mebibyte));
  const coded = plainCoder.encodeRows(k, data, rows);
  await measure(`encode, k = ${k}, ${rows.length} rows`, k * mebibyte, () =>
    plainCoder.encodeRows(k, data, rows),
  );
  const left = [...data, ...coded].map((bytes, index) => ({ index, bytes })).slice(2, 2 + k);
  await measure(`reconstruct 2 lost of k = ${k}`, k * mebibyte, () =>
    plainCoder.reconstruct(k, left, [0, 1]),
  );
}
