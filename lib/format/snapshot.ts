import { copyBytes } from '../base/bytes.ts';
import { ByteReader, ByteWriter, fileHead, readFileHead } from '../base/codec.ts';
import { KithError } from '../base/errors.ts';
import { pathBytesMax } from '../base/limits.ts';
import { hashBytes, hashIn } from '../crypto/hash.ts';
import { copyId } from './blob.ts';
import { readContent, writeContent } from './content.ts';
import type { Content } from './content.ts';
import { extensionOf, readExtensions, writeExtensions } from './extensions.ts';
import type { Extension } from './extensions.ts';
import { nameTextBytesMax, readList, writeBlob, writeId, writeList, writeText } from './fields.ts';

const magic = 'kithsnap';
const version = 1;

/** A snapshot is one record of the catalog, which holds 1 MiB: it is kept a little below. */
export const snapshotBytesMax: number = 1024 * 1024 - 4096;

/** Counts and bytes of what a snapshot lists. */
export const snapshotSourcesMax = 4096;
export const snapshotExcludesMax = 4096;
export const snapshotTagsMax = 256;
const excludeBytesMax = 4096;

/**
 * Kinds of metadata that not every machine can read, with the bit that stands for each. `trustedXattrs` are extended
 * attributes that only root sees.
 */
const metadataBits = { xattrs: 1, holes: 2, trustedXattrs: 4 } as const;
export type MetadataKind = keyof typeof metadataBits;
const metadataKinds = Object.keys(metadataBits) as readonly MetadataKind[];

/** Number of the optional field with these bits. */
const metadataTag = 1;

/** What a backup did, in counts and plain bytes; the order is that of the format. */
export interface SnapshotSummary {
  readonly filesNew: number;
  readonly filesChanged: number;
  readonly filesUnmodified: number;
  readonly folders: number;
  readonly symlinks: number;
  readonly others: number;
  readonly unreadable: number;
  readonly bytesProcessed: number;
  readonly bytesAdded: number;
}

/** One backup: what, when, where from, and the way to its trees (docs/formats/tree.md). */
export interface Snapshot {
  readonly vaultId: Uint8Array;
  readonly deviceId: Uint8Array;
  readonly timeNs: bigint;
  readonly durationNs: bigint;
  readonly host: string;
  readonly user: string;
  /** A checkpoint of a backup that went on. */
  readonly partial: boolean;
  /** SnapshotId of the one it was compared with. */
  readonly parent?: Uint8Array | undefined;
  /** Absolute path bytes. */
  readonly sources: readonly Uint8Array[];
  readonly excludes: readonly string[];
  readonly tags: readonly string[];
  /** The trees of `/`. */
  readonly root: Content;
  readonly summary: SnapshotSummary;
  /**
   * Kinds of metadata that every entry has, as far as its file system gave them. Undefined in snapshots that don't
   * say: those of a kith that read none of them.
   */
  readonly metadata?: readonly MetadataKind[] | undefined;
}

/** Bytes of a snapshot. KithError `limit-exceeded` where it lists more than a record holds. */
export function encodeSnapshot(snapshot: Snapshot): Uint8Array {
  const { summary } = snapshot;
  const writer = new ByteWriter().bytes(fileHead(magic, version));
  writeId(writer, snapshot.vaultId);
  writeId(writer, snapshot.deviceId);
  writer.i64(snapshot.timeNs).i64(snapshot.durationNs);
  writeText(writer, snapshot.host, nameTextBytesMax, 'host');
  writeText(writer, snapshot.user, nameTextBytesMax, 'user');
  writer.u8(snapshot.partial ? 1 : 0);
  writeId(writer, snapshot.parent ?? new Uint8Array(hashBytes));
  writeList(writer, snapshot.sources, snapshotSourcesMax, 'sources', (path) => {
    writeBlob(writer, path, pathBytesMax, 'source');
  });
  writeList(writer, snapshot.excludes, snapshotExcludesMax, 'excludes', (exclude) => {
    writeText(writer, exclude, excludeBytesMax, 'exclude');
  });
  writeList(writer, snapshot.tags, snapshotTagsMax, 'tags', (tag) => {
    writeText(writer, tag, nameTextBytesMax, 'tag');
  });
  writeContent(writer, snapshot.root);
  writer.varint(summary.filesNew).varint(summary.filesChanged).varint(summary.filesUnmodified);
  writer.varint(summary.folders).varint(summary.symlinks).varint(summary.others).varint(summary.unreadable);
  writer.varint(summary.bytesProcessed).varint(summary.bytesAdded);
  writeExtensions(writer, metadataFields(snapshot.metadata));
  checkBytes(writer.length);
  return writer.finish();
}

/** Reads a snapshot. What it holds are copies. */
export function decodeSnapshot(bytes: Uint8Array): Snapshot {
  const reader = new ByteReader(bytes, 'snapshot');
  if (bytes.length > snapshotBytesMax) throw reader.fail(`${bytes.length} bytes are too many`);
  readFileHead(reader, magic, version);
  const vaultId = copyId(reader);
  const deviceId = copyId(reader);
  const timeNs = reader.i64();
  const durationNs = reader.i64();
  const host = reader.text(nameTextBytesMax);
  const user = reader.text(nameTextBytesMax);
  const partial = reader.u8();
  if (partial > 1) throw reader.fail(`partial is ${partial}`);
  const parent = copyId(reader);
  const sources = readList(reader, snapshotSourcesMax, 1, () => copyBytes(reader.blob(pathBytesMax)));
  const excludes = readList(reader, snapshotExcludesMax, 1, () => reader.text(excludeBytesMax));
  const tags = readList(reader, snapshotTagsMax, 1, () => reader.text(nameTextBytesMax));
  const root = readContent(reader);
  const summary = readSummary(reader);
  const metadata = readMetadata(extensionOf(readExtensions(reader, new Set([metadataTag])), metadataTag));
  reader.end();
  const hasParent = parent.some((byte) => byte !== 0);
  return {
    vaultId,
    deviceId,
    timeNs,
    durationNs,
    host,
    user,
    partial: partial === 1,
    ...(hasParent ? { parent } : {}),
    sources,
    excludes,
    tags,
    root,
    summary,
    ...(metadata === undefined ? {} : { metadata }),
  };
}

/** The 32-byte id of a snapshot, from its stored bytes. */
export function snapshotId(bytes: Uint8Array): Uint8Array {
  return hashIn('snapshotId', bytes);
}

function metadataFields(kinds: readonly MetadataKind[] | undefined): Extension[] {
  if (kinds === undefined) return [];
  const bits = kinds.reduce((sum, kind) => sum | metadataBits[kind], 0);
  return [{ tag: metadataTag, bytes: new ByteWriter().u32(bits).finish() }];
}

/** Bits that this kith doesn't know are kinds that it can't restore either. */
function readMetadata(bytes: Uint8Array | undefined): readonly MetadataKind[] | undefined {
  if (bytes === undefined) return undefined;
  const reader = new ByteReader(bytes, 'snapshot, field 1');
  const bits = reader.u32();
  reader.end();
  return metadataKinds.filter((kind) => (bits & metadataBits[kind]) !== 0);
}

function readSummary(reader: ByteReader): SnapshotSummary {
  return {
    filesNew: reader.varint(),
    filesChanged: reader.varint(),
    filesUnmodified: reader.varint(),
    folders: reader.varint(),
    symlinks: reader.varint(),
    others: reader.varint(),
    unreadable: reader.varint(),
    bytesProcessed: reader.varint(),
    bytesAdded: reader.varint(),
  };
}

function checkBytes(bytes: number): void {
  if (bytes <= snapshotBytesMax) return;
  throw new KithError('limit-exceeded', `snapshot of ${bytes} bytes; at most ${snapshotBytesMax} fit`);
}
