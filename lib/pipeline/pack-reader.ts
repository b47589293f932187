import { idKey } from '../base/bytes.ts';
import { KithError } from '../base/errors.ts';
import { classBytes, leafBytes } from '../base/limits.ts';
import { openFrame, tagBytes } from '../crypto/aead.ts';
import { decodeFrameBody, frameAdditional, frameOrdinals } from '../format/frame.ts';
import type { Manifest } from '../format/manifest.ts';
import { decodePackDirectory, type PackDirectory } from '../format/pack-directory.ts';
import {
  decodePackHead,
  decodePackTrailer,
  packHeadBytes,
  packKey,
  packTrailerBytes,
  type PackHead,
} from '../format/pack-head.ts';
import type { Compressor } from './compress.ts';

/** Gives whole leaves of a shard, already verified against the signed root, from wherever they can be had. */
export interface LeafSource {
  leaves(manifest: Manifest, index: number, firstLeaf: number, leafCount: number): Promise<Uint8Array>;
}

/** What opens a pack's frames: its head and its own key. */
export interface OpenPack {
  readonly head: PackHead;
  readonly key: Uint8Array;
}

/** Pack heads that are remembered: a head costs a leaf to read. */
const openPacksMax = 4096;

/** Reads frames and directories out of packs. Keys of an epoch may be several (docs/formats/keys.md): each is tried. */
export class PackReader {
  readonly #source: LeafSource;
  readonly #compressor: Pick<Compressor, 'decompress'>;
  readonly #sealingKeys: (keyEpoch: number) => readonly Uint8Array[];
  readonly #frameBuffer: Uint8Array | undefined;
  readonly #open = new Map<string, OpenPack>();

  constructor(options: {
    readonly source: LeafSource;
    readonly compressor: Pick<Compressor, 'decompress'>;
    readonly sealingKeys: (keyEpoch: number) => readonly Uint8Array[];
    /** For who reads one frame after the other: where it is opened, and may lie until the next is asked for. */
    readonly frameBuffer?: Uint8Array | undefined;
  }) {
    this.#source = options.source;
    this.#compressor = options.compressor;
    this.#sealingKeys = options.sealingKeys;
    this.#frameBuffer = options.frameBuffer;
  }

  /** Bytes [offset, offset + length) of the pack; a fresh array or a view that nobody else writes to. */
  async #range(manifest: Manifest, offset: number, length: number): Promise<Uint8Array> {
    const shardBytes = classBytes[manifest.class] ?? 0;
    if (offset < 0 || offset + length > shardBytes * manifest.k) {
      throw new KithError('malformed', 'a pack directory points outside of its pack');
    }
    const parts: Uint8Array[] = [];
    for (let at = offset; at < offset + length;) {
      const index = Math.floor(at / shardBytes);
      const inShard = at - index * shardBytes;
      const take = Math.min(shardBytes - inShard, offset + length - at);
      const firstLeaf = Math.floor(inShard / leafBytes);
      const lastLeaf = Math.floor((inShard + take - 1) / leafBytes);
      const leaves = await this.#source.leaves(manifest, index, firstLeaf, lastLeaf - firstLeaf + 1);
      const from = inShard - firstLeaf * leafBytes;
      parts.push(leaves.subarray(from, from + take));
      at += take;
    }
    const [only] = parts;
    if (parts.length === 1 && only !== undefined) return only;
    const whole = new Uint8Array(length);
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  /** The pack's head, and the key of those of its epoch that opens its trailer. Remembered; only to be read. */
  async openPack(manifest: Manifest): Promise<OpenPack> {
    const cacheKey = idKey(manifest.packId);
    const cached = this.#open.get(cacheKey);
    if (cached !== undefined) return cached;
    const head = decodePackHead(await this.#range(manifest, 0, packHeadBytes));
    if (head.keyEpoch !== manifest.keyEpoch)
      throw new KithError('malformed', 'pack and manifest name different key epochs');
    const keys = this.#sealingKeys(head.keyEpoch).map((sealingKey) => packKey(sealingKey, head.salt));
    let key = keys.length === 1 ? keys[0] : undefined;
    if (keys.length > 1) {
      const trailer = await this.#sealedTrailer(manifest);
      const additional = frameAdditional(head, frameOrdinals.trailer);
      key = keys.find(
        (k) => openFrame(head.suite, k, frameOrdinals.trailer, additional, trailer) !== undefined,
      );
    }
    if (key === undefined) {
      throw new KithError(
        'not-authentic',
        `this device has no keys of epoch ${head.keyEpoch} that open the pack`,
      );
    }
    if (this.#open.size >= openPacksMax) this.#open.clear();
    const open = { head, key };
    this.#open.set(cacheKey, open);
    return open;
  }

  #sealedTrailer(manifest: Manifest): Promise<Uint8Array> {
    const packBytes = (classBytes[manifest.class] ?? 0) * manifest.k;
    return this.#range(manifest, packBytes - packTrailerBytes, packTrailerBytes);
  }

  async #openSealed(pack: OpenPack, ordinal: number, sealed: Uint8Array): Promise<Uint8Array> {
    const additional = frameAdditional(pack.head, ordinal);
    const plain = openFrame(pack.head.suite, pack.key, ordinal, additional, sealed, this.#frameBuffer);
    if (plain === undefined) {
      throw new KithError('not-authentic', 'a frame does not open: it was sealed with other keys or altered');
    }
    return plain;
  }

  async #body(plain: Uint8Array): Promise<Uint8Array> {
    const body = decodeFrameBody(plain);
    if (body.compression === 1) return this.#compressor.decompress(body.body, body.plainBytes);
    if (body.body.length !== body.plainBytes)
      throw new KithError('malformed', 'frame length differs from its plain size');
    return body.body;
  }

  /** Plain bytes of one frame, as the directory or an index places it; with a `frameBuffer` they may lie there. Its blobs are not checked yet. */
  async frame(
    manifest: Manifest,
    place: { readonly ordinal: number; readonly offset: number; readonly sealedLength: number },
  ): Promise<Uint8Array> {
    if (place.sealedLength < tagBytes) throw new KithError('malformed', 'frame shorter than its seal');
    const pack = await this.openPack(manifest);
    const sealed = await this.#range(manifest, place.offset, place.sealedLength);
    return this.#body(await this.#openSealed(pack, place.ordinal, sealed));
  }

  /** The pack's own directory: works without any index. */
  async directory(manifest: Manifest): Promise<PackDirectory> {
    const pack = await this.openPack(manifest);
    const sealedTrailer = await this.#sealedTrailer(manifest);
    const trailer = decodePackTrailer(
      await this.#openSealed(pack, frameOrdinals.trailer, sealedTrailer),
      (classBytes[manifest.class] ?? 0) * manifest.k,
    );
    const sealed = await this.#range(manifest, trailer.directoryOffset, trailer.directorySealedLength);
    return decodePackDirectory(
      await this.#body(await this.#openSealed(pack, frameOrdinals.directory, sealed)),
    );
  }
}
