import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { makePhotos } from './bench-files.ts';
import { Dice, noise } from './corpora.ts';
import { sourceFileBytes, TextWriter } from './text-writer.ts';

export const corpusNames = ['text', 'photos', 'big', 'tiny'] as const;
export type CorpusName = (typeof corpusNames)[number];

/** How a folder of files comes to be. */
export interface Recipe {
  readonly name: CorpusName;
  /** What it is, in the words of the saved results. */
  readonly origin: string;
  /** What making it takes of the disk, about. */
  readonly bytes: number;
  readonly files: number;
  /** Fills a folder that exists and is empty. */
  make(folder: string, signal: AbortSignal): Promise<void>;
}

const filesInFolder = 1000;
/** A unit of the big file: well above the chunks of all who are compared. */
const unitBytes = 16 * 1024 * 1024;
const shiftBytesMax = 10_000;

const sizes = {
  full: { texts: 65_000, photoBytes: 2e9, units: 256, tinies: 300_000 },
  quick: { texts: 2000, photoBytes: 128e6, units: 16, tinies: 5000 },
} as const;

/** The recipe of a corpus; a text tree comes from a package of sources where one is installed, else it is written. */
export function recipeOf(name: CorpusName, quick: boolean): Recipe {
  const { texts, photoBytes, units, tinies } = sizes[quick ? 'quick' : 'full'];
  const recipes: Readonly<Record<CorpusName, Recipe>> = {
    text: {
      name: 'text',
      origin: 'written, sizes as in the Linux source',
      bytes: texts * 20_000,
      files: texts,
      make: (to, signal) => writeTexts(to, texts, signal),
    },
    photos: {
      name: 'photos',
      origin: 'key stream of AES in files of 2 to 8 MB',
      bytes: photoBytes,
      files: Math.ceil(photoBytes / 5e6),
      make: (to) => makePhotosInto(to, photoBytes),
    },
    big: {
      name: 'big',
      origin: 'key stream of AES, a quarter of it repeats at shifted places',
      bytes: units * unitBytes,
      files: 1,
      make: (to, signal) => writeFilm(join(to, 'film.bin'), units, signal),
    },
    tiny: {
      name: 'tiny',
      origin: 'written, 100 to 3900 bytes each',
      bytes: tinies * 2000,
      files: tinies,
      make: (to, signal) => writeTinies(to, tinies, signal),
    },
  };
  const archive = name === 'text' && !quick ? sourceArchive() : undefined;
  return archive === undefined ? recipes[name] : unpacked(archive);
}

/** The text tree out of a tar archive, compressed or not. */
export function unpacked(archive: string): Recipe {
  return {
    name: 'text',
    origin: archive.slice(archive.lastIndexOf('/') + 1),
    bytes: 1.4e9,
    files: 80_000,
    make: async (folder, signal) => {
      await promisify(execFile)('tar', ['-xf', archive, '-C', folder], { signal });
    },
  };
}

/** Debian's package `linux-source` puts it there. */
function sourceArchive(): string | undefined {
  const folder = '/usr/src';
  const names = existsSync(folder) ? readdirSync(folder) : [];
  const name = names.sort().findLast((one) => /^linux-source-[\d.]+\.tar\.xz$/.test(one));
  return name === undefined ? undefined : join(folder, name);
}

async function makePhotosInto(folder: string, bytes: number): Promise<void> {
  await makePhotos(join(folder, 'camera'), bytes);
}

async function writeTexts(folder: string, count: number, signal: AbortSignal): Promise<void> {
  const writer = new TextWriter(21);
  const dice = new Dice(22);
  for (let number = 0; number < count; number++) {
    // Each share once, in an order that jumps: the sizes are the same whatever the dice say.
    const share = ((number * 7919) % count) / count;
    const inside = join(folder, `part-${number % 7}`, `room-${Math.floor(number / 16)}`);
    mkdirSync(inside, { recursive: true });
    const kind = ['c', 'h', 'txt', 'yaml'][dice.below(4)];
    writeFileSync(join(inside, `file-${number}.${kind}`), writer.file(sourceFileBytes(share)));
    await pauseAfter(number, signal);
  }
}

async function writeTinies(folder: string, count: number, signal: AbortSignal): Promise<void> {
  const writer = new TextWriter(31);
  const dice = new Dice(32);
  for (let number = 0; number < count; number++) {
    const inside = join(folder, `d${Math.floor(number / filesInFolder)}`);
    if (number % filesInFolder === 0) mkdirSync(inside);
    writeFileSync(join(inside, `f${number}`), writer.file(dice.between(100, 3900)));
    await pauseAfter(number, signal);
  }
}

/** Three quarters new units, then a quarter of earlier ones, each behind up to 10 kB of new bytes that shift it. */
async function writeFilm(path: string, units: number, signal: AbortSignal): Promise<void> {
  const dice = new Dice(9);
  const fresh = Math.ceil((units * 3) / 4);
  const file = await open(path, 'wx');
  try {
    for (let unit = 0; unit < units; unit++) {
      signal.throwIfAborted();
      if (unit < fresh) {
        await file.writeFile(noise(unitBytes, 5000 + unit));
      } else {
        const earlier = noise(unitBytes, 5000 + dice.below(fresh));
        const shift = dice.between(1, shiftBytesMax);
        await file.writeFile(noise(shift, 900_000 + unit));
        await file.writeFile(earlier.subarray(0, unitBytes - shift));
      }
    }
  } finally {
    await file.close();
  }
}

async function pauseAfter(number: number, signal: AbortSignal): Promise<void> {
  if (number % 256 !== 255) return;
  await setImmediate();
  signal.throwIfAborted();
}
