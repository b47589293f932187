import { createHash } from 'node:crypto';
import {
  chmod,
  lstat,
  mkdir,
  readFile,
  readdir,
  readlink,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';

/** Bytes that don't compress and are the same for the same seed (xorshift32). */
export function noise(count: number, seed: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(count / 4));
  let state = seed | 1;
  for (let index = 0; index < words.length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[index] = state;
  }
  return new Uint8Array(words.buffer, 0, count);
}

const name = (bytes: Uint8Array | string, folder: string): Buffer =>
  Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(bytes)]);

/** A small folder with what real ones have: text, big files, odd names, an empty file, links, modes, old times. */
export async function makeSample(folder: string): Promise<void> {
  await mkdir(join(folder, 'texts', 'deep', 'deeper'), { recursive: true });
  await mkdir(join(folder, 'empty folder'));
  for (let index = 0; index < 60; index++) {
    await writeFile(join(folder, 'texts', `note ${index}.txt`), `note ${index}\n`.repeat(index * 7));
  }
  await writeFile(join(folder, 'texts', 'deep', 'deeper', 'script.sh'), '#!/bin/sh\n', { mode: 0o755 });
  await chmod(join(folder, 'texts', 'deep', 'deeper', 'script.sh'), 0o755);
  await writeFile(join(folder, 'photo.raw'), noise(5_000_000, 7));
  await writeFile(join(folder, 'photo copy.raw'), noise(5_000_000, 7));
  await writeFile(join(folder, 'nothing'), '');
  await writeFile(join(folder, 'private'), 'mine');
  await chmod(join(folder, 'private'), 0o600);
  await writeFile(join(folder, 'line\nbreak \x1b]0;title\x07 ü 🙂'), 'odd');
  if (process.platform === 'linux')
    await writeFile(name(new Uint8Array([0x66, 0xff, 0xfe]), folder), 'not UTF-8');
  await symlink('texts/note 1.txt', join(folder, 'link'));
  await symlink('nowhere/at/all', join(folder, 'dangling'));
  await utimes(join(folder, 'private'), 1_000_000_000.123456, 1_000_000_000.123456);
  await utimes(join(folder, 'texts', 'deep'), 1_234_567_890.5, 1_234_567_890.5);
}

/**
 * What a folder is, entry by entry: type, mode, time (exact to the µs), bytes or target. Made without kith's own code,
 * so that a mistake in it can't hide itself.
 */
export async function describeFolder(folder: string): Promise<Map<string, string>> {
  const entries = new Map<string, string>();
  async function visit(path: Buffer, shown: string): Promise<void> {
    const stat = await lstat(path, { bigint: true });
    const mode = (Number(stat.mode) & 0o7777).toString(8);
    const time = (stat.mtimeNs / 1000n).toString();
    if (stat.isSymbolicLink()) {
      entries.set(shown, `link ${(await readlink(path, { encoding: 'buffer' })).toString('hex')}`);
    } else if (stat.isDirectory()) {
      entries.set(shown, `folder ${mode} ${time}`);
      for (const child of await readdir(path, { encoding: 'buffer' })) {
        await visit(Buffer.concat([path, Buffer.from('/'), child]), `${shown}/${child.toString('latin1')}`);
      }
    } else {
      const hash = createHash('sha256')
        .update(await readFile(path))
        .digest('hex');
      entries.set(shown, `file ${mode} ${time} ${stat.size} ${hash}`);
    }
  }
  await visit(Buffer.from(folder), '');
  return entries;
}
