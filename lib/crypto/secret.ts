import sodium from 'sodium-native';

/**
 * Secret bytes outside the garbage-collected heap: locked against swapping where the system allows, guarded,
 * and zeroed by `wipe`. What kith keeps of the phrase lives in one of these and only for one operation.
 */
export class Secret {
  readonly #bytes: Buffer;
  #wiped = false;

  private constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Moves bytes into guarded memory and zeroes the array they came in. */
  static take(bytes: Uint8Array): Secret {
    const guarded = sodium.sodium_malloc(bytes.length);
    guarded.set(bytes);
    wipeBytes(bytes);
    return new Secret(guarded);
  }

  /** A view, valid until `wipe`. Throws after it. */
  get bytes(): Uint8Array {
    if (this.#wiped) throw new Error('secret used after it was wiped');
    return this.#bytes;
  }

  get wiped(): boolean {
    return this.#wiped;
  }

  /** Zeroes the memory. Harmless when repeated. */
  wipe(): void {
    wipeBytes(this.#bytes);
    this.#wiped = true;
  }
}

/** Zeroes bytes in a way that the engine can't leave out. */
export function wipeBytes(bytes: Uint8Array): void {
  sodium.sodium_memzero(bytes);
}
