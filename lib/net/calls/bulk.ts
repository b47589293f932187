import { KithError } from '../../base/errors.ts';
import { unfilledBytes } from './upload-memory.ts';

/** Bytes of all parts together. */
export function bytesOf(parts: readonly Uint8Array[]): number {
  let total = 0;
  for (const part of parts) total += part.length;
  return total;
}

/**
 * Bulk bytes on their way out, a message at a time, as far as the other side has given credit. The parts are borrowed
 * until `stop`, or until all is sent.
 */
export class BulkOutbox {
  readonly totalBytes: number;
  readonly #parts: readonly Uint8Array[];
  readonly #push: (piece: Uint8Array, wanted: () => boolean) => Promise<void>;
  readonly #onError: (error: unknown) => void;
  readonly #pieceBytesMax: () => number;
  #part = 0;
  #offset = 0;
  #credit = 0;
  #sent = 0;
  #pumping = false;
  #stopped = false;

  /** `push` waits for its turn and sends the piece, if it is still `wanted` then. A piece has `pieceBytesMax` bytes at most, as of when it is cut. */
  constructor(
    parts: readonly Uint8Array[],
    push: (piece: Uint8Array, wanted: () => boolean) => Promise<void>,
    onError: (error: unknown) => void,
    pieceBytesMax: () => number,
  ) {
    this.#pieceBytesMax = pieceBytesMax;
    this.#parts = parts;
    this.totalBytes = bytesOf(parts);
    this.#push = push;
    this.#onError = onError;
  }

  get sentBytes(): number {
    return this.#sent;
  }

  /** True if the other side waits for bytes that it gave credit for. */
  get owes(): boolean {
    return this.#sent < this.#credit;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /** More bytes may go, as far as there are any. */
  grantUpTo(bytes: number): void {
    const more = Math.min(bytes, this.totalBytes - this.#credit);
    if (more > 0) this.grant(more);
  }

  /** More bytes may go. KithError `malformed` if that is more than there are. */
  grant(bytes: number): void {
    if (this.#credit + bytes > this.totalBytes) {
      throw new KithError('malformed', 'the other side gave credit for more than was offered');
    }
    this.#credit += bytes;
    if (this.#pumping) return;
    this.#pumping = true;
    this.#pump().catch((error: unknown) => this.#onError(error));
  }

  /** Nothing more goes out, not even what waits for its turn. */
  stop(): void {
    this.#stopped = true;
  }

  async #pump(): Promise<void> {
    while (!this.#stopped && this.#sent < this.#credit) {
      const piece = this.#nextPiece();
      await this.#push(piece, () => {
        if (this.#stopped) return false;
        this.#sent += piece.length;
        this.#offset += piece.length;
        return true;
      });
    }
    this.#pumping = false;
  }

  #nextPiece(): Uint8Array {
    let part = this.#parts[this.#part];
    while (part !== undefined && this.#offset >= part.length) {
      this.#offset = 0;
      part = this.#parts[++this.#part];
    }
    if (part === undefined) throw new RangeError('bulk bytes changed while they were sent');
    const length = Math.min(part.length - this.#offset, this.#pieceBytesMax(), this.#credit - this.#sent);
    return part.subarray(this.#offset, this.#offset + length);
  }
}

/** Bulk bytes on their way in: gathered, or only counted once nobody wants them any more. */
export class BulkInbox {
  readonly totalBytes: number;
  #bytes: Uint8Array | undefined;
  #received = 0;
  #granted: number;

  /** Takes memory for all of them: the caller has seen to it that this is no more than it allows. Bytes granted so far: all unless given. They
   * are gathered in `memory`, of which the beginning is filled, or in memory of their own. */
  constructor(totalBytes: number, grantedBytes: number = totalBytes, memory?: Uint8Array) {
    this.totalBytes = totalBytes;
    this.#granted = grantedBytes;
    this.#bytes = memory?.subarray(0, totalBytes) ?? unfilledBytes(totalBytes);
  }

  get complete(): boolean {
    return this.#received === this.totalBytes;
  }

  get missingBytes(): number {
    return this.totalBytes - this.#received;
  }

  /** Bytes that were granted and haven't come. */
  get owedBytes(): number {
    return this.#granted - this.#received;
  }

  /** Credit for so many more was sent. */
  grant(bytes: number): void {
    this.#granted += bytes;
  }

  /** Takes a copy. KithError `malformed` if it is more than was granted. */
  add(piece: Uint8Array): void {
    if (piece.length > this.owedBytes) {
      throw new KithError('malformed', 'the other side sent more bulk bytes than it was given credit for');
    }
    this.#bytes?.set(piece, this.#received);
    this.#received += piece.length;
  }

  /** Frees the memory; what still comes is counted only. */
  discard(): void {
    this.#bytes = undefined;
  }

  /** All of the bytes; the caller's own, or the beginning of the memory that was given. */
  take(): Uint8Array {
    const bytes = this.#bytes;
    if (bytes === undefined || !this.complete) throw new RangeError('bulk bytes taken before they had come');
    return bytes;
  }
}
