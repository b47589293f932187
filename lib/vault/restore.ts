import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { displayText, equalBytes, idKey, utf8, viewAsBuffer } from '../base/bytes.ts';
import { KithError, isKithError, messageOf } from '../base/errors.ts';
import { throwIfAborted } from '../base/concurrency.ts';
import { blobKinds } from '../format/blob.ts';
import { contentIds, type Content } from '../format/content.ts';
import type { Manifest } from '../format/manifest.ts';
import { entryTypes, type TreeEntry } from '../format/tree.ts';
import { Stages } from '../pipeline/stages.ts';
import { allHolders, bringBack, holderNoun } from '../placement/words.ts';
import { lossInWords } from '../source/extras.ts';
import { insideSources, RestoreFilter } from '../source/include.ts';
import { joinPath } from '../source/path.ts';
import type { FileSink } from '../source/restore-sink.ts';
import type { FilePlace } from '../source/restore-places.ts';
import { RestoreWriter } from '../source/restore-writer.ts';
import type { ChunkEnd, FileEnd } from '../workers/open-job.ts';
import { defaultThreads } from '../workers/pool.ts';
import { errorFromWire } from '../workers/wire-error.ts';
import type { BlobReader } from './blob-reader.ts';
import { pathUnknown } from './list.ts';
import { packHealth, readableParts } from './health.ts';
import { prepareRead, type Prepared } from './prepare.ts';
import type { KnownHolder } from './known-holder.ts';
import type { Session } from './session.ts';
import type { BlobAt, ChunkTask, FileTask, OpenFile } from './restore-batch.ts';
import { RestoreLanes } from './restore-lanes.ts';
import { windowLeaves } from './shard-reader.ts';
import { packsOf } from './snapshot-check.ts';
import { resolveSnapshot, type ResolvedPath } from './snapshots.ts';
import { TreeReader } from './tree-reader.ts';
import type { Problem, RestoreOptions, RestoreSummary } from './types.ts';

/** Chunks of one file that are fetched ahead where it is written here. */
const chunksAhead = 4;

/** Above this a file's chunks go to several threads; up to it one thread makes all of it. */
const wholeFileBytesMax = 8 * 1024 * 1024;

/** Leaves of a drive's shard that are read together: a whole shard at most. */
const driveSpanLeaves = 64;

/** Folders that wait for files in them, each with an open handle. */
const foldersWaitingMax = 512;

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

/** Writes a snapshot, or a part of it, into a folder. KithError `not-restorable` before anything is written where too few holders are here. */
export async function restore(session: Session, options: RestoreOptions): Promise<RestoreSummary> {
  return session.heardBy(options.onProblem, () => restored(session, options));
}

async function restored(session: Session, options: RestoreOptions): Promise<RestoreSummary> {
  const startMs = session.surroundings.clock.monotonicMs();
  const filter = new RestoreFilter(filterOptions(options));
  const resolved = await resolveSnapshot(session, options.what);
  const prepared = await prepareRead(session, (problem) => session.problem(problem), options.signal);
  const run = new RestoreRun(session, options, prepared, resolved, filter);
  await run.check();
  const counts = await run.write();
  return { ...counts, durationMs: session.surroundings.clock.monotonicMs() - startMs };
}

function filterOptions(options: RestoreOptions): {
  include?: readonly string[];
  exclude?: readonly string[];
} {
  return {
    ...(options.include === undefined ? {} : { include: options.include }),
    ...(options.exclude === undefined ? {} : { exclude: options.exclude }),
  };
}

class RestoreRun {
  readonly #session: Session;
  readonly #options: RestoreOptions;
  readonly #prepared: Prepared;
  readonly #resolved: ResolvedPath;
  readonly #filter: RestoreFilter;
  readonly #reader: BlobReader;
  readonly #trees: TreeReader;
  readonly #stages = new Stages();
  readonly #manifests = new WeakMap<Uint8Array, Manifest>();
  #lanes: RestoreLanes | undefined;
  #bytesDone = 0;
  #filesDone = 0;
  #failed = 0;

  constructor(
    session: Session,
    options: RestoreOptions,
    prepared: Prepared,
    resolved: ResolvedPath,
    filter: RestoreFilter,
  ) {
    this.#session = session;
    this.#options = options;
    this.#prepared = prepared;
    this.#resolved = resolved;
    this.#filter = filter;
    this.#reader = prepared.reader;
    this.#trees = new TreeReader(prepared.reader);
  }

  /** Makes sure that every pack can be read now: nothing is written of a restore that can't end. */
  async check(): Promise<void> {
    const { census } = this.#prepared;
    const short = [...this.#session.state.packs()].filter((pack) => {
      const good = new Set(readableParts(census, pack.manifest).map((shard) => shard.index));
      return good.size < pack.manifest.k && !this.#session.queue.has(pack.manifest.packId);
    });
    if (short.length === 0) return;
    const wanted = await this.#packsWanted();
    const lacking = short.filter((pack) => wanted === undefined || wanted.has(idKey(pack.manifest.packId)));
    if (lacking.length === 0) return;
    const unlocking = new Map<string, KnownHolder>();
    let lost = 0;
    for (const pack of lacking) {
      const health = packHealth(this.#session, census, pack);
      if (health.lost) lost++;
      for (const { state, holderId } of health.place.shards) {
        const keeper = state === 'suspect' && holderId !== null ? this.#session.holder(holderId) : undefined;
        if (keeper !== undefined) unlocking.set(keeper.name, keeper);
      }
    }
    const names = [...unlocking.keys()].sort();
    const counts = { drives: this.#session.drives().length, friends: this.#session.friends().length };
    const advice =
      names.length > 0
        ? `${bringBack([...unlocking.values()])} and run the same command again.`
        : `No ${holderNoun(counts).one} that kith knows of has the missing parts.`;
    const dead =
      lost > 0
        ? ' Some of it is lost for good: too few parts exist. Restore single folders with SNAP:PATH to get the rest.'
        : '';
    throw new KithError(
      'not-restorable',
      `this cannot be restored now: too few of the ${allHolders(counts)} that hold it can be reached. ${advice}${dead}`,
      {
        details: { away: names, packsShort: lacking.length, packsLost: lost },
      },
    );
  }

  /** Packs that this restore needs, or undefined where its trees can't even be read. */
  async #packsWanted(): Promise<Set<string> | undefined> {
    try {
      const { content } = await this.#start();
      if (content === undefined) return new Set();
      const { packs } = await packsOf(this.#reader, content, this.#options.signal);
      return new Set(packs.keys());
    } catch (error) {
      if (!isKithError(error, 'not-restorable', 'blob-missing')) throw error;
      return undefined;
    }
  }

  /** What to restore: a folder's content, or one file's entry. */
  async #start(): Promise<{ content: Content | undefined; entry: TreeEntry | undefined }> {
    const { found, names } = this.#resolved;
    if (names === undefined || names.length === 0) return { content: found.snapshot.root, entry: undefined };
    const entry = await this.#trees.at(found.snapshot.root, names);
    if (entry === undefined) throw pathUnknown(names);
    return { content: entry.content, entry };
  }

  async write(): Promise<Omit<RestoreSummary, 'durationMs'>> {
    const { signal, dryRun, overwrite = 'always', target } = this.#options;
    const { content, entry } = await this.#start();
    this.#tellLoss();
    const inside = insideSources(this.#resolved.found.snapshot.sources);
    const isLeaf = entry !== undefined && entry.type !== entryTypes.folder;
    // Where the target stands in the snapshot: what is restored of a folder is its content, of anything else itself.
    const names = this.#resolved.names ?? [];
    const above = isLeaf ? names.slice(0, -1) : names;
    const writer = new RestoreWriter({
      target: resolve(target),
      overwrite,
      dryRun,
      signal,
      deleteExtra:
        this.#options.deleteExtra === true
          ? (components, isFolder) =>
              inside([...above, ...components]) && this.#filter.wants(components, isFolder)
          : undefined,
      neverRemove: [this.#session.home, ...this.#session.drives().map((drive) => drive.path)].map((path) =>
        utf8(resolve(path)),
      ),
      metadata: this.#resolved.found.snapshot.metadata,
      onProblem: (problem) => this.#session.problem(problem),
    });
    if (writer.hasHandles && dryRun !== true) this.#lanes = this.#openLanes(writer);
    try {
      let complete = true;
      if (isLeaf) await this.#entry(writer, [entry.name], entry);
      else if (content !== undefined) complete = await this.#folder(writer, [], content);
      // A folder that the backup could not list lacks names that must stay.
      const listed = entry?.error === undefined;
      await this.#lanes?.drain();
      const counts = await writer.finish({ complete: complete && listed && !isLeaf });
      return {
        filesRestored: counts.files + counts.hardlinks,
        filesSkipped: counts.skipped,
        filesFailed: counts.failed + this.#failed,
        foldersRestored: counts.folders,
        symlinksRestored: counts.symlinks,
        bytesRestored: counts.bytes,
        shardsReplaced: this.#reader.shards.shardsReplaced,
        stages: this.#stages.report(),
      };
    } finally {
      // First: until then threads use the writer's handles.
      await this.#lanes?.close();
      writer.close();
    }
  }

  /** What no entry of this snapshot has; older ones don't say. */
  #tellLoss(): void {
    const { metadata } = this.#resolved.found.snapshot;
    const lost = metadata === undefined ? undefined : lossInWords(metadata);
    if (lost === undefined) return;
    const message = `it was made where kith could not read ${lost}: they don’t come back`;
    this.#problem(`snapshot ${this.#resolved.found.id.slice(0, 8)}`, message, 'failed');
  }

  #openLanes(writer: RestoreWriter): RestoreLanes {
    const { surroundings, device } = this.#session;
    return new RestoreLanes({
      reader: this.#reader,
      setup: {
        blobIdKey: device.blobIdKey,
        known: this.#resolved.found.snapshot.metadata ?? [],
      },
      threads: surroundings.threads ?? defaultThreads(),
      atOnce: surroundings.threads !== undefined,
      spanLeavesMax: this.#session.friends().length > 0 ? windowLeaves : driveSpanLeaves,
      stages: this.#stages,
      signal: this.#options.signal,
      listener: {
        onFile: (task, end) => this.#fileEnded(writer, task, end),
        onChunk: (task, end) => this.#chunkEnded(task, end),
      },
    });
  }

  #problem(item: string, message: string, code: Problem['code']): void {
    this.#session.problem({ item, message, code });
  }

  /** Restores what is in a folder. False if its trees could not be read to the end. */
  async #folder(writer: RestoreWriter, above: readonly Uint8Array[], content: Content): Promise<boolean> {
    try {
      for await (const entry of this.#trees.entries(content)) {
        throwIfAborted(this.#options.signal);
        await this.#entry(writer, [...above, entry.name], entry);
      }
      return true;
    } catch (error) {
      if (!isKithError(error, 'damaged', 'malformed', 'not-authentic', 'not-restorable', 'blob-missing'))
        throw error;
      this.#failed++;
      this.#problem(
        `/${above.map(displayText).join('/')}`,
        `the rest of this folder could not be read: ${messageOf(error)}`,
        error.code,
      );
      return false;
    }
  }

  async #entry(writer: RestoreWriter, names: readonly Uint8Array[], entry: TreeEntry): Promise<void> {
    const isFolder = entry.type === entryTypes.folder;
    const wanted = this.#filter.wants(names, isFolder);
    if (isFolder) {
      if (!wanted && !this.#filter.enters(names)) {
        writer.keep(entry.name);
        return;
      }
      if ((await writer.enterFolder(entry, { lazy: !wanted })) === 'skip') return;
      const complete = entry.content === undefined || (await this.#folder(writer, names, entry.content));
      await writer.leaveFolder({ complete: complete && entry.error === undefined });
      if (this.#lanes !== undefined && writer.foldersWaiting > foldersWaitingMax) {
        await this.#lanes.flush();
        while (writer.foldersWaiting > foldersWaitingMax) await this.#lanes.oneEnded();
      }
      return;
    }
    if (!wanted) {
      writer.keep(entry.name);
    } else if (entry.type === entryTypes.file) {
      await this.#file(writer, names, entry);
    } else if (entry.type === entryTypes.symlink) {
      await writer.addSymlink(entry);
    } else if (entry.type === entryTypes.unreadable) {
      writer.keep(entry.name);
      this.#problem(
        pathText(names),
        `could not be read when it was backed up: ${entry.error ?? 'no reason given'}`,
        'source-unreadable',
      );
    } else {
      await writer.addOther(entry);
    }
  }

  async #file(writer: RestoreWriter, names: readonly Uint8Array[], entry: TreeEntry): Promise<void> {
    const { content } = entry;
    if (content === undefined) {
      this.#failed++;
      this.#problem(pathText(names), 'the snapshot has no content for this file', 'malformed');
      return;
    }
    const lanes = this.#lanes;
    if (lanes !== undefined && writer.waitsForOther(entry)) await lanes.flush();
    const place = await writer.placeFile(entry);
    if (typeof place === 'string') {
      this.#fileDone(names, entry.size);
      return;
    }
    const task = { names, place, content };
    // A sparse file of many chunks is written here: only a sink knows of holes.
    const isChunked = entry.size > wholeFileBytesMax;
    if (lanes === undefined || (isChunked && entry.sparse !== undefined)) {
      await this.#writeHere(writer, task);
    } else if (isChunked) {
      await this.#writeChunks(lanes, writer, task);
    } else {
      const blobs = await this.#blobsOf(content, entry.size);
      if (blobs === undefined) await this.#writeHere(writer, task);
      else await lanes.addFile({ names, place, blobs });
    }
  }

  /** The blobs of a file in a row; undefined where something about them is wrong, which reading them will tell. */
  async #blobsOf(content: Content, size: number): Promise<BlobAt[] | undefined> {
    const blobs: BlobAt[] = [];
    let bytes = 0;
    try {
      for await (const blobId of content.level === 0 ? content.ids : contentIds(content, this.#reader.list)) {
        const blob = this.#blobAt(blobId);
        if (blob === undefined) return undefined;
        bytes += blob.place.length;
        if (bytes > size) return undefined;
        blobs.push(blob);
      }
    } catch (error) {
      if (!isKithError(error) || error.code === 'interrupted') throw error;
      return undefined;
    }
    return bytes === size ? blobs : undefined;
  }

  /** Undefined for one that no known pack has, or that has no bytes. */
  #blobAt(blobId: Uint8Array): BlobAt | undefined {
    const place = this.#reader.placeOf(blobId);
    if (place === undefined || place.length === 0) return undefined;
    let manifest = this.#manifests.get(place.packId);
    if (manifest === undefined) {
      manifest = this.#reader.manifestOf(place.packId);
      if (manifest === undefined) return undefined;
      this.#manifests.set(place.packId, manifest);
    }
    return { blobId, place, manifest };
  }

  /** What a lane did with a file. What it could not read may be had in another way. */
  async #fileEnded(
    writer: RestoreWriter,
    { names, place }: FileTask,
    end: Omit<FileEnd, 'file'> | undefined,
  ): Promise<void> {
    const { entry } = place;
    const content = entry.content ?? { level: 0, ids: [] };
    if (end?.unread !== undefined) return await this.#writeHere(writer, { names, place, content });
    place.folder.release();
    if (end?.unwritten !== undefined) {
      place.onEnd({ outcome: 'failed' });
      this.#notRestored(names, errorFromWire(end.unwritten));
      return;
    }
    if (end?.metadata !== undefined) place.onMetadataFailure(errorFromWire(end.metadata));
    place.onEnd({ outcome: 'written', ...(end?.identity ?? noIdentity) });
    this.#bytesDone += entry.size;
    await this.#restored(names, entry, content);
  }

  /** Spreads a file's chunks over the lanes. It ends when they have; the walk goes on meanwhile. */
  async #writeChunks(
    lanes: RestoreLanes,
    writer: RestoreWriter,
    { names, place, content }: PlacedFile,
  ): Promise<void> {
    const { entry } = place;
    const sink = this.#sinkFor(writer, names, place);
    if (sink === undefined) return;
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
      for await (const blobId of contentIds(content, this.#reader.list)) {
        if (file.failure !== undefined) break;
        const blob = this.#blobAt(blobId);
        if (blob === undefined) {
          // Tells what is wrong with it, or gives it though the index doesn't know where it is.
          const bytes = await this.#reader.read(blobKinds.data, blobId);
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
    await this.#endChunked(file);
  }

  async #chunkEnded(
    { file, offset, blob }: ChunkTask,
    end: Omit<ChunkEnd, 'chunk'> | undefined,
  ): Promise<void> {
    // Lanes give back what they were given.
    const chunked = file as ChunkedFile;
    const { length } = blob.place;
    try {
      if (chunked.failure === undefined) await this.#takeChunk(chunked, offset, blob, end);
    } catch (error) {
      if (!isKithError(error) || error.code === 'interrupted') throw error;
      chunked.failure ??= error;
    }
    chunked.pending--;
    this.#bytesDone += length;
    this.#tell(chunked.names);
    await this.#endChunked(chunked);
  }

  async #takeChunk(
    { sink, names }: ChunkedFile,
    offset: number,
    { blobId, place }: BlobAt,
    end: Omit<ChunkEnd, 'chunk'> | undefined,
  ): Promise<void> {
    if (end?.unwritten !== undefined) {
      const { message, code } = errorFromWire(end.unwritten);
      throw new KithError(code, `${pathText(names)} could not be written: ${message}`);
    }
    if (end?.unread === undefined) {
      sink.wrote(place.length);
      return;
    }
    const bytes = await this.#reader.read(blobKinds.data, blobId);
    if (bytes.length !== place.length) throw new KithError('damaged', 'a chunk has another length elsewhere');
    await sink.write(bytes, offset);
  }

  async #endChunked(file: ChunkedFile): Promise<void> {
    const { sink, names, entry, content } = file;
    if (!file.isAllSent || file.pending > 0) return;
    try {
      if (file.failure !== undefined) throw file.failure;
      await this.#stages.wait('write', () => sink.commit());
    } catch (error) {
      await sink.abort();
      if (!isKithError(error) || error.code === 'interrupted') throw error;
      this.#notRestored(names, error);
      return;
    }
    await this.#restored(names, entry, content);
  }

  /** The sink of a placed file, or undefined where it can't be made, which is told. */
  #sinkFor(writer: RestoreWriter, names: readonly Uint8Array[], place: FilePlace): FileSink | undefined {
    try {
      return writer.openSink(place);
    } catch (error) {
      if (!isKithError(error)) throw error;
      this.#notRestored(names, error);
      return undefined;
    }
  }

  /** Writes a file in this thread, a chunk after the other, each from whichever pack gives it. */
  async #writeHere(writer: RestoreWriter, { names, place, content }: PlacedFile): Promise<void> {
    const { entry } = place;
    const sink = this.#sinkFor(writer, names, place);
    if (sink === undefined) return;
    let offset = 0;
    try {
      for await (const bytes of this.#chunks(content)) {
        throwIfAborted(this.#options.signal);
        checkChunk(bytes.length, offset, entry.size);
        await this.#stages.wait('write', () => sink.write(bytes, offset));
        offset += bytes.length;
        this.#bytesDone += bytes.length;
        this.#tell(names);
      }
      checkWhole(offset, entry.size);
      await this.#stages.wait('write', () => sink.commit());
    } catch (error) {
      await sink.abort();
      if (!isKithError(error) || error.code === 'interrupted') throw error;
      // The writer counts a sink that ends without its file.
      this.#notRestored(names, error);
      return;
    }
    await this.#restored(names, entry, content);
  }

  #notRestored(names: readonly Uint8Array[], error: KithError): void {
    this.#filesDone++;
    this.#problem(pathText(names), `not restored: ${messageOf(error)}`, error.code);
  }

  async #restored(names: readonly Uint8Array[], entry: TreeEntry, content: Content): Promise<void> {
    this.#fileDone(names, 0);
    const { onItem, verify, dryRun } = this.#options;
    onItem?.({ action: 'restored', path: pathText(names), bytes: entry.size });
    if (verify === true && dryRun !== true) await this.#verify(names, content);
  }

  #fileDone(names: readonly Uint8Array[], bytes: number): void {
    this.#filesDone++;
    this.#bytesDone += bytes;
    this.#tell(names);
  }

  /** A file's chunks in order, a few fetched ahead. */
  async *#chunks(content: Content): AsyncGenerator<Uint8Array, void, undefined> {
    const ahead: Promise<Uint8Array>[] = [];
    try {
      for await (const id of contentIds(content, this.#reader.list)) {
        const fetched = this.#stages.wait('fetch', () => this.#reader.read(blobKinds.data, id));
        fetched.catch(() => undefined);
        ahead.push(fetched);
        const first = ahead.length > chunksAhead ? ahead.shift() : undefined;
        if (first !== undefined) yield await first;
      }
      for (let first = ahead.shift(); first !== undefined; first = ahead.shift()) yield await first;
    } finally {
      await Promise.allSettled(ahead);
    }
  }

  /** Reads a written file back and compares every chunk with its name. */
  async #verify(names: readonly Uint8Array[], content: Content): Promise<void> {
    const path = names.reduce((folder, name) => joinPath(folder, name), utf8(resolve(this.#options.target)));
    const file = await open(viewAsBuffer(path), 'r');
    try {
      let offset = 0;
      for await (const id of contentIds(content, this.#reader.list)) {
        const bytes = new Uint8Array(this.#reader.placeOf(id)?.length ?? 0);
        const { bytesRead } = await file.read(bytes, 0, bytes.length, offset);
        if (bytesRead !== bytes.length || !equalBytes(this.#session.namer.idOf(blobKinds.data, bytes), id)) {
          this.#failed++;
          this.#problem(pathText(names), 'reads back differently from what was written', 'damaged');
          return;
        }
        offset += bytes.length;
      }
    } finally {
      await file.close();
    }
  }

  #tell(names: readonly Uint8Array[]): void {
    if (this.#options.onProgress === undefined) return;
    const { summary } = this.#resolved.found.snapshot;
    const whole = this.#resolved.names === undefined && this.#filter.takesAll;
    this.#options.onProgress({
      phase: 'restore',
      filesDone: this.#filesDone,
      filesTotal: whole ? summary.filesNew + summary.filesChanged + summary.filesUnmodified : undefined,
      bytesDone: this.#bytesDone,
      bytesTotal: whole ? summary.bytesProcessed : undefined,
      current: pathText(names),
    });
  }
}

/** A file that may be written. */
interface PlacedFile {
  readonly names: readonly Uint8Array[];
  readonly place: FilePlace;
  readonly content: Content;
}

/** Of a file that nothing is linked to. */
const noIdentity = { device: 0n, inode: 0n, mtimeNs: 0n };

function checkChunk(bytes: number, offset: number, size: number): void {
  // As good as endless where there are many.
  if (bytes === 0) throw new KithError('malformed', 'there is a chunk without bytes');
  if (offset + bytes > size) throw new KithError('malformed', 'there is more content than the size says');
}

function checkWhole(offset: number, size: number): void {
  if (offset !== size) throw new KithError('malformed', 'there is less content than the size says');
}

function pathText(names: readonly Uint8Array[]): string {
  return `/${names.map(displayText).join('/')}`;
}
