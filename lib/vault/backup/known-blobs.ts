import { idKey, idOfKey } from '../../base/bytes.ts';
import { KithError } from '../../base/errors.ts';
import { SharedClaims } from '../../workers/shared-claims.ts';
import type { BlobReader } from '../read/blob-reader.ts';
import type { Session } from '../session.ts';

/**
 * Which blobs a backup need not store: the vault has them, or this backup has claimed them. Collects the packs that its
 * snapshot leans on, for the commit rule (docs/vault.md).
 */
export class KnownBlobs {
  readonly #session: Session;
  readonly #reader: BlobReader;
  readonly #keptOnce: ReadonlyMap<string, Uint8Array>;
  /** Blobs that the main thread has stored. */
  readonly #claimed = new Set<string>();
  readonly #usedPacks = new Set<string>();
  /** Of the catalog's state when the backup began. */
  readonly #generation: number;

  /**
   * `keptOnce` are packs, by id key, without a single part to spare, from when there were fewer disks: what they hold
   * counts as unknown, and so is stored again.
   */
  constructor(session: Session, reader: BlobReader, keptOnce: ReadonlyMap<string, Uint8Array>) {
    this.#session = session;
    this.#generation = session.state.generation;
    this.#reader = reader;
    this.#keptOnce = keptOnce;
  }

  /** Id keys of the packs that the snapshot needs, as far as is known. */
  get usedPacks(): ReadonlySet<string> {
    return this.#usedPacks;
  }

  /**
   * KithError `failed` where a pack that the snapshot needs has left the vault since the backup began: a device was revoked meanwhile, and what
   * it had stored counts no more.
   */
  checkStillThere(): void {
    const { state, queue } = this.#session;
    if (state.generation === this.#generation) return;
    for (const key of this.#usedPacks) {
      const packId = idOfKey(key);
      if (state.pack(packId) !== undefined || queue.has(packId)) continue;
      throw new KithError(
        'failed',
        'one of your devices was revoked while this backup was at work, and it had stored some of what would be used. Run the same command again.',
      );
    }
  }

  /** Adds packs that this backup filled. */
  addUsed(packIds: Iterable<Uint8Array>): void {
    for (const packId of packIds) this.#usedPacks.add(idKey(packId));
  }

  /** True if the vault has the blob; its pack then belongs to what this snapshot needs. */
  has(blobId: Uint8Array): boolean {
    const place = this.#reader.placeOf(blobId);
    if (place === undefined) return false;
    const key = idKey(place.packId);
    if (this.#keptOnce.has(key)) return false;
    this.#usedPacks.add(key);
    return true;
  }

  /** True if nobody has the blob: the caller then stores it. For the main thread; others have sharedClaims. */
  claim(blobId: Uint8Array): boolean {
    const key = idKey(blobId);
    if (this.#claimed.has(key) || this.has(blobId)) return false;
    this.#claimed.add(key);
    return true;
  }

  /** What is known and claimed by now, for threads to go on from. The caller's; goes through the whole index. */
  sharedClaims(): SharedClaims {
    const { index } = this.#session;
    const claims = new SharedClaims({ expected: index.size + this.#claimed.size });
    // By the same rule as `has`, which goes by the best place of a blob.
    for (const id of index.ids(this.#keptOnce.values()))
      if (this.#keptOnce.size === 0 || !this.#isKeptOnce(id)) claims.claim(id);
    for (const key of this.#claimed) claims.claim(idOfKey(key));
    return claims;
  }

  /** True if the best place of a blob is a pack without a part to spare. */
  #isKeptOnce(blobId: Uint8Array): boolean {
    const place = this.#reader.placeOf(blobId);
    return place !== undefined && this.#keptOnce.has(idKey(place.packId));
  }
}
