import { copyBytes, utf8 } from '../base/bytes.ts';
import { ByteReader, ByteWriter } from '../base/codec.ts';
import { KithError } from '../base/errors.ts';
import { readIds, writeIds } from './blob.ts';

/** Ids that stand in an entry itself: 128 KiB of them. */
export const contentIdsMax = 4096;

/** Ids in one list blob: 1 MiB of them. */
export const listIdsMax = 32768;

/** Lists of lists of lists: with 4096 ids on top more than any disk holds. */
export const contentLevelMax = 3;

const listVersion = 1;

/**
 * An ordered list of blobs. At level 0 the ids are the blobs themselves; at level l each is a list blob whose ids are
 * of level l − 1 (docs/formats/tree.md).
 */
export interface Content {
  readonly level: number;
  readonly ids: readonly Uint8Array[];
}

/** Writes a content. RangeError over its limits. */
export function writeContent(writer: ByteWriter, content: Content): void {
  checkLevel(content.level, contentLevelMax);
  writer.u8(content.level);
  writeIds(writer, content.ids, contentIdsMax);
}

/** Reads a content; the ids are copies. */
export function readContent(reader: ByteReader): Content {
  const level = reader.u8();
  if (level > contentLevelMax) throw reader.fail(`content of level ${level}`);
  return { level, ids: readIds(reader, contentIdsMax) };
}

/** Bytes of a list blob. `level` is that of the ids in it: 0 where they name data or trees. RangeError where empty. */
export function encodeList(list: Content): Uint8Array {
  checkLevel(list.level, contentLevelMax - 1);
  if (list.ids.length === 0) throw new RangeError('an empty list is never stored');
  const writer = new ByteWriter().bytes(utf8('L')).u8(listVersion).u8(list.level);
  writeIds(writer, list.ids, listIdsMax);
  return writer.finish();
}

/** Reads a list blob, which must be of the level that its place asks for; the ids are copies. */
export function decodeList(bytes: Uint8Array, expectedLevel: number): Content {
  const reader = new ByteReader(bytes, 'list');
  reader.expect(utf8('L'), 'the mark L');
  readBlobVersion(reader, listVersion, 'list');
  const level = reader.u8();
  if (level !== expectedLevel) throw reader.fail(`level ${level} where ${expectedLevel} belongs`);
  const ids = readIds(reader, listIdsMax);
  if (ids.length === 0) throw reader.fail('empty');
  reader.end();
  return { level, ids };
}

/** Reads the version byte of a list, tree, index or directory. */
export function readBlobVersion(reader: ByteReader, versionMax: number, what: string): number {
  const version = reader.u8();
  if (version === 0) throw reader.fail('version 0');
  if (version > versionMax) {
    throw new KithError(
      'too-new',
      `${what} version ${version} is newer than this kith reads (${versionMax}). Update kith.`,
    );
  }
  return version;
}

/**
 * Walks a content in order and gives the ids of its blobs. `fetchList` gives the verified bytes of a list blob; one
 * list a level is kept. Levels go down by one at every step, so no content leads back to itself; how many ids it has
 * in all is for the caller to bound, by the size that the entry states.
 */
export async function* contentIds(
  content: Content,
  fetchList: (id: Uint8Array) => Promise<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const open = [{ level: content.level, ids: content.ids.values() }];
  for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
    if (top.level === 0) {
      // No yield*: in an async generator it costs several turns of the event loop for each id and level.
      for (const id of top.ids) yield id;
      open.pop();
      continue;
    }
    const next = top.ids.next();
    if (next.done === true) {
      open.pop();
      continue;
    }
    const list = decodeList(await fetchList(next.value), top.level - 1);
    open.push({ level: list.level, ids: list.ids.values() });
  }
}

function checkLevel(level: number, max: number): void {
  if (!Number.isInteger(level) || level < 0 || level > max) throw new RangeError(`content of level ${level}`);
}

/** More ids than this go into lists: 8 KiB of an entry, so that one big file doesn't fill a tree blob. */
export const inlineIdsMax = 256;

/** A list ends at an id chosen by its own bytes, once it has this many; an inserted chunk then changes one or two lists. */
const listIdsMin = 1024;

/** One id in this many ends a list: on average 3072 ids, 96 KiB. */
const listCutOdds = 2048;

function endsList(id: Uint8Array): boolean {
  return ((id[0] ?? 0) | ((id[1] ?? 0) << 8)) % listCutOdds === 0;
}

/**
 * Takes the blob ids of a file or folder one at a time and gives a content within its limits, whatever their number.
 * `storeList` keeps a list blob (kind `list`) and gives its id. At most one list a level is held in memory.
 */
export class ContentBuilder {
  readonly #storeList: (bytes: Uint8Array) => Uint8Array;
  /** By level, the ids that no list holds yet. */
  readonly #open: Uint8Array[][] = [[]];

  constructor(storeList: (bytes: Uint8Array) => Uint8Array) {
    this.#storeList = storeList;
  }

  /** Adds the next id; it is copied. KithError `limit-exceeded` where even three levels don't hold them. */
  add(id: Uint8Array): void {
    this.#push(0, copyBytes(id));
  }

  /** The content of all ids that were added. The builder is used up. */
  finish(): Content {
    for (let level = 0; ; level++) {
      const ids = this.#open[level] ?? [];
      const isTop = this.#open.length === level + 1;
      if (isTop && (ids.length <= inlineIdsMax || level === contentLevelMax)) return { level, ids };
      if (ids.length > 0) this.#flush(level);
    }
  }

  #push(level: number, id: Uint8Array): void {
    const ids = (this.#open[level] ??= []);
    ids.push(id);
    if (level === contentLevelMax) {
      if (ids.length > contentIdsMax) throw new KithError('limit-exceeded', 'a file has too many chunks');
      return;
    }
    if (ids.length >= listIdsMax || (ids.length >= listIdsMin && endsList(id))) this.#flush(level);
  }

  #flush(level: number): void {
    const ids = this.#open[level] ?? [];
    this.#open[level] = [];
    this.#push(level + 1, this.#storeList(encodeList({ level, ids })));
  }
}
