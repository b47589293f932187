/** Bytes of a Merkle leaf, and the unit in which shards are read and proved. */
export const leafBytes: number = 64 * 1024;

/** Payload bytes of a shard, by class number: 64 KiB · 2^class. Few sizes, so that a holder learns little. */
export const classBytes: readonly number[] = Array.from(
  { length: 7 },
  (_, number) => 64 * 1024 * 2 ** number,
);

/** Rows of a coded pack, spares included: more friends than that hold no more than they need. */
export const rowCountMax = 64;

/** Spare rows whose roots are signed though nobody stores them yet. */
export const spareRowsDefault = 2;

/** Plain bytes of one frame: one chunk at its largest, or small blobs together. */
export const frameBytesMax: number = 4 * 1024 * 1024;

/**
 * Bytes of a chunk: never fewer (but the last), aimed at, never more. The most is a leaf short of 4 MiB, so that a
 * chunk that can't be compressed still fits a pack of one 4 MiB shard (k = 1) with its head, directory and trailer.
 */
export const chunkBytesMin: number = 128 * 1024;
export const chunkBytesTarget: number = 256 * 1024;
export const chunkBytesMax: number = 4 * 1024 * 1024 - 64 * 1024;

/** Blobs in one frame: small files of a few dozen bytes fill 1 MiB with some ten thousand. */
export const frameBlobsMax = 65536;

/** Bytes of a file or folder name: 255 on every common file system, with room for those that allow more. */
export const nameBytesMax = 4096;

/** Bytes of an absolute path in a snapshot's list of sources. */
export const pathBytesMax = 65536;

/** Folders inside folders: beyond it a tree is hostile or a mistake. */
export const treeDepthMax = 1024;

/** Largest pack, so that a few in flight stay within memory: bounds the class for large k. */
export const packBytesMax: number = 32 * 1024 * 1024;
