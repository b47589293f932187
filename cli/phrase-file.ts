import { open, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { KithError, messageOf, systemCode } from '../lib/base/errors.ts';
import type { FileHandle } from 'node:fs/promises';

/** More than any phrase takes: 24 words of at most 8 letters. */
const phraseBytesMax = 256;

/** A new file that waits for the phrase: its room on the disk is already taken. */
export interface PhraseFile {
  readonly path: string;
  /** Writes the phrase and makes it durable. Returns why that failed, or undefined. */
  write(phrase: string): Promise<string | undefined>;
  /** Removes the file. */
  discard(): Promise<void>;
}

async function syncFolder(path: string): Promise<void> {
  // Not every system can open a folder; the file itself is synced in any case.
  const folder = await open(dirname(path), 'r').catch(() => undefined);
  try {
    await folder?.sync().catch(() => {});
  } finally {
    await folder?.close();
  }
}

/**
 * Makes the file for the phrase before the identity exists, so that no identity is made whose phrase has no place.
 * KithError `failed` if the file is there already or can't be made.
 */
export async function reservePhraseFile(given: string): Promise<PhraseFile> {
  const path = resolve(given);
  let file: FileHandle;
  try {
    file = await open(path, 'wx', 0o600);
  } catch (cause) {
    const why = systemCode(cause) === 'EEXIST' ? 'it exists already' : messageOf(cause);
    throw new KithError('failed', `the phrase can't be written to ${path}: ${why}. Nothing was made.`, {
      cause,
    });
  }
  async function discard(): Promise<void> {
    await file.close().catch(() => {});
    await rm(path, { force: true });
  }
  try {
    await file.write(' '.repeat(phraseBytesMax), 0);
    await file.sync();
  } catch (cause) {
    await discard();
    throw new KithError(
      'failed',
      `the phrase can't be written to ${path}: ${messageOf(cause)}. Nothing was made.`,
      {
        cause,
      },
    );
  }
  return {
    path,
    discard,
    write: async (phrase) => {
      try {
        const line = `${phrase}\n`;
        await file.write(line, 0);
        await file.truncate(line.length);
        await file.sync();
        await file.close();
        await syncFolder(path);
        return undefined;
      } catch (error) {
        return messageOf(error);
      }
    },
  };
}

/** The 24 words, numbered, four in a row, so that they read (and paste back) in their order. */
export function phraseGrid(phrase: string): string[] {
  const words = phrase.split(' ');
  return Array.from({ length: Math.ceil(words.length / 4) }, (_, row) =>
    words
      .slice(row * 4, row * 4 + 4)
      .map((word, column) => `${String(row * 4 + column + 1).padStart(4)}. ${word.padEnd(10)}`)
      .join('')
      .trimEnd(),
  );
}
