/** Bytes of the length before each message of a secret stream, lowest first. */
const headBytes = 3;

/** Follows the lengths of messages in the bytes of a secret stream, so that none too long is waited for. */
export class MessageHeads {
  readonly #bytesMax: number;
  #length = 0;
  #readBytes = 0;
  /** Of the message whose length has been read. */
  #leftBytes = 0;
  /** No byte of it has come yet. */
  #isNew = false;
  #hasWhole = false;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** True if what was taken last holds a message from its first byte to its last: the stream hands that on as a view, and copies all others. */
  get hasWhole(): boolean {
    return this.#hasWhole;
  }

  /** Takes what comes next; false if it announces a message that is too long. */
  take(bytes: Uint8Array): boolean {
    let at = 0;
    this.#hasWhole = false;
    while (at < bytes.length) {
      if (this.#leftBytes > 0) {
        const skipped = Math.min(this.#leftBytes, bytes.length - at);
        if (this.#isNew && skipped === this.#leftBytes) this.#hasWhole = true;
        this.#isNew = false;
        this.#leftBytes -= skipped;
        at += skipped;
        continue;
      }
      this.#length += (bytes[at++] ?? 0) * 256 ** this.#readBytes;
      if (++this.#readBytes < headBytes) continue;
      if (this.#length > this.#bytesMax) return false;
      this.#leftBytes = this.#length;
      this.#isNew = true;
      this.#length = 0;
      this.#readBytes = 0;
    }
    return true;
  }
}
