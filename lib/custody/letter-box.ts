import { join } from 'node:path';
import { equalBytes, fromHex, toHex } from '../base/bytes.ts';
import { Semaphore } from '../base/concurrency.ts';
import { isKithError } from '../base/errors.ts';
import type { Disk } from '../disk/disk.ts';
import { writeDurably } from '../disk/write-durably.ts';
import {
  decodeKeptLetter,
  encodeKeptLetter,
  letterFileBytesMax,
  letterNameOf,
  type KeptLetter,
} from '../format/letter.ts';

/** Letters that are kept: of one sender, for one addressee, and of all together 2 MiB at most. */
export const lettersOfSenderMax = 32;
export const lettersForAddresseeMax = 32;
export const lettersMax = 256;

/** How long one waits for its addressee. */
export const letterDaysMax = 14;
const letterNsMax = BigInt(letterDaysMax) * 86_400_000_000_000n;

const fileEnd = '.letter';
const folderName = 'letters';

export interface LetterBoxOptions {
  readonly disk: Disk;
  /** `home/tmp` must exist. */
  readonly home: string;
  readonly nowNs: () => bigint;
}

/** A letter without its text. */
type Waiting = Omit<KeptLetter, 'sealed'>;

/**
 * Letters of friends for friends who are away (docs/formats/cards-service.md): a file each in the home, so that they outlive a crash and a
 * restart. One call at a time. Errors are those of the disk.
 */
export class LetterBox {
  readonly #options: LetterBoxOptions;
  readonly #lock = new Semaphore(1);
  /** By name in hex; undefined until the folder was read. */
  #waiting: Map<string, Waiting> | undefined;

  constructor(options: LetterBoxOptions) {
    this.#options = options;
  }

  /** True once the letter is durable, or was there before; false where there is no room for one more. */
  async keep(sender: Uint8Array, addressee: Uint8Array, sealed: Uint8Array): Promise<boolean> {
    return await this.#lock.run(async () => {
      const waiting = await this.#read();
      const name = toHex(letterNameOf(addressee, sealed));
      if (waiting.has(name)) return true;
      const all = [...waiting.values()];
      const count = (is: (one: Waiting) => boolean): number => all.filter(is).length;
      if (all.length >= lettersMax) return false;
      if (count((one) => equalBytes(one.sender, sender)) >= lettersOfSenderMax) return false;
      if (count((one) => equalBytes(one.addressee, addressee)) >= lettersForAddresseeMax) return false;
      const head = {
        sender: sender.slice(),
        addressee: addressee.slice(),
        receivedNs: this.#options.nowNs(),
      };
      await this.#write(name, { ...head, sealed });
      waiting.set(name, head);
      return true;
    });
  }

  /** The letters that wait for somebody, sealed; those that can't be read are left out. */
  async lettersFor(addressee: Uint8Array): Promise<Uint8Array[]> {
    return await this.#lock.run(async () => {
      const letters: Uint8Array[] = [];
      for (const [name, one] of await this.#read()) {
        if (!equalBytes(one.addressee, addressee)) continue;
        const letter = await this.#readFile(name);
        if (letter !== undefined) letters.push(letter.sealed);
      }
      return letters;
    });
  }

  /** It was handed over. Harmless when repeated. */
  async letGo(addressee: Uint8Array, sealed: Uint8Array): Promise<void> {
    await this.#lock.run(async () => {
      const name = toHex(letterNameOf(addressee, sealed));
      if ((await this.#read()).delete(name)) await this.#unlink(name);
    });
  }

  /** What waits, without what has waited too long. A clock that went back keeps letters, one that went far ahead loses them. */
  async #read(): Promise<Map<string, Waiting>> {
    this.#waiting ??= await this.#readFolder();
    const nowNs = this.#options.nowNs();
    for (const [name, { receivedNs }] of this.#waiting) {
      if (nowNs - receivedNs <= letterNsMax) continue;
      await this.#unlink(name);
      this.#waiting.delete(name);
    }
    return this.#waiting;
  }

  async #readFolder(): Promise<Map<string, Waiting>> {
    const waiting = new Map<string, Waiting>();
    const { disk } = this.#options;
    for (const { name: file, isFile } of (await disk.list(this.#folder)) ?? []) {
      const name = file.slice(0, -fileEnd.length);
      const isLetter = isFile && file.endsWith(fileEnd) && fromHex(name)?.length === 16;
      if (!isLetter) continue;
      const letter = await this.#readFile(name);
      if (letter === undefined || waiting.size >= lettersMax) await this.#unlink(name);
      else {
        const { sender, addressee, receivedNs } = letter;
        waiting.set(name, { sender: sender.slice(), addressee: addressee.slice(), receivedNs });
      }
    }
    return waiting;
  }

  /** Undefined for one that is gone, damaged, or under a name that isn't its own. */
  async #readFile(name: string): Promise<KeptLetter | undefined> {
    try {
      const bytes = await this.#options.disk.readWhole(this.#path(name), letterFileBytesMax);
      const letter = bytes === undefined ? undefined : decodeKeptLetter(bytes);
      const isOwn = letter !== undefined && toHex(letterNameOf(letter.addressee, letter.sealed)) === name;
      return isOwn ? letter : undefined;
    } catch (error) {
      if (isKithError(error, 'malformed', 'limit-exceeded')) return undefined;
      throw error;
    }
  }

  async #write(name: string, letter: KeptLetter): Promise<void> {
    const { disk, home } = this.#options;
    await disk.makeFolder(this.#folder, 0o700);
    await writeDurably(disk, {
      tempFolder: join(home, 'tmp'),
      path: this.#path(name),
      parts: [encodeKeptLetter(letter)],
      mode: 0o600,
    });
  }

  async #unlink(name: string): Promise<void> {
    await this.#options.disk.unlink(this.#path(name));
  }

  get #folder(): string {
    return join(this.#options.home, folderName);
  }

  #path(name: string): string {
    return join(this.#folder, `${name}${fileEnd}`);
  }
}
