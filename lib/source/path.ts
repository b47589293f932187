import { closeSync, constants, openSync } from 'node:fs';
import { displayText, textOf, viewAsBuffer } from '../base/bytes.ts';

const slash = 0x2f;

/** Bytes up to which a path goes to the system in one piece; PATH_MAX is 4096 on Linux and 1024 on macOS. */
const pathPieceBytes: number = process.platform === 'darwin' ? 1000 : 4000;

/** Linux only: a handle that names a place without opening it; needs no permission on the place itself. */
export const oPath = 0x20_0000;

/** The bytes behind a name that was read with the encoding `latin1`, where each char is one byte. */
export function nameBytes(latin1: string): Uint8Array {
  const bytes = new Uint8Array(latin1.length);
  for (let i = 0; i < latin1.length; i++) bytes[i] = latin1.charCodeAt(i);
  return bytes;
}

/** A name as a string with one char per byte: loses nothing, and its order is the order of the bytes. */
export function nameKey(name: Uint8Array): string {
  return viewAsBuffer(name).toString('latin1');
}

/** `folder/name` in fresh bytes; the root folder is `/`. */
export function joinPath(folder: Uint8Array, name: Uint8Array): Uint8Array {
  const gap = folder.length > 0 && folder[folder.length - 1] !== slash ? 1 : 0;
  const path = new Uint8Array(folder.length + gap + name.length);
  path.set(folder);
  if (gap === 1) path[folder.length] = slash;
  path.set(name, folder.length + gap);
  return path;
}

/** The names on a path from the root down, as views; empty ones are left out. */
export function splitPath(path: Uint8Array): Uint8Array[] {
  const names: Uint8Array[] = [];
  let start = 0;
  for (let i = 0; i <= path.length; i++) {
    if (i < path.length && path[i] !== slash) continue;
    if (i > start) names.push(path.subarray(start, i));
    start = i + 1;
  }
  return names;
}

/**
 * Text of a path to match patterns against: exact where it is UTF-8, else with U+FFFD for the bytes that aren't.
 */
export function pathText(path: Uint8Array): string {
  return textOf(path) ?? displayText(path);
}

/** Names in a row for people to read, `/` between them. */
export function displayPath(components: readonly Uint8Array[], root = ''): string {
  return [root, ...components.map(displayText)].join('/').replace(/^\/\//, '/');
}

/**
 * Calls `use` with a path that the system takes even where the given one is over its length limit:
 * on Linux the far end is then reached through a folder handle, elsewhere the path is passed as it is.
 */
export function withReach<T>(path: Uint8Array, use: (path: Buffer) => T): T {
  if (path.length <= pathPieceBytes || process.platform !== 'linux') return use(viewAsBuffer(path));
  let handle: number | undefined;
  let rest = path;
  try {
    while (rest.length > pathPieceBytes - 32) {
      const cut = rest.lastIndexOf(slash, pathPieceBytes - 32);
      if (cut <= 0) break;
      const next = openSync(fromHandle(handle, rest.subarray(0, cut)), oPath | constants.O_DIRECTORY);
      if (handle !== undefined) closeSync(handle);
      handle = next;
      rest = rest.subarray(cut + 1);
    }
    return use(fromHandle(handle, rest));
  } finally {
    if (handle !== undefined) closeSync(handle);
  }
}

function fromHandle(handle: number | undefined, path: Uint8Array): Buffer {
  return viewAsBuffer(handle === undefined ? path : joinPath(handlePath(handle), path));
}

/** Linux: the path under which an open handle is reached again, whatever happened to its name. */
export function handlePath(handle: number): Uint8Array {
  return Buffer.from(`/proc/self/fd/${handle}`, 'latin1');
}

/** Whether a single name can be used on this system as it is. `platform` is process.platform. */
export function nameFits(name: Uint8Array, platform: string = process.platform): boolean {
  if (platform !== 'win32') return true;
  const text = textOf(name);
  if (text === undefined || /[<>:"/\\|?*]/.test(text) || /[. ]$/.test(text)) return false;
  for (const char of text) if (char < ' ') return false;
  return !/^(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?$/i.test(text);
}
