import { chmodSync, linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { utf8, viewAsBuffer } from '../lib/base/bytes.ts';
import { systemCode } from '../lib/base/errors.ts';
import { nativeCalls, setMtime } from '../lib/source/native.ts';
import { joinPath } from '../lib/source/path.ts';
import { Dice, noise, text } from './corpora.ts';

/** What makes the sample: at scale 1 about 256 MB in some three thousand files. */
const sampleBytes = 256e6;
const photoShare = 0.66;
const filmShare = 0.18;
const tableShare = 0.06;
const letterShare = 0.09;
const letterBytesMax = 14_000;

/** Times lie between 2004 and 2026. */
const firstSecond = 1_072_915_200;
const lastSecond = 1_767_225_600;

/** Names that have broken backup programs before. Each has a little text of its own. */
const oddNames: readonly (string | Uint8Array)[] = [
  ' spaces around ',
  'two\nlines',
  'tab\tand \x1b[31mred',
  '-rf',
  '--help',
  '.hidden',
  '...',
  '~',
  'emoji 🦔 hedgehog.txt',
  'Größe, naïve, 日本語.txt',
  'e\u0301 in two code points',
  'é in one code point',
  'back\\slash',
  `"quotes" and 'quotes'`,
  '$(echo nothing); `ls` & | > <',
  '*?[glob]',
  'C:',
  `long ${'x'.repeat(245)}`,
];

/** On Linux a name is any bytes; elsewhere these are refused. */
const rawNames: readonly Uint8Array[] = [
  new Uint8Array([0x6e, 0x6f, 0x74, 0x20, 0xff, 0xfe]),
  new Uint8Array([0xc3, 0x28]),
  new Uint8Array([0x80]),
];

/** How a sample is made. */
export interface SampleOptions {
  /** 1 for about 256 MB. */
  readonly scale?: number;
  /** Told of the bytes written so far and of all there will be, about. */
  readonly onProgress?: (bytes: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * Fills a new folder with what people's folders have: letters, photos that don't compress, a film, a table, copies, empty
 * things, odd names, links, modes, times to the ns. The same for the same scale, but for what the system refuses.
 */
export async function makeSampleFolder(folder: string, options: SampleOptions = {}): Promise<void> {
  const maker = new SampleMaker(options);
  const root = utf8(folder);
  mkdirSync(viewAsBuffer(root), { recursive: true });
  await maker.letters(maker.folder(root, 'letters'));
  await maker.photos(maker.folder(root, 'photos'));
  await maker.bigFiles(maker.folder(root, 'films and tables'));
  maker.odds(maker.folder(root, 'odd names'));
  maker.links(maker.folder(root, 'links and modes'));
  maker.finish(root);
}

class SampleMaker {
  readonly #bytes: number;
  readonly #options: SampleOptions;
  readonly #dice = new Dice(2026);
  readonly #native = nativeCalls();
  /** Folders from the outermost on: their times are set last, from the innermost. */
  readonly #folders: Uint8Array[] = [];
  #written = 0;
  #seed = 0;

  constructor(options: SampleOptions) {
    this.#options = options;
    this.#bytes = sampleBytes * (options.scale ?? 1);
  }

  folder(above: Uint8Array, name: string): Uint8Array {
    const path = joinPath(above, utf8(name));
    mkdirSync(viewAsBuffer(path));
    this.#folders.push(path);
    return path;
  }

  #time(): bigint {
    const seconds = BigInt(this.#dice.between(firstSecond, lastSecond));
    return seconds * 1_000_000_000n + BigInt(this.#dice.below(1_000_000_000));
  }

  #file(folder: Uint8Array, name: string | Uint8Array, bytes: Uint8Array, mode = 0o644): Uint8Array {
    const path = joinPath(folder, typeof name === 'string' ? utf8(name) : name);
    writeFileSync(viewAsBuffer(path), bytes);
    chmodSync(viewAsBuffer(path), mode);
    setMtime(this.#native, path, this.#time(), true);
    this.#written += bytes.length;
    return path;
  }

  async #pause(): Promise<void> {
    this.#options.onProgress?.(this.#written, this.#bytes);
    await setImmediate();
    this.#options.signal?.throwIfAborted();
  }

  async letters(folder: Uint8Array): Promise<void> {
    const pool = text(4_000_000, 1);
    const end = this.#written + this.#bytes * letterShare;
    for (let year = 2004; this.#written < end; year++) {
      const yearFolder = this.folder(folder, String(year));
      for (let month = 1; month <= 12 && this.#written < end; month++) {
        const monthFolder = this.folder(yearFolder, String(month).padStart(2, '0'));
        for (let day = 1; day <= 16 && this.#written < end; day++) {
          const length = this.#dice.between(1, letterBytesMax);
          const at = this.#dice.below(pool.length - length);
          const head = utf8(`Letter ${day} of ${month}/${year}\n\n`);
          this.#file(monthFolder, `letter ${day}.txt`, Buffer.concat([head, pool.subarray(at, at + length)]));
        }
        await this.#pause();
      }
    }
  }

  async photos(folder: Uint8Array): Promise<void> {
    const end = this.#written + this.#bytes * photoShare;
    const copies = this.folder(folder, 'best of (copies)');
    const largest = Math.min(8e6, (this.#bytes * photoShare) / 4);
    for (let number = 1; this.#written < end; number++) {
      const photo = noise(this.#dice.between(Math.ceil(largest / 4), Math.ceil(largest)), ++this.#seed);
      this.#file(folder, `IMG_${String(number).padStart(4, '0')}.jpg`, photo);
      if (number % 9 === 2) this.#file(copies, `number ${number}.jpg`, photo);
      await this.#pause();
    }
  }

  async bigFiles(folder: Uint8Array): Promise<void> {
    this.#file(folder, 'holiday.mp4', noise(Math.ceil(this.#bytes * filmShare), ++this.#seed), 0o600);
    await this.#pause();
    this.#file(folder, 'table.csv', text(Math.ceil(this.#bytes * tableShare), ++this.#seed));
    await this.#pause();
  }

  odds(folder: Uint8Array): void {
    for (const name of [...oddNames, ...rawNames]) {
      try {
        this.#file(folder, name, utf8('What is in a name?\n'));
      } catch (error) {
        // File systems differ in the names that they take; the rest is odd enough.
        if (!['EILSEQ', 'EINVAL', 'ENAMETOOLONG', 'ENOENT'].includes(systemCode(error) ?? '')) throw error;
      }
    }
    let deep = folder;
    for (let depth = 1; depth <= 24; depth++) deep = this.folder(deep, `deeper ${depth}`);
    this.#file(deep, 'at the bottom', utf8('Hello.\n'));
  }

  links(folder: Uint8Array): void {
    this.#file(folder, 'empty file', new Uint8Array(0));
    this.folder(folder, 'empty folder');
    for (const [name, mode] of [
      ['script.sh', 0o755],
      ['private', 0o600],
      ['read-only', 0o444],
      ['for the group', 0o664],
    ] as const) {
      this.#file(folder, name, utf8(`#!/bin/sh\necho ${name}\n`), mode);
    }
    const twice = this.#file(folder, 'two names, one file', text(5000, 3));
    linkSync(viewAsBuffer(twice), viewAsBuffer(joinPath(folder, utf8('the other name'))));
    for (const [name, target] of [
      ['link to a file', 'script.sh'],
      ['link to a folder', '../photos'],
      ['link to nowhere', '/nowhere/at/all'],
      ['link to itself', 'link to itself'],
    ] as const) {
      const path = joinPath(folder, utf8(name));
      symlinkSync(target, viewAsBuffer(path));
      setMtime(this.#native, path, this.#time(), false);
    }
    const locked = this.folder(folder, 'read-only folder');
    this.#file(locked, 'look', utf8('but do not touch\n'), 0o400);
    chmodSync(viewAsBuffer(locked), 0o555);
    chmodSync(viewAsBuffer(this.folder(folder, 'private folder')), 0o700);
  }

  finish(root: Uint8Array): void {
    for (const path of [root, ...this.#folders].toReversed())
      setMtime(this.#native, path, this.#time(), true);
  }
}
