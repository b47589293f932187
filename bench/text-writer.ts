import { Dice } from './corpora.ts';

const wordCount = 3000;
const writeBytes = 16_384;
const syllables =
  'ac ad al an ar ba be bi bo ca ce co cu da de di do en er ex fa fi ge id in is ke la le li lo ma me mo ne no on or pa pe po qu ra re ri ro sa se si so ta te ti to un ut va ve vi xa'.split(
    ' ',
  );
const licences: readonly string[] = ['GPL-2.0-only', 'GPL-2.0-or-later', 'MIT', 'BSD-3-Clause', 'Apache-2.0'];
const includes: readonly string[] = ['module', 'slab', 'kernel', 'device', 'init', 'errno', 'list', 'types'];

/**
 * Sizes of the Linux 6.1 source, 78,579 files: at this share of all files, ordered by size, stands a file of so many bytes.
 * Between two of them sizes grow by equal factors.
 */
const sizeSteps: readonly (readonly [share: number, bytes: number])[] = [
  [0, 1],
  [0.01, 73],
  [0.05, 254],
  [0.1, 446],
  [0.25, 1280],
  [0.5, 3874],
  [0.75, 11_416],
  [0.9, 28_758],
  [0.95, 48_085],
  [0.99, 124_603],
  [0.999, 1_119_149],
  [1, 23_944_620],
];

/** The size at a share in [0, 1] of the files of a source tree ordered by size. */
export function sourceFileBytes(share: number): number {
  const above = Math.max(
    1,
    sizeSteps.findIndex(([at]) => at >= share),
  );
  const [lowShare, low] = sizeSteps[above - 1] ?? [0, 1];
  const [highShare, high] = sizeSteps[above] ?? [1, 1];
  return Math.round(low * (high / low) ** ((share - lowShare) / (highShare - lowShare)));
}

/**
 * Writes text with the habits of program text: common and rare words, names of its own in each file, the same few
 * shapes of lines. The same for the same seed. zstd at level 1 leaves about a quarter of it, as of the Linux source.
 */
export class TextWriter {
  #state: number;
  readonly #words: readonly string[];

  constructor(seed: number) {
    this.#state = (Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995) >>> 0 || 1;
    const words = new Dice(4711);
    this.#words = Array.from({ length: wordCount }, () =>
      Array.from({ length: words.between(1, 4) }, () => syllables[words.below(syllables.length)]).join(''),
    );
  }

  /** A file of exactly so many bytes, all ASCII. */
  file(bytes: number): Uint8Array {
    const { names, calls } = this.#vocabulary(bytes);
    const out = Buffer.alloc(bytes);
    let at = out.write(
      `// SPDX-License-Identifier: ${this.#from(licences)}\n/*\n * ${this.#sentence(6)}\n */\n\n`,
      'latin1',
    );
    for (let count = this.#below(6); count > 0 && at < bytes; count--) {
      at += out.write(`#include <linux/${this.#from(includes)}.h>\n`, at, 'latin1');
    }
    while (at < bytes) {
      // Many lines in one write: each costs a call out of the engine.
      let lines = '';
      const wanted = Math.min(bytes - at, writeBytes);
      while (lines.length < wanted) lines += this.#lines(names, calls);
      at += out.write(lines, at, 'latin1');
    }
    return out;
  }

  /** One line of comment, with its line feed. */
  line(): Uint8Array {
    return Buffer.from(`\t/* ${this.#sentence(8)} */\n`, 'latin1');
  }

  #vocabulary(bytes: number): { names: string[]; calls: string[] } {
    const count = Math.min(300, 4 + Math.floor(bytes / 400));
    const prefix = this.#word();
    return {
      names: Array.from({ length: count }, () =>
        this.#below(2) === 0 ? this.#word() : `${this.#word()}_${this.#word()}`,
      ),
      calls: Array.from({ length: count }, () => `${prefix}_${this.#word()}`),
    };
  }

  #lines(names: readonly string[], calls: readonly string[]): string {
    const a = this.#skewed(names);
    const b = this.#skewed(names);
    const call = this.#skewed(calls);
    switch (this.#below(12)) {
      case 0:
        return `}\n\nstatic int ${call}(struct ${a} *${b})\n{\n\tint ret;\n\n`;
      case 1:
        return `\tif (!${a}->${b})\n\t\treturn -EINVAL;\n\n`;
      case 2:
        return `\tret = ${call}(${a}, ${b});\n\tif (ret < 0)\n\t\tgoto out_${a};\n`;
      case 3:
        return `\t/* ${this.#sentence(7)} */\n`;
      case 4:
        return `#define ${a.toUpperCase()}_${b.toUpperCase()}\t\t0x${this.#below(65_536).toString(16)}\n`;
      case 5:
        return `\tfor (i = 0; i < ${a}->${b}; i++) {\n\t\t${call}(&${a}[i]);\n\t}\n`;
      case 6:
        return `\tdev_dbg(${a}->dev, "${this.#sentence(4)} %d\\n", ${b});\n`;
      case 7:
        return `\tstruct ${a} *${b} = ${call}(${this.#below(256)});\n`;
      default:
        return `\t${a}->${b} = ${this.#below(3) === 0 ? this.#below(1000) : this.#skewed(names)};\n`;
    }
  }

  #sentence(words: number): string {
    return Array.from({ length: words }, () => this.#word()).join(' ');
  }

  /** Few words are common and most are rare. */
  #word(): string {
    return this.#skewed(this.#words);
  }

  #skewed(items: readonly string[]): string {
    const dice = this.#next() / 2 ** 32;
    return items[Math.floor(items.length * dice * dice * dice)] ?? '';
  }

  #below(below: number): number {
    return Math.floor((this.#next() / 2 ** 32) * below);
  }

  /** Xorshift (Marsaglia 2003): a word in [1, 2^32). Dice are ten times slower, and there are a hundred million of these. */
  #next(): number {
    let word = this.#state;
    word ^= word << 13;
    word ^= word >>> 17;
    word ^= word << 5;
    this.#state = word >>> 0;
    return this.#state;
  }

  #from(items: readonly string[]): string {
    return items[this.#below(items.length)] ?? '';
  }
}
