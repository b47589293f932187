import { readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Ignore, Options } from 'ignore';
import { displayText } from '../base/bytes.ts';
import { KithError } from '../base/errors.ts';
import { pathText } from './path.ts';
import type { Pattern } from './pattern.ts';
import { compilePatterns, verdictOf } from './pattern.ts';
import { reasonOf } from './problem.ts';

/** Bytes of a `.kithignore` or an exclude file; a larger one is a mistake. */
export const ignoreBytesMax: number = 1024 * 1024;

/** Lines in force at one place, over all `.kithignore` files above it: each costs time at every name. */
const ignoreLinesMax = 65536;

/** Paths tested before the matcher's own cache, which nothing else bounds, is dropped. */
const cachedPathsMax = 4096;

/** The file in any folder that says what a backup leaves out, in gitignore syntax. */
export const ignoreFileName = '.kithignore';

// The package is CommonJS whose typed default is not callable under nodenext.
const makeIgnore = createRequire(import.meta.url)('ignore') as (options: Options) => Ignore;

/**
 * What a walk leaves out at one place in the tree. Immutable: `startingAt` and `deeper` give the rules of a place
 * further down. A thing is left out when the `--exclude` patterns or the `.kithignore` files say so;
 * among the latter the deeper file has the last word, as git does it.
 */
export class IgnoreRules {
  readonly #excludes: readonly Pattern[];
  /** Text of the folder that the names given to the matcher start from, with a slash at its end. */
  readonly #base: string;
  readonly #lines: number;
  #matcher: Ignore | undefined;
  #tested = 0;

  private constructor(excludes: readonly Pattern[], base: string, matcher?: Ignore, lines = 0) {
    this.#excludes = excludes;
    this.#base = base;
    this.#matcher = matcher;
    this.#lines = lines;
  }

  /** Rules of `--exclude` patterns alone; KithError `usage` for a bad one. */
  static from(excludes: readonly string[] = []): IgnoreRules {
    return new IgnoreRules(compilePatterns(excludes), '/');
  }

  /** The same patterns, and no `.kithignore`, for a source whose path this is. */
  startingAt(source: Uint8Array): IgnoreRules {
    return new IgnoreRules(this.#excludes, withSlash(pathText(source)));
  }

  /**
   * These rules and those of a `.kithignore` text in `folder`, which must lie in the source that the rules began at.
   * KithError `limit-exceeded` for one that is too long.
   */
  deeper(folder: Uint8Array, text: string): IgnoreRules {
    const lines = ignoreLines(text);
    const total = this.#lines + lines.length;
    if (text.length > ignoreBytesMax || total > ignoreLinesMax) {
      throw new KithError('limit-exceeded', `${ignoreFileName} is too long`);
    }
    const prefix = withSlash(pathText(folder)).slice(this.#base.length);
    const matcher = freshMatcher(this.#matcher);
    matcher.add(lines.map((line) => rooted(prefix, line)));
    return new IgnoreRules(this.#excludes, this.#base, matcher, total);
  }

  /** True where nothing is left out. */
  get isEmpty(): boolean {
    return this.#excludes.length === 0 && this.#matcher === undefined;
  }

  /** Whether to leave a thing out. Folders above it must have been asked about before and not been left out. */
  excludes(path: Uint8Array, isFolder: boolean): boolean {
    if (this.isEmpty) return false;
    const text = pathText(path);
    if (verdictOf(this.#excludes, text, isFolder) === true) return true;
    if (this.#matcher === undefined || text.length <= this.#base.length) return false;
    if (++this.#tested > cachedPathsMax) {
      this.#matcher = freshMatcher(this.#matcher);
      this.#tested = 0;
    }
    const relative = text.slice(this.#base.length);
    return this.#matcher.ignores(isFolder ? `${relative}/` : relative);
  }
}

/**
 * Patterns of a file for `--exclude-file`: one a line, blank lines and lines that begin with `#` left out.
 * KithError `usage` if it can't be read or is too long.
 */
export function readExcludeFile(path: string): string[] {
  let text: string;
  try {
    if (statSync(path).size > ignoreBytesMax) throw new Error('it is over 1 MiB');
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new KithError('usage', `The exclude file ${path} can't be used: ${reasonOf(error)}.`, {
      cause: error,
    });
  }
  return text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

/** A matcher with the rules of another, which it shares, and an empty cache. */
function freshMatcher(from: Ignore | undefined): Ignore {
  const matcher = makeIgnore({ ignorecase: false, allowRelativePaths: true });
  return from === undefined ? matcher : matcher.add(from);
}

/** Lines that are rules: no blanks, no comments, no byte order mark. */
function ignoreLines(text: string): string[] {
  return text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '' && !line.startsWith('#'));
}

/** A line of a `.kithignore` in the folder `prefix` (`` or `a/b/`) as it would stand in one at the base. */
function rooted(prefix: string, line: string): string {
  if (prefix === '') return line;
  const mark = line.startsWith('!') ? '!' : '';
  const rule = line.slice(mark.length);
  const escaped = prefix.replace(/[\\*?[\] !#]/g, (sign) => `\\${sign}`);
  const trimmed = rule.replace(/ +$/, '');
  const anchored = trimmed.slice(0, -1).includes('/');
  return `${mark}/${escaped}${anchored ? rule.replace(/^\//, '') : `**/${rule}`}`;
}

function withSlash(path: string): string {
  return path.endsWith('/') ? path : `${path}/`;
}

/** Names a `.kithignore` for people. */
export function ignoreFilePath(folder: Uint8Array): string {
  return `${withSlash(displayText(folder))}${ignoreFileName}`;
}
