import { KithError, isKithError } from '../../base/errors.ts';
import { blobKinds } from '../../format/blob.ts';
import { contentIds, type Content } from '../../format/content.ts';
import type { Manifest } from '../../format/manifest.ts';
import type { Stages } from '../../pipeline/stages.ts';
import type { BlobReader } from '../read/blob-reader.ts';
import type { BlobAt } from './restore-batch.ts';

/** Chunks of one file that are fetched ahead where it is written by the main thread. */
const chunksAhead = 4;

/** The chunks of files in a snapshot: where they lie, and their bytes. */
export class FileChunks {
  readonly #reader: BlobReader;
  readonly #stages: Stages;
  readonly #manifests = new WeakMap<Uint8Array, Manifest>();

  constructor(reader: BlobReader, stages: Stages) {
    this.#reader = reader;
    this.#stages = stages;
  }

  /** Ids of a file's chunks in order. KithErrors where its lists can't be read. */
  ids(content: Content): AsyncIterable<Uint8Array> {
    return contentIds(content, this.#reader.list);
  }

  /** Where a chunk lies. Undefined for one that no known pack has, or that has no bytes. */
  at(blobId: Uint8Array): BlobAt | undefined {
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

  /** Where all chunks of a file lie, in order; undefined where something about them is wrong, which reading them will tell. */
  async allOf(content: Content, size: number): Promise<BlobAt[] | undefined> {
    const chunks: BlobAt[] = [];
    let bytes = 0;
    try {
      for await (const blobId of content.level === 0 ? content.ids : this.ids(content)) {
        const chunk = this.at(blobId);
        if (chunk === undefined) return undefined;
        bytes += chunk.place.length;
        if (bytes > size) return undefined;
        chunks.push(chunk);
      }
    } catch (error) {
      if (!isKithError(error) || error.code === 'interrupted') throw error;
      return undefined;
    }
    return bytes === size ? chunks : undefined;
  }

  /** The bytes of one chunk, verified, from whichever pack gives them. KithErrors are those of BlobReader.read. */
  read(blobId: Uint8Array): Promise<Uint8Array> {
    return this.#reader.read(blobKinds.data, blobId);
  }

  /** The same of all chunks of a file in order, a few fetched ahead. */
  async *readAll(content: Content): AsyncGenerator<Uint8Array, void, undefined> {
    const ahead: Promise<Uint8Array>[] = [];
    try {
      for await (const id of this.ids(content)) {
        const fetched = this.#stages.wait('fetch', () => this.read(id));
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
}

/** KithError `malformed` for a chunk that a file of `size` can't have at `offset`. */
export function checkChunk(bytes: number, offset: number, size: number): void {
  // As good as endless where there are many.
  if (bytes === 0) throw new KithError('malformed', 'there is a chunk without bytes');
  if (offset + bytes > size) throw new KithError('malformed', 'there is more content than the size says');
}

/** KithError `malformed` where the chunks of a file of `size` end at another `offset`. */
export function checkWhole(offset: number, size: number): void {
  if (offset !== size) throw new KithError('malformed', 'there is less content than the size says');
}
