import { equalBytes, toHex } from '../base/bytes.ts';
import { KithError, isKithError } from '../base/errors.ts';
import { openBox, sealBox, type BoxKeyPair } from '../crypto/sign.ts';
import type { LetterBox } from '../custody/letter-box.ts';
import type { Card } from '../format/card.ts';
import { decodeLetter, encodeLetter, letterNameOf, type Letter } from '../format/letter.ts';
import type { CardsCaller } from '../services/cards/cards-caller.ts';
import { certificatesOf } from '../trust/card.ts';
import { contactPairOf } from '../trust/contact.ts';
import type { DeviceKeys } from '../trust/device.ts';

/** Friends that are given one letter at most, and friends that are tried: two are enough for one of them to be there. */
const carriersWanted = 2;
const carriersTriedMax = 16;

/** Devices of an addressee whose contact key isn't known: each gets a letter of its own. */
const devicesMax = 4;

/** Letters that are known to be done: a second carrier brings the same. */
const doneMax = 256;

/**
 * Does what a letter of one kind says, and is safe to be done twice. True where there is nothing more to do, also for nonsense; false keeps
 * the letter for another device, or for later.
 */
export type LetterHandler = (bytes: Uint8Array) => Promise<boolean>;

export interface LettersOptions {
  readonly device: () => DeviceKeys;
  /** Undefined where nothing is kept for anybody: a command that works by itself. */
  readonly box: LetterBox | undefined;
  /** Friends who are here, in the order in which they are asked. */
  readonly carriers: () => readonly CardsCaller[];
  /** The newest contact key that somebody gave us. */
  readonly contactKeyOf: (identity: Uint8Array) => Uint8Array | undefined;
  /** Verified. */
  readonly cardOf: (identity: Uint8Array) => Card | undefined;
}

/** Small sealed letters by way of friends, to friends who are away (docs/formats/cards-service.md). */
export class Letters {
  readonly #options: LettersOptions;
  readonly #handlers = new Map<number, LetterHandler>();
  /** Names of letters that were done in this process; the oldest first. */
  readonly #done = new Set<string>();

  constructor(options: LettersOptions) {
    this.#options = options;
  }

  /** From now on letters of that kind are given to the handler. */
  on(kind: number, handler: LetterHandler): void {
    this.#handlers.set(kind, handler);
  }

  /**
   * Gives a letter for somebody who is in our book to friends of ours that are friends of that person. Resolves with how many keep it: none
   * where no such friend is here. A contact key is known to all friends of theirs: with `devices` it is sealed to the newest of the devices
   * (by their ids) for which that is true, and nobody else can read it. KithError `limit-exceeded` for more than letterTextBytesMax,
   * `friend-unknown` without a card.
   */
  async send(
    addressee: Uint8Array,
    kind: number,
    bytes: Uint8Array,
    devices?: (deviceId: Uint8Array) => boolean,
  ): Promise<number> {
    const plain = encodeLetter({ kind, addressee, bytes });
    const sealed = this.#keysOf(addressee, devices).map((key) => sealBox(plain, key));
    let taken = 0;
    for (const carrier of this.#options.carriers().slice(0, carriersTriedMax)) {
      if (await postAll(carrier, addressee, sealed)) taken++;
      if (taken >= carriersWanted) break;
    }
    return taken;
  }

  /** A friend brings a letter for somebody, or for us. False where it isn't taken, whatever the reason. */
  async onPosted(
    sender: Uint8Array,
    addressee: Uint8Array | undefined,
    sealed: Uint8Array,
  ): Promise<boolean> {
    const { box, device } = this.#options;
    if (addressee === undefined) return false;
    if (equalBytes(addressee, device().vaultId)) return await this.onDelivered(sealed);
    try {
      return (await box?.keep(sender, addressee, sealed)) ?? false;
    } catch (error) {
      // A full disk, say.
      if (isKithError(error)) return false;
      throw error;
    }
  }

  /** A friend hands over what it kept for us. True if it needn't be kept any longer. */
  async onDelivered(sealed: Uint8Array): Promise<boolean> {
    const { vaultId } = this.#options.device();
    const name = toHex(letterNameOf(vaultId, sealed));
    if (this.#done.has(name)) return true;
    const plain = this.#opened(sealed);
    if (plain === undefined) return false;
    const letter = readLetter(plain);
    if (letter === 'too-new') return false;
    const isOurs = letter !== undefined && equalBytes(letter.addressee, vaultId);
    // What opened and is no letter to us never becomes one.
    if (isOurs && !(await this.#handle(letter))) return false;
    this.#done.add(name);
    for (const oldest of this.#done) if (this.#done.size > doneMax) this.#done.delete(oldest);
    return true;
  }

  /** Hands over what waits for a friend who has come. Errors of the calls, and of the disk. */
  async handOver(addressee: Uint8Array, to: CardsCaller): Promise<void> {
    const { box } = this.#options;
    for (const sealed of (await box?.lettersFor(addressee)) ?? []) {
      if (await to.deliver(sealed)) await box?.letGo(addressee, sealed);
    }
  }

  /** A kind that nobody here knows waits for a newer kith. */
  async #handle({ kind, bytes }: Letter): Promise<boolean> {
    const handler = this.#handlers.get(kind);
    if (handler === undefined) return false;
    try {
      return await handler(bytes.slice());
    } catch (error) {
      if (isKithError(error)) return false;
      throw error;
    }
  }

  #opened(sealed: Uint8Array): Uint8Array | undefined {
    const device = this.#options.device();
    const pairs: BoxKeyPair[] = [...device.epochs.toReversed().map(contactPairOf), device.boxKeys];
    for (const pair of pairs) {
      const plain = openBox(sealed, pair);
      if (plain !== undefined) return plain;
    }
    return undefined;
  }

  /** The contact key, or, where none was given to us or it is for devices, those of the newest devices on the card. */
  #keysOf(addressee: Uint8Array, devices?: (deviceId: Uint8Array) => boolean): Uint8Array[] {
    const key = devices === undefined ? this.#options.contactKeyOf(addressee) : undefined;
    if (key !== undefined) return [key];
    const card = this.#options.cardOf(addressee);
    if (card === undefined) {
      throw new KithError('friend-unknown', 'there is no card of whom the letter is for');
    }
    return certificatesOf(card)
      .filter(({ deviceId }) => devices?.(deviceId) ?? true)
      .slice(-devicesMax)
      .map(({ boxKey }) => boxKey);
  }
}

async function postAll(
  carrier: CardsCaller,
  addressee: Uint8Array,
  sealed: readonly Uint8Array[],
): Promise<boolean> {
  try {
    for (const each of sealed) if (!(await carrier.post(addressee, each))) return false;
    return sealed.length > 0;
  } catch (error) {
    if (isKithError(error)) return false;
    throw error;
  }
}

/** Undefined for what is no letter. */
function readLetter(plain: Uint8Array): Letter | 'too-new' | undefined {
  try {
    return decodeLetter(plain);
  } catch (error) {
    if (isKithError(error, 'too-new')) return 'too-new';
    if (isKithError(error, 'malformed')) return undefined;
    throw error;
  }
}
