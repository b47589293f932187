import { compareBytes, utf8 } from '../base/bytes.ts';
import { ByteReader, ByteWriter } from '../base/codec.ts';
import { KithError } from '../base/errors.ts';
import { frameBytesMax } from '../base/limits.ts';
import { readBlobVersion } from './content.ts';
import { decodeEntry, encodeEntry } from './tree-entry-codec.ts';
import { ownerBytesMax } from './tree-entry.ts';
import type { TreeEntry } from './tree-entry.ts';

export { entryTypes, validName } from './tree-entry.ts';
export type { EntryType, TreeEntry } from './tree-entry.ts';
export { splitEntries, TreeSplitter } from './tree-splitter.ts';

const treeVersion = 1;

/** Entries, and names of owners, in one tree blob. */
export const treeEntriesMax = 65536;

/** Bytes of one entry. */
export const entryBytesMax: number = 1024 * 1024;

/** Bytes of the shortest entry with its length, for checks of counts. */
const entryBytesMin = 35;

/**
 * Bytes of one tree blob: a run of a folder's entries, ascending by name bytes. The same entries always give the same
 * bytes. KithError `limit-exceeded` where an entry, or all together, are too long to store; RangeError for entries
 * that break the format (see TreeEntry).
 */
export function encodeTree(entries: readonly TreeEntry[]): Uint8Array {
  checkLimit('entries', entries.length, treeEntriesMax);
  const names: string[] = [];
  const places = new Map<string, number>();
  const owners = {
    placeOf: (name: string | undefined): number => {
      if (name === undefined) return 0;
      let place = places.get(name);
      if (place === undefined) {
        place = names.push(name);
        places.set(name, place);
      }
      return place;
    },
  };
  const body = new ByteWriter().varint(entries.length);
  let last: Uint8Array | undefined;
  for (const entry of entries) {
    if (last !== undefined && compareBytes(last, entry.name) >= 0) {
      throw new RangeError('tree entries must ascend by name');
    }
    last = entry.name;
    const bytes = encodeEntry(entry, owners);
    checkLimit('bytes in one entry', bytes.length, entryBytesMax);
    body.blob(bytes);
  }
  checkLimit('owners', names.length, treeEntriesMax);
  const writer = new ByteWriter().bytes(utf8('T')).u8(treeVersion).varint(names.length);
  for (const name of names) {
    const bytes = utf8(name);
    checkLimit("bytes in an owner's name", bytes.length, ownerBytesMax);
    writer.blob(bytes);
  }
  writer.bytes(body.finish());
  checkLimit('bytes', writer.length, frameBytesMax);
  return writer.finish();
}

/** Reads one tree blob; entries own their bytes, their names are valid and ascend strictly. */
export function decodeTree(bytes: Uint8Array): TreeEntry[] {
  const reader = new ByteReader(bytes, 'tree');
  reader.expect(utf8('T'), 'the mark T');
  readBlobVersion(reader, treeVersion, 'tree');
  const nameCount = reader.count(treeEntriesMax, 1);
  const owners = Array.from({ length: nameCount }, () => reader.text(ownerBytesMax));
  const entryCount = reader.count(treeEntriesMax, entryBytesMin);
  const entries: TreeEntry[] = [];
  let last: Uint8Array | undefined;
  for (let i = 0; i < entryCount; i++) {
    const entry = decodeEntry(reader.blob(entryBytesMax), owners);
    if (last !== undefined && compareBytes(last, entry.name) >= 0) {
      throw reader.fail("entries don't ascend by name");
    }
    last = entry.name;
    entries.push(entry);
  }
  reader.end();
  return entries;
}

function checkLimit(what: string, count: number, max: number): void {
  if (count > max) throw new KithError('limit-exceeded', `tree with ${count} ${what}; at most ${max} fit`);
}
