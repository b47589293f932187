import type { OptionSpec, OptionSpecs } from './command.ts';

/** What a line of words and options says, as far as it could be read. */
export interface ReadLine {
  /** What is no option and no option's value, in order. */
  readonly words: readonly string[];
  /** By the option's own name: true for a flag, a text, or a list of these where it was given several times or takes several. */
  readonly values: Readonly<Record<string, unknown>>;
  /** Why reading ended before the line did. Names are as they were typed, with dashes. */
  readonly stop:
    | { readonly why: 'unknown' | 'no-value' | 'too-much'; readonly option: string; readonly name: string }
    | undefined;
}

/** Options by name and alias. Where two have one name, the one that was given first counts. */
export class SpecBook {
  readonly #specs = new Map<string, { readonly name: string; readonly spec: OptionSpec }>();

  constructor(...books: readonly OptionSpecs[]) {
    for (const [name, spec] of books.flatMap((book) => Object.entries(book))) {
      for (const key of [name, ...(spec.alias === undefined ? [] : [spec.alias])]) {
        if (!this.#specs.has(key)) this.#specs.set(key, { name, spec });
      }
    }
  }

  get(key: string): { readonly name: string; readonly spec: OptionSpec } | undefined {
    return this.#specs.get(key);
  }
}

/**
 * Reads `--name`, `--name value`, `--name=value`, `-n`, `-nvalue` and several flags in one (`-xn`). What follows `--` are words. A word
 * that begins with a dash is no option's value, unless it is a number or stands behind a `=`.
 */
export function readOptions(argv: readonly string[], specs: SpecBook): ReadLine {
  const words: string[] = [];
  const values: Record<string, unknown> = {};
  let stop: ReadLine['stop'];
  for (let at = 0; at < argv.length && stop === undefined; at++) {
    const text = argv[at] ?? '';
    if (text === '--') {
      words.push(...argv.slice(at + 1));
      break;
    }
    if (!isOption(text)) {
      words.push(text);
      continue;
    }
    const next = argv[at + 1];
    const value = next === undefined || isOption(next) || next === '--' ? undefined : next;
    const taken = text.startsWith('--')
      ? takeLong(text.slice(2), value, specs, values)
      : takeShort(text.slice(1), value, specs, values);
    if (typeof taken === 'object') stop = taken;
    else if (taken) at++;
  }
  return { words, values, stop };
}

function isOption(text: string): boolean {
  return text.length > 1 && text.startsWith('-') && text !== '--' && !/^-\d/.test(text);
}

/** True where the next word was taken as a value; or why not. */
type Taken = boolean | NonNullable<ReadLine['stop']>;

function takeLong(
  text: string,
  next: string | undefined,
  specs: SpecBook,
  values: Record<string, unknown>,
): Taken {
  const equals = text.indexOf('=');
  const key = equals < 0 ? text : text.slice(0, equals);
  const found = key.length === 1 ? undefined : specs.get(key);
  if (found === undefined) return { why: 'unknown', option: `--${key}`, name: key };
  return take(`--${key}`, found, equals < 0 ? undefined : text.slice(equals + 1), next, values);
}

function takeShort(
  letters: string,
  next: string | undefined,
  specs: SpecBook,
  values: Record<string, unknown>,
): Taken {
  for (let at = 0; at < letters.length; at++) {
    const letter = letters.charAt(at);
    const found = specs.get(letter);
    if (found === undefined) return { why: 'unknown', option: `-${letter}`, name: letter };
    const rest = letters.slice(at + 1);
    const isFlag = found.spec.type === 'flag';
    if (isFlag && !rest.startsWith('=')) {
      put(values, found, true);
      continue;
    }
    return take(`-${letter}`, found, rest === '' ? undefined : rest.replace(/^=/, ''), next, values);
  }
  return false;
}

function take(
  option: string,
  found: { readonly name: string; readonly spec: OptionSpec },
  own: string | undefined,
  next: string | undefined,
  values: Record<string, unknown>,
): Taken {
  const { name, spec } = found;
  if (spec.type === 'flag') {
    if (own !== undefined && own !== 'true' && own !== 'false') return { why: 'too-much', option, name };
    put(values, found, own !== 'false');
    return false;
  }
  const value = own ?? next ?? (spec.valueOptional === true ? '' : undefined);
  if (value === undefined) return { why: 'no-value', option, name };
  put(values, found, value);
  return own === undefined && next !== undefined;
}

function put(
  values: Record<string, unknown>,
  { name, spec }: { readonly name: string; readonly spec: OptionSpec },
  value: string | boolean,
): void {
  const before: unknown = values[name];
  if (before === undefined) values[name] = spec.type === 'list' ? [value] : value;
  else values[name] = Array.isArray(before) ? [...(before as unknown[]), value] : [before, value];
}
