import { copyBytes, idKey, toHex } from '../../base/bytes.ts';
import { forEachLimited, throwIfAborted } from '../../base/concurrency.ts';
import { isKithError, messageOf } from '../../base/errors.ts';
import { classBytes } from '../../base/limits.ts';
import type { BlobPlace } from '../../catalog/blob-index.ts';
import { blobKinds } from '../../format/blob.ts';
import type { BlobReader } from '../read/blob-reader.ts';
import type { KnownPack } from '../../catalog/catalog-state.ts';
import { manifestBytesMax } from '../../format/manifest.ts';
import type { PackDirectory } from '../../format/pack-directory.ts';
import type { Holder } from '../../holders/holder.ts';
import type { ContentVerdict, ShardCopy } from '../../pipeline/check-pack.ts';
import { shardFileBytesOf } from '../../pipeline/coded-pack.ts';
import { PackReader } from '../../pipeline/pack-reader.ts';
import type { Census } from '../shards/census.ts';
import { CheckLanes } from './check-lanes.ts';
import { readableParts } from '../shards/health.ts';
import type { KnownHolder } from '../holders/known-holder.ts';
import type { Prepared } from '../read/prepare.ts';
import { readShard } from './read-shard.ts';
import type { Session } from '../session.ts';
import type { Problem } from '../types.ts';

/** Packs of which only the directory is read at once. */
const directoriesAtOnce = 8;
/** Shards of one holder that are named; a disk that dies has hundreds of thousands. */
const namedMax = 20;

/** A place of a shard. The queue of this computer is no keeper. */
interface Place {
  readonly index: number;
  readonly holder: Holder;
  readonly keeper: KnownHolder | undefined;
}

/** Reads what is stored, and notes in census, damage book and here what is no good. */
export class DataCheck {
  readonly #session: Session;
  readonly #prepared: Prepared;
  readonly #signal: AbortSignal | undefined;
  readonly #gone = new Set<string>();
  readonly #told = new Map<string, number>();
  /** By entry number of the index, 1 for a blob that was found to be something else. */
  #badEntries: Uint8Array;
  /** Packs (by id key) with bad content, or bad shards in the queue. */
  readonly #badPacks = new Set<string>();
  /** Packs whose every blob was tried one by one. */
  readonly #salvaged = new Set<string>();
  #indexFlaws = 0;
  #shardsRead = 0;
  #shardsUnread = 0;
  #bytesRead = 0;
  #blobsRead = 0;

  constructor(session: Session, prepared: Prepared, signal: AbortSignal | undefined) {
    this.#session = session;
    this.#prepared = prepared;
    this.#signal = signal;
    this.#badEntries = new Uint8Array(session.index.size);
  }

  /** Packs of which the index says other than they do themselves. */
  get indexFlaws(): number {
    return this.#indexFlaws;
  }

  get shardsRead(): number {
    return this.#shardsRead;
  }

  /** Shards that their holder, though it is here, could not be asked for. */
  get shardsUnread(): number {
    return this.#shardsUnread;
  }

  /** Payload bytes. */
  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** Blobs that were opened and named anew. */
  get blobsRead(): number {
    return this.#blobsRead;
  }

  isBad(entry: number): boolean {
    return this.#badEntries[entry] === 1;
  }

  get anyBad(): boolean {
    return this.#badPacks.size > 0;
  }

  /** True for a pack with bad content, or bad shards in the queue; bad shards at holders are in the census. */
  isBadPack(packId: Uint8Array): boolean {
    return this.#badPacks.has(idKey(packId));
  }

  /** True for a pack of which every blob was tried, since it isn't whole anywhere: `isBad` says which can't be had. */
  isSalvaged(packId: Uint8Array): boolean {
    return this.#salvaged.has(idKey(packId));
  }

  /** Payload bytes of all shards of a pack that are here. */
  bytesOf({ manifest }: KnownPack): number {
    return this.#places(manifest.packId, manifest.roots.length).length * (classBytes[manifest.class] ?? 0);
  }

  #places(packId: Uint8Array, rows: number): Place[] {
    const { queue } = this.#session;
    const places: Place[] = this.#prepared.census
      .shards(packId)
      .filter(({ index, keeper }) => index < rows && !this.#gone.has(keeper.id))
      .map(({ index, keeper }) => ({ index, keeper, holder: keeper.holder }));
    const queued = queue.has(packId) ? queue.get(packId) : undefined;
    if (queued !== undefined && queue.holder !== undefined) {
      const { holder } = queue;
      for (let index = 0; index < queued.manifest.k; index++)
        places.push({ index, holder, keeper: undefined });
    }
    return places;
  }

  /** Reads every shard of some packs, and all that is sealed in them. */
  async readAll(packs: readonly KnownPack[], onBytes: (bytesDone: number) => void): Promise<void> {
    const bytes = packs.reduce((sum, pack) => sum + this.bytesOf(pack), 0);
    const lanes = new CheckLanes(this.#session, packs, bytes);
    try {
      await forEachLimited(packs, lanes.packsAtOnce, async (pack) => {
        throwIfAborted(this.#signal);
        await this.#readPack(lanes, pack);
        onBytes(this.#bytesRead);
      });
    } finally {
      await lanes.close();
    }
  }

  /** One copy of each shard together, then other copies, a few at a time. */
  async #readPack(lanes: CheckLanes, pack: KnownPack): Promise<void> {
    const { manifest } = pack;
    const first: Place[] = [];
    const more: Place[] = [];
    const seen = new Set<number>();
    for (const place of this.#places(manifest.packId, manifest.roots.length)) {
      (seen.has(place.index) ? more : first).push(place);
      seen.add(place.index);
    }
    let content = await this.#readPlaces(lanes, pack, first, true);
    for (let at = 0; at < more.length; at += manifest.n) {
      const some = more.slice(at, at + manifest.n);
      const found = await this.#readPlaces(lanes, pack, some, content === undefined);
      content ??= found;
    }
    if (content === undefined) await this.#salvage(pack);
    else this.#take(pack, content);
  }

  async #readPlaces(
    lanes: CheckLanes,
    pack: KnownPack,
    places: readonly Place[],
    content: boolean,
  ): Promise<ContentVerdict | undefined> {
    const { manifest } = pack;
    const buffers = lanes.take(places.length, shardFileBytesOf(manifest.class, manifestBytesMax));
    const read: { place: Place; copy: ShardCopy }[] = [];
    try {
      await forEachLimited(places, places.length, async (place, i) => {
        const copy = await this.#readPlace(pack, place, { into: buffers[i] });
        if (copy !== undefined) read.push({ place, copy });
      });
      throwIfAborted(this.#signal);
      const copies = read.map(({ copy }) => copy);
      const verdict = await lanes.check(pack, copies, content);
      for (const [i, { place }] of read.entries()) {
        const found = verdict.copies[i];
        if (found?.state === 'good') this.#good(pack, place);
        else if (found?.state === 'unknown') this.#unread(pack, place, found.why, 'too-new');
        else await this.#secondLook(lanes, pack, place, found?.why ?? '');
      }
      return verdict.content;
    } catch (error) {
      if (!isKithError(error, 'malformed', 'not-authentic', 'too-new')) throw error;
      // The ledger's own manifest is no good, or a newer kith sealed the pack.
      if (error.code !== 'too-new') this.#badPacks.add(idKey(manifest.packId));
      this.#tellPack(manifest.packId, messageOf(error), error.code);
      return undefined;
    } finally {
      lanes.give(buffers);
    }
  }

  /** The bytes of one shard; undefined where they can't be had, which is noted. */
  async #readPlace(
    pack: KnownPack,
    place: Place,
    options: { readonly into?: Uint8Array | undefined; readonly again?: boolean },
  ): Promise<ShardCopy | undefined> {
    const { into, again = false } = options;
    const { holder } = place;
    if (this.#gone.has(holder.id)) return undefined;
    throwIfAborted(this.#signal);
    try {
      const found = await readShard(this.#session, holder, pack, place.index, {
        signal: this.#signal,
        ...(into !== undefined && { into }),
      });
      if (found.state === 'missing') this.#missing(pack, place);
      if (found.state === 'damaged') this.#damaged(pack, place, found.why);
      if (found.state !== 'read') return undefined;
      if (again) return found.copy;
      this.#shardsRead++;
      this.#bytesRead += classBytes[pack.manifest.class] ?? 0;
      return found.copy;
    } catch (error) {
      if (!isKithError(error) || error.code === 'interrupted') throw error;
      if (error.code === 'holder-unavailable') this.#lose(place, messageOf(error));
      else this.#unread(pack, place, messageOf(error), error.code);
      return undefined;
    }
  }

  /** Bytes that are wrong are read again before they count: somebody may have replaced them meanwhile, or the reading was bad. */
  async #secondLook(lanes: CheckLanes, pack: KnownPack, place: Place, why: string): Promise<void> {
    const copy = await this.#readPlace(pack, place, { again: true });
    if (copy === undefined) return;
    const again = await lanes.check(pack, [copy], false);
    if (again.copies[0]?.state === 'good') this.#good(pack, place);
    else this.#damaged(pack, place, again.copies[0]?.why ?? why);
  }

  #good({ manifest }: KnownPack, { index, keeper }: Place): void {
    if (keeper !== undefined) this.#prepared.census.markHeld(manifest.packId, index, keeper);
  }

  #damaged({ manifest }: KnownPack, { index, keeper }: Place, why: string): void {
    const { packId } = manifest;
    if (keeper === undefined) this.#badPacks.add(idKey(packId));
    else this.#prepared.census.markDamaged(packId, index, keeper, why);
    const name = keeper?.name ?? 'this computer';
    this.#tellShard(name, `part ${index} of ${nameOf(packId)} is damaged there: ${why}`, 'shard-damaged');
  }

  #missing({ manifest }: KnownPack, { index, keeper }: Place): void {
    // What waited here may have found its place meanwhile.
    if (keeper === undefined) return;
    const { packId } = manifest;
    this.#prepared.census.disregard(packId, index, keeper, 'it lists it and does not have it');
    this.#tellShard(
      keeper.name,
      `part ${index} of ${nameOf(packId)} is listed there, and is not there`,
      'shard-missing',
    );
  }

  #unread({ manifest }: KnownPack, { index, keeper }: Place, why: string, code: Problem['code']): void {
    this.#shardsUnread++;
    if (keeper !== undefined) this.#prepared.census.disregard(manifest.packId, index, keeper, why);
    this.#tellShard(keeper?.name ?? 'this computer', why, code);
  }

  /** A holder that went away has lost nothing. */
  #lose({ holder, keeper }: Place, why: string): void {
    if (this.#gone.has(holder.id)) return;
    this.#gone.add(holder.id);
    if (keeper !== undefined) this.#prepared.census.lose(keeper);
    const item = keeper?.name ?? 'this computer';
    this.#session.problem({
      item,
      message: `${why}; the rest of what it has counts as away`,
      code: 'holder-unavailable',
    });
  }

  /** What was here at the start and is away now. */
  get lost(): ReadonlySet<string> {
    return this.#gone;
  }

  #tellShard(holder: string, message: string, code: Problem['code']): void {
    const told = (this.#told.get(holder) ?? 0) + 1;
    this.#told.set(holder, told);
    if (told > namedMax) return;
    const more = told === namedMax ? ' (no more are named; the summary counts them)' : '';
    this.#session.problem({ item: holder, message: `${message}${more}`, code });
  }

  #tellPack(packId: Uint8Array, message: string, code: Problem['code']): void {
    this.#session.problem({ item: nameOf(packId), message, code });
  }

  /** Takes in what was found sealed in a pack. */
  #take({ manifest }: KnownPack, content: ContentVerdict): void {
    const packId = copyBytes(manifest.packId);
    this.#blobsRead += content.blobs;
    if (content.directory === undefined) {
      this.#markAll(packId);
    } else {
      this.#compare(packId, content.directory);
      for (const blobId of content.badBlobs) this.#markBad(blobId, packId);
    }
    if (content.why === undefined) return;
    this.#badPacks.add(idKey(packId));
    this.#tellPack(packId, content.why, 'damaged');
  }

  #compare(packId: Uint8Array, directory: PackDirectory): void {
    const { index } = this.#session;
    if (!index.hasPack(packId) || index.agrees(packId, directory)) return;
    this.#indexFlaws++;
    this.#tellPack(
      packId,
      'the index of this computer says otherwise than the pack itself; remove the folder index in the home, and it is made anew',
      'damaged',
    );
  }

  #markBad(blobId: Uint8Array, packId: Uint8Array): void {
    const entry = this.#session.index.entryIn(blobId, packId);
    if (entry !== undefined) this.#mark(entry);
  }

  #mark(entry: number): void {
    if (entry >= this.#badEntries.length) {
      const grown = new Uint8Array(Math.max(this.#session.index.size, entry + 1));
      grown.set(this.#badEntries);
      this.#badEntries = grown;
    }
    this.#badEntries[entry] = 1;
  }

  /** Every blob that the index has in a pack. */
  *#entriesOf(packId: Uint8Array): Generator<number> {
    const { index } = this.#session;
    const number = index.packNumber(packId);
    for (let entry = 0; entry < index.size; entry++) {
      if (index.entryAt(entry).pack === number) yield entry;
    }
  }

  #markAll(packId: Uint8Array): void {
    for (const entry of this.#entriesOf(packId)) this.#mark(entry);
  }

  /** Of a pack that isn't whole anywhere, tries what a restore would: what is bad in one shard may be good in another. */
  async #salvage(pack: KnownPack): Promise<void> {
    const { census, reader } = this.#prepared;
    const { manifest } = pack;
    const readable = new Set(readableParts(census, manifest).map(({ index }) => index));
    if (readable.size < manifest.k && !this.#session.queue.has(manifest.packId)) return;
    const key = idKey(manifest.packId);
    for (const entry of this.#entriesOf(manifest.packId)) {
      throwIfAborted(this.#signal);
      const { blobId } = this.#session.index.entryAt(entry);
      const place = this.#session.index.places(blobId).find((each) => idKey(each.packId) === key);
      if (place !== undefined && !(await canBeRead(reader, blobId, place))) this.#mark(entry);
    }
    this.#salvaged.add(key);
  }

  /** Reads the directories of some packs and holds the index against them. */
  async readDirectories(packs: readonly KnownPack[], onPack: () => void): Promise<void> {
    const { shards } = this.#prepared.reader;
    const reader = new PackReader({
      source: {
        // A few leaves of each pack: what comes with them would not be asked for again.
        leaves: async (manifest, index, firstLeaf, leafCount) =>
          (await shards.verified(manifest, index, firstLeaf, leafCount)) ??
          ((await shards.decoded(manifest, firstLeaf, leafCount, [index]))[0] as Uint8Array),
      },
      compressor: this.#session.compressor,
      sealingKeys: (keyEpoch) => this.#session.sealingKeys(keyEpoch),
    });
    await forEachLimited(packs, directoriesAtOnce, async ({ manifest }) => {
      throwIfAborted(this.#signal);
      try {
        this.#compare(manifest.packId, await reader.directory(manifest));
      } catch (error) {
        if (!isKithError(error) || error.code === 'interrupted') throw error;
        if (isKithError(error, 'malformed', 'not-authentic', 'damaged'))
          this.#badPacks.add(idKey(manifest.packId));
        // Too few are here: that is counted, and told of each snapshot.
        if (error.code !== 'not-restorable') this.#tellPack(manifest.packId, messageOf(error), error.code);
      }
      onPack();
    });
  }
}

/** Shards of a pack whose bytes are no good, by what is known now. */
export function damagedShards(census: Census, { manifest }: KnownPack): number {
  return census
    .shards(manifest.packId)
    .filter(
      ({ index, damaged, unasked }) => damaged !== undefined && !unasked && index < manifest.roots.length,
    ).length;
}

/** Whether a restore would get a blob from a place. Only its name tells of which kind it is. */
async function canBeRead(reader: BlobReader, blobId: Uint8Array, place: BlobPlace): Promise<boolean> {
  for (const kind of Object.values(blobKinds)) {
    try {
      await reader.readAt(kind, blobId, place);
      return true;
    } catch (error) {
      if (!isKithError(error) || error.code === 'interrupted') throw error;
      if (error.code !== 'damaged') return false;
    }
  }
  return false;
}

function nameOf(packId: Uint8Array): string {
  return `pack ${toHex(packId).slice(0, 12)}`;
}
