import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';

/**
 * Writes past the page cache (O_DIRECT, Linux), for files that nobody reads again soon: shards of a backup would push out of
 * memory what the user works with, and copying them there costs more processor time than all else that is done to
 * them (docs/decisions/0031). What is written is flushed like any other file's bytes: by fsync.
 */

/** What offsets, lengths and addresses have to be multiples of; no file system of today wants more. */
const alignment = 4096;

/** A single write, and a staging buffer. */
const stageBytes = 1 << 20;
const stages = 16;

/** Below this, a page or two more in the cache are cheaper than opening the file again. */
export const directBytesMin: number = 128 * 1024;

const isPossible = process.platform === 'linux' && constants.O_DIRECT !== undefined;

// A WebAssembly.Memory begins at a page of memory, which an ArrayBuffer doesn't. It takes up room where it is written to.
let staging: SharedArrayBuffer | undefined;
let isRefused = false;
const free: number[] = [];
const waiting: ((stage: number) => void)[] = [];

/** True if there are staging buffers: memory of WebAssembly takes up room for addresses, which a process may be short of. */
function hasStaging(): boolean {
  if (staging !== undefined) return true;
  if (isRefused) return false;
  try {
    const pages = (stages * stageBytes) / 65536;
    staging = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }).buffer;
  } catch {
    isRefused = true;
    return false;
  }
  for (let stage = 0; stage < stages; stage++) free.push(stage);
  return true;
}

async function takeStage(): Promise<number> {
  return free.pop() ?? (await new Promise<number>((resolve) => waiting.push(resolve)));
}

function giveBack(stage: number): void {
  const next = waiting.shift();
  if (next === undefined) free.push(stage);
  else next(stage);
}

/**
 * Writes the parts in a row from the start of a new, empty file, as far as whole blocks go, and tells how many bytes that were: 0
 * where the file system takes no such writes, or has no room (the caller's next write will say so). The rest is the caller's.
 * The parts must not change meanwhile; they are copied a MiB at a time, into one of 16 buffers. Never throws: what
 * hinders it, the usual way meets again.
 */
export async function writeDirectly(file: FileHandle, parts: readonly Uint8Array[]): Promise<number> {
  const total = parts.reduce((sum, { length }) => sum + length, 0);
  if (!isPossible || total < directBytesMin || !hasStaging()) return 0;
  const direct = await openAgain(file);
  if (direct === undefined) return 0;
  try {
    return await writeBlocks(direct, parts, total - (total % alignment));
  } finally {
    await direct.close();
  }
}

/** The same file with O_DIRECT. By its descriptor and not by its path, which may be another file's by now. */
async function openAgain(file: FileHandle): Promise<FileHandle | undefined> {
  try {
    return await open(`/proc/self/fd/${file.fd}`, constants.O_WRONLY | constants.O_DIRECT);
  } catch {
    // No /proc, or a file system that has no such way in: not worth a word, the usual way is as good.
    return undefined;
  }
}

async function writeBlocks(direct: FileHandle, parts: readonly Uint8Array[], bytes: number): Promise<number> {
  const stage = await takeStage();
  try {
    const buffer = new Uint8Array(staging as SharedArrayBuffer, stage * stageBytes, stageBytes);
    const copy = copierOf(parts);
    let done = 0;
    while (done < bytes) {
      const block = buffer.subarray(0, Math.min(stageBytes, bytes - done));
      copy(block);
      const { bytesWritten } = await direct.write(block, 0, block.length, done);
      if (bytesWritten !== block.length) return done;
      done += block.length;
    }
    return done;
  } catch {
    // Some file systems open a file so and then refuse to write. Whatever it was, the usual way takes all from the start, and meets it again
    // if it was the disk.
    return 0;
  } finally {
    giveBack(stage);
  }
}

/** Fills one array after the other with the parts' bytes in a row. */
function copierOf(parts: readonly Uint8Array[]): (into: Uint8Array) => void {
  let part = 0;
  let from = 0;
  return (into) => {
    let at = 0;
    while (at < into.length) {
      const source = parts[part];
      if (source === undefined) throw new RangeError('fewer bytes than were counted');
      const some = source.subarray(from, from + into.length - at);
      into.set(some, at);
      at += some.length;
      from += some.length;
      if (from === source.length) {
        part++;
        from = 0;
      }
    }
  };
}
