import { createCipheriv } from 'node:crypto';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mapLimited } from '../lib/base/concurrency.ts';
import { Dice, noise, text } from './corpora.ts';

const pieceBytes = 8 * 1024 * 1024;

/** Files that no compressor shortens, of 2 to 8 MB, as phones make them. Returns how many. */
export async function makePhotos(folder: string, bytes: number): Promise<number> {
  const dice = new Dice(1);
  await mkdir(folder);
  let made = 0;
  for (let left = bytes; left > 0; made++) {
    const size = Math.min(left, dice.between(2e6, 8e6));
    await writeFile(join(folder, `IMG_${String(made).padStart(4, '0')}.jpg`), noise(size, 1000 + made));
    left -= size;
  }
  return made;
}

/** Small text files in folders of a hundred, of 100 B to 10 kB. Returns their bytes. */
export async function makeTexts(folder: string, count: number): Promise<number> {
  const dice = new Dice(2);
  const pool = text(8_000_000, 2);
  let bytes = 0;
  for (let number = 0; number < count; number++) {
    const inside = join(folder, `part ${Math.floor(number / 100)}`);
    if (number % 100 === 0) await mkdir(inside, { recursive: true });
    const size = dice.between(100, 10_000);
    const at = dice.below(pool.length - size);
    await writeFile(join(inside, `note ${number}.txt`), pool.subarray(at, at + size));
    bytes += size;
  }
  return bytes;
}

/** One file that no compressor shortens, of any size. */
export async function makeBigFile(path: string, bytes: number, signal?: AbortSignal): Promise<void> {
  const cipher = createCipheriv('aes-256-ctr', new Uint8Array(32).fill(7), new Uint8Array(16));
  const zeros = new Uint8Array(pieceBytes);
  const file = await open(path, 'wx');
  try {
    for (let left = bytes; left > 0;) {
      signal?.throwIfAborted();
      const piece = cipher.update(zeros.subarray(0, Math.min(left, pieceBytes)));
      left -= (await file.write(piece)).bytesWritten;
    }
  } finally {
    await file.close();
  }
}

const floorFileBytes = 4 * 1024 * 1024;

/** How the floor is written. */
export interface FloorOptions {
  /** Folders that take the files in turn; one by default. */
  readonly folders?: number;
  /** Five by default. */
  readonly filesAtOnce?: number;
}

/**
 * Milliseconds to write so many bytes as files of the size of a shard, each synced, several at a time: what the disk allows,
 * whoever writes. The folder must not exist.
 */
export async function syncedFloorMs(
  folder: string,
  bytes: number,
  { folders = 1, filesAtOnce = 5 }: FloorOptions = {},
): Promise<number> {
  for (let index = 0; index < folders; index++) await mkdir(join(folder, String(index)), { recursive: true });
  const piece = noise(floorFileBytes, 3);
  const count = Math.ceil(bytes / floorFileBytes);
  const began = performance.now();
  const numbers = Array.from({ length: count }, (_, number) => number);
  await mapLimited(numbers, filesAtOnce, async (number) => {
    const file = await open(join(folder, String(number % folders), String(number)), 'wx');
    try {
      await file.writeFile(piece.subarray(0, Math.min(floorFileBytes, bytes - number * floorFileBytes)));
      await file.sync();
    } finally {
      await file.close();
    }
  });
  return performance.now() - began;
}
