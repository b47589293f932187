import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { idKey } from '../lib/base/bytes.ts';
import { Hasher } from '../lib/crypto/hash.ts';
import { createChunker, chunkSizes, type ChunkSizes } from '../lib/kernels/chunker.ts';
import { createCompressor, type Compressor } from '../lib/pipeline/compress.ts';
import { filesIn } from './folder-bytes.ts';

const usage = `node dist/bench/chunk-sizes.js BEFORE AFTER

What chunks of several sizes make of a folder and of an edited copy of it: how many there are, what they take
compressed (each by itself; files that share frames take less), and how much of the copy is new. Keys are fixed.`;

const targets = [128, 256, 512, 1024].map((kibibytes) => kibibytes * 1024);
const key = new Uint8Array(32).fill(7);
const hasher = Hasher.keyed(key);
const bufferBytes = 64 * 1024 * 1024;
const buffer = new Uint8Array(bufferBytes);

/** Minimum half of the target, as in the format; the maximum is the format's. */
function sizesOf(target: number): ChunkSizes {
  return { min: target / 2, target, max: chunkSizes.max };
}

interface Tally {
  chunks: number;
  bytes: number;
  stored: number;
}

/** Counts the chunks of a folder that `known` doesn't have, and adds them to it. */
async function tallyFolder(
  folder: string,
  sizes: ChunkSizes,
  known: Set<string>,
  compressor: Compressor,
): Promise<Tally> {
  const tally = { chunks: 0, bytes: 0, stored: 0 };
  const chunker = createChunker(key, sizes);
  const take = (chunk: Uint8Array): void => {
    const id = idKey(hasher.hash(chunk).subarray(0, 16));
    if (known.has(id)) return;
    known.add(id);
    tally.chunks++;
    tally.bytes += chunk.length;
    tally.stored += compressor.compressNow(chunk)?.length ?? chunk.length;
  };
  for (const path of filesIn(folder)) {
    const file = openSync(join(folder, path), 'r');
    try {
      const { size } = fstatSync(file);
      let filled = 0;
      for (let read = 0; read < size || filled > 0;) {
        const got = readSync(file, buffer, filled, Math.min(bufferBytes - filled, size - read), null);
        if (got === 0 && read < size) break;
        read += got;
        filled += got;
        let start = 0;
        while (start < filled) {
          const end = chunker.cut(buffer, start, filled, read === size);
          if (end === undefined) break;
          take(buffer.subarray(start, end));
          start = end;
        }
        buffer.copyWithin(0, start, filled);
        filled -= start;
      }
    } finally {
      closeSync(file);
    }
  }
  return tally;
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1).padStart(9);

const [before, after] = process.argv.slice(2);
if (before === undefined || after === undefined) {
  process.stderr.write(`${usage}\n`);
  process.exitCode = 2;
} else {
  const compressor = createCompressor();
  process.stdout.write('target KiB   chunks  mean KiB  stored MB  new chunks    new MB  new stored MB\n');
  for (const target of targets) {
    const known = new Set<string>();
    const first = await tallyFolder(before, sizesOf(target), known, compressor);
    const second = await tallyFolder(after, sizesOf(target), known, compressor);
    const mean = (first.bytes / 1024 / Math.max(1, first.chunks)).toFixed(0);
    process.stdout.write(
      `${String(target / 1024).padStart(10)}${String(first.chunks).padStart(9)}${mean.padStart(10)}  ${megabytes(first.stored)}` +
        `${String(second.chunks).padStart(12)} ${megabytes(second.bytes)}      ${megabytes(second.stored)}\n`,
    );
  }
}
