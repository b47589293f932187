import { join } from 'node:path';
import { equalBytes, idKey, idOfKey } from '../base/bytes.ts';
import { Semaphore } from '../base/concurrency.ts';
import { isKithError } from '../base/errors.ts';
import type { Disk } from '../disk/disk.ts';
import { writeDurably } from '../disk/write-durably.ts';
import {
  copyHead,
  decodeHeadsFile,
  encodeHeadsFile,
  headsFileBytesMax,
  headsMax,
  verifyHead,
  type SignedHead,
} from '../format/signed-head.ts';

export interface HeadBookOptions {
  readonly disk: Disk;
  /** `home/tmp` must exist. */
  readonly home: string;
}

/**
 * How long friends' logs were when their devices said so: of each log the longest. In memory, and in the file `heads` of the home once
 * saved. What is lost of it is only told anew.
 */
export class HeadBook {
  readonly #options: HeadBookOptions;
  readonly #saving = new Semaphore(1);
  /** By owner; of each the logs that were told of last stand last. */
  #heads: ReadonlyMap<string, readonly SignedHead[]> = new Map();
  #isSaved = true;

  constructor(options: HeadBookOptions) {
    this.#options = options;
  }

  /** Reads what the home has; what was told before that stays. A damaged file is as good as none. */
  async load(): Promise<void> {
    const { disk } = this.#options;
    try {
      const bytes = await disk.readWhole(this.#path, headsFileBytesMax);
      for (const { owner, heads } of bytes === undefined ? [] : decodeHeadsFile(bytes)) {
        for (const head of heads) verifyHead(owner, head);
        this.take(owner, heads);
      }
    } catch (error) {
      if (!isKithError(error, 'malformed', 'too-new', 'not-authentic', 'limit-exceeded')) throw error;
    }
  }

  /** The longest that is known of each log of an owner. */
  of(owner: Uint8Array): readonly SignedHead[] {
    return this.#heads.get(idKey(owner)) ?? [];
  }

  /** Takes heads that were verified. Of more logs than headsMax those go that were told of longest ago. */
  take(owner: Uint8Array, heads: readonly SignedHead[]): void {
    let known = [...this.of(owner)];
    for (const head of heads) {
      const before = known.find(({ position }) => equalBytes(position.logKey, head.position.logKey));
      if (before !== undefined && before.position.length >= head.position.length) continue;
      known = [...known.filter((each) => each !== before), copyHead(head)].slice(-headsMax);
      this.#isSaved = false;
    }
    this.#heads = new Map([...this.#heads, [idKey(owner), known]]);
  }

  /** Makes what is new durable, of those owners who are still friends. Errors of the disk. */
  async save(isFriend: (owner: Uint8Array) => boolean): Promise<void> {
    await this.#saving.run(async () => {
      if (this.#isSaved) return;
      this.#isSaved = true;
      this.#heads = new Map([...this.#heads].filter(([key]) => isFriend(idOfKey(key))));
      const all = [...this.#heads].map(([key, heads]) => ({ owner: idOfKey(key), heads }));
      try {
        const { disk, home } = this.#options;
        const parts = [encodeHeadsFile(all)];
        await writeDurably(disk, { tempFolder: join(home, 'tmp'), path: this.#path, parts, mode: 0o600 });
      } catch (error) {
        this.#isSaved = false;
        throw error;
      }
    });
  }

  get #path(): string {
    return join(this.#options.home, 'heads');
  }
}
