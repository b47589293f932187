import { join } from 'node:path';
import { equalBytes } from '../base/bytes.ts';
import { Semaphore } from '../base/concurrency.ts';
import { isKithError, KithError } from '../base/errors.ts';
import type { Disk } from '../disk/disk.ts';
import { writeDurably } from '../disk/write-durably.ts';
import { cardBytesMax, decodeCard, encodeCard, verifyCard, type Card } from '../format/card.ts';
import { cardCovers, mergeCards } from './card.ts';

const fileName = 'own-card';

export interface OwnCardFileOptions {
  readonly disk: Disk;
  readonly home: string;
  /** On the same file system; it must exist. */
  readonly tempFolder: string;
  readonly identity: Uint8Array;
}

/**
 * What this identity's other devices have shown of its card (home file `own-card`, docs/formats/card.md): above all where they can be met.
 * Public; lost or damaged, it is learned again.
 */
export class OwnCardFile {
  readonly #options: OwnCardFileOptions;
  readonly #writing = new Semaphore(1);
  #card: Card | undefined;

  private constructor(options: OwnCardFileOptions, card: Card | undefined) {
    this.#options = options;
    this.#card = card;
  }

  static async open(options: OwnCardFileOptions): Promise<OwnCardFile> {
    try {
      const bytes = await options.disk.readWhole(join(options.home, fileName), cardBytesMax);
      return new OwnCardFile(options, bytes === undefined ? undefined : read(bytes, options.identity));
    } catch (error) {
      if (!isKithError(error, 'malformed', 'too-new', 'not-authentic', 'limit-exceeded')) throw error;
      return new OwnCardFile(options, undefined);
    }
  }

  /** Undefined while no other device was met. */
  get card(): Card | undefined {
    return this.#card;
  }

  /** Takes in a card of this identity, durably. KithError `malformed`, `not-authentic`, `limit-exceeded`; then nothing is taken. */
  async learn(bytes: Uint8Array): Promise<Card> {
    const shown = read(bytes, this.#options.identity);
    return await this.#writing.run(async () => {
      if (this.#card !== undefined && cardCovers(this.#card, shown)) return this.#card;
      const merged = this.#card === undefined ? shown : mergeCards(this.#card, shown);
      const { disk, home, tempFolder } = this.#options;
      await writeDurably(disk, {
        tempFolder,
        path: join(home, fileName),
        parts: [encodeCard(merged)],
        mode: 0o600,
      });
      this.#card = merged;
      return merged;
    });
  }
}

function read(bytes: Uint8Array, identity: Uint8Array): Card {
  const card = decodeCard(bytes.slice());
  if (!equalBytes(card.identity, identity))
    throw new KithError('not-authentic', 'the card is of another identity');
  verifyCard(card);
  return card;
}
