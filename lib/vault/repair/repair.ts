import { idKey, toHex } from '../../base/bytes.ts';
import { forEachLimited, throwIfAborted } from '../../base/concurrency.ts';
import { isKithError, messageOf } from '../../base/errors.ts';
import { classBytes } from '../../base/limits.ts';
import { countOf, parseDuration } from '../../base/units.ts';
import type { KnownPack } from '../../catalog/catalog-state.ts';
import type { LogEntry } from '../../catalog/log-book.ts';
import type { Placement } from '../../format/ledger-records.ts';
import type { CodedShard } from '../../pipeline/coded-pack.ts';
import { logRoles } from '../../format/segment.ts';
import type { Manifest } from '../../format/manifest.ts';
import type { Census } from '../shards/census.ts';
import { checkShard } from '../shards/check-shard.ts';
import { packHealth, spreadMembers, wholeParts } from '../shards/health.ts';
import { healthOfPacks, neededPacks, type HealthByPack } from './needed.ts';
import { resumePending } from '../shards/pending.ts';
import { prepareRead, prepareWrite, tolerancesOf, type Prepared } from '../read/prepare.ts';
import { rebuildShards } from './rebuild.ts';
import { awayFor } from '../holders/seen.ts';
import type { KnownHolder } from '../holders/known-holder.ts';
import { idBytes, type Session } from '../session.ts';
import { rowsWanted, spreadInForce } from '../shards/spread-in-force.ts';
import { placementEntries } from '../shards/settle-shards.ts';
import { placingUnder } from '../shards/placing-under.ts';
import { ShardPlacer } from '../shards/shard-placer.ts';
import type { RepairOptions, RepairSummary } from '../types.ts';

/** Grace for an away holder by how many households may still be lost (docs/repair.md). */
const graceByTolerance = [parseDuration('12h'), parseDuration('72h'), parseDuration('14d')] as const;
/** Placement records that are written at once. */
const recordBatch = 256;
/** Shards of a pack that are read where they lie at once: each holder reads one or a few. */
const verifiesAtOnce = 64;
/** Packs that are read at once: friends need time to answer, more than to read. */
const packsVerifiedAtOnce = 4;

/**
 * Finds shards that are missing or bad, rebuilds them from any k, and places them: at the same holder where one was damaged,
 * else with holders that have nothing of the pack. What waits for holders is placed too.
 */
export async function repair(session: Session, options: RepairOptions): Promise<RepairSummary> {
  const run = new RepairRun(session, options);
  return session.writing(options.onProblem, () => run.run());
}

class RepairRun {
  readonly #session: Session;
  readonly #options: RepairOptions;
  #records: LogEntry[] = [];
  readonly #counts = {
    shardsMissing: 0,
    shardsDamaged: 0,
    shardsRebuilt: 0,
    shardsStillMissing: 0,
    packsFailed: 0,
    packsLost: 0,
    bytesSent: 0,
  };

  constructor(session: Session, options: RepairOptions) {
    this.#session = session;
    this.#options = options;
  }

  async run(): Promise<RepairSummary> {
    const session = this.#session;
    const { signal, dryRun = false } = this.#options;
    const onProblem = session.problem.bind(session);
    const startMs = session.surroundings.clock.monotonicMs();
    const prepared = dryRun
      ? { ...(await prepareRead(session, onProblem, signal)), adopted: { packs: 0, snapshots: 0 } }
      : await prepareWrite(session, onProblem, signal);
    const { census, here, away, reader } = prepared;
    const placer = await ShardPlacer.create(here, onProblem, {
      signal,
      clock: session.surroundings.clock,
      ...placingUnder(session, here.length),
    });
    const resumed = dryRun ? undefined : await resumePending(session, placer, census, reader);
    if (this.#options.quick !== true) await this.#verifyAll(prepared, placer);
    const health = healthOfPacks(session, census);
    const needed = await neededPacks(session, reader, health, signal);
    const before = tolerancesOf(session, census, needed);
    const grace = this.#graceMs(health);
    const overdue = await awayFor(session, [...away.map(({ keeper }) => keeper), ...census.inPart], grace);
    const packs = [...session.state.packs()];
    try {
      for (const [i, pack] of packs.entries()) {
        throwIfAborted(signal);
        this.#tell('repair', i, packs.length, undefined);
        const isNeeded = needed?.has(idKey(pack.manifest.packId)) !== false;
        try {
          await this.#repairPack(pack, prepared, placer, overdue, grace, isNeeded);
        } catch (error) {
          this.#failed(pack, error);
        }
        if (this.#records.length >= recordBatch) await this.#flush();
      }
      this.#tellStrays(packs, census);
    } finally {
      await this.#flush();
    }
    if (!dryRun) {
      const holders = placer.answering(here).map((keeper) => keeper.holder);
      await session.exchangeLogs(holders, { thorough: this.#options.quick !== true });
    }
    const after = tolerancesOf(session, census, needed);
    return {
      packsChecked: packs.length,
      ...this.#counts,
      shardsRebuilt: this.#counts.shardsRebuilt + (resumed?.shardsPlaced ?? 0),
      packsAdopted: prepared.adopted.packs,
      snapshotsPublished: prepared.adopted.snapshots + (resumed?.snapshotsPublished ?? 0),
      bytesRead: reader.shards.bytesRead + this.#bytesVerified,
      bytesSent: this.#counts.bytesSent + (resumed?.bytesSent ?? 0),
      toleratesBefore: before.tolerates,
      toleratesAfter: after.tolerates,
      away: away.map(({ keeper }) => keeper.name),
      durationMs: session.surroundings.clock.monotonicMs() - startMs,
    };
  }

  #bytesVerified = 0;

  /** Reads every shard where it lies; a bad one counts as missing from then on. */
  async #verifyAll({ here, census }: Prepared, placer: ShardPlacer): Promise<void> {
    const session = this.#session;
    const packs = [...session.state.packs()];
    const isHere = new Set(here.map(({ id }) => id));
    const gone = new Set<string>();
    census.forgetRemembered();
    const total = packs.reduce(
      (sum, { manifest }) => sum + wholeParts(census, manifest).length * (classBytes[manifest.class] ?? 0),
      0,
    );
    await forEachLimited(packs, packsVerifiedAtOnce, async ({ manifest }, i) => {
      throwIfAborted(this.#options.signal);
      this.#tell('check', i, packs.length, total);
      await forEachLimited(wholeParts(census, manifest), verifiesAtOnce, async ({ index, keeper }) => {
        if (!isHere.has(keeper.id) || gone.has(keeper.id)) return;
        try {
          const { state, bytesRead } = await checkShard(session, keeper, manifest, index);
          this.#bytesVerified += bytesRead;
          if (state === 'good') {
            census.markHeld(manifest.packId, index, keeper);
            return;
          }
          census.markDamaged(manifest.packId, index, keeper, state);
          if (state === 'damaged') {
            session.problem({
              item: keeper.name,
              message: 'a part of your backup is damaged there; it is rebuilt',
              code: 'shard-damaged',
            });
          } else if (keeper.kind === 'friend') {
            session.problem({
              item: keeper.name,
              message: 'a part of your backup is listed there, and is not; it is rebuilt',
              code: 'shard-missing',
            });
          }
        } catch (error) {
          if (!isKithError(error) || error.code === 'interrupted') throw error;
          // A holder that went away meanwhile has lost nothing: its shards stay counted, and are read next time.
          const away = error.code === 'holder-unavailable';
          if (!away || !gone.has(keeper.id)) {
            session.problem({ item: keeper.name, message: messageOf(error), code: error.code });
          }
          if (away) {
            gone.add(keeper.id);
            placer.giveUp(keeper);
          } else census.disregard(manifest.packId, index, keeper, messageOf(error));
        }
      });
    });
  }

  async #repairPack(
    pack: KnownPack,
    { census, reader }: Prepared,
    placer: ShardPlacer,
    overdue: ReadonlyMap<string, number>,
    graceMs: number,
    isNeeded: boolean,
  ): Promise<void> {
    const session = this.#session;
    const { manifest, manifestBytes } = pack;
    const health = packHealth(session, census, pack);
    // What nobody needs and nothing can bring back is no task: its blobs were stored again.
    if (!isNeeded && health.lost) return;
    const damaged = census
      .shards(manifest.packId)
      .filter((shard) => shard.damaged !== undefined && shard.index < manifest.roots.length);
    const missing = [...new Set([...health.missing, ...this.#overdueShards(pack, census, overdue, graceMs)])];
    const wholeWanted = wholeShards(placer, census, pack);
    this.#counts.shardsDamaged += damaged.length;
    this.#counts.shardsMissing += missing.length;
    if (health.lost && !health.salvageable) this.#counts.packsLost++;
    const wanted = new Set([
      ...missing,
      ...damaged.map((shard) => shard.index),
      ...wholeWanted.flatMap(({ indices }) => indices),
    ]);
    if (wanted.size === 0) return;
    if (health.tolerates === undefined && !health.salvageable) {
      this.#counts.shardsStillMissing += missing.length;
      return;
    }
    if (this.#options.dryRun === true) return;
    let shards: CodedShard[];
    try {
      const indices = [...wanted].sort((a, b) => a - b);
      shards = await rebuildShards(reader, manifest, indices);
    } catch (error) {
      if (health.lost && isKithError(error, 'not-restorable')) this.#counts.packsLost++;
      else this.#failed(pack, error);
      this.#counts.shardsStillMissing += missing.length;
      return;
    }
    const toPlace = {
      packId: manifest.packId,
      k: manifest.k,
      class: manifest.class,
      keyEpoch: manifest.keyEpoch,
      manifest: manifestBytes,
    };
    const placed: Placement[] = [];
    const inSpread = spreadMembers(session);
    const replaced = new Set<number>();
    for (const { index, keeper } of damaged) {
      // It is among what that drive lacks.
      if (wholeWanted.some((whole) => whole.keeper === keeper && whole.indices.includes(index))) continue;
      const result = await placer.placeAt(
        toPlace,
        shards.filter((shard) => shard.index === index),
        keeper,
      );
      this.#counts.bytesSent += result.bytesSent;
      if (result.placed.length === 0 || !(await this.#isThere(keeper, manifest, index))) continue;
      placed.push(...result.placed);
      if (inSpread(keeper)) replaced.add(index);
    }
    const taken = new Set(census.shards(manifest.packId).map((shard) => shard.keeper.id));
    const homeless = shards.filter((shard) => missing.includes(shard.index) && !replaced.has(shard.index));
    const result = await placer.place(toPlace, homeless, taken);
    placed.push(...result.placed);
    this.#counts.bytesSent += result.bytesSent;
    this.#counts.shardsStillMissing += result.missing.length;
    for (const { keeper, indices } of wholeWanted) {
      const whole = await placer.placeAt(
        toPlace,
        shards.filter((shard) => indices.includes(shard.index)),
        keeper,
      );
      placed.push(...whole.placed);
      this.#counts.bytesSent += whole.bytesSent;
    }
    this.#counts.shardsRebuilt += placed.length;
    for (const { shardIndex, holderId } of placed) {
      const keeper = session.holder(toHex(holderId));
      if (keeper !== undefined) census.markHeld(manifest.packId, shardIndex, keeper);
    }
    this.#record(pack, census, new Set(placed.map((placement) => placement.shardIndex)));
  }

  /** Looks whether a friend that had a shard no longer, or damaged, has it now that it says so. */
  async #isThere(keeper: KnownHolder, manifest: Manifest, index: number): Promise<boolean> {
    if (keeper.kind === 'drive') return true;
    try {
      return (await checkShard(this.#session, keeper, manifest, index)).state === 'good';
    } catch (error) {
      if (!isKithError(error) || error.code === 'interrupted') throw error;
      return false;
    }
  }

  /** Notes where shards of a pack are now; what holders have that are away stays on record. */
  #record(pack: KnownPack, census: Census, indices: ReadonlySet<number>): void {
    if (indices.size === 0) return;
    const here = new Set(census.wholeHolders.map((keeper) => keeper.id));
    const placements = wholeParts(census, pack.manifest)
      .filter((shard) => indices.has(shard.index))
      .map(({ index, keeper }) => ({ shardIndex: index, holderId: idBytes(keeper.id) }));
    this.#records.push(...placementEntries(this.#session, pack, placements, (_index, id) => here.has(id)));
  }

  /** One pack that can't be repaired now doesn't keep the others from it. */
  #failed(pack: KnownPack, error: unknown): void {
    if (!isKithError(error) || error.code === 'interrupted' || error.code === 'internal') throw error;
    this.#counts.packsFailed++;
    this.#session.problem({
      item: `pack ${toHex(pack.manifest.packId).slice(0, 12)}`,
      message: `not repaired: ${messageOf(error)}`,
      code: error.code,
    });
  }

  /** Names holders that have files under indices which the pack doesn't have. */
  #tellStrays(packs: readonly KnownPack[], census: Census): void {
    const strays = new Map<string, number>();
    for (const { manifest } of packs) {
      for (const { index, keeper } of census.shards(manifest.packId)) {
        if (index >= manifest.roots.length) strays.set(keeper.name, (strays.get(keeper.name) ?? 0) + 1);
      }
    }
    for (const [name, count] of strays) {
      this.#session.problem({
        item: name,
        message: `${countOf(count, 'file')} there ${count === 1 ? 'bears' : 'bear'} the number of a part that doesn’t exist; left alone`,
        code: 'malformed',
      });
    }
  }

  async #flush(): Promise<void> {
    const records = this.#records;
    this.#records = [];
    await this.#session.logs.append(logRoles.ledger, records);
  }

  /** How long a holder may be away, by what all packs survive that aren't lost: to these no hurry is of any use. */
  #graceMs(health: HealthByPack): number {
    const setting = this.#session.settings.value('repair.grace');
    if (setting !== 'auto') return parseDuration(setting);
    let least = 2;
    for (const pack of health.values()) if (!pack.lost) least = Math.min(least, pack.tolerates ?? 0);
    return graceByTolerance[least] ?? 0;
  }

  /** Shards that only holders have which have been away for longer than the grace: they are rebuilt elsewhere. */
  #overdueShards(
    pack: KnownPack,
    census: Census,
    awayMs: ReadonlyMap<string, number>,
    graceMs: number,
  ): number[] {
    const inSpread = spreadMembers(this.#session);
    const held = new Set(
      wholeParts(census, pack.manifest)
        .filter((shard) => inSpread(shard.keeper))
        .map((shard) => shard.index),
    );
    const rows = rowsWanted(pack.manifest, spreadInForce(this.#session));
    const overdue: number[] = [];
    for (const [index, ids] of pack.hints) {
      if (held.has(index) || index >= rows) continue;
      const away = [...ids].filter((id) => {
        const keeper = this.#session.holder(id);
        return awayMs.has(id) && keeper !== undefined && inSpread(keeper);
      });
      if (away.length > 0 && away.every((id) => (awayMs.get(id) ?? 0) >= graceMs)) overdue.push(index);
    }
    return overdue;
  }

  #tell(phase: 'check' | 'repair', done: number, total: number, bytesTotal: number | undefined): void {
    this.#options.onProgress?.({
      phase,
      filesDone: done,
      filesTotal: total,
      bytesDone: phase === 'check' ? this.#bytesVerified : this.#counts.bytesSent,
      bytesTotal,
      current: undefined,
    });
  }
}

/** Data shards that `--whole` holders lack. */
function wholeShards(
  placer: ShardPlacer,
  census: Census,
  pack: KnownPack,
): { keeper: KnownHolder; indices: number[] }[] {
  const { k, packId } = pack.manifest;
  return placer.wholeHolders
    .map((keeper) => {
      const has = new Set(
        census
          .good(packId)
          .filter((shard) => shard.keeper === keeper)
          .map((shard) => shard.index),
      );
      return { keeper, indices: Array.from({ length: k }, (_, i) => i).filter((i) => !has.has(i)) };
    })
    .filter(({ indices }) => indices.length > 0);
}
