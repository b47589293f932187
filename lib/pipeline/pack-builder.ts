import { setImmediate } from 'node:timers/promises';
import { equalBytes } from '../base/bytes.ts';
import { collectYoung } from '../base/collect.ts';
import { KithError } from '../base/errors.ts';
import { classBytes, packBytesMax } from '../base/limits.ts';
import {
  openFrame,
  openFramePieces,
  sealFrame,
  sealFrameInto,
  suites,
  tagBytes,
  type Suite,
} from '../crypto/aead.ts';
import type { RandomSource } from '../crypto/random.ts';
import type { BlobNamer } from '../format/blob.ts';
import {
  type FrameBody,
  decodeFrameBody,
  encodeFrameBody,
  compressions,
  encodeFrameBodyHead,
  frameExtraBytes,
  frameBodyHeadBytes,
  frameAdditional,
  frameOrdinals,
} from '../format/frame.ts';
import {
  classFor,
  decodePackTrailer,
  encodePackHead,
  encodePackTrailer,
  packHeadBytes,
  packKey,
  packTrailerBytes,
  type PackHead,
} from '../format/pack-head.ts';
import {
  encodePackDirectory,
  packBlobsMax,
  type DirectoryBlob,
  type DirectoryFrame,
  type PackDirectory,
} from '../format/pack-directory.ts';
import type { Compressor } from './compress.ts';

/** Directory bytes that a blob and a frame take at most, beyond their place in the pack. */
const blobEntryBytesMax = 1 + 32 + 4 + 4;
const frameEntryBytesMax = 12 + 3;
const directoryExtraBytes = 16 + tagBytes;

/** Frames verified between two turns of the event loop. */
const framesPerTurn = 8;

/** Bytes of the largest pack for k data shards, and so what a builder can hold. */
export function packCapacity(k: number): number {
  let capacity = k * (classBytes[0] ?? 0);
  for (const bytes of classBytes) if (k * bytes <= Math.max(packBytesMax, capacity)) capacity = k * bytes;
  return capacity;
}

/** A pack that is whole, sealed and verified, not yet coded. `payload` is k × class bytes. */
export interface SealedPack {
  readonly keyEpoch: number;
  readonly k: number;
  readonly class: number;
  readonly payload: Uint8Array;
  readonly directory: PackDirectory;
  readonly plainBytes: number;
}

/** What goes into a frame. The body is what the compressor made, or the plain bytes with compression 0. */
export interface SealableFrame extends FrameBody {
  readonly blobs: readonly DirectoryBlob[];
}

/**
 * One open pack: frames are sealed into it until it is full (docs/formats/pack.md). It lives in one process, under a salt of
 * its own; a builder that has failed must be thrown away.
 */
export class PackBuilder {
  readonly #k: number;
  readonly #head: PackHead;
  readonly #key: Uint8Array;
  readonly #random: RandomSource;
  readonly #buffer: Uint8Array;
  readonly #frames: DirectoryFrame[] = [];
  #length: number = packHeadBytes;
  #blobCount = 0;
  #plainBytes = 0;
  #finished = false;

  constructor(options: {
    readonly k: number;
    readonly keyEpoch: number;
    readonly sealingKey: Uint8Array;
    readonly random: RandomSource;
    readonly suite?: Suite;
    /** Bytes of a full pack, `packCapacity(k)` unless given: k times a class, and enough for the largest frame. */
    readonly capacityBytes?: number | undefined;
    /** Where the pack is built, so many bytes at least; a fresh array unless given. */
    readonly memory?: Uint8Array | undefined;
  }) {
    this.#k = options.k;
    this.#random = options.random;
    this.#head = {
      version: 1,
      suite: options.suite ?? suites.aes256Gcm,
      keyEpoch: options.keyEpoch,
      salt: options.random(32),
    };
    this.#key = packKey(options.sealingKey, this.#head.salt);
    const capacityBytes = options.capacityBytes ?? packCapacity(options.k);
    this.#buffer = options.memory?.subarray(0, capacityBytes) ?? new Uint8Array(capacityBytes);
  }

  get empty(): boolean {
    return this.#frames.length === 0;
  }

  #bytesWith(frameBytes: number, frames: number, blobs: number): number {
    const directory = directoryExtraBytes + frames * frameEntryBytesMax + blobs * blobEntryBytesMax;
    return this.#length + frameBytes + directory + packTrailerBytes;
  }

  /** True if a frame with a body of that many bytes and that many blobs still fits. */
  fits(bodyBytes: number, blobs: number): boolean {
    const frameBytes = bodyBytes + 5 + tagBytes;
    return (
      this.#blobCount + blobs <= packBlobsMax &&
      this.#bytesWith(frameBytes, this.#frames.length + 1, this.#blobCount + blobs) <= this.#buffer.length
    );
  }

  /** What it would be if it were finished now: its class and the bytes that aren't padding. */
  get size(): { readonly k: number; readonly class: number; readonly contentBytes: number } {
    const directory = encodePackDirectory({ frames: this.#frames }).length + frameBodyHeadBytes + tagBytes;
    const contentBytes = this.#length + directory + packTrailerBytes;
    const sizeClass = classFor(contentBytes, this.#k);
    if (sizeClass === undefined) throw new Error('pack content over its capacity');
    return { k: this.#k, class: sizeClass, contentBytes };
  }

  /** Seals one frame into the pack. */
  add(frame: SealableFrame): void {
    if (this.#finished) throw new Error('pack is finished');
    if (!this.fits(frame.body.length, frame.blobs.length)) throw new Error('frame does not fit the pack');
    const ordinal = this.#frames.length;
    // Sealed where it will lie: every copy of what passes here costs a round of the garbage collector.
    const sealedLength = sealFrameInto(
      this.#buffer.subarray(this.#length),
      this.#head.suite,
      this.#key,
      ordinal,
      frameAdditional(this.#head, ordinal),
      encodeFrameBodyHead(frame.compression, frame.plainBytes, frame.body.length),
      frame.body,
    );
    this.#frames.push({
      offset: this.#length,
      sealedLength,
      plainBytes: frame.plainBytes,
      blobs: frame.blobs,
    });
    this.#length += sealedLength;
    this.#blobCount += frame.blobs.length;
    this.#plainBytes += frame.plainBytes;
  }

  /** Pads and closes the pack. What it returns shares the builder's memory; the builder is done. */
  finish(): SealedPack {
    if (this.#finished) throw new Error('pack is finished');
    this.#finished = true;
    const directory: PackDirectory = { frames: this.#frames };
    const directoryBody = encodePackDirectory(directory);
    const directoryPlain = encodeFrameBody(0, directoryBody.length, directoryBody);
    const directoryBytes = directoryPlain.length + tagBytes;
    const sizeClass = this.size.class;
    const total = this.#k * (classBytes[sizeClass] ?? 0);
    const payload = this.#buffer.subarray(0, total);
    payload.set(encodePackHead(this.#head), 0);
    const directoryOffset = total - packTrailerBytes - directoryBytes;
    payload.set(this.#random(directoryOffset - this.#length), this.#length);
    const { suite } = this.#head;
    const seal = (ordinal: number, plain: Uint8Array): Uint8Array =>
      sealFrame(suite, this.#key, ordinal, frameAdditional(this.#head, ordinal), plain);
    payload.set(seal(frameOrdinals.directory, directoryPlain), directoryOffset);
    const trailer = encodePackTrailer({
      directoryOffset,
      directorySealedLength: directoryBytes,
      plainBytes: this.#plainBytes,
    });
    payload.set(seal(frameOrdinals.trailer, trailer), total - packTrailerBytes);
    return {
      keyEpoch: this.#head.keyEpoch,
      k: this.#k,
      class: sizeClass,
      payload,
      directory,
      plainBytes: this.#plainBytes,
    };
  }

  /**
   * Opens every frame of a pack that isn't finished and gives them back, to go into another pack; the builder is done.
   * KithError `damaged` where one doesn't open.
   */
  takeApart(): SealableFrame[] {
    if (this.#finished) throw new Error('pack is finished');
    this.#finished = true;
    return this.#frames.map(({ blobs }, ordinal) => ({ ...this.#openFrame(ordinal, this.#buffer), blobs }));
  }

  /** The body of a frame, as it was sealed. */
  #openFrame(ordinal: number, payload: Uint8Array): FrameBody {
    const frame = this.#frames[ordinal];
    if (frame === undefined) throw packDamaged();
    const sealed = payload.subarray(frame.offset, frame.offset + frame.sealedLength);
    const additional = frameAdditional(this.#head, ordinal);
    const opened = openFrame(this.#head.suite, this.#key, ordinal, additional, sealed);
    if (opened === undefined) throw packDamaged();
    return decodeFrameBody(opened);
  }

  /** The pack's head, trailer and directory must say what was meant. */
  #verifyEnds({ payload, directory, plainBytes }: SealedPack): void {
    const open = (ordinal: number, offset: number, length: number): Uint8Array => {
      const sealed = payload.subarray(offset, offset + length);
      const plain = openFrame(
        this.#head.suite,
        this.#key,
        ordinal,
        frameAdditional(this.#head, ordinal),
        sealed,
      );
      if (plain === undefined) throw packDamaged();
      return plain;
    };
    if (!equalBytes(payload.subarray(0, packHeadBytes), encodePackHead(this.#head))) throw packDamaged();
    const trailerAt = payload.length - packTrailerBytes;
    const trailer = decodePackTrailer(
      open(frameOrdinals.trailer, trailerAt, packTrailerBytes),
      payload.length,
    );
    const { directoryOffset, directorySealedLength } = trailer;
    const { body } = decodeFrameBody(open(frameOrdinals.directory, directoryOffset, directorySealedLength));
    if (trailer.plainBytes !== plainBytes || !equalBytes(body, encodePackDirectory(directory)))
      throw packDamaged();
  }

  /** True for a frame that is the bytes of one blob as they are. */
  #isOneChunk({ sealedLength, plainBytes, blobs }: DirectoryFrame): boolean {
    return blobs.length === 1 && sealedLength === plainBytes + frameExtraBytes;
  }

  /** Opens such a frame and names its blob without putting its bytes together: most bytes that pass here are photos and films. */
  #verifyChunk(payload: Uint8Array, ordinal: number, frame: DirectoryFrame, namer: BlobNamer): void {
    const sealed = payload.subarray(frame.offset, frame.offset + frame.sealedLength);
    const additional = frameAdditional(this.#head, ordinal);
    const pieces = openFramePieces(this.#head.suite, this.#key, ordinal, additional, sealed);
    const [first, ...others] = pieces ?? [];
    const [blob] = frame.blobs;
    if (first === undefined || blob === undefined || blob.length !== frame.plainBytes) throw packDamaged();
    const head = encodeFrameBodyHead(compressions.none, frame.plainBytes, frame.plainBytes);
    if (!equalBytes(first.subarray(0, frameBodyHeadBytes), head)) throw packDamaged();
    const blobId = namer.idOf(blob.kind, first.subarray(frameBodyHeadBytes), ...others);
    if (!equalBytes(blobId, blob.blobId)) throw packDamaged();
  }

  /**
   * Opens every frame of the finished pack again and names every blob anew: memory that flipped a bit since the bytes
   * were read shows here, before anything is sent. KithError `damaged` if so.
   */
  verify(pack: SealedPack, namer: BlobNamer, compressor: Compressor): void {
    const frames = this.#verifying(pack, namer, compressor);
    while (frames.next().done !== true);
  }

  /**
   * Like verify, with turns of the event loop in between: in these, native packages give back what they unpacked, which is several times
   * the pack where it is compressed.
   */
  async verifyInTurns(pack: SealedPack, namer: BlobNamer, compressor: Compressor): Promise<void> {
    let frames = 0;
    for (const _ of this.#verifying(pack, namer, compressor)) {
      if (++frames % framesPerTurn !== 0) continue;
      collectYoung();
      await setImmediate();
    }
  }

  /** A step a frame. */
  *#verifying(
    pack: SealedPack,
    namer: BlobNamer,
    compressor: Compressor,
  ): Generator<undefined, void, undefined> {
    this.#verifyEnds(pack);
    for (const [ordinal, frame] of pack.directory.frames.entries()) {
      yield;
      if (this.#isOneChunk(frame)) {
        this.#verifyChunk(pack.payload, ordinal, frame, namer);
        continue;
      }
      const { compression, body, plainBytes } = this.#openFrame(ordinal, pack.payload);
      const plain = compression === 0 ? body : compressor.decompressNow(body, plainBytes);
      for (const blob of frame.blobs) {
        const bytes = plain.subarray(blob.offsetInFrame, blob.offsetInFrame + blob.length);
        if (!equalBytes(namer.idOf(blob.kind, bytes), blob.blobId)) throw packDamaged();
      }
    }
  }
}

function packDamaged(): KithError {
  return new KithError(
    'damaged',
    'a pack differs from what was read when it is opened again. This points to bad memory in this computer; nothing of it was sent. Test the memory and run the backup again.',
  );
}
