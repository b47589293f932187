import { copyBytes, textOf, utf8 } from '../base/bytes.ts';
import { ByteReader, ByteWriter } from '../base/codec.ts';
import { KithError } from '../base/errors.ts';
import { nameBytesMax } from '../base/limits.ts';
import { readContent, writeContent } from './content.ts';
import { extensionBytesMax, readExtensions, writeExtensions } from './extensions.ts';
import type { Extension } from './extensions.ts';
import { entryFlaw, entryTypes, linkTargetBytesMax, ownerBytesMax, xattrsMax } from './tree-entry.ts';
import type { EntryType, TreeEntry } from './tree-entry.ts';

/** Numbers of an entry's optional fields. */
const tags = {
  linkTarget: 1,
  device: 2,
  birthtime: 3,
  hardlink: 4,
  sparse: 5,
  xattrs: 6,
  error: 7,
  flags: 8,
} as const;
const knownTags: ReadonlySet<number> = new Set(Object.values(tags));

/** Runs of a sparse map: more don't fit a field. */
const sparseRunsMax = 524288;

const idMax = 0xffffffff;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** User and group names of one tree blob; 0 stands for an unknown name, else 1 + place in the table. */
export interface OwnerTable {
  placeOf(name: string | undefined): number;
}

// Of all entries, one after the other: a writer for each, and one for each of its fields, cost more than what is written.
const writer = new ByteWriter();
const fieldWriter = new ByteWriter();

/**
 * Bytes of one entry, good until the next call. RangeError where it breaks the format, which only a mistake of the caller can;
 * KithError `limit-exceeded` where a field is too long.
 */
export function encodeEntry(entry: TreeEntry, owners: OwnerTable): Uint8Array {
  const flaw = entryFlaw(entry);
  if (flaw !== undefined) throw new RangeError(`tree entry: ${flaw}`);
  writer.clear().blob(entry.name).u8(entry.type).varint(entry.mode);
  writer.varint(entry.uid).varint(entry.gid);
  writer.varint(owners.placeOf(entry.user)).varint(owners.placeOf(entry.group));
  writer.i64(entry.mtimeNs).i64(entry.ctimeNs).u64(entry.inode).varint(entry.size);
  if (hasContent(entry.type)) writeContent(writer, entry.content ?? { level: 0, ids: [] });
  const fields = fieldsOf(entry);
  for (const { tag, bytes } of fields) {
    if (bytes.length <= extensionBytesMax) continue;
    throw new KithError('limit-exceeded', `tree entry with ${bytes.length} bytes in field ${tag}`);
  }
  writeExtensions(writer, fields);
  return writer.view();
}

/** Reads one entry from all of its bytes; what it holds are copies. `owners` is the tree's table of names. */
export function decodeEntry(bytes: Uint8Array, owners: readonly string[]): TreeEntry {
  const reader = new ByteReader(bytes, 'tree entry');
  const name = copyBytes(reader.blob(nameBytesMax));
  const type = readType(reader);
  const mode = reader.varint(0o7777);
  const uid = reader.varint(idMax);
  const gid = reader.varint(idMax);
  const user = readOwner(reader, owners);
  const group = readOwner(reader, owners);
  const mtimeNs = reader.i64();
  const ctimeNs = reader.i64();
  const inode = reader.u64();
  const size = reader.varint();
  const content = hasContent(type) ? readContent(reader) : undefined;
  // All fields, in the order of TreeEntry: engines read objects of one shape several times faster.
  const entry: Mutable<TreeEntry> = {
    name,
    type,
    mode,
    uid,
    gid,
    user,
    group,
    mtimeNs,
    ctimeNs,
    inode,
    size,
    content,
    linkTarget: undefined,
    device: undefined,
    birthtimeNs: undefined,
    hardlink: undefined,
    sparse: undefined,
    xattrs: undefined,
    error: undefined,
    flags: undefined,
    extra: undefined,
  };
  readFields(reader, entry);
  reader.end();
  const flaw = entryFlaw(entry);
  if (flaw !== undefined) throw reader.fail(flaw);
  return entry;
}

function hasContent(type: EntryType): boolean {
  return type === entryTypes.file || type === entryTypes.folder;
}

function readType(reader: ByteReader): EntryType {
  const number = reader.u8();
  const type = Object.values(entryTypes).find((known) => known === number);
  if (type === undefined) throw reader.fail(`type ${number} is not known`);
  return type;
}

function readOwner(reader: ByteReader, owners: readonly string[]): string | undefined {
  const place = reader.varint(owners.length);
  return place === 0 ? undefined : owners[place - 1];
}

/** Fields whose bytes are good until the next call. */
function fieldsOf(entry: TreeEntry): Extension[] {
  const fields: Extension[] = [];
  const put = (tag: number, bytes: Uint8Array): void => void fields.push({ tag, bytes });
  const written = (tag: number, write: (into: ByteWriter) => void): void => {
    const from = fieldWriter.length;
    write(fieldWriter);
    put(tag, fieldWriter.view(from));
  };
  fieldWriter.clear();
  const { linkTarget, device, birthtimeNs, hardlink, sparse, xattrs, error, flags } = entry;
  if (linkTarget !== undefined) put(tags.linkTarget, linkTarget);
  if (device !== undefined) written(tags.device, (into) => into.u32(device.major).u32(device.minor));
  if (birthtimeNs !== undefined) written(tags.birthtime, (into) => into.i64(birthtimeNs));
  if (hardlink !== undefined) {
    const { device: of, inode, links } = hardlink;
    written(tags.hardlink, (into) => into.u64(of).u64(inode).u32(links));
  }
  if (sparse !== undefined) {
    written(tags.sparse, (into) => {
      into.varint(sparse.length);
      for (const run of sparse) into.varint(run.offset).varint(run.length);
    });
  }
  if (xattrs !== undefined) {
    written(tags.xattrs, (into) => {
      into.varint(xattrs.length);
      for (const xattr of xattrs) into.blob(xattr.name).blob(xattr.value);
    });
  }
  if (error !== undefined) put(tags.error, utf8(error));
  if (flags !== undefined) written(tags.flags, (into) => into.u32(flags));
  for (const { tag, bytes } of entry.extra ?? []) put(tag, bytes);
  return fields;
}

function readFields(entryReader: ByteReader, entry: Mutable<TreeEntry>): void {
  const extra: Extension[] = [];
  for (const { tag, bytes } of readExtensions(entryReader, knownTags)) {
    if (knownTags.has(tag)) readField(tag, bytes, entry);
    else extra.push({ tag, bytes: copyBytes(bytes) });
  }
  if (extra.length > 0) entry.extra = extra;
}

function readField(tag: number, bytes: Uint8Array, entry: Mutable<TreeEntry>): void {
  const reader = new ByteReader(bytes, `tree entry, field ${tag}`);
  if (tag === tags.linkTarget) {
    if (bytes.length > linkTargetBytesMax) throw reader.fail('link target too long');
    entry.linkTarget = copyBytes(reader.rest());
  } else if (tag === tags.device) entry.device = { major: reader.u32(), minor: reader.u32() };
  else if (tag === tags.birthtime) entry.birthtimeNs = reader.i64();
  else if (tag === tags.hardlink) {
    entry.hardlink = { device: reader.u64(), inode: reader.u64(), links: reader.u32() };
  } else if (tag === tags.sparse) {
    const count = reader.count(sparseRunsMax, 2);
    entry.sparse = Array.from({ length: count }, () => ({
      offset: reader.varint(),
      length: reader.varint(),
    }));
  } else if (tag === tags.xattrs) {
    const count = reader.count(xattrsMax, 2);
    entry.xattrs = Array.from({ length: count }, () => ({
      name: copyBytes(reader.blob(ownerBytesMax)),
      value: copyBytes(reader.blob(bytes.length)),
    }));
  } else if (tag === tags.error) {
    const text = textOf(reader.rest());
    if (text === undefined) throw reader.fail('text is not UTF-8');
    entry.error = text;
  } else entry.flags = reader.u32();
  reader.end();
}
