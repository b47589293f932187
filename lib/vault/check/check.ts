import { copyBytes, idKey } from '../../base/bytes.ts';
import type { KnownPack } from '../../catalog/catalog-state.ts';
import { blobKinds } from '../../format/blob.ts';
import { damagedShards, DataCheck } from './check-data.ts';
import { checkRecords } from './check-records.ts';
import { grades, TreeCheck, type Grade } from './check-trees.ts';
import { packHealth, type PackHealth } from '../shards/health.ts';
import { prepareRead, type Prepared } from '../read/prepare.ts';
import { choosePacks, parseReadPart, partInWords, type ReadPart } from './read-part.ts';
import type { Session } from '../session.ts';
import { allSnapshots, type FoundSnapshot } from '../read/snapshots.ts';
import type { CheckOptions, CheckSummary, Progress } from '../types.ts';

/**
 * Looks whether all that the vault says it has is there and fits together: key record and logs, packs and where their shards are, the index, and
 * every tree of every snapshot; with `readData` also every byte (docs/check.md). Changes nothing but the damage book, by which `repair` goes.
 */
export async function check(session: Session, options: CheckOptions): Promise<CheckSummary> {
  const part = options.readPart === undefined ? undefined : parseReadPart(options.readPart);
  return await session.heardBy(options.onProblem, () => new CheckRun(session, options, part).run());
}

/** What is known of one pack once everything was looked at. */
interface PackState {
  readonly pack: KnownPack;
  readonly health: PackHealth;
  readonly damagedShards: number;
  readonly grade: Grade;
}

class CheckRun {
  readonly #session: Session;
  readonly #options: CheckOptions;
  readonly #part: ReadPart | undefined;
  #filesDone = 0;
  #bytesDone = 0;
  #bytesTotal: number | undefined;

  constructor(session: Session, options: CheckOptions, part: ReadPart | undefined) {
    this.#session = session;
    this.#options = options;
    this.#part = part;
  }

  async run(): Promise<CheckSummary> {
    const session = this.#session;
    const { signal } = this.#options;
    const { clock } = session.surroundings;
    const startMs = clock.monotonicMs();
    const readData = this.#options.readData === true || this.#part !== undefined;
    this.#tell('disks and friends');
    const prepared = await prepareRead(session, (problem) => session.problem(problem), signal);
    this.#tell('logs');
    const recordsDamaged = await checkRecords(session, prepared.here, { thorough: readData, signal });
    const packs = this.#allPacks();
    const chosen = this.#choose(packs, readData);
    const data = new DataCheck(session, prepared, signal);
    await this.#readPacks(data, prepared, packs, chosen);
    const states = this.#statesOf(packs, prepared, data);
    this.#tell('snapshots');
    const found = await allSnapshots(session);
    const trees = this.#treeCheck(prepared, data, states);
    const affected: string[] = [];
    const notNow: string[] = [];
    for (const snapshot of found) {
      const grade = await this.#checkSnapshot(trees, snapshot);
      if (grade === grades.away) notNow.push(snapshot.id);
      if (grade >= grades.gone) affected.push(snapshot.id);
    }
    const used = trees.usedPacks();
    // Not counted is what is lost and surely needed by nobody: what it had was stored again.
    const counted = [...states.values()].filter(({ pack: { manifest }, health }) => {
      const isKnown = trees.sawAll && session.index.hasPack(manifest.packId);
      return !health.lost || !isKnown || used.has(idKey(manifest.packId));
    });
    const packsRead = chosen.filter(Boolean).length;
    return {
      snapshots: found.length,
      snapshotsAffected: affected,
      snapshotsNotNow: notNow,
      packs: packs.length,
      packsRead,
      packsDamaged: counted.filter(
        (state) => state.damagedShards > 0 || data.isBadPack(state.pack.manifest.packId),
      ).length,
      packsLost: counted.filter(({ health }) => health.lost && !health.salvageable).length,
      shardsRead: data.shardsRead,
      shardsDamaged: counted.reduce((sum, state) => sum + state.damagedShards, 0),
      shardsMissing: counted.reduce((sum, state) => sum + this.#missingOf(state, prepared), 0),
      shardsAway: counted.reduce((sum, { health }) => sum + health.awayCount, 0),
      shardsUnread: data.shardsUnread,
      blobs: session.index.size,
      blobsRead: data.blobsRead,
      blobsDamaged: this.#blobsDamaged(trees, states, data),
      blobsMissing: trees.blobsMissing,
      recordsDamaged: recordsDamaged + data.indexFlaws,
      bytesRead: data.bytesRead,
      part: this.#part === undefined ? null : partInWords(this.#part, packsRead, packs.length),
      away: [
        ...prepared.away.map(({ keeper }) => keeper.name),
        ...prepared.here.filter(({ id }) => data.lost.has(id)).map(({ name }) => name),
      ],
      durationMs: clock.monotonicMs() - startMs,
    };
  }

  /** The ledger's packs, then those that only wait here. */
  #allPacks(): KnownPack[] {
    const { state, queue } = this.#session;
    const waiting = queue
      .packs()
      .filter(({ manifest }) => state.pack(manifest.packId) === undefined)
      .map((pack) => ({ ...pack, hints: new Map<number, ReadonlySet<string>>() }));
    return [...state.packs(), ...waiting];
  }

  #choose(packs: readonly KnownPack[], readData: boolean): readonly boolean[] {
    if (this.#part === undefined) return packs.map(() => readData);
    const ids = packs.map(({ manifest }) => manifest.packId);
    return choosePacks(ids, this.#part, this.#session.surroundings.random);
  }

  async #readPacks(
    data: DataCheck,
    { census }: Prepared,
    packs: readonly KnownPack[],
    chosen: readonly boolean[],
  ): Promise<void> {
    const toRead = packs.filter((_, i) => chosen[i] === true);
    const others = packs.filter((_, i) => chosen[i] !== true);
    // What was found damaged earlier is read again where it is read at all.
    census.forgetRemembered(new Set(toRead.map(({ manifest }) => idKey(manifest.packId))));
    this.#tell('directories');
    await data.readDirectories(others, () => this.#tell('directories'));
    if (toRead.length === 0) return;
    this.#bytesTotal = toRead.reduce((sum, pack) => sum + data.bytesOf(pack), 0);
    await data.readAll(toRead, (bytesDone) => {
      this.#bytesDone = bytesDone;
      this.#tell(undefined);
    });
  }

  #statesOf(packs: readonly KnownPack[], { census }: Prepared, data: DataCheck): Map<string, PackState> {
    const states = new Map<string, PackState>();
    for (const pack of packs) {
      const health = packHealth(this.#session, census, pack);
      const bad = damagedShards(census, pack);
      const grade = this.#gradeOf(pack, health, bad, data);
      states.set(idKey(pack.manifest.packId), { pack, health, damagedShards: bad, grade });
    }
    return states;
  }

  #gradeOf({ manifest }: KnownPack, health: PackHealth, bad: number, data: DataCheck): Grade {
    const { packId } = manifest;
    if (health.tolerates !== undefined || this.#session.queue.has(packId) || data.isSalvaged(packId)) {
      return grades.good;
    }
    // Perhaps each of its blobs can still be had; only reading tells.
    if (!health.lost || health.salvageable) return grades.away;
    return bad > 0 ? grades.damaged : grades.gone;
  }

  #treeCheck(prepared: Prepared, data: DataCheck, states: ReadonlyMap<string, PackState>): TreeCheck {
    const session = this.#session;
    const { index } = session;
    // A pack that can't be looked into now, and of which nothing is known here, may have what isn't in the index.
    const mayBeElsewhere = [...states.values()].some(
      ({ pack, health }) => !index.hasPack(pack.manifest.packId) && !health.lost,
    );
    return new TreeCheck({
      index,
      reader: prepared.reader,
      gradeOfPack: (packId) => {
        const known = states.get(idKey(packId));
        // A pack that came meanwhile is as good as its backup said.
        if (known === undefined) return session.state.pack(packId) === undefined ? grades.gone : grades.good;
        return known.grade;
      },
      isBad: (entry) => data.isBad(entry),
      gradeOfUnknown: mayBeElsewhere ? grades.away : grades.gone,
      onProblem: (problem) => session.problem(problem),
      onEntries: (count) => {
        this.#filesDone = count;
        this.#tell(undefined);
      },
      signal: this.#options.signal,
    });
  }

  async #checkSnapshot(trees: TreeCheck, { id, snapshot, pending }: FoundSnapshot): Promise<Grade> {
    const session = this.#session;
    const shortId = id.slice(0, 8);
    const record = pending ? undefined : session.state.snapshot(id)?.bytes;
    const recordId = record === undefined ? undefined : session.namer.idOf(blobKinds.snapshot, record);
    if (recordId !== undefined) trees.use(recordId);
    if (recordId !== undefined && !session.index.has(recordId)) {
      // It is in the logs; only who has lost all of these would miss it.
      session.problem({
        item: `snapshot ${shortId}`,
        message: 'no pack has a copy of its record; all logs have it',
        code: 'blob-missing',
      });
    }
    const grade = await trees.snapshot(shortId, snapshot);
    if (grade === grades.good) return grade;
    const [message, code] =
      grade === grades.away
        ? (['it can not be restored whole with those who are here now', 'not-restorable'] as const)
        : grade === grades.gone
          ? (['parts of it are lost: nobody that kith knows of has them', 'blob-missing'] as const)
          : (['parts of it are damaged, and nobody has them as they were', 'damaged'] as const);
    session.problem({ item: `snapshot ${shortId}`, message, code });
    return grade;
  }

  /** Shards without a place; one that is there and damaged is counted as that. */
  #missingOf({ pack, health }: PackState, { census }: Prepared): number {
    if (this.#session.state.pack(pack.manifest.packId) === undefined) return 0;
    const damaged = new Set(
      census
        .shards(pack.manifest.packId)
        .filter(({ damaged: why, unasked }) => why !== undefined && !unasked)
        .map(({ index }) => index),
    );
    return health.missing.filter((index) => !damaged.has(index)).length;
  }

  /** Blobs of which the best place there is, is a damaged one. */
  #blobsDamaged(trees: TreeCheck, states: ReadonlyMap<string, PackState>, data: DataCheck): number {
    if (!data.anyBad && [...states.values()].every((state) => state.damagedShards === 0)) return 0;
    const { index } = this.#session;
    let count = 0;
    for (let entry = 0; entry < index.size; entry++) {
      if (trees.gradeOfEntry(entry) !== grades.damaged) continue;
      const places = index.entriesOf(copyBytes(index.entryAt(entry).blobId));
      if (places[0] === entry && places.every((each) => trees.gradeOfEntry(each) === grades.damaged)) count++;
    }
    return count;
  }

  #tell(current: string | undefined): void {
    const progress: Progress = {
      phase: 'check',
      filesDone: this.#filesDone,
      filesTotal: undefined,
      bytesDone: this.#bytesDone,
      bytesTotal: this.#bytesTotal,
      current,
    };
    this.#options.onProgress?.(progress);
  }
}
