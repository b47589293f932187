import { isKithError } from '../../base/errors.ts';
import { throwIfAborted } from '../../base/concurrency.ts';
import type { Content } from '../../format/content.ts';
import type { MetadataKind } from '../../format/snapshot.ts';
import type { TreeEntry } from '../../format/tree.ts';
import type { Stages } from '../../pipeline/stages.ts';
import type { FilePlace } from '../../source/restore-places.ts';
import type { FileSink } from '../../source/restore-sink.ts';
import type { RestoreWriter } from '../../source/restore-writer.ts';
import type { FileEnd } from '../../workers/open-job.ts';
import { defaultThreads } from '../../workers/pool.ts';
import { errorFromWire } from '../../workers/wire-error.ts';
import type { BlobReader } from '../read/blob-reader.ts';
import { ChunkedFiles, giveUpFile, type RestoredListener } from './chunked-files.ts';
import { checkChunk, checkWhole, FileChunks } from './file-chunks.ts';
import type { FileTask } from './restore-batch.ts';
import { noThreads } from '../no-threads.ts';
import { RestoreLanes } from './restore-lanes.ts';
import type { RestoreProgress } from './restore-progress.ts';
import type { Session } from '../session.ts';
import { windowLeaves } from '../shards/shard-reader.ts';

/** Above this a file's chunks go to several threads; up to it one thread makes all of it. */
const wholeFileBytesMax = 8 * 1024 * 1024;

/** Leaves of a drive's shard that are read together: a whole shard at most. */
const driveSpanLeaves = 64;

/** Folders that wait for files in them, each with an open handle. */
const foldersWaitingMax = 512;

/** Of a file that nothing is linked to. */
const noIdentity = { device: 0n, inode: 0n, mtimeNs: 0n };

/** A file that may be written. */
interface PlacedFile {
  readonly names: readonly Uint8Array[];
  readonly place: FilePlace;
  readonly content: Content;
}

export interface RestoreFilesOptions {
  readonly session: Session;
  readonly reader: BlobReader;
  /** The caller's; it stays open until this is closed. */
  readonly writer: RestoreWriter;
  readonly dryRun: boolean;
  /** Kinds of metadata that the snapshot has of all its entries. */
  readonly metadata: readonly MetadataKind[];
  readonly stages: Stages;
  readonly progress: RestoreProgress;
  readonly onRestored: RestoredListener;
  readonly signal: AbortSignal | undefined;
}

/**
 * Has the files that a restore meets written: by lanes, several at once, where folders are reached by handle, else here. They end in any
 * order. Owns its lanes: close it before the writer, whatever happens. What goes wrong with one file is a problem;
 * `interrupted`, `internal` and what is no KithError is thrown, by whichever call comes next.
 */
export class RestoreFiles {
  readonly #options: RestoreFilesOptions;
  readonly #chunks: FileChunks;
  readonly #chunked: ChunkedFiles;
  readonly #lanes: RestoreLanes | undefined;

  constructor(options: RestoreFilesOptions) {
    const { reader, writer, dryRun, stages, progress, onRestored } = options;
    this.#options = options;
    this.#chunks = new FileChunks(reader, stages);
    this.#chunked = new ChunkedFiles({ chunks: this.#chunks, stages, progress, onRestored });
    this.#lanes = writer.hasHandles && !dryRun ? this.#openLanes() : undefined;
  }

  /** Takes a file of the writer's current folder. Resolves when there is room for the next. */
  async take(names: readonly Uint8Array[], entry: TreeEntry): Promise<void> {
    const { writer, progress } = this.#options;
    const { content } = entry;
    if (content === undefined) {
      progress.failed(names, 'the snapshot has no content for this file', 'malformed');
      return;
    }
    const lanes = this.#lanes;
    if (lanes !== undefined && writer.waitsForOther(entry)) await lanes.flush();
    const place = await writer.placeFile(entry);
    if (place === 'counted') {
      progress.restored(names, entry, entry.size);
      return;
    }
    if (typeof place === 'string') {
      progress.skipped(names, entry.size);
      return;
    }
    const task = { names, place, content };
    // A sparse file of many chunks is written here: only a sink knows of holes.
    const isChunked = entry.size > wholeFileBytesMax;
    if (lanes === undefined || (isChunked && entry.sparse !== undefined)) {
      await this.#writeHere(task);
    } else if (isChunked) {
      const sink = this.#sinkFor(names, place);
      if (sink !== undefined) await this.#chunked.send(lanes, sink, names, entry, content);
    } else {
      const blobs = await this.#chunks.allOf(content, entry.size);
      if (blobs === undefined) await this.#writeHere(task);
      else await lanes.addFile({ names, place, blobs });
    }
  }

  /** Waits while too many folders that were left wait for files in them. */
  async settleFolders(): Promise<void> {
    const { writer } = this.#options;
    if (this.#lanes === undefined || writer.foldersWaiting <= foldersWaitingMax) return;
    await this.#lanes.flush();
    // Where nothing is under way nobody ends any more, whatever the writer counts.
    while (writer.foldersWaiting > foldersWaitingMax && !this.#lanes.isIdle) await this.#lanes.oneEnded();
  }

  /** Resolves when all files have ended. */
  async drain(): Promise<void> {
    await this.#lanes?.drain();
  }

  /** Gives up what is under way. When it returns no thread uses the writer's handles any more. */
  async close(): Promise<void> {
    await this.#lanes?.close();
  }

  #openLanes(): RestoreLanes {
    const { session, reader, metadata, stages, signal } = this.#options;
    const { surroundings, device } = session;
    return new RestoreLanes({
      reader,
      setup: { blobIdKey: device.blobIdKey, known: metadata },
      threads: surroundings.threads ?? defaultThreads(),
      threadModule: surroundings.threadModule,
      atOnce: surroundings.threads !== undefined,
      spanLeavesMax: session.friends().length > 0 ? windowLeaves : driveSpanLeaves,
      stages,
      signal,
      listener: {
        onNoThreads: (why) => session.problem(noThreads(why)),
        onFile: (task, end) => this.#fileEnded(task, end),
        onChunk: (task, end) => this.#chunked.ended(task, end),
      },
    });
  }

  /** What a lane did with a file. What it could not read may be had in another way. */
  async #fileEnded({ names, place }: FileTask, end: Omit<FileEnd, 'file'> | undefined): Promise<void> {
    const { progress, onRestored } = this.#options;
    const { entry } = place;
    const content = entry.content ?? { level: 0, ids: [] };
    if (end?.unread !== undefined) return await this.#writeHere({ names, place, content });
    place.folder.release();
    if (end?.unwritten !== undefined) {
      place.onEnd({ outcome: 'failed' });
      progress.notRestored(names, errorFromWire(end.unwritten));
      return;
    }
    if (end?.metadata !== undefined) place.onMetadataFailure(errorFromWire(end.metadata));
    place.onEnd({ outcome: 'written', ...(end?.identity ?? noIdentity) });
    await onRestored(names, entry, content, entry.size);
  }

  /** The sink of a placed file, or undefined where it can't be made, which is told. */
  #sinkFor(names: readonly Uint8Array[], place: FilePlace): FileSink | undefined {
    const { writer, progress } = this.#options;
    try {
      return writer.openSink(place);
    } catch (error) {
      if (!isKithError(error)) throw error;
      progress.notRestored(names, error);
      return undefined;
    }
  }

  /** Writes a file in this thread, a chunk after the other, each from whichever pack gives it. */
  async #writeHere({ names, place, content }: PlacedFile): Promise<void> {
    const { stages, progress, onRestored, signal } = this.#options;
    const { entry } = place;
    const sink = this.#sinkFor(names, place);
    if (sink === undefined) return;
    let offset = 0;
    try {
      for await (const bytes of this.#chunks.readAll(content)) {
        throwIfAborted(signal);
        checkChunk(bytes.length, offset, entry.size);
        await stages.wait('write', () => sink.write(bytes, offset));
        offset += bytes.length;
        progress.bytesDone(names, bytes.length);
      }
      checkWhole(offset, entry.size);
      await stages.wait('write', () => sink.commit());
    } catch (error) {
      await giveUpFile(sink, names, error, progress);
      return;
    }
    await onRestored(names, entry, content, 0);
  }
}
