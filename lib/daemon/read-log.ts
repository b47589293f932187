import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { systemCode } from '../base/errors.ts';
import { logBytesMax, logPaths, parseLogLine, type LogEntry } from './log-file.ts';

/** Bytes read of one file at most: it is put aside at less than this, unless a dying process printed a lot. */
const readBytesMax: number = 2 * logBytesMax;

/** A line as it is for people: what isn't an entry was printed by the process itself. */
function entryOf(line: string): LogEntry {
  return parseLogLine(line) ?? { time: '', level: 'error', event: 'output', text: line };
}

/** The end of a file, at most so many bytes; undefined where there is none. */
async function readEnd(path: string): Promise<{ readonly text: string; readonly bytes: number } | undefined> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const { size } = await file.stat();
    const from = Math.max(0, size - readBytesMax);
    const { buffer, bytesRead } = await file.read(new Uint8Array(size - from), 0, size - from, from);
    return { text: new TextDecoder().decode(buffer.subarray(0, bytesRead)), bytes: from + bytesRead };
  } finally {
    await file.close();
  }
}

/** The newest entries of a home's log, oldest first. */
export async function readLog(home: string, count: number): Promise<LogEntry[]> {
  const [current, old] = logPaths(home);
  const newer = linesOf((await readEnd(current))?.text ?? '');
  const older = newer.length < count ? linesOf((await readEnd(old))?.text ?? '') : [];
  return [...older, ...newer].slice(-count).map(entryOf);
}

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

/** What is added to a home's log from now on, until the signal fires. `rest` waits between two looks. */
export async function* followLog(
  home: string,
  signal: AbortSignal,
  rest: () => Promise<void>,
): AsyncGenerator<LogEntry, void, undefined> {
  const [path] = logPaths(home);
  let at: number | undefined;
  let inode: number | undefined;
  let broken = '';
  for (; !signal.aborted; await rest()) {
    const file = await open(path, 'r').catch(() => undefined);
    if (file === undefined) {
      at ??= 0;
      continue;
    }
    try {
      const { size, ino } = await file.stat();
      // Another file of that name is a fresh log: all of it is news.
      if (at === undefined) at = size;
      else if ((inode !== undefined && ino !== inode) || size < at) at = 0;
      inode = ino;
      while (at < size && !signal.aborted) {
        const { buffer, bytesRead } = await file.read(new Uint8Array(65536), 0, 65536, at);
        if (bytesRead === 0) break;
        at += bytesRead;
        const lines = (broken + Buffer.from(buffer.subarray(0, bytesRead)).toString('latin1')).split('\n');
        broken = (lines.pop() ?? '').slice(0, 65536);
        for (const line of lines) {
          if (line !== '') yield entryOf(Buffer.from(line, 'latin1').toString());
        }
      }
    } finally {
      await file.close();
    }
  }
}
