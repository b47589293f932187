import { copyBytes } from '../base/bytes.ts';
import type { ByteReader, ByteWriter } from '../base/codec.ts';
import { Hasher, hashBytes } from '../crypto/hash.ts';
import { writeId } from './fields.ts';

/** What a blob's bytes mean; the number goes into its id, so that a file's bytes are never taken for a tree. */
export const blobKinds = { data: 1, tree: 2, list: 3, index: 4, snapshot: 5 } as const;
export type BlobKind = (typeof blobKinds)[keyof typeof blobKinds];

const kindBytes: Readonly<Record<BlobKind, Uint8Array>> = {
  1: new Uint8Array([1]),
  2: new Uint8Array([2]),
  3: new Uint8Array([3]),
  4: new Uint8Array([4]),
  5: new Uint8Array([5]),
};

const kinds: ReadonlyMap<number, BlobKind> = new Map(Object.values(blobKinds).map((kind) => [kind, kind]));

/** The kind with this number, or undefined. A directory has tens of thousands. */
export function blobKindOf(number: number): BlobKind | undefined {
  return kinds.get(number);
}

/** Names blobs: BlobId = keyed BLAKE3 of the kind and the plain bytes (docs/formats/tree.md). */
export class BlobNamer {
  readonly #hasher: Hasher;

  /** `blobIdKey` is the identity's 32-byte key, the same on all its devices. It is copied. */
  constructor(blobIdKey: Uint8Array) {
    this.#hasher = Hasher.keyed(blobIdKey);
  }

  /** The 32-byte id of a blob, given whole or in parts; a fresh array. */
  idOf(kind: BlobKind, ...parts: Uint8Array[]): Uint8Array {
    return this.#hasher.hash(kindBytes[kind], ...parts);
  }
}

/** Reads an id; a copy. */
export function copyId(reader: ByteReader): Uint8Array {
  return copyBytes(reader.bytes(hashBytes));
}

/** Writes a varint count and the ids. RangeError over `max`. */
export function writeIds(writer: ByteWriter, ids: readonly Uint8Array[], max: number): void {
  if (ids.length > max) throw new RangeError(`${ids.length} ids, at most ${max} go here`);
  writer.varint(ids.length);
  for (const id of ids) writeId(writer, id);
}

/** Reads what writeIds wrote; copies. */
export function readIds(reader: ByteReader, max: number): Uint8Array[] {
  const count = reader.count(max, hashBytes);
  return Array.from({ length: count }, () => copyId(reader));
}
