import { toHex } from '../../base/bytes.ts';
import { isKithError, KithError, messageOf } from '../../base/errors.ts';
import { blobKinds } from '../../format/blob.ts';
import { encodeSnapshot, snapshotId } from '../../format/snapshot.ts';
import type { BlobWriter } from '../../pipeline/blob-writer.ts';
import { Stages } from '../../pipeline/stages.ts';
import type { Spread } from '../../placement/spread.ts';
import { localAccounts, type Accounts } from '../../source/accounts.ts';
import type { WalkOptions } from '../../source/walk.ts';
import { bytesToRead } from './backup-dry-run.ts';
import { openBlobWriter, openFileLanes, type StoreParts } from './backup-lanes.ts';
import { BackupProgress } from './backup-progress.ts';
import { publish } from './backup-publish.ts';
import { snapshotOf, type StoredBackup } from './backup-snapshot.ts';
import { checkSources, walkOptionsOf, warnOfLinks, warnOfLoss } from './backup-sources.ts';
import { storeWalk } from './backup-walk.ts';
import { newFileCounts, summaryOfCounts, type FileCounts } from './file-counts.ts';
import type { FileLanes } from './file-lanes.ts';
import { indexPacks, type IndexPlan } from './index-blobs.ts';
import { KnownBlobs } from './known-blobs.ts';
import { PackStore } from './pack-store.ts';
import { findParent } from './parent-snapshot.ts';
import { resumePending } from '../shards/pending.ts';
import { dropLostPacks, packsKeptOnce, prepareWrite, tolerancesOf, type Prepared } from '../read/prepare.ts';
import type { Session } from '../session.ts';
import { placingUnder } from '../shards/placing-under.ts';
import { ShardPlacer } from '../shards/shard-placer.ts';
import { spreadInForce } from '../shards/spread-in-force.ts';
import type { BackupOptions, BackupSummary, Problem } from '../types.ts';

/** Makes a snapshot (docs/architecture.md, "The life of a backup"). */
export async function backup(session: Session, options: BackupOptions): Promise<BackupSummary> {
  const run = new BackupRun(session, options);
  return session.writing(options.onProblem, () => run.run());
}

/** What a backup works with once it is prepared. */
interface BackupParts extends StoreParts {
  readonly prepared: Prepared;
  readonly placer: ShardPlacer;
  readonly writer: BlobWriter;
  readonly lanes: FileLanes;
}

/** The steps of one backup, in their order. */
class BackupRun {
  readonly #session: Session;
  readonly #options: BackupOptions;
  readonly #stages = new Stages();
  readonly #accounts: Accounts = localAccounts();
  readonly #counts: FileCounts = newFileCounts();
  readonly #progress: BackupProgress;
  readonly #startNs: bigint;
  readonly #startMs: number;

  constructor(session: Session, options: BackupOptions) {
    this.#session = session;
    this.#options = options;
    this.#progress = new BackupProgress(this.#counts, options.onProgress);
    this.#startNs = session.surroundings.clock.nowNs();
    this.#startMs = session.surroundings.clock.monotonicMs();
  }

  readonly #onProblem = (problem: Problem): void => {
    this.#session.problem(problem);
  };

  async run(): Promise<BackupSummary> {
    const session = this.#session;
    const walkOptions = walkOptionsOf(session, this.#options, this.#accounts, (problem) => {
      if (problem.code === 'source-unreadable') this.#counts.unreadable++;
      this.#onProblem(problem);
    });
    const spread = spreadInForce(session, this.#options.spread);
    if (this.#options.dryRun === true) return await this.#dryRun(walkOptions, spread);
    if (session.holders().length === 0) {
      throw new KithError(
        'no-holders',
        'there is nowhere to put a backup yet. Add a friend: kith invite; or a disk: kith drive add PATH',
      );
    }
    warnOfLinks(this.#options.paths, this.#onProblem);
    warnOfLoss(this.#onProblem);
    // The walk's options are checked before anything is written: a folder that isn't there leaves no trace.
    await checkSources(walkOptions);
    const parts = await this.#prepare(spread);
    const { store, lanes } = parts;
    try {
      const stored = await this.#storeTree(parts, walkOptions);
      const { bytes, plan } = await this.#finish(parts, stored);
      return await this.#publish(parts, bytes, plan, stored.bytesAdded);
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

  async #prepare(spread: Spread): Promise<BackupParts> {
    const session = this.#session;
    const { signal } = this.#options;
    const stages = this.#stages;
    const prepared = await prepareWrite(session, this.#onProblem, signal);
    const { census, reader, here } = prepared;
    const placer = await ShardPlacer.create(here, this.#onProblem, {
      signal,
      clock: session.surroundings.clock,
      ...placingUnder(session, here.length),
    });
    await resumePending(session, placer, census, reader);
    dropLostPacks(session, census);
    const keptOnce = spread.n > spread.k ? packsKeptOnce(session, census) : new Map<string, Uint8Array>();
    const known = new KnownBlobs(session, reader, keptOnce);
    const store = new PackStore({ session, placer, spread, stages, census });
    const parts = { session, store, spread, known, stages };
    const writer = openBlobWriter(parts);
    const lanes = openFileLanes(parts, {
      writer,
      accounts: this.#accounts,
      onBytes: (bytes, { path }) => this.#progress.read(bytes, path),
      signal,
    });
    store.onFailure = (error) => lanes.fail(error);
    return { ...parts, prepared, placer, writer, lanes };
  }

  #tellNotSettled(error: unknown): void {
    if (isKithError(error, 'interrupted')) return;
    this.#onProblem({
      item: 'this computer',
      message: `what was stored so far could not be put on record: ${messageOf(error)}`,
      code: isKithError(error) ? error.code : 'internal',
    });
  }

  /** Walks the sources and stores files and trees. */
  async #storeTree(
    { prepared, writer, lanes, known }: BackupParts,
    walkOptions: WalkOptions,
  ): Promise<Omit<StoredBackup, 'durationMs'>> {
    const { force, onItem, signal } = this.#options;
    const parent = force === true ? undefined : await findParent(this.#session, walkOptions.sources);
    const scan = this.#progress.scanLater(walkOptions);
    try {
      const { root, bytesAdded } = await storeWalk({
        walk: walkOptions,
        parent,
        reader: prepared.reader,
        writer,
        lanes,
        known,
        cutKey: this.#session.device.cutKey,
        counts: this.#counts,
        stages: this.#stages,
        onProblem: this.#onProblem,
        onItem,
        signal,
      });
      return {
        startNs: this.#startNs,
        parent,
        root,
        counts: this.#counts,
        bytesAdded: writer.bytesAdded + bytesAdded,
      };
    } finally {
      await scan.end();
    }
  }

  /** Puts index and snapshot into the last pack, with what else is left, and waits for all packs. */
  async #finish(
    { writer, store }: BackupParts,
    stored: Omit<StoredBackup, 'durationMs'>,
  ): Promise<{ readonly bytes: Uint8Array; readonly plan: IndexPlan | undefined }> {
    this.#progress.tell('publish');
    writer.packer.flush();
    await store.prepared();
    const plan = await indexPacks(this.#session, writer, store.newPacks);
    const snapshot = snapshotOf(this.#session, this.#options, { ...stored, durationMs: this.#elapsedMs() });
    const bytes = encodeSnapshot(snapshot);
    await writer.store(blobKinds.snapshot, bytes);
    await writer.finish();
    await this.#stages.wait('place', () => store.settle());
    return { bytes, plan };
  }

  async #publish(
    parts: BackupParts,
    bytes: Uint8Array,
    plan: IndexPlan | undefined,
    bytesAdded: number,
  ): Promise<BackupSummary> {
    const { prepared, store, known, spread } = parts;
    const onProblem = this.#onProblem;
    const packsBelowK = await publish({ ...parts, here: prepared.here, onProblem }, bytes, plan);
    const tolerances = tolerancesOf(this.#session, prepared.census, known.usedPacks, spread);
    return this.#summary(toHex(snapshotId(bytes)), {
      dataAdded: bytesAdded,
      dataStored: store.counts.bytesSent,
      packsNew: store.counts.packsNew,
      shardsPlaced: store.counts.shardsPlaced,
      shardsMissing: tolerances.shardsMissing + store.counts.shardsQueuedMissing,
      packsBelowK,
      state: packsBelowK > 0 ? 'pending' : 'complete',
      spread,
      tolerates: packsBelowK > 0 ? null : tolerances.tolerates,
    });
  }

  /** Says what a backup would read. */
  async #dryRun(walkOptions: WalkOptions, spread: Spread): Promise<BackupSummary> {
    const bytes = await bytesToRead(this.#session, walkOptions, this.#counts, this.#onProblem, this.#options);
    return this.#summary(null, {
      dataAdded: bytes,
      dataStored: 0,
      packsNew: 0,
      shardsPlaced: 0,
      shardsMissing: 0,
      packsBelowK: 0,
      state: 'complete',
      spread,
      tolerates: null,
    });
  }

  /** What was stored, with what was met and how long it took. */
  #summary(
    id: string | null,
    stored: Pick<
      BackupSummary,
      | 'dataAdded'
      | 'dataStored'
      | 'packsNew'
      | 'shardsPlaced'
      | 'shardsMissing'
      | 'packsBelowK'
      | 'state'
      | 'spread'
      | 'tolerates'
    >,
  ): BackupSummary {
    return {
      snapshotId: id,
      ...summaryOfCounts(this.#counts),
      ...stored,
      durationMs: this.#elapsedMs(),
      stages: this.#stages.report(),
    };
  }

  #elapsedMs(): number {
    return this.#session.surroundings.clock.monotonicMs() - this.#startMs;
  }
}
