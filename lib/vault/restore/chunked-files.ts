import { KithError, isKithError } from '../../base/errors.ts';
import type { Content } from '../../format/content.ts';
import type { TreeEntry } from '../../format/tree.ts';
import type { Stages } from '../../pipeline/stages.ts';
import type { FileSink } from '../../source/restore-sink.ts';
import type { ChunkEnd } from '../../workers/open-job.ts';
import { errorFromWire } from '../../workers/wire-error.ts';
import { checkChunk, checkWhole, type FileChunks } from './file-chunks.ts';
import type { BlobAt, ChunkTask, OpenFile } from './restore-batch.ts';
import type { RestoreLanes } from './restore-lanes.ts';
import type { RestoreProgress } from './restore-progress.ts';
import { pathOf } from '../read/tree-reader.ts';

/** A file whose chunks several threads write. */
interface ChunkedFile extends OpenFile {
  readonly entry: TreeEntry;
  readonly content: Content;
  readonly sink: FileSink;
  /** Chunks on their way. */
  pending: number;
  /** True once no more chunks come. */
  isAllSent: boolean;
  failure: KithError | undefined;
}

/** Told of each file that has got its real name; `bytes` of it have not been counted as done yet. */
export type RestoredListener = (
  names: readonly Uint8Array[],
  entry: TreeEntry,
  content: Content,
  bytes: number,
) => Promise<void>;

export interface ChunkedFilesOptions {
  readonly chunks: FileChunks;
  readonly stages: Stages;
  readonly progress: RestoreProgress;
  readonly onRestored: RestoredListener;
}

/**
 * Large files of a restore: each one's chunks are spread over the lanes, which write them at their offsets; the file ends
 * when the last one has. Owns the sinks that it is given until then. What goes wrong with one file is told, and only
 * `interrupted`, `internal` and what is no KithError is thrown.
 */
export class ChunkedFiles {
  readonly #options: ChunkedFilesOptions;

  constructor(options: ChunkedFilesOptions) {
    this.#options = options;
  }

  /** Gives a file's chunks to the lanes. Resolves when all are sent; they end later, by `ended`. */
  async send(
    lanes: RestoreLanes,
    sink: FileSink,
    names: readonly Uint8Array[],
    entry: TreeEntry,
    content: Content,
  ): Promise<void> {
    const { chunks } = this.#options;
    const file: ChunkedFile = {
      names,
      entry,
      content,
      sink,
      handle: sink.handle,
      pending: 0,
      isAllSent: false,
      failure: undefined,
    };
    let offset = 0;
    try {
      for await (const blobId of chunks.ids(content)) {
        if (file.failure !== undefined) break;
        const blob = chunks.at(blobId);
        if (blob === undefined) {
          // Tells what is wrong with it, or gives it though the index doesn't know where it is.
          const bytes = await chunks.read(blobId);
          checkChunk(bytes.length, offset, entry.size);
          await sink.write(bytes, offset);
          offset += bytes.length;
          continue;
        }
        const { length } = blob.place;
        checkChunk(length, offset, entry.size);
        file.pending++;
        await lanes.addChunk({ file, offset, blob });
        offset += length;
      }
      if (file.failure === undefined) checkWhole(offset, entry.size);
    } catch (error) {
      if (!isKithError(error) || error.code === 'interrupted' || error.code === 'internal') throw error;
      file.failure ??= error;
    }
    file.isAllSent = true;
    await this.#endIfDone(file);
  }

  /** What a lane did with a chunk that `send` gave it. */
  async ended({ file, offset, blob }: ChunkTask, end: Omit<ChunkEnd, 'chunk'> | undefined): Promise<void> {
    // Lanes give back what they were given.
    const chunked = file as ChunkedFile;
    const { length } = blob.place;
    try {
      if (chunked.failure === undefined) await this.#take(chunked, offset, blob, end);
    } catch (error) {
      if (!isKithError(error) || error.code === 'interrupted') throw error;
      chunked.failure ??= error;
    }
    chunked.pending--;
    this.#options.progress.bytesDone(chunked.names, length);
    await this.#endIfDone(chunked);
  }

  async #take(
    { sink, names }: ChunkedFile,
    offset: number,
    { blobId, place }: BlobAt,
    end: Omit<ChunkEnd, 'chunk'> | undefined,
  ): Promise<void> {
    if (end?.unwritten !== undefined) {
      const { message, code } = errorFromWire(end.unwritten);
      throw new KithError(code, `${pathOf(names)} could not be written: ${message}`);
    }
    if (end?.unread === undefined) {
      sink.wrote(place.length);
      return;
    }
    const bytes = await this.#options.chunks.read(blobId);
    if (bytes.length !== place.length) throw new KithError('damaged', 'a chunk has another length elsewhere');
    await sink.write(bytes, offset);
  }

  async #endIfDone(file: ChunkedFile): Promise<void> {
    const { stages, progress, onRestored } = this.#options;
    const { sink, names, entry, content } = file;
    if (!file.isAllSent || file.pending > 0) return;
    try {
      if (file.failure !== undefined) throw file.failure;
      await stages.wait('write', () => sink.commit());
    } catch (error) {
      await giveUpFile(sink, names, error, progress);
      return;
    }
    await onRestored(names, entry, content, 0);
  }
}

/**
 * Ends the sink of a file that failed, which leaves nothing of it, and tells; the writer counts a sink that ends without its file. What says that the
 * whole restore ends is thrown again.
 */
export async function giveUpFile(
  sink: FileSink,
  names: readonly Uint8Array[],
  error: unknown,
  progress: RestoreProgress,
): Promise<void> {
  await sink.abort();
  if (!isKithError(error) || error.code === 'interrupted') throw error;
  progress.notRestored(names, error);
}
