import type { Suite } from '../crypto/aead.ts';
import type { MetadataKind } from '../format/snapshot.ts';
import type { TreeEntry } from '../format/tree-entry.ts';
import type { WireError } from './wire-error.ts';

/** What a thread that opens frames is given at its start. */
export interface OpenSetup {
  /** The identity's key that names blobs, 32 bytes. */
  readonly blobIdKey: Uint8Array;
  /** Kinds of metadata that the snapshot has of all its entries. */
  readonly known: readonly MetadataKind[];
}

/** A range of one row of a pack, as a holder gave it. */
export interface RowRange {
  readonly index: number;
  readonly bytes: Uint8Array;
  /** Siblings up to the root; undefined where the bytes were verified already. */
  readonly proof: Uint8Array | undefined;
  /** The row's signed root. */
  readonly root: Uint8Array;
}

/** A row of a pack that lies in a file on this computer: the thread reads the range from it. */
export interface RowFile {
  readonly index: number;
  /** The holder's id. */
  readonly holder: string;
  readonly path: string;
  /** The row's signed root. */
  readonly root: Uint8Array;
}

/** Where a range of a row comes from. */
export type RowSource = RowRange | RowFile;

/** Leaves of one data shard: the row itself, or k others of which it is made. */
export interface SpanJob {
  readonly index: number;
  readonly k: number;
  readonly firstLeaf: number;
  readonly leafCount: number;
  /** Leaves of a whole shard. */
  readonly leavesOfShard: number;
  readonly rows: readonly RowSource[];
}

/** A part of a frame's sealed bytes, by places in a span. */
export interface SealedPart {
  readonly span: number;
  readonly offset: number;
  readonly length: number;
}

/** A sealed frame and what opens it. */
export interface FrameJob {
  readonly parts: readonly SealedPart[];
  readonly suite: Suite;
  readonly key: Uint8Array;
  readonly ordinal: number;
  readonly additional: Uint8Array;
}

/** A blob of file data in one of the job's frames. */
export interface BlobPiece {
  readonly frame: number;
  readonly offset: number;
  readonly length: number;
  readonly blobId: Uint8Array;
}

/** An open folder: its handle stays the caller's, who keeps it open until the answer. */
export interface FolderJob {
  readonly handle: number;
  /** Its path for people. */
  readonly shown: string;
}

/** A file to make whole, of pieces in a row. */
export interface FileJob {
  readonly folder: number;
  /** Without what is not needed to write it: content, hard link, times but mtime. */
  readonly entry: TreeEntry;
  readonly pieces: readonly BlobPiece[];
  /** True if the answer must say what file it is: others may be linked to it. */
  readonly identify: boolean;
}

/** A piece to write into a file that the caller has open, and keeps open until the answer. */
export interface ChunkJob {
  readonly handle: number;
  readonly offset: number;
  readonly piece: BlobPiece;
}

/** Some frames, and all that is to be written from them. */
export interface OpenJob {
  readonly spans: readonly SpanJob[];
  readonly frames: readonly FrameJob[];
  readonly folders: readonly FolderJob[];
  readonly files: readonly FileJob[];
  readonly chunks: readonly ChunkJob[];
}

/** What became of a file, where there is something to say. */
export interface FileEnd {
  readonly file: number;
  /** Its bytes could not be had from these frames: nothing was written. */
  readonly unread?: WireError;
  /** It could not be written; nothing is left of it. */
  readonly unwritten?: WireError;
  /** It is there, but for owner, mode or mtime. */
  readonly metadata?: WireError;
  readonly identity?: { readonly device: bigint; readonly inode: bigint; readonly mtimeNs: bigint };
}

export interface ChunkEnd {
  readonly chunk: number;
  readonly unread?: WireError;
  readonly unwritten?: WireError;
}

/** A row of a span that isn't what its root says, or can't be read. */
export interface BadRow {
  readonly span: number;
  readonly row: number;
}

/** The answer to an OpenJob: files and chunks that aren't named were written. */
export interface OpenResult {
  /** If there are any nothing was opened, and nothing written. */
  readonly bad: readonly BadRow[];
  readonly files: readonly FileEnd[];
  readonly chunks: readonly ChunkEnd[];
}
