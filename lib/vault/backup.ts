import { lstatSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import { resolve } from 'node:path';
import { displayText, equalBytes, fromHex, idKey, idOfKey, toHex, utf8 } from '../base/bytes.ts';
import { isKithError, KithError, messageOf } from '../base/errors.ts';
import { throwIfAborted } from '../base/concurrency.ts';
import { blobKinds } from '../format/blob.ts';
import type { Content } from '../format/content.ts';
import { recordKinds } from '../format/log-kinds.ts';
import { logRoles } from '../format/segment.ts';
import { encodeSnapshot, snapshotId, type Snapshot } from '../format/snapshot.ts';
import { entryTypes } from '../format/tree.ts';
import { BlobWriter } from '../pipeline/blob-writer.ts';
import { PackBuilder } from '../pipeline/pack-builder.ts';
import { Stages } from '../pipeline/stages.ts';
import { automaticSpread, parseSpread, type Spread } from '../placement/spread.ts';
import { localAccounts, type Accounts } from '../source/accounts.ts';
import { IgnoreRules, readExcludeFile } from '../source/ignore.ts';
import { lossInWords, readableMetadata } from '../source/extras.ts';
import { walkBatches, walkSources, type WalkOptions } from '../source/walk.ts';
import { currentEpoch } from '../trust/device.ts';
import { BlobReader } from './blob-reader.ts';
import { FileBackup, newFileCounts, type FileCounts } from './file-backup.ts';
import { FileLanes } from './file-lanes.ts';
import { indexPacks, recordIndex, type IndexPlan } from './index-blobs.ts';
import { PackStore, spareRowsOf } from './pack-store.ts';
import { looksUnchanged, ParentTree } from './parent-tree.ts';
import { resumePending, savePending, waitingAmong } from './pending.ts';
import { dropLostPacks, packsKeptOnce, prepareWrite, tolerancesOf, type Prepared } from './prepare.ts';
import { defaultThreads } from '../workers/pool.ts';
import { SharedClaims } from '../workers/shared-claims.ts';
import type { StorePool } from '../workers/store-pool.ts';
import type { Session } from './session.ts';
import { allSnapshots } from './snapshots.ts';
import { ShardPlacer } from './shard-placer.ts';
import { TreeBuilder } from './tree-builder.ts';
import { TreeReader } from './tree-reader.ts';
import type { BackupOptions, BackupSummary, Problem, Progress } from './types.ts';

/** The spread in force: the option, else the setting, else by the number of drives and friends. */
export function spreadInForce(session: Session, option: Spread | undefined): Spread {
  if (option !== undefined) return option;
  const setting = session.settings.value('spread');
  if (setting !== 'auto') return parseSpread(setting);
  return automaticSpread(session.holders().filter((keeper) => !keeper.whole).length);
}

/** Makes a snapshot (docs/architecture.md, "The life of a backup"). */
export async function backup(session: Session, options: BackupOptions): Promise<BackupSummary> {
  const run = new BackupRun(session, options);
  return session.writing(options.onProblem, () => run.run());
}

/** How long a backup goes on before what there is to do is counted, for the percentage. */
const scanAfterMs = 5000;

/** What publishing works with. */
interface PublishParts {
  readonly prepared: Prepared;
  readonly placer: ShardPlacer;
  readonly store: PackStore;
  readonly spread: Spread;
}

class BackupRun {
  readonly #session: Session;
  readonly #options: BackupOptions;
  readonly #stages = new Stages();
  readonly #accounts: Accounts = localAccounts();
  readonly #used = new Set<string>();
  #reader: BlobReader | undefined;
  /** Packs without a single part to spare, from when there were fewer disks: what they hold is stored again. */
  #keptOnce: ReadonlyMap<string, Uint8Array> = new Map<string, Uint8Array>();
  readonly #counts: FileCounts = newFileCounts();
  readonly #progress = {
    filesTotal: 0,
    bytesTotal: 0,
    bytesRead: 0,
    scanned: false,
    current: new Uint8Array(0) as Uint8Array,
  };
  readonly #startNs: bigint;
  readonly #startMs: number;

  constructor(session: Session, options: BackupOptions) {
    this.#session = session;
    this.#options = options;
    this.#startNs = session.surroundings.clock.nowNs();
    this.#startMs = session.surroundings.clock.monotonicMs();
  }

  readonly #onProblem = (problem: Problem): void => {
    this.#session.problem(problem);
  };

  async run(): Promise<BackupSummary> {
    const { signal } = this.#options;
    const session = this.#session;
    const walkOptions = this.#walkOptions();
    const spread = spreadInForce(session, this.#options.spread);
    if (this.#options.dryRun === true) return this.#dryRun(walkOptions, spread);
    if (session.holders().length === 0) {
      throw new KithError(
        'no-holders',
        'there is nowhere to put a backup yet. Add a friend: kith friend add CARD; or a disk: kith drive add PATH',
      );
    }
    this.#warnOfLinks();
    this.#warnOfLoss();
    // The walk's options are checked before anything is written: a folder that isn't there leaves no trace.
    await checkSources(walkOptions);
    const prepared = await prepareWrite(session, this.#onProblem, signal);
    const { census, reader, here } = prepared;
    this.#reader = reader;
    const placer = await ShardPlacer.create(here, this.#onProblem, {
      signal,
      clock: session.surroundings.clock,
    });
    await resumePending(session, placer, census, reader);
    dropLostPacks(session, census);
    if (spread.n > spread.k) this.#keptOnce = packsKeptOnce(session);
    const store = new PackStore({ session, placer, spread, stages: this.#stages, census });
    const writer = this.#writer(store, spread);
    const lanes = this.#lanes(writer, store, spread);
    store.onFailure = (error) => lanes.fail(error);
    try {
      const stored = await this.#storeTree(prepared, writer, lanes, walkOptions);
      const bytesAdded = writer.bytesAdded + stored.bytesAdded;
      const finished = await this.#finish(writer, store, { root: stored.root, bytesAdded });
      return await this.#publish({ prepared, placer, store, spread }, finished, bytesAdded);
    } catch (error) {
      // What reached its holders is kept on record, so that the next run goes on from there.
      await lanes.close();
      await store.settle().catch((settling: unknown) => {
        if (settling !== error) this.#tellNotSettled(settling);
      });
      throw error;
    } finally {
      await lanes.close();
    }
  }

  #tellNotSettled(error: unknown): void {
    if (isKithError(error, 'interrupted')) return;
    this.#onProblem({
      item: 'this computer',
      message: `what was stored so far could not be put on record: ${messageOf(error)}`,
      code: isKithError(error) ? error.code : 'internal',
    });
  }

  /** Once: a damaged parent costs time, not data, but its owner should know of it. */
  readonly #onParentProblem = (error: KithError): void => {
    if (this.#parentTold) return;
    this.#parentTold = true;
    this.#onProblem({
      item:
        this.#parentSnapshot === undefined
          ? 'earlier snapshot'
          : `snapshot ${this.#parentSnapshot.id.slice(0, 8)}`,
      message: `parts of the backup before this one can’t be read, so what they hold is read from the source again: ${messageOf(error)}`,
      code: error.code,
    });
  };

  #parentTold = false;

  /** A symlink named as a source is stored as a link: whoever named it may have meant what it points to. */
  #warnOfLinks(): void {
    for (const path of this.#options.paths) {
      const stats = lstatSync(resolve(path), { throwIfNoEntry: false });
      if (stats?.isSymbolicLink() !== true) continue;
      const message =
        'it is a symbolic link; only the link itself is stored. Name the folder that it points to.';
      this.#onProblem({ item: path, message, code: 'usage' });
    }
  }

  /** Once: what no file's metadata can be complete without. */
  #warnOfLoss(): void {
    const lost = lossInWords(readableMetadata());
    if (lost === undefined) return;
    this.#onProblem({
      item: 'this computer',
      message: `kith can’t read ${lost} here, so they are not stored; everything else is`,
      code: 'failed',
    });
  }

  #walkOptions(): WalkOptions {
    const { paths, excludes = [], excludeFiles = [], signal } = this.#options;
    if (paths.length === 0) throw new KithError('usage', 'name what to back up: kith backup PATH…');
    const sources = paths.map((path) => utf8(resolve(path)));
    const patterns = [...excludes, ...excludeFiles.flatMap((file) => readExcludeFile(file))];
    const neverEnter = [this.#session.home, ...this.#session.drives().map((drive) => drive.path)].map(
      (path) => utf8(resolve(path)),
    );
    return {
      sources,
      ignore: IgnoreRules.from(patterns),
      oneFileSystem: this.#options.oneFileSystem,
      excludeLargerThan: this.#options.excludeLargerThan,
      excludeCaches: this.#options.excludeCaches,
      excludeIfPresent: this.#options.excludeIfPresent,
      neverEnter,
      accounts: this.#accounts,
      signal,
      onProblem: (problem) => {
        if (problem.code === 'source-unreadable') this.#counts.unreadable++;
        this.#onProblem(problem);
      },
    };
  }

  #writer(store: PackStore, spread: Spread): BlobWriter {
    const { surroundings, namer, compressor, device } = this.#session;
    const epoch = currentEpoch(device);
    return new BlobWriter({
      namer,
      compressor,
      stages: this.#stages,
      claim: (blobId) => this.#claim(blobId),
      newPack: (capacityBytes) =>
        new PackBuilder({
          k: spread.k,
          keyEpoch: epoch.keyEpoch,
          sealingKey: epoch.sealing,
          random: surroundings.random,
          capacityBytes: capacityBytes ?? surroundings.packBytes,
        }),
      capacityBytes: surroundings.packBytes,
      onPack: (pack, builder) => store.take(pack, builder),
      room: () => store.room(),
    });
  }

  /** Blobs that this thread has stored. */
  readonly #claimed = new Set<string>();

  #claim(blobId: Uint8Array): boolean {
    const key = idKey(blobId);
    if (this.#claimed.has(key) || this.#isKnown(blobId)) return false;
    this.#claimed.add(key);
    return true;
  }

  #lanes(writer: BlobWriter, store: PackStore, spread: Spread): FileLanes {
    const { surroundings, device } = this.#session;
    const { threads = defaultThreads(), packBytes } = surroundings;
    return new FileLanes({
      writer,
      cutKey: device.cutKey,
      accounts: this.#accounts,
      stages: this.#stages,
      atOnce: surroundings.threads !== undefined,
      startPool: threads === 0 ? undefined : () => this.#startPool(store, spread, threads, packBytes),
      room: () => store.room(),
      onChunk: (blobId) => this.#isKnown(blobId),
      onBytes: (bytes, { path }) => {
        this.#progress.bytesRead += bytes;
        this.#progress.current = path;
        this.#tell('read');
      },
      signal: this.#options.signal,
    });
  }

  /** Threads that know what the vault has, and what this thread has stored so far. */
  async #startPool(
    store: PackStore,
    spread: Spread,
    threads: number,
    packBytes: number | undefined,
  ): Promise<StorePool> {
    const { StorePool } = await import('../workers/store-pool.ts');
    const { index, device } = this.#session;
    await store.prepared();
    const claims = new SharedClaims({ expected: index.size + this.#claimed.size });
    // By the same rule as #isKnown, which goes by the best place of a blob.
    for (const id of index.ids(this.#keptOnce.values()))
      if (this.#keptOnce.size === 0 || !this.#isKeptOnce(id)) claims.claim(id);
    for (const key of this.#claimed) claims.claim(idOfKey(key));
    const { keyEpoch, sealing } = currentEpoch(device);
    return new StorePool({
      threads,
      spread,
      spare: spareRowsOf(spread),
      packBytes,
      keys: { blobIdKey: device.blobIdKey, cutKey: device.cutKey, keyEpoch, sealing },
      claims,
      onPack: (pack, directory, release) => store.send(pack, directory, release),
      onError: (error) => store.fail(error),
    });
  }

  /** True if the vault has the blob; its pack then belongs to what this snapshot needs. */
  #isKnown(blobId: Uint8Array): boolean {
    const place = this.#reader?.placeOf(blobId);
    if (place === undefined) return false;
    const key = idKey(place.packId);
    if (this.#keptOnce.has(key)) return false;
    this.#used.add(key);
    return true;
  }

  /** True if the best place of a blob is a pack without a part to spare. */
  #isKeptOnce(blobId: Uint8Array): boolean {
    const place = this.#reader?.placeOf(blobId);
    return place !== undefined && this.#keptOnce.has(idKey(place.packId));
  }

  async #storeTree(
    prepared: Prepared,
    writer: BlobWriter,
    lanes: FileLanes,
    walkOptions: WalkOptions,
  ): Promise<{ root: Content; bytesAdded: number }> {
    const trees = new TreeReader(prepared.reader);
    const parent = this.#options.force === true ? undefined : await this.#parent(walkOptions.sources);
    this.#parentSnapshot = parent;
    const beside = new ParentTree(trees, parent?.snapshot.root, this.#onParentProblem);
    const files = new FileBackup({
      lanes,
      builder: new TreeBuilder(
        { packer: writer.packer, isKnown: (blobId) => this.#isKnown(blobId) },
        this.#session.device.cutKey,
      ),
      trees,
      counts: this.#counts,
      keptMetadata: parent?.snapshot.metadata ?? [],
      isKnown: (blobId) => this.#isKnown(blobId),
      onProblem: this.#onProblem,
      onParentProblem: this.#onParentProblem,
      onItem: this.#options.onItem,
    });
    const scan = this.#scanLater(walkOptions);
    let stored: { root: Content | undefined; bytesAdded: number };
    try {
      for await (const batch of this.#stages.each('walk', walkBatches(walkOptions))) {
        throwIfAborted(this.#options.signal);
        for (const event of batch) {
          const { kind, entry } = event;
          if (kind === 'leave') {
            beside.leave();
            this.#counts.folders++;
            files.leave(entry);
            continue;
          }
          const found = beside.entry(entry.name);
          const before = found === undefined ? undefined : { entry: found, place: beside.place };
          if (kind === 'enter') {
            files.enter(entry, before);
            await beside.enter(entry.name);
          } else {
            const waiting = files.entry(event, before);
            if (waiting !== undefined) await waiting;
          }
          if (files.isFull) await files.advance();
        }
        await files.advance();
        await writer.ready();
      }
      stored = await files.finish();
    } finally {
      this.#progress.scanned = true;
      await scan.end();
    }
    const { root, bytesAdded } = stored;
    if (root === undefined) throw new KithError('internal', 'the walk did not close its root');
    return { root, bytesAdded };
  }

  #parentSnapshot: { readonly id: string; readonly snapshot: Snapshot } | undefined;

  /** The latest snapshot of the same sources on this host, waiting ones included. */
  async #parent(sources: readonly Uint8Array[]): Promise<{ id: string; snapshot: Snapshot } | undefined> {
    const all = await allSnapshots(this.#session);
    const host = hostname();
    const same = all.filter(
      ({ snapshot }) =>
        snapshot.host === host &&
        snapshot.sources.length === sources.length &&
        snapshot.sources.every((source, i) => equalBytes(source, sources[i] ?? new Uint8Array(0))),
    );
    return same.at(-1);
  }

  /**
   * Counts what there is to do for the percentage, but only once the backup has taken a while: counting costs as much as the backup of a tree
   * in which little has changed.
   */
  #scanLater(walkOptions: WalkOptions): { end(): Promise<void> } {
    let scan: Promise<void> | undefined;
    const begin = (): void => {
      scan = this.#scan(walkOptions);
    };
    const timer = this.#options.onProgress === undefined ? undefined : setTimeout(begin, scanAfterMs);
    return {
      end: async () => {
        clearTimeout(timer);
        await scan;
      },
    };
  }

  /** Counts what there is to do, beside the work itself. */
  async #scan(walkOptions: WalkOptions): Promise<void> {
    try {
      for await (const batch of walkBatches({ ...walkOptions, onProblem: () => undefined })) {
        if (this.#progress.scanned) return;
        for (const { entry } of batch) {
          if (entry.type !== entryTypes.file) continue;
          this.#progress.filesTotal++;
          this.#progress.bytesTotal += entry.size;
        }
      }
      this.#progress.scanned = true;
    } catch {
      // Only the percentage is lost; the backup's own walk reports what is wrong.
    }
  }

  #tell(phase: Progress['phase']): void {
    const { filesNew, filesChanged, filesUnmodified, bytesUnmodified } = this.#counts;
    const { filesTotal, bytesTotal, bytesRead, scanned, current } = this.#progress;
    this.#options.onProgress?.({
      phase,
      filesDone: filesNew + filesChanged + filesUnmodified,
      filesTotal: scanned ? filesTotal : undefined,
      bytesDone: bytesUnmodified + bytesRead,
      bytesTotal: scanned ? bytesTotal : undefined,
      current: displayText(current),
    });
  }

  /** Puts index and snapshot into the last pack, with what else is left, and waits for all packs. */
  async #finish(
    writer: BlobWriter,
    store: PackStore,
    { root, bytesAdded }: { readonly root: Content; readonly bytesAdded: number },
  ): Promise<{ bytes: Uint8Array; snapshot: Snapshot; plan: IndexPlan | undefined }> {
    const session = this.#session;
    this.#tell('publish');
    writer.packer.flush();
    await store.prepared();
    const plan = await indexPacks(session, writer, store.newPacks);
    const { clock } = session.surroundings;
    const { filesNew, filesChanged, filesUnmodified, folders, symlinks, others, unreadable, bytesProcessed } =
      this.#counts;
    const snapshot: Snapshot = {
      vaultId: session.device.vaultId,
      deviceId: session.device.deviceId,
      timeNs: this.#startNs,
      durationNs: BigInt(Math.max(0, Math.round((clock.monotonicMs() - this.#startMs) * 1e6))),
      host: hostname(),
      user: userName(),
      partial: false,
      parent: this.#parentSnapshot === undefined ? undefined : fromHex(this.#parentSnapshot.id),
      sources: this.#options.paths.map((path) => utf8(resolve(path))),
      excludes: [...(this.#options.excludes ?? [])],
      tags: [...(this.#options.tags ?? [])],
      root,
      summary: {
        filesNew,
        filesChanged,
        filesUnmodified,
        folders,
        symlinks,
        others,
        unreadable,
        bytesProcessed,
        bytesAdded,
      },
      metadata: readableMetadata(),
    };
    const bytes = encodeSnapshot(snapshot);
    await writer.store(blobKinds.snapshot, bytes);
    await writer.finish();
    await this.#stages.wait('place', () => store.settle());
    return { bytes, snapshot, plan };
  }

  async #publish(
    { prepared, placer, store, spread }: PublishParts,
    finished: {
      readonly bytes: Uint8Array;
      readonly snapshot: Snapshot;
      readonly plan: IndexPlan | undefined;
    },
    bytesAdded: number,
  ): Promise<BackupSummary> {
    const session = this.#session;
    const { bytes, snapshot, plan } = finished;
    for (const { packId } of store.newPacks) this.#used.add(idKey(packId));
    const waiting = waitingAmong(session, this.#used);
    if (waiting.length > 0) {
      await savePending(session, bytes, waiting);
    } else {
      if (plan !== undefined) await recordIndex(session, plan, store.indexRefs);
      await session.logs.append(logRoles.catalog, [{ kind: recordKinds.snapshot, body: bytes }]);
    }
    const { reached } = await this.#stages.wait('publish', () =>
      session.exchangeLogs(placer.answering(prepared.here).map((keeper) => keeper.holder)),
    );
    if (reached === 0 && waiting.length === 0) {
      this.#onProblem({
        item: 'catalog',
        message:
          'it is with nobody else yet: without this computer the new snapshot could not be found. Run kith repair when a disk or a friend can take it.',
        code: 'nobody-reached',
      });
    }
    const tolerances = tolerancesOf(session, prepared.census, this.#used);
    return {
      snapshotId: toHex(snapshotId(bytes)),
      ...this.#fileCounts(snapshot),
      dataAdded: bytesAdded,
      dataStored: store.counts.bytesSent,
      packsNew: store.counts.packsNew,
      shardsPlaced: store.counts.shardsPlaced,
      shardsMissing: tolerances.shardsMissing + store.counts.shardsQueuedMissing,
      packsBelowK: waiting.length,
      state: waiting.length > 0 ? 'pending' : 'complete',
      spread,
      tolerates: waiting.length > 0 ? null : tolerances.tolerates,
      durationMs: session.surroundings.clock.monotonicMs() - this.#startMs,
      stages: this.#stages.report(),
    };
  }

  #fileCounts(
    snapshot: Snapshot | undefined,
  ): Pick<
    BackupSummary,
    | 'filesNew'
    | 'filesChanged'
    | 'filesUnmodified'
    | 'filesUnreadable'
    | 'filesChangedWhileRead'
    | 'foldersTotal'
    | 'totalFilesProcessed'
    | 'totalBytesProcessed'
  > {
    const { filesNew, filesChanged, filesUnmodified, folders, unreadable, bytesProcessed } =
      snapshot?.summary ?? this.#counts;
    return {
      filesNew,
      filesChanged,
      filesUnmodified,
      filesUnreadable: unreadable,
      filesChangedWhileRead: this.#counts.changedWhileRead,
      foldersTotal: folders,
      totalFilesProcessed: filesNew + filesChanged + filesUnmodified,
      totalBytesProcessed: bytesProcessed,
    };
  }

  /** Says what a backup would read, from the walk alone: what looks unchanged against the parent needs its trees, which are read. */
  async #dryRun(walkOptions: WalkOptions, spread: Spread): Promise<BackupSummary> {
    const session = this.#session;
    const { here, away } = await session.reachable();
    const reader = new BlobReader(
      session,
      here,
      away.map(({ keeper }) => keeper),
      this.#onProblem,
    );
    const parent = await this.#parent(walkOptions.sources);
    this.#parentSnapshot = parent;
    const beside = new ParentTree(new TreeReader(reader), parent?.snapshot.root, this.#onParentProblem);
    let bytesToRead = 0;
    for await (const event of walkSources(walkOptions)) {
      if (event.kind === 'enter') await beside.enter(event.entry.name);
      else if (event.kind === 'leave') {
        beside.leave();
        this.#counts.folders++;
      } else if (event.entry.type === entryTypes.file) {
        const before = beside.entry(event.entry.name);
        this.#counts.bytesProcessed += event.entry.size;
        if (before !== undefined && looksUnchanged(event.entry, before)) {
          this.#counts.filesUnmodified++;
          continue;
        }
        if (before === undefined) this.#counts.filesNew++;
        else this.#counts.filesChanged++;
        bytesToRead += event.entry.size;
        const action = before === undefined ? 'new' : 'changed';
        this.#options.onItem?.({ action, path: displayText(event.path), bytes: event.entry.size });
      }
    }
    return {
      snapshotId: null,
      ...this.#fileCounts(undefined),
      dataAdded: bytesToRead,
      dataStored: 0,
      packsNew: 0,
      shardsPlaced: 0,
      shardsMissing: 0,
      packsBelowK: 0,
      state: 'complete',
      spread,
      tolerates: null,
      durationMs: session.surroundings.clock.monotonicMs() - this.#startMs,
      stages: this.#stages.report(),
    };
  }
}

async function checkSources(options: WalkOptions): Promise<void> {
  const walk = walkSources({ ...options, onProblem: () => undefined });
  await walk.next();
  await walk.return();
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return '';
  }
}
