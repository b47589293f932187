import { KithError } from '../lib/base/errors.ts';
import { parseSize } from '../lib/base/units.ts';

/** The values of a parsed command line, read by name. KithError `usage` where one isn't as its reader needs it. */
export class Args {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values;
  }

  /** True if the flag was given. */
  flag(name: string): boolean {
    const value = this.#values[name];
    return value === true || (Array.isArray(value) && value.includes(true));
  }

  /** For an option whose value may be left out: undefined where it wasn't given, else its value or ''. */
  optionalText(name: string): string | undefined {
    const value = this.#values[name];
    return value === '' ? '' : this.text(name);
  }

  /** The value of an option or positional, or undefined where it wasn't given. */
  text(name: string): string | undefined {
    const value = this.#values[name];
    if (Array.isArray(value)) throw new KithError('usage', `--${name} was given more than once.`);
    if (value === '') throw new KithError('usage', `${name} is empty.`);
    return typeof value === 'string' ? value : undefined;
  }

  /** The value of something that the parser has already made sure of. */
  required(name: string): string {
    const value = this.text(name);
    if (value === undefined) throw new KithError('usage', `${name} is missing.`);
    return value;
  }

  /** All values of a repeatable option or positional, in order. */
  list(name: string): string[] {
    const value = this.#values[name];
    const values: readonly unknown[] = Array.isArray(value) ? value : value === undefined ? [] : [value];
    const texts = values.filter((item) => typeof item === 'string');
    if (texts.includes('')) throw new KithError('usage', `${name} is empty.`);
    return texts;
  }

  /** Bytes of a size such as `50GB`. */
  size(name: string): number | undefined {
    const value = this.text(name);
    return value === undefined ? undefined : parseSize(value);
  }
}
