import { idKey } from '../../base/bytes.ts';
import { KithError } from '../../base/errors.ts';
import { classBytes, leafBytes } from '../../base/limits.ts';
import { tagBytes } from '../../crypto/aead.ts';
import type { BlobPlace } from '../../catalog/blob-index.ts';
import { frameAdditional } from '../../format/frame.ts';
import type { Manifest } from '../../format/manifest.ts';
import type { OpenPack } from '../../pipeline/pack-reader.ts';
import type { FilePlace } from '../../source/restore-places.ts';
import type {
  BlobPiece,
  ChunkJob,
  FileJob,
  FolderJob,
  FrameJob,
  OpenJob,
  RowSource,
  SealedPart,
} from '../../workers/open-job.ts';

/** Plain bytes of the frames of a batch; one more file that fits no batch has its own. */
const plainBytesMax = 4 * 1024 * 1024;
/** Files of a batch: a frame of tiny ones has thousands. */
const filesMax = 1024;
/** Folders of a batch, of which each is kept open. */
const foldersMax = 64;

/** A blob of file data and where it lies. */
export interface BlobAt {
  readonly blobId: Uint8Array;
  readonly place: BlobPlace;
  readonly manifest: Manifest;
}

/** A file that one thread makes. */
export interface FileTask {
  readonly names: readonly Uint8Array[];
  readonly place: FilePlace;
  readonly blobs: readonly BlobAt[];
}

/** A file that is made of chunks by several. */
export interface OpenFile {
  readonly names: readonly Uint8Array[];
  /** Open until every chunk has ended. */
  readonly handle: number;
}

/** One chunk of an open file. */
export interface ChunkTask {
  readonly file: OpenFile;
  readonly offset: number;
  readonly blob: BlobAt;
}

/** How a batch gets at the packs. */
export interface BatchSource {
  openPack(manifest: Manifest): Promise<OpenPack>;
  rows(
    manifest: Manifest,
    index: number,
    firstLeaf: number,
    leafCount: number,
  ): Promise<readonly RowSource[]>;
  /** Leaves that are asked for together at most. */
  readonly spanLeavesMax: number;
}

interface FrameOfBatch {
  readonly number: number;
  readonly place: BlobPlace;
  readonly manifest: Manifest;
}

/** Leaves of one shard that are fetched together. */
interface Span {
  readonly manifest: Manifest;
  readonly index: number;
  readonly firstLeaf: number;
  leafCount: number;
}

/** What to fetch for some frames, and for each frame where its parts will be in that. */
interface Plan {
  readonly spans: readonly Span[];
  readonly parts: readonly (readonly SealedPart[])[];
}

/** A part of a frame within one shard. */
interface Stretch {
  readonly frame: FrameOfBatch;
  readonly order: number;
  readonly index: number;
  readonly start: number;
  readonly length: number;
}

/** Files and chunks that are written together from the frames that they share. */
export class RestoreBatch {
  readonly files: FileTask[] = [];
  readonly chunks: ChunkTask[] = [];
  readonly #frames = new Map<string, FrameOfBatch>();
  readonly #folders = new Map<FilePlace['folder'], number>();
  readonly #folderJobs: FolderJob[] = [];
  readonly #pieces: BlobPiece[][] = [];
  #plainBytes = 0;
  #plan: Plan | undefined;

  get isEmpty(): boolean {
    return this.files.length === 0 && this.chunks.length === 0;
  }

  get plainBytes(): number {
    return this.#plainBytes;
  }

  /**
   * Bytes of all leaves to fetch, where each comes from its own row and at most so many together. KithError `malformed` for places that
   * can't be.
   */
  leafBytes(spanLeavesMax: number): number {
    const { spans } = this.#planned(spanLeavesMax);
    return spans.reduce((sum, { leafCount }) => sum + leafCount * leafBytes, 0);
  }

  /** What to fetch, worked out once. */
  #planned(spanLeavesMax: number): Plan {
    return (this.#plan ??= spansOf([...this.#frames.values()], spanLeavesMax));
  }

  /** Whether these blobs still go in: more frames only up to a size, more files of the same frames up to a number. */
  fits(blobs: readonly BlobAt[]): boolean {
    if (this.isEmpty) return true;
    if (this.files.length + this.chunks.length >= filesMax || this.#folders.size >= foldersMax) return false;
    let more = 0;
    for (const { place } of blobs) if (!this.#frames.has(keyOf(place))) more += place.plainBytes;
    return more === 0 || this.#plainBytes + more <= plainBytesMax;
  }

  addFile(task: FileTask): void {
    this.files.push(task);
    this.#pieces.push(task.blobs.map((blob) => this.#piece(blob)));
    const { folder } = task.place;
    if (this.#folders.has(folder)) return;
    this.#folders.set(folder, this.#folderJobs.length);
    if (folder.handle === undefined) throw new KithError('internal', 'a folder without a handle');
    this.#folderJobs.push({ handle: folder.handle, shown: parentOf(task.place.shown) });
  }

  addChunk(task: ChunkTask): void {
    this.chunks.push(task);
    this.#piece(task.blob);
  }

  #piece({ blobId, place, manifest }: BlobAt): BlobPiece {
    const key = keyOf(place);
    let frame = this.#frames.get(key);
    if (frame === undefined) {
      frame = { number: this.#frames.size, place, manifest };
      this.#frames.set(key, frame);
      this.#plainBytes += place.plainBytes;
      this.#plan = undefined;
    }
    return { frame: frame.number, offset: place.offsetInFrame, length: place.length, blobId };
  }

  /** Fetches what the batch needs. KithErrors are those of the source, `malformed` for places that can't be. */
  async job(source: BatchSource): Promise<OpenJob> {
    const frames = [...this.#frames.values()];
    const { spans, parts } = this.#planned(source.spanLeavesMax);
    const [rows, packs] = await Promise.all([
      Promise.all(
        spans.map(({ manifest, index, firstLeaf, leafCount }) =>
          source.rows(manifest, index, firstLeaf, leafCount),
        ),
      ),
      Promise.all(frames.map(({ manifest }) => source.openPack(manifest))),
    ]);
    return {
      spans: spans.map(({ manifest, index, firstLeaf, leafCount }, at) => ({
        index,
        k: manifest.k,
        firstLeaf,
        leafCount,
        leavesOfShard: (classBytes[manifest.class] ?? 0) / leafBytes,
        rows: rows[at] ?? [],
      })),
      frames: frames.map((frame, at) => frameJob(frame, parts[at] ?? [], packs[at])),
      folders: this.#folderJobs,
      files: this.files.map((task, at) => this.#fileJob(task, at)),
      chunks: this.chunks.map(({ file, offset, blob }): ChunkJob => {
        return { handle: file.handle, offset, piece: this.#piece(blob) };
      }),
    };
  }

  #fileJob({ place }: FileTask, at: number): FileJob {
    const { entry, folder } = place;
    const slim = { ...entry, ctimeNs: 0n, inode: 0n };
    delete slim.content;
    delete slim.hardlink;
    delete slim.birthtimeNs;
    return {
      folder: this.#folders.get(folder) ?? -1,
      entry: slim,
      pieces: this.#pieces[at] ?? [],
      identify: entry.hardlink !== undefined,
    };
  }
}

function frameJob(
  { place }: FrameOfBatch,
  parts: readonly SealedPart[],
  pack: OpenPack | undefined,
): FrameJob {
  if (pack === undefined) throw new KithError('internal', 'a frame without its pack');
  const { ordinal } = place;
  const { suite } = pack.head;
  return { parts, suite, key: pack.key, ordinal, additional: frameAdditional(pack.head, ordinal) };
}

function keyOf({ packId, ordinal }: BlobPlace): string {
  return `${ordinal}/${idKey(packId)}`;
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

function spansOf(frames: readonly FrameOfBatch[], spanLeavesMax: number): Plan {
  const stretches = frames.flatMap((frame) => stretchesOf(frame, spanLeavesMax));
  const packOf = new Map<string, number>();
  for (const { manifest } of frames) {
    const key = idKey(manifest.packId);
    if (!packOf.has(key)) packOf.set(key, packOf.size);
  }
  const pack = ({ frame }: Stretch): number => packOf.get(idKey(frame.manifest.packId)) ?? 0;
  stretches.sort((a, b) => pack(a) - pack(b) || a.index - b.index || a.start - b.start);
  const spans: Span[] = [];
  const parts: SealedPart[][] = frames.map(() => []);
  for (const stretch of stretches) {
    const { frame, index, start, length, order } = stretch;
    const firstLeaf = Math.floor(start / leafBytes);
    const lastLeaf = Math.floor((start + length - 1) / leafBytes);
    let span = spans.at(-1);
    const joins =
      span !== undefined &&
      span.manifest === frame.manifest &&
      span.index === index &&
      firstLeaf <= span.firstLeaf + span.leafCount &&
      lastLeaf - span.firstLeaf < spanLeavesMax;
    if (span === undefined || !joins) {
      span = { manifest: frame.manifest, index, firstLeaf, leafCount: 0 };
      spans.push(span);
    }
    span.leafCount = Math.max(span.leafCount, lastLeaf - span.firstLeaf + 1);
    const offset = start - span.firstLeaf * leafBytes;
    (parts[frame.number] ??= [])[order] = { span: spans.length - 1, offset, length };
  }
  return { spans, parts };
}

/** A frame's sealed bytes by shards, each part within so many leaves. */
function stretchesOf(frame: FrameOfBatch, spanLeavesMax: number): Stretch[] {
  const { offset, sealedLength } = frame.place;
  const shardBytes = classBytes[frame.manifest.class] ?? 0;
  if (sealedLength < tagBytes) throw new KithError('malformed', 'frame shorter than its seal');
  if (offset + sealedLength > shardBytes * frame.manifest.k)
    throw new KithError('malformed', 'a pack directory points outside of its pack');
  const stretches: Stretch[] = [];
  for (let at = offset; at < offset + sealedLength;) {
    const index = Math.floor(at / shardBytes);
    const start = at - index * shardBytes;
    const spanEnd = (Math.floor(start / leafBytes) + spanLeavesMax) * leafBytes;
    const length = Math.min(shardBytes, spanEnd, start + offset + sealedLength - at) - start;
    stretches.push({ frame, order: stretches.length, index, start, length });
    at += length;
  }
  return stretches;
}
