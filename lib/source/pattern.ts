import { KithError } from '../base/errors.ts';
import { utf8 } from '../base/bytes.ts';

/** As in the snapshot format: patterns of one backup, and bytes of one. */
const patternsMax = 4096;
const patternBytesMax = 4096;

/** One compiled pattern. */
export interface Pattern {
  /** From a leading `!`: what it matches is taken back in. */
  readonly negative: boolean;
  /** From a trailing slash. */
  readonly folderOnly: boolean;
  /** Whether the pattern names a path from the root on. */
  readonly absolute: boolean;
  /** Matches a path that the pattern stands for, not what lies under it. */
  readonly matches: (path: string) => boolean;
  /** For an absolute pattern: whether something under this folder could match. */
  readonly leads: (folder: string) => boolean;
}

/**
 * Compiles a pattern as `--exclude` takes them, after restic's: without a slash it stands for base names anywhere;
 * with a leading slash for a path from the root; with a slash elsewhere for any run of names in a path.
 * `*` and `?` don't cross slashes, `**` does, `[a-z]` and `[!a-z]` are classes, `\` takes the next sign as it is.
 * Letter case counts. KithError `usage` for a broken or overlong pattern.
 */
export function compilePattern(text: string): Pattern {
  if (utf8(text).length > patternBytesMax) {
    throw new KithError('usage', `A pattern of more than ${patternBytesMax} bytes: ${text.slice(0, 40)}…`);
  }
  const negative = text.startsWith('!');
  let body = negative ? text.slice(1) : text;
  const folderOnly = /[^/\\]\/+$/.test(body);
  const absolute = body.startsWith('/');
  body = body.replace(/^\/+|\/+$/g, '');
  const names = body.split(/\/+/).filter((name) => name !== '.');
  if (body === '' && !absolute)
    throw new KithError('usage', 'An empty pattern matches nothing; leave it out.');
  const sources = body === '' ? [] : names.map(nameSource);
  const whole = new RegExp(`${absolute ? '^/' : '(?:^|/)'}${joinSources(sources)}$`, 'su');
  const starts = absolute
    ? sources.map((_, i) => new RegExp(`^/${joinSources(sources.slice(0, i + 1))}$`, 'su'))
    : [];
  const anyDepth = sources.includes(undefined);
  return {
    negative,
    folderOnly,
    absolute,
    matches: (path) => whole.test(path),
    leads: (folder) => !absolute || anyDepth || folder === '/' || starts.some((start) => start.test(folder)),
  };
}

/** Compiles many; empty ones and, as in a file of patterns, `#` comments are left out. */
export function compilePatterns(texts: readonly string[]): Pattern[] {
  const wanted = texts.filter((text) => text.trim() !== '');
  if (wanted.length > patternsMax) {
    throw new KithError('usage', `${wanted.length} patterns at once; kith takes ${patternsMax}.`);
  }
  return wanted.map(compilePattern);
}

/** What the last matching pattern says of a path: true for a match, false for a `!`, undefined for neither. */
export function verdictOf(
  patterns: readonly Pattern[],
  path: string,
  isFolder: boolean,
): boolean | undefined {
  for (let i = patterns.length - 1; i >= 0; i--) {
    const pattern = patterns[i];
    if (pattern === undefined || (pattern.folderOnly && !isFolder)) continue;
    if (pattern.matches(path)) return !pattern.negative;
  }
  return undefined;
}

/** Sources of the names with slashes between; undefined is `**`, any number of names. */
function joinSources(sources: readonly (string | undefined)[]): string {
  let joined = '';
  let slash = '';
  for (const [i, source] of sources.entries()) {
    if (source !== undefined) {
      joined += slash + source;
      slash = '/';
    } else if (i === sources.length - 1) {
      joined += `${slash}.*`;
    } else if (sources[i + 1] !== undefined) {
      joined += `${slash}(?:[^/]+/)*`;
      slash = '';
    }
  }
  return joined;
}

function nameSource(name: string): string | undefined {
  if (name === '**') return undefined;
  let source = '';
  for (let i = 0; i < name.length; i++) {
    const char = String.fromCodePoint(name.codePointAt(i) ?? 0);
    i += char.length - 1;
    if (char === '*') {
      while (name[i + 1] === '*') i++;
      source += '[^/]*';
    } else if (char === '?') {
      source += '[^/]';
    } else if (char === '[') {
      const end = classEnd(name, i);
      source += classSource(name.slice(i + 1, end));
      i = end;
    } else if (char === '\\' && i + 1 < name.length) {
      const next = String.fromCodePoint(name.codePointAt(i + 1) ?? 0);
      source += literal(next);
      i += next.length;
    } else {
      source += literal(char);
    }
  }
  return source;
}

/** Place of the bracket that ends the class opened at `start`. */
function classEnd(name: string, start: number): number {
  const first = /[!^]/.test(name[start + 1] ?? '') ? start + 2 : start + 1;
  const end = name.indexOf(']', first + 1);
  if (end < 0) throw new KithError('usage', `The pattern "${name}" has a [ without its ].`);
  return end;
}

function classSource(inner: string): string {
  const negative = /^[!^]/.test(inner);
  const signs = (negative ? inner.slice(1) : inner).replace(/[\\\][^&~|/(){}]/g, (sign) => `\\${sign}`);
  try {
    const source = negative ? `[^/${signs}]` : `(?!/)[${signs}]`;
    void new RegExp(source, 'u');
    return source;
  } catch {
    throw new KithError('usage', `The pattern class [${inner}] is not valid.`);
  }
}

function literal(char: string): string {
  return /[\\^$.*+?()[\]{}|/]/.test(char) ? `\\${char}` : char;
}
