import { chunkBytesMax } from '../lib/base/limits.ts';
import { openFrame, sealFrame, sealFrameInto, suites, tagBytes } from '../lib/crypto/aead.ts';
import { Hasher } from '../lib/crypto/hash.ts';
import type { CodedRow } from '../lib/kernels/erasure-coder.ts';
import { createKernelMemory } from '../lib/kernels/kernel-memory.ts';
import { compileKernels } from '../lib/kernels/kernel-module.ts';
import { loadKernels, plainKernels, type Kernels } from '../lib/kernels/kernels.ts';
import { kernelScratchBytes } from '../lib/kernels/scratch.ts';
import { createCompressor } from '../lib/pipeline/compress.ts';
import { noise, text } from './corpora.ts';

/**
 * MB/s of every kernel on one core, of source bytes: the median of several rounds, and the slowest and fastest. By the processor time
 * that the process took, so that others on the machine disturb less. Versions of a kernel take turns, so that they are disturbed
 * alike. Run it as `node dist/bench/kernels.js`.
 */
const roundsCount = 15;
const mebibyte = 1024 * 1024;

/** A version of a kernel by its name, and what it does. */
type Version = readonly [string, () => unknown];

function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

async function measure(name: string, bytes: number, ...versions: readonly Version[]): Promise<void> {
  const rates = versions.map((): number[] => []);
  for (let round = -2; round < roundsCount; round++) {
    for (const [i, [, work]] of versions.entries()) {
      const began = processorMs();
      await work();
      // The first rounds are for the compiler.
      if (round >= 0) rates[i]?.push(bytes / 1000 / (processorMs() - began));
    }
  }
  for (const [i, [version]] of versions.entries()) {
    const sorted = rates[i]?.sort((a, b) => a - b) ?? [];
    const [median, low, high] = [sorted[roundsCount >> 1], sorted[0], sorted.at(-1)].map((rate) =>
      (rate ?? 0).toFixed(0),
    );
    console.log(`${name.padEnd(34)}${version.padEnd(18)}${median?.padStart(6)} MB/s   (${low} … ${high})`);
  }
}

/** The kernels to compare: each with a function that puts bytes where they work on them, at the next free place. */
interface Candidate {
  readonly name: string;
  readonly kernels: Kernels;
  readonly place: (bytes: Uint8Array) => Uint8Array;
}

const memory = createKernelMemory(256 * mebibyte);
let used = 0;
function reserve(bytes: number): number {
  const at = used;
  used += Math.ceil(bytes / 64) * 64;
  return at;
}
function placed(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(memory.buffer, reserve(bytes.length), bytes.length);
  copy.set(bytes);
  return copy;
}

const candidates: Candidate[] = [{ name: 'plain', kernels: plainKernels, place: (bytes) => bytes }];
for (const relaxed of [false, true]) {
  const compiled = compileKernels(relaxed);
  if (compiled === undefined || compiled.relaxed !== relaxed) continue;
  const kernels = loadKernels(compiled, memory, reserve(kernelScratchBytes));
  candidates.push({ name: kernels.version, kernels, place: placed });
  candidates.push({ name: `${kernels.version}, copied`, kernels, place: (bytes) => bytes });
}

/** Room for inputs begins here: a measurement that is over gives its room back. */
const firstFree = used;

const random = noise(16 * mebibyte);
const words = text(16 * mebibyte);
const key = random.slice(0, 32);

for (const [name, bytes] of [
  ['chunk, noise', random],
  ['chunk, text', words],
  ['chunk, zeros', new Uint8Array(16 * mebibyte)],
] as const) {
  const versions = candidates.map(({ name: version, kernels, place }): Version => {
    const input = place(bytes);
    const chunker = kernels.chunker(key);
    return [
      version,
      () => {
        for (let start = 0; start < input.length;) {
          const end = Math.min(input.length, start + chunkBytesMax);
          start = chunker.cut(input, start, end, true) ?? input.length;
        }
      },
    ];
  });
  await measure(name, bytes.length, ...versions);
}

for (const [k, n] of [
  [3, 7],
  [4, 6],
  [4, 10],
  [6, 9],
  [10, 14],
  [10, 16],
] as const) {
  const rows = Array.from({ length: n - k }, (_, i) => k + i);
  const source = Array.from({ length: k }, (_, j) => random.slice(j * mebibyte, (j + 1) * mebibyte));
  const encoders: Version[] = [];
  const decoders: Version[] = [];
  for (const { name, kernels, place } of candidates) {
    const { coder } = kernels;
    const data = source.map(place);
    const outputs = rows.map(() => place(new Uint8Array(mebibyte)));
    encoders.push([name, () => coder.encodeInto(k, data, rows, outputs)]);
    coder.encodeInto(k, data, rows, outputs);
    const left: CodedRow[] = [...data, ...outputs].map((bytes, index) => ({ index, bytes })).slice(2, 2 + k);
    const wanted = [place(new Uint8Array(mebibyte)), place(new Uint8Array(mebibyte))];
    decoders.push([name, () => coder.reconstructInto(k, left, [0, 1], wanted)]);
  }
  await measure(`encode, k = ${k}, ${n - k} rows`, k * mebibyte, ...encoders);
  await measure(`reconstruct 2 lost of k = ${k}`, k * mebibyte, ...decoders);
  used = firstFree;
}

const hasher = Hasher.keyed(key);
for (const kibibytes of [64, 512]) {
  await measure(`hash, BLAKE3 keyed, ${kibibytes} KiB`, random.length, [
    'native',
    () => {
      const step = kibibytes * 1024;
      for (let at = 0; at < random.length; at += step) hasher.hash(random.subarray(at, at + step));
    },
  ]);
}

const compressor = createCompressor();
const frame = words.slice(0, mebibyte);
const packed = await compressor.compress(frame);
if (packed === undefined) throw new Error('the sample text did not compress');
await measure(`compress, text (${(frame.length / packed.length).toFixed(1)} : 1)`, frame.length, [
  'native',
  () => compressor.compress(frame),
]);
await measure('compress, noise (skipped)', mebibyte, [
  'native',
  () => compressor.compress(random.subarray(0, mebibyte)),
]);
await measure('decompress, text', frame.length, [
  'native',
  () => compressor.decompress(packed, frame.length),
]);

const about = random.slice(0, 64);
const sealedRoom = placed(new Uint8Array(frame.length + tagBytes));
const sharedFrame = placed(frame);
for (const [name, suite] of Object.entries(suites)) {
  const sealed = sealFrame(suite, key, 0, about, frame);
  await measure(
    `seal, ${name}`,
    frame.length,
    ['fresh array', () => sealFrame(suite, key, 0, about, frame)],
    ['in shared memory', () => sealFrameInto(sealedRoom, suite, key, 0, about, sharedFrame)],
  );
  await measure(`open, ${name}`, frame.length, ['native', () => openFrame(suite, key, 0, about, sealed)]);
}
