import { KithError, messageOf } from '../../base/errors.ts';

/** The user's kith.toml at most: it holds a few dozen lines. */
export const tomlBytesMax: number = 256 * 1024;

/** Characters of a line that is shown. */
const shownLengthMax = 200;

/** What the parser says of the usual mistakes, as whoever made them would put it. */
const mistakes: readonly (readonly [RegExp, string])[] = [
  [/redefine|already defined/, 'it sets something that the lines above have set already'],
  [/control characters|unterminated|unfinished/, 'a quotation mark " is missing at the end of the value'],
  [/in key|expected key-value|incomplete key|missing =/, 'there must be = between the name and the value'],
  [/numeric literal|invalid value|incomplete/, 'the value must stand in quotation marks'],
];

function whatIsWrong(message: string, line: string): string {
  if (/[“”„«»‘’]/.test(line)) return 'the quotation marks must be plain ones, as on the keyboard: "';
  const [first = message] = message.replace(/^Invalid TOML document: /, '').split('\n');
  return mistakes.find(([pattern]) => pattern.test(first))?.[1] ?? first;
}

/** A line as it may be shown: without what could drive a terminal. */
function shownLine(text: string, number: number): string {
  const line = text.split(/\r?\n/)[number - 1] ?? '';
  return line
    .replace(/[\p{Cc}\p{Cf}]/gu, ' ')
    .trim()
    .slice(0, shownLengthMax);
}

/** The error of a file that is no TOML: the file, the line, what is wrong with it, and how one looks that is right. */
function notToml(path: string, text: string, cause: unknown): KithError {
  const at: unknown = typeof cause === 'object' && cause !== null && 'line' in cause ? cause.line : undefined;
  const number = typeof at === 'number' ? at : 1;
  const line = shownLine(text, number);
  return new KithError(
    'usage',
    `${path}, line ${number}: ${whatIsWrong(messageOf(cause), line)}.\n  ${line}\n` +
      'Each line is NAME = "VALUE", such as: spread = "3/5"   Mend the line, or take it out.',
    { details: { file: path, line: number }, cause },
  );
}

/** One value of the file: its name with dots, and what it says as text. */
export type TomlEntry = readonly [key: string, value: string];

function flatten(value: unknown, prefix: string, into: TomlEntry[]): void {
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) {
    for (const [key, inner] of Object.entries(value))
      flatten(inner, prefix === '' ? key : `${prefix}.${key}`, into);
  } else if (Array.isArray(value)) {
    into.push([prefix, value.map(String).join(',')]);
  } else {
    into.push([prefix, String(value)]);
  }
}

/** The number of the line that sets a name, by its last part, where one can be found. */
function lineOf(text: string, key: string): number | undefined {
  const last = key.split('.').at(-1) ?? key;
  const lines = text.split(/\r?\n/);
  for (const name of [key, last]) {
    const at = lines.findIndex((line) => {
      const [left = ''] = line.split('=', 1);
      return line.includes('=') && left.replaceAll(/["'\s]/g, '').endsWith(name);
    });
    if (at >= 0) return at + 1;
  }
  return undefined;
}

/** What the file says, each value checked by `check`, which throws KithError. KithError `usage` names file and line. */
export async function parseKithToml(
  path: string,
  text: string,
  check: (key: string, value: string) => void,
): Promise<Map<string, string>> {
  const entries: TomlEntry[] = [];
  try {
    const { parse } = await import('smol-toml');
    flatten(parse(text), '', entries);
  } catch (cause) {
    throw notToml(path, text, cause);
  }
  for (const [key, value] of entries) {
    try {
      check(key, value);
    } catch (cause) {
      const line = lineOf(text, key);
      const where = line === undefined ? path : `${path}, line ${line}`;
      throw new KithError('usage', `${where}: ${key}: ${messageOf(cause)}`, {
        details: { file: path, line: line ?? null },
        cause,
      });
    }
  }
  return new Map(entries);
}
