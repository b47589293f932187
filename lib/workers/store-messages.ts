import type { TreeEntry } from '../format/tree-entry.ts';
import type { FileBatch } from './store-codec.ts';
import type { SealableFrame } from '../pipeline/pack-builder.ts';

/** A file to read and store, as the walk saw it. */
export interface FileToStore {
  /** Absolute. */
  readonly path: Uint8Array;
  /** With the metadata that the walk saw. */
  readonly entry: TreeEntry;
  readonly device: bigint;
}

/** What became of a file. */
export type StoredFile =
  | {
      readonly outcome: 'stored';
      /** Ids of its chunks, 32 bytes each, in a row. */
      readonly ids: Uint8Array;
      /** Its entry as it was read, without content; undefined where it is the one that the walk saw. */
      readonly entry: TreeEntry | undefined;
      readonly bytes: number;
      /** It changed each time that it was read: what is stored may be a mixture. */
      readonly changed: boolean;
      /** What of its metadata is not stored, in words. */
      readonly losses: readonly string[];
    }
  | {
      readonly outcome: 'unreadable';
      readonly message: string;
    }
  | {
      /** Something that is no file stands under its name now. */
      readonly outcome: 'replaced';
      readonly entry: TreeEntry;
    };

/** A stretch of a large file. Its chunks are those that end in it, from where the stretch before it left off. */
export interface StretchToStore {
  readonly file: FileToStore;
  readonly from: number;
  readonly to: number;
  /** Word i is where the first chunk of stretch i begins, once its predecessor knows; unknown before, failed if it never will. */
  readonly starts: SharedArrayBuffer;
  readonly index: number;
}

/** What stands in `starts` before a place is known, and after a failure. */
export const startUnknown = -1n;
export const startFailed = -2n;

/** What became of a stretch; undefined ids where the file isn't what the walk saw any more. */
export interface StoredStretch {
  readonly ids: Uint8Array | undefined;
}

/** Jobs of a store thread. `claims` are the tables known so far. */
export type StoreJob =
  | {
      readonly kind: 'files';
      readonly claims: readonly SharedArrayBuffer[];
      readonly files: FileBatch;
    }
  | {
      readonly kind: 'stretch';
      readonly claims: readonly SharedArrayBuffer[];
      readonly stretch: StretchToStore;
    }
  | { readonly kind: 'rest' };

/** What a thread has left when all files are stored. */
export interface StoreRest {
  readonly frames: readonly SealableFrame[];
  readonly bytesAdded: number;
  /** Milliseconds by stage. */
  readonly stages: Readonly<Record<string, number>>;
}

/** A pack that a thread has sealed, coded and verified; its rows lie in the slot's memory until that is released. */
export interface PackNotice {
  readonly slot: number;
  readonly keyEpoch: number;
  readonly k: number;
  readonly n: number;
  readonly class: number;
  /** Where the rows begin in the shared memory. */
  readonly rowsAt: readonly number[];
  /** Leaf hashes of the n rows, in a row. */
  readonly leaves: Uint8Array;
  /** Roots of n + spare rows, in a row. */
  readonly roots: Uint8Array;
  /** As in the pack itself (format/pack-directory.ts). */
  readonly directory: Uint8Array;
}
