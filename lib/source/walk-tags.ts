import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { utf8, viewAsBuffer } from '../base/bytes.ts';
import { joinPath, nameKey } from './path.ts';

/** https://bford.info/cachedir/: the file's name and what it begins with. */
const cacheTag = 'CACHEDIR.TAG';
const cacheSignature = 'Signature: 8a477f597d28d172789f06886806bc55';

/**
 * The file in a folder that says: don't back up what is beside me. `names` are its names, one char per byte;
 * undefined where there is none. A tag itself is kept, so that the restored folder is again what it was.
 */
export function tagThatEmpties(
  folder: Uint8Array,
  names: readonly string[],
  options: {
    readonly excludeCaches?: boolean | undefined;
    readonly excludeIfPresent?: readonly string[] | undefined;
  },
): string | undefined {
  const tags = (options.excludeIfPresent ?? []).map(parseTag);
  if (options.excludeCaches === true) tags.push({ name: cacheTag, beginning: cacheSignature });
  return tags.find((tag) => names.includes(tag.name) && beginsWith(folder, tag))?.name;
}

interface Tag {
  /** One char per byte. */
  readonly name: string;
  readonly beginning: string;
}

function parseTag(text: string): Tag {
  const colon = text.indexOf(':');
  const name = colon < 0 ? text : text.slice(0, colon);
  return { name: nameKey(utf8(name)), beginning: colon < 0 ? '' : text.slice(colon + 1) };
}

function beginsWith(folder: Uint8Array, tag: Tag): boolean {
  if (tag.beginning === '') return true;
  const wanted = utf8(tag.beginning);
  const found = new Uint8Array(wanted.length);
  let handle: number | undefined;
  try {
    const path = viewAsBuffer(joinPath(folder, Buffer.from(tag.name, 'latin1')));
    handle = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
    if (!fstatSync(handle).isFile()) return false;
    return (
      readSync(handle, found, 0, found.length, 0) === wanted.length && Buffer.compare(found, wanted) === 0
    );
  } catch {
    return false;
  } finally {
    if (handle !== undefined) closeSync(handle);
  }
}
