import { equalBytes, idKey, toHex } from '../../base/bytes.ts';
import { KithError, isKithError } from '../../base/errors.ts';
import { blobKinds, type BlobKind } from '../../format/blob.ts';
import type { BlobPlace, PackOrder } from '../../catalog/blob-index.ts';
import type { Manifest } from '../../format/manifest.ts';
import type { PackDirectory } from '../../format/pack-directory.ts';
import { PackReader, type OpenPack } from '../../pipeline/pack-reader.ts';
import type { Census } from '../shards/census.ts';
import { SessionPlaces } from '../shards/places.ts';
import type { KnownHolder } from '../holders/known-holder.ts';
import type { Session } from '../session.ts';
import { ShardReader } from '../shards/shard-reader.ts';
import type { Problem } from '../types.ts';

/** Plain bytes of frames that are remembered. */
const frameCacheBytesMax = 48 * 1024 * 1024;

/** Reads blobs by id: finds the frame, opens it, checks the blob against its name. One per operation. */
export class BlobReader {
  readonly #session: Session;
  readonly #shards: ShardReader;
  readonly #packs: PackReader;
  readonly #frames = new Map<string, { readonly plain: Promise<Uint8Array>; bytes: number }>();
  #frameBytes = 0;
  #order: PackOrder | undefined;

  constructor(
    session: Session,
    here: readonly KnownHolder[],
    away: readonly KnownHolder[],
    onProblem: (problem: Problem) => void,
    census?: Census,
  ) {
    this.#session = session;
    this.#shards = new ShardReader({
      places: new SessionPlaces(session, here, away, census),
      coder: session.surroundings.coder,
      onProblem,
      onDamage: (holder, packId, index) => {
        const keeper = session.holder(holder.id);
        if (keeper === undefined) return;
        session.damage.add(keeper.id, packId, index);
        census?.markDamaged(packId, index, keeper, 'it was found damaged');
      },
      onWithheld: (holder, packId, index) => {
        const keeper = session.holder(holder.id);
        if (keeper === undefined || census?.lists(packId, index, keeper) !== true) return false;
        census.disregard(packId, index, keeper, 'it does not give it');
        return true;
      },
    });
    this.#packs = new PackReader({
      source: this.#shards,
      compressor: session.compressor,
      sealingKeys: (keyEpoch) => session.sealingKeys(keyEpoch),
    });
  }

  /** From now on, of packs that have the same blob, some are read before others. */
  prefer(order: PackOrder): void {
    this.#order = order;
  }

  /** Where a blob is, best first for this operation; undefined if no known pack has it. */
  placeOf(blobId: Uint8Array): BlobPlace | undefined {
    return this.#session.index.get(blobId, this.#order);
  }

  get shards(): ShardReader {
    return this.#shards;
  }

  /** The signed manifest of a pack that the ledger or the queue knows. */
  manifestOf(packId: Uint8Array): Manifest | undefined {
    return this.#session.state.pack(packId)?.manifest ?? this.#session.queue.get(packId)?.manifest;
  }

  /** What opens a pack's frames. */
  openPack(manifest: Manifest): Promise<OpenPack> {
    return this.#packs.openPack(manifest);
  }

  /** A pack's own directory. */
  directory(manifest: Manifest): Promise<PackDirectory> {
    return this.#packs.directory(manifest);
  }

  /**
   * The bytes of a blob, verified against its id, from whichever pack gives it; a view that must not be written to. KithError `blob-missing` if no known pack has
   * it, `not-restorable` if too few holders are here, `damaged` if what was sealed under that name is something else.
   */
  async read(kind: BlobKind, blobId: Uint8Array): Promise<Uint8Array> {
    let failure: unknown;
    for (const place of this.#session.index.places(blobId, this.#order)) {
      try {
        return await this.readAt(kind, blobId, place);
      } catch (error) {
        if (!isKithError(error) || error.code === 'interrupted') throw error;
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
    throw new KithError('blob-missing', `no pack that can be reached has blob ${toHex(blobId).slice(0, 12)}`);
  }

  /** The bytes of a blob at a given place, verified against its id. */
  async readAt(kind: BlobKind, blobId: Uint8Array, place: BlobPlace): Promise<Uint8Array> {
    const manifest = this.manifestOf(place.packId);
    if (manifest === undefined)
      throw new KithError('blob-missing', 'the pack of a blob is not in the ledger');
    const frame = await this.#frame(manifest, place);
    const bytes = frame.subarray(place.offsetInFrame, place.offsetInFrame + place.length);
    if (bytes.length !== place.length || !equalBytes(this.#session.namer.idOf(kind, bytes), blobId)) {
      throw new KithError('damaged', `blob ${toHex(blobId).slice(0, 12)} is not what its name says`);
    }
    return bytes;
  }

  #frame(manifest: Manifest, place: BlobPlace): Promise<Uint8Array> {
    const key = `${idKey(place.packId)}${place.ordinal}`;
    const cached = this.#frames.get(key);
    if (cached !== undefined) {
      this.#frames.delete(key);
      this.#frames.set(key, cached);
      return cached.plain;
    }
    const entry = { plain: this.#packs.frame(manifest, place), bytes: 0 };
    this.#frames.set(key, entry);
    entry.plain.then(
      (plain) => {
        // It may have had to go while it was on its way.
        if (this.#frames.get(key) !== entry) return;
        entry.bytes = plain.length;
        this.#frameBytes += plain.length;
        this.#evict();
      },
      () => {
        if (this.#frames.get(key) === entry) this.#frames.delete(key);
      },
    );
    return entry.plain;
  }

  #evict(): void {
    for (const [key, oldest] of this.#frames) {
      if (this.#frameBytes <= frameCacheBytesMax) return;
      this.#frames.delete(key);
      this.#frameBytes -= oldest.bytes;
    }
  }

  /** The bytes of a list blob. */
  readonly list = (blobId: Uint8Array): Promise<Uint8Array> => this.read(blobKinds.list, blobId);
}
