import { concatBytes, equalBytes, utf8 } from '../../base/bytes.ts';
import { ByteReader, ByteWriter } from '../../base/codec.ts';
import { KithError } from '../../base/errors.ts';
import { classBytes } from '../../base/limits.ts';
import { hashBytes, hashIn } from '../../crypto/hash.ts';
import { sign, signatureBytes, verifySignature } from '../../crypto/sign.ts';
import { manifestBytesMax } from '../../format/manifest.ts';
import { shardFileBytes } from '../../format/shard-file.ts';
import { readId, readList, writeFixed, writeId, writeList } from '../../format/fields.ts';
import type { InventoryEntry, ShardRef } from '../../holders/holder.ts';
import { plainText } from '../../net/calls/wire-error.ts';
import { readShardRef, writeShardRef } from './store-codec.ts';

/** Pages of a holder's inventory: signed by it, paged, and only what changed (docs/formats/store-service.md). */

/** Entries of one page; each takes some 45 bytes. */
export const pageEntriesMax = 4096;

/** Words of why a file can't be whole. */
const damagedBytesMax = 200;

/** Entries of damaged files take more: a page ends when its bytes come near the limit of a body. */
export const pageBytesMax: number = 256 * 1024;

export const nonceBytes = 32;
const folderCount = 256;
const unknownClass = 255;

/** What the asker knows of one folder (packs whose ids begin with this byte): the digest of its entries. */
export interface KnownFolder {
  readonly firstByte: number;
  readonly digest: Uint8Array;
}

export interface InventoryAsked {
  /** Random: an old page can't be shown again. */
  readonly nonce: Uint8Array;
  /** The folder to go on with. */
  readonly from: number;
  /** The last shard of that folder that was told already; undefined for its beginning. */
  readonly after: ShardRef | undefined;
  /** Ascending; folders before `from` may be left out. */
  readonly known: readonly KnownFolder[];
}

/** One folder of a page. Folders that are neither `same` nor have entries are left out: they are empty. */
export interface InventorySection {
  readonly firstByte: number;
  /** The asker's digest is right: no entries are sent. */
  readonly same: boolean;
  /** True if more entries of this folder come in the next page. */
  readonly more: boolean;
  /** The entries as encodeEntries writes them. */
  readonly entries: Uint8Array;
}

export interface InventoryPage {
  readonly sections: readonly InventorySection[];
  /** The folder that the next page begins with; undefined for the last page. */
  readonly next: number | undefined;
}

export function encodeInventoryAsked(asked: InventoryAsked): Uint8Array {
  const writer = new ByteWriter();
  writeFixed(writer, asked.nonce, nonceBytes);
  writer.u8(asked.from).u8(asked.after === undefined ? 0 : 1);
  if (asked.after !== undefined) writeShardRef(writer, asked.after);
  writeList(writer, asked.known, folderCount, 'known folders', ({ firstByte, digest }) => {
    writer.u8(firstByte);
    writeId(writer, digest);
  });
  return writer.finish();
}

export function decodeInventoryAsked(bytes: Uint8Array): InventoryAsked {
  const reader = new ByteReader(bytes, 'question for an inventory');
  const nonce = reader.bytes(nonceBytes).slice();
  const from = reader.u8();
  const flag = reader.u8();
  if (flag > 1) throw reader.fail(`flag ${flag}`);
  const after = flag === 1 ? readShardRef(reader) : undefined;
  if (after !== undefined && after.packId[0] !== from) throw reader.fail('a place in another folder');
  let last = -1;
  const known = readList(reader, folderCount, 1 + hashBytes, () => {
    const firstByte = reader.u8();
    if (firstByte <= last) throw reader.fail('folders out of order');
    last = firstByte;
    return { firstByte, digest: readId(reader).slice() };
  });
  reader.end();
  return { nonce, from, after, known };
}

/** Entries in a row; the digest of a folder is over these bytes. */
export function encodeEntries(entries: readonly InventoryEntry[]): Uint8Array {
  const writer = new ByteWriter();
  for (const entry of entries) {
    writeShardRef(writer, entry);
    writer
      .u8(entry.class ?? unknownClass)
      .varint(entry.fileBytes)
      .varint(Math.max(0, Math.floor(entry.sinceMs)));
    writer.text(damagedWords(entry.damaged));
  }
  return writer.finish();
}

/** As many entries from the start of a list as fit, and their bytes. */
export function entriesFitting(
  entries: readonly InventoryEntry[],
  countMax: number,
  bytesMax: number,
): { readonly count: number; readonly entries: Uint8Array } {
  let count = Math.min(entries.length, countMax);
  for (;;) {
    const encoded = encodeEntries(entries.slice(0, count));
    if (encoded.length <= bytesMax) return { count, entries: encoded };
    // Entries differ little: the next guess is nearly right.
    count = Math.min(count - 1, Math.floor((count * bytesMax) / encoded.length));
  }
}

/** Within its bytes, and never empty for a file that is damaged. */
function damagedWords(damaged: string | undefined): string {
  if (damaged === undefined) return '';
  const words = damaged.slice(0, damagedBytesMax);
  const short = utf8(words).length <= damagedBytesMax ? words : words.slice(0, damagedBytesMax / 4);
  return short === '' ? 'damaged' : short;
}

/**
 * Reads what encodeEntries wrote. Entries must be of the folder and ascend strictly, from `after` on: nothing is told twice, and no
 * listing goes on for ever. KithError `malformed`.
 */
export function* decodeEntries(
  bytes: Uint8Array,
  firstByte: number,
  after?: ShardRef,
): Generator<InventoryEntry, ShardRef | undefined> {
  const reader = new ByteReader(bytes, 'inventory');
  let last = after;
  while (reader.remaining > 0) {
    const ref = readShardRef(reader);
    if (ref.packId[0] !== firstByte) throw reader.fail('a shard of another folder');
    if (last !== undefined && compareRefs(last, ref) >= 0) throw reader.fail('shards out of order');
    last = ref;
    const classNumber = reader.u8();
    if (classNumber >= classBytes.length && classNumber !== unknownClass)
      throw reader.fail(`class ${classNumber}`);
    const fileBytes = reader.varint();
    const sinceMs = reader.varint();
    const words = reader.text(damagedBytesMax);
    const isDamaged = words !== '';
    if (!isDamaged && classNumber !== unknownClass && !isPossible(classNumber, fileBytes))
      throw reader.fail(`a whole shard of ${fileBytes} bytes`);
    yield {
      ...ref,
      class: classNumber === unknownClass ? undefined : classNumber,
      fileBytes,
      sinceMs,
      damaged: isDamaged ? plainText(words, damagedBytesMax) || 'damaged' : undefined,
    };
  }
  return last;
}

/** Whether a shard file of a class can have so many bytes. */
function isPossible(classNumber: number, fileBytes: number): boolean {
  const least = shardFileBytes({ class: classNumber, manifestBytes: 0 });
  return fileBytes >= least && fileBytes <= least + manifestBytesMax;
}

/** By pack id, then index. */
export function compareRefs(a: ShardRef, b: ShardRef): number {
  return Buffer.compare(a.packId, b.packId) || a.index - b.index;
}

/** The digest of a folder's entries. */
export function folderDigest(entries: Uint8Array): Uint8Array {
  return hashIn('inventory', entries);
}

function pageContent({ sections, next }: InventoryPage): Uint8Array {
  const writer = new ByteWriter();
  writer.u8(next === undefined ? 0 : 1);
  if (next !== undefined) writer.u8(next);
  writeList(writer, sections, folderCount, 'folders of a page', ({ firstByte, same, more, entries }) => {
    writer.u8(firstByte).u8((same ? 1 : 0) | (more ? 2 : 0));
    writer.blob(entries);
  });
  return writer.finish();
}

function signedBytes(
  vaultId: Uint8Array,
  deviceId: Uint8Array,
  asked: Uint8Array,
  content: Uint8Array,
): Uint8Array {
  return concatBytes(
    utf8('kithinve'),
    vaultId,
    deviceId,
    hashIn('inventory', asked),
    hashIn('inventory', content),
  );
}

/** Who signs a page, and for whom. */
export interface PageSigner {
  readonly vaultId: Uint8Array;
  readonly deviceId: Uint8Array;
  readonly deviceSecretKey: Uint8Array;
}

/** `asked` is the question as it came. */
export function encodeInventoryPage(page: InventoryPage, asked: Uint8Array, signer: PageSigner): Uint8Array {
  return signPageContent(pageContent(page), asked, signer);
}

/** A page's content with the holder's signature before it, as the answer to a question. Nothing of the content is checked. */
export function signPageContent(content: Uint8Array, asked: Uint8Array, signer: PageSigner): Uint8Array {
  const { vaultId, deviceId, deviceSecretKey } = signer;
  const signature = sign(signedBytes(vaultId, deviceId, asked, content), deviceSecretKey);
  return concatBytes(deviceId, signature, content);
}

/**
 * Checks the signature and reads a page. KithError `not-authentic` unless a device of the holder signed it as the answer to this very
 * question, `malformed`.
 */
export function decodeInventoryPage(
  bytes: Uint8Array,
  asked: Uint8Array,
  vaultId: Uint8Array,
  isHolderDevice: (deviceId: Uint8Array) => boolean,
): InventoryPage {
  const reader = new ByteReader(bytes, 'page of an inventory');
  const deviceId = readId(reader);
  const signature = reader.bytes(signatureBytes);
  const content = reader.rest();
  if (
    !isHolderDevice(deviceId) ||
    !verifySignature(signedBytes(vaultId, deviceId, asked, content), signature, deviceId)
  ) {
    throw new KithError('not-authentic', 'the inventory is not signed by its holder');
  }
  return readPage(content);
}

function readPage(content: Uint8Array): InventoryPage {
  const reader = new ByteReader(content, 'page of an inventory');
  const flag = reader.u8();
  if (flag > 1) throw reader.fail(`flag ${flag}`);
  const next = flag === 1 ? reader.u8() : undefined;
  let last = -1;
  const sections = readList(reader, folderCount, 3, () => {
    const firstByte = reader.u8();
    if (firstByte <= last) throw reader.fail('folders out of order');
    last = firstByte;
    const flags = reader.u8();
    if (flags > 2) throw reader.fail(`flags ${flags}`);
    const entries = reader.blob(2 * pageBytesMax);
    if (flags === 1 && entries.length > 0) throw reader.fail('entries of a folder that is the same');
    if (flags === 2 && entries.length === 0) throw reader.fail('more of a folder without a beginning');
    return { firstByte, same: flags === 1, more: flags === 2, entries };
  });
  reader.end();
  if (sections.some(({ more }, i) => more && i < sections.length - 1))
    throw reader.fail('a folder cut in the middle of a page');
  const end = sections.at(-1);
  if (end?.more === true ? next !== end.firstByte : next !== undefined && next <= (end?.firstByte ?? -1))
    throw reader.fail('it leads nowhere');
  return { sections, next };
}

/** True if a digest is that of these entries. */
export function digestMatches(digest: Uint8Array | undefined, entries: Uint8Array): boolean {
  return digest !== undefined && equalBytes(digest, folderDigest(entries));
}
