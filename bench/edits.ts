import { readFileSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { CorpusName } from './corpora-made.ts';
import { Dice, noise } from './corpora.ts';
import { filesIn } from './folder-bytes.ts';
import { TextWriter } from './text-writer.ts';

const editedShare = 0.01;
/** Bytes of one change inside the big file. */
const spotBytes = 128 * 1024;
/** One change in so many adds bytes in place of overwriting them, so that all that follows is shifted. */
const insertEvery = 20;
const insertBytesMax = 4096;
const copyBytes = 8 * 1024 * 1024;

/** A change of a file: at `offset` of the old one `dropped` bytes give way to `added` new ones. */
export interface Spot {
  readonly offset: number;
  readonly dropped: number;
  readonly added: number;
}

/** What an edit came to. */
export interface Edited {
  readonly files: number;
  /** Bytes that were not there before. */
  readonly newBytes: number;
}

/** About one in a hundred of the paths, at least one, in their order: the same for the same paths and seed. */
export function chosenFiles(paths: readonly string[], seed: number): string[] {
  const dice = new Dice(seed);
  const left = [...paths];
  const chosen = new Set<string>();
  const wanted = Math.min(left.length, Math.max(1, Math.round(left.length * editedShare)));
  while (chosen.size < wanted) {
    const at = dice.below(left.length);
    const path = left[at];
    const last = left.pop();
    if (last !== undefined && at < left.length) left[at] = last;
    if (path !== undefined) chosen.add(path);
  }
  return paths.filter((path) => chosen.has(path));
}

/** The text with one of its lines replaced; a text without a line feed is one line. */
export function withLineChanged(text: Uint8Array, dice: Dice, line: Uint8Array): Uint8Array {
  const around = text.length === 0 ? 0 : dice.below(text.length);
  const begin = around === 0 ? 0 : text.lastIndexOf(10, around - 1) + 1;
  const feed = text.indexOf(10, around);
  return Buffer.concat([text.subarray(0, begin), line, text.subarray(feed < 0 ? text.length : feed + 1)]);
}

/**
 * Changes of about a hundredth of a file's bytes, spread over it, ordered and apart: overwritten stretches, and a few
 * insertions that shift what follows. The same for the same size and seed.
 */
export function spotsOf(fileBytes: number, seed: number): Spot[] {
  const dice = new Dice(seed);
  const count = Math.max(1, Math.round((fileBytes * editedShare) / spotBytes));
  const room = Math.floor(fileBytes / count);
  return Array.from({ length: count }, (_, i) => {
    if (i % insertEvery === insertEvery - 1) {
      return { offset: i * room + dice.below(room), dropped: 0, added: dice.between(1, insertBytesMax) };
    }
    const length = Math.min(spotBytes, room);
    return { offset: i * room + dice.below(room - length + 1), dropped: length, added: length };
  });
}

/** Changes about a hundredth of a copy of a corpus in place. `original` is what the copy was made from. */
export async function editCorpus(name: CorpusName, original: string, copy: string): Promise<Edited> {
  if (name === 'big') return await editBigFiles(original, copy);
  const dice = new Dice(41);
  const writer = new TextWriter(42);
  const paths = chosenFiles(filesIn(copy), 43);
  let newBytes = 0;
  for (const [i, path] of paths.entries()) {
    const at = join(copy, path);
    const old = readFileSync(at);
    const line = writer.line();
    writeFileSync(at, name === 'photos' ? noise(old.length, 70_000 + i) : withLineChanged(old, dice, line));
    newBytes += name === 'photos' ? old.length : line.length;
  }
  return { files: paths.length, newBytes };
}

/** Changes one line of one file of at least a page of text, and returns the path of the file. */
export function editOneLine(copy: string): string {
  const paths = filesIn(copy);
  const dice = new Dice(51);
  for (let tries = 0; tries < 10_000; tries++) {
    const path = paths[dice.below(paths.length)] ?? '';
    const text = readFileSync(join(copy, path));
    if (text.length < 4096) continue;
    writeFileSync(join(copy, path), withLineChanged(text, dice, new TextWriter(52).line()));
    return path;
  }
  throw new Error(`there is no file of 4 kB or more in ${copy}`);
}

async function editBigFiles(original: string, copy: string): Promise<Edited> {
  const paths = filesIn(copy);
  let newBytes = 0;
  for (const path of paths) newBytes += await rewriteWithSpots(join(original, path), join(copy, path));
  return { files: paths.length, newBytes };
}

async function rewriteWithSpots(from: string, to: string): Promise<number> {
  const source = await open(from, 'r');
  const target = await open(to, 'r+');
  try {
    const { size } = await source.stat();
    const buffer = new Uint8Array(copyBytes);
    let at = 0;
    let newBytes = 0;
    const copyUntil = async (end: number): Promise<void> => {
      while (at < end) {
        const { bytesRead } = await source.read(buffer, 0, Math.min(copyBytes, end - at), at);
        if (bytesRead === 0) throw new Error(`${from} became shorter`);
        await target.writeFile(buffer.subarray(0, bytesRead));
        at += bytesRead;
      }
    };
    for (const [i, spot] of spotsOf(size, 44).entries()) {
      await copyUntil(spot.offset);
      await target.writeFile(noise(spot.added, 80_000 + i));
      at += spot.dropped;
      newBytes += spot.added;
    }
    await copyUntil(size);
    return newBytes;
  } finally {
    await source.close();
    await target.close();
  }
}
