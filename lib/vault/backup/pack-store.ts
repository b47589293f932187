import { toHex } from '../../base/bytes.ts';
import { Semaphore, TaskSet } from '../../base/concurrency.ts';
import { rowCountMax, spareRowsDefault } from '../../base/limits.ts';
import { blobKinds } from '../../format/blob.ts';
import type { IndexRef, ListedPack } from '../../format/index-blob.ts';
import { encodePackRecord, type Placement } from '../../format/ledger-records.ts';
import { logRoles } from '../../format/segment.ts';
import { recordKinds } from '../../format/log-kinds.ts';
import type { LogEntry } from '../../catalog/log-book.ts';
import { codeShards, signPack, type CodedPack, type UnsignedPack } from '../../pipeline/coded-pack.ts';
import { encodePackDirectory, type PackDirectory } from '../../format/pack-directory.ts';
import type { PackBuilder, SealedPack } from '../../pipeline/pack-builder.ts';
import type { Stages } from '../../pipeline/stages.ts';
import type { Spread } from '../../placement/spread.ts';
import type { Census } from '../shards/census.ts';
import type { Session } from '../session.ts';
import type { ShardPlacer } from '../shards/shard-placer.ts';

/** Packs that may be on their way to holders while the next is filled. */
export const packsInFlight = 3;
/** Packs whose records are written to the ledger at once. What dies before is adopted from the holders later. */
const packsPerRecordBatch = 16;

/** Rows beyond a spread's own whose roots are signed as well. */
export function spareRowsOf({ n }: Spread): number {
  return Math.min(spareRowsDefault, rowCountMax - n);
}

/** Counts of what a backup stored. */
export interface PackCounts {
  packsNew: number;
  shardsPlaced: number;
  shardsMissing: number;
  packsBelowK: number;
  /** Missing shards of packs that wait in the queue. */
  shardsQueuedMissing: number;
  bytesSent: number;
}

/** Where the index blobs of a pack are. */
function* indexRefsOf(packId: Uint8Array, { frames }: PackDirectory): Generator<IndexRef, void, undefined> {
  for (const [ordinal, { offset, sealedLength, blobs }] of frames.entries()) {
    for (const { kind, blobId, offsetInFrame, length } of blobs) {
      if (kind !== blobKinds.index) continue;
      yield { blobId, packId, offset, sealedLength, ordinal, offsetInFrame, length };
    }
  }
}

/**
 * The way of a finished pack: coded, verified, placed; with k acknowledged shards into the ledger, with fewer into the queue.
 * One per backup.
 */
export class PackStore {
  readonly #session: Session;
  readonly #placer: ShardPlacer;
  readonly #spread: Spread;
  readonly #stages: Stages;
  readonly #census: Census;
  readonly #underWay = new TaskSet();
  /** Of those, packs that aren't sent yet. */
  readonly #preparing = new TaskSet();
  readonly #recordLock = new Semaphore(1);
  readonly #newPacks: ListedPack[] = [];
  readonly #indexRefs: IndexRef[] = [];
  #batch: { entry: LogEntry; pack: ListedPack }[] = [];
  #failure: { readonly error: unknown } | undefined;
  /** Told of the first pack that fails: nothing that is still being read can be published then. */
  onFailure: ((error: unknown) => void) | undefined;
  readonly counts: PackCounts = {
    packsNew: 0,
    shardsPlaced: 0,
    shardsMissing: 0,
    packsBelowK: 0,
    shardsQueuedMissing: 0,
    bytesSent: 0,
  };

  constructor(options: {
    readonly session: Session;
    readonly placer: ShardPlacer;
    readonly spread: Spread;
    readonly stages: Stages;
    /** Is told of what was placed. */
    readonly census: Census;
  }) {
    this.#session = options.session;
    this.#placer = options.placer;
    this.#spread = options.spread;
    this.#stages = options.stages;
    this.#census = options.census;
  }

  /** Packs stored so far, with what is in them as bytes: a million small files would fill hundreds of megabytes with objects. */
  get newPacks(): readonly ListedPack[] {
    return this.#newPacks;
  }

  /** Where index blobs are in those packs. */
  get indexRefs(): readonly IndexRef[] {
    return this.#indexRefs;
  }

  /** Resolves when a pack may be taken without more than packsInFlight being on their way. Errors of earlier packs are thrown here. */
  async room(): Promise<void> {
    while (this.#failure === undefined && this.#underWay.size >= packsInFlight)
      await this.#underWay.oneEnded();
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Takes a sealed pack of this thread: codes it, opens it again, and sends it on its way. */
  take(pack: SealedPack, builder: PackBuilder): void {
    const task = this.#prepare(pack, builder).catch((error: unknown) => this.fail(error));
    this.#underWay.add(task);
    this.#preparing.add(task);
  }

  /** Notes that a pack never got here: what is waited for then ends with this error. */
  fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { error };
    this.onFailure?.(error);
  }

  /** Resolves when all packs that were taken are in newPacks. Errors of earlier packs are thrown here. */
  async prepared(): Promise<void> {
    await this.#preparing.allEnded();
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async #prepare(pack: SealedPack, builder: PackBuilder): Promise<void> {
    const { namer, compressor, surroundings } = this.#session;
    const coded = this.#stages.run('encode', () =>
      codeShards(pack, { n: this.#spread.n, spare: spareRowsOf(this.#spread), coder: surroundings.coder }),
    );
    // Only now: the shards are views of the payload, and a bit that flipped before they were hashed would be signed for ever.
    await this.#stages.wait('verify', () => builder.verifyInTurns(pack, namer, compressor));
    this.send(coded, pack.directory);
  }

  /** Sends a pack on its way that was coded and verified elsewhere. `onDone` is called when its memory is no longer needed. */
  send(unsigned: UnsignedPack, directory: PackDirectory, onDone?: () => void): void {
    const coded = signPack(unsigned, this.#session.device);
    const { packId } = coded;
    const indexed = { packId, directory: encodePackDirectory(directory) };
    this.#session.index.addPack(packId, directory);
    this.#newPacks.push(indexed);
    this.#indexRefs.push(...indexRefsOf(packId, directory));
    this.counts.packsNew++;
    const task = this.#place(coded, indexed)
      .catch((error: unknown) => {
        this.#session.index.removePack(coded.packId);
        this.fail(error);
      })
      .finally(onDone)
      .catch((error: unknown) => this.fail(error));
    this.#underWay.add(task);
  }

  async #place(coded: CodedPack, indexed: ListedPack): Promise<void> {
    // Hashed a moment ago from this very memory, which stays as it is until all puts have settled.
    const toPlace = { ...coded, leavesAreFresh: true };
    const result = await this.#stages.wait('place', () =>
      this.#placer.place(toPlace, coded.shards, new Set()),
    );
    const placed: Placement[] = [...result.placed];
    let { bytesSent } = result;
    for (const keeper of this.#placer.wholeHolders) {
      const whole = await this.#placer.placeAt(toPlace, coded.shards.slice(0, coded.k), keeper);
      placed.push(...whole.placed);
      bytesSent += whole.bytesSent;
    }
    this.counts.bytesSent += bytesSent;
    this.counts.shardsPlaced += placed.length;
    this.counts.shardsMissing += result.missing.length;
    for (const { shardIndex, holderId } of placed) {
      const keeper = this.#session.holder(toHex(holderId));
      if (keeper !== undefined) this.#census.markHeld(coded.packId, shardIndex, keeper);
    }
    const acknowledged = new Set(placed.map((placement) => placement.shardIndex)).size;
    if (acknowledged < coded.k) {
      this.counts.packsBelowK++;
      this.counts.shardsQueuedMissing += coded.n - acknowledged;
      await this.#session.queue.add(coded);
      await this.#recordLock.run(() => this.#session.indexCache.save([indexed]).then(() => undefined));
      return;
    }
    // What a record has no room for is found by the next listing (settle-shards.ts).
    const body = encodePackRecord({ manifest: coded.manifest, placements: placed.slice(0, rowCountMax) });
    this.#batch.push({ entry: { kind: recordKinds.pack, body }, pack: indexed });
    if (this.#batch.length >= packsPerRecordBatch) await this.#record();
  }

  /** Puts packs on record. Those that can't be leave the index: what they hold counts as unknown until they are adopted. */
  async #record(): Promise<void> {
    await this.#recordLock.run(async () => {
      const batch = this.#batch;
      this.#batch = [];
      if (batch.length === 0) return;
      try {
        await this.#stages.wait('publish', async () => {
          await this.#session.logs.append(
            logRoles.ledger,
            batch.map(({ entry }) => entry),
          );
        });
      } catch (error) {
        for (const { pack } of batch) this.#session.index.removePack(pack.packId);
        throw error;
      }
      await this.#stages.wait('publish', () =>
        this.#session.indexCache.save(batch.map(({ pack }) => pack)).then(() => undefined),
      );
    });
  }

  /** Waits until every pack is at its holders or in the queue, and is on record. Keeps what succeeded even when it throws. */
  async settle(): Promise<void> {
    await this.#preparing.allEnded();
    await this.#underWay.allEnded();
    await this.#record();
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
