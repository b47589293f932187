import { equalBytes } from '../base/bytes.ts';
import { KithError } from '../base/errors.ts';
import { hashIn } from '../crypto/hash.ts';
import type { Context } from '../crypto/hash.ts';

/** A thing that people hand on as one line of text, and what a reader says of lines that aren't one. */
export interface LineKind {
  /** Such as `kith:card:`, in lower case. */
  readonly prefix: string;
  /** For messages, and `details.what` of errors: `card`. */
  readonly noun: string;
  /** `a card`. */
  readonly aNoun: string;
  /** What prints such a line: `kith card`. */
  readonly printedBy: string;
  /** Of the checksum. */
  readonly context: Context;
  readonly bytesMax: number;
  /** What is said of a line that begins like another kind, by the prefix of that. */
  readonly others: Readonly<Record<string, string>>;
}

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';
const checksumBytes = 4;

/** Letters of the longest line of a kind, without the prefix. */
function lettersMax({ bytesMax }: LineKind): number {
  return Math.ceil(((bytesMax + checksumBytes) * 8) / 5);
}

/** Characters that are looked at at all: the longest line, with as much white space again. */
export function lineTextMax(kind: LineKind): number {
  return 2 * (kind.prefix.length + lettersMax(kind));
}

function checksumOf({ context }: LineKind, bytes: Uint8Array): Uint8Array {
  return hashIn(context, bytes).subarray(0, checksumBytes);
}

export function toBase32(...parts: Uint8Array[]): string {
  let text = '';
  let bits = 0;
  let bitCount = 0;
  for (const part of parts) {
    for (const byte of part) {
      bits = (bits << 8) | byte;
      bitCount += 8;
      while (bitCount >= 5) {
        bitCount -= 5;
        text += alphabet.charAt((bits >> bitCount) & 31);
        bits &= (1 << bitCount) - 1;
      }
    }
  }
  return bitCount === 0 ? text : text + alphabet.charAt((bits << (5 - bitCount)) & 31);
}

/** Undefined where bits are left over that a writer would not have left. */
export function fromBase32(letters: string): Uint8Array | undefined {
  const bytes = new Uint8Array(Math.floor((letters.length * 5) / 8));
  let length = 0;
  let bits = 0;
  let bitCount = 0;
  for (const letter of letters) {
    bits = (bits << 5) | alphabet.indexOf(letter);
    bitCount += 5;
    if (bitCount >= 8) {
      bitCount -= 8;
      bytes[length++] = bits >> bitCount;
      bits &= (1 << bitCount) - 1;
    }
  }
  return bits === 0 && bitCount < 5 ? bytes : undefined;
}

function refuse({ noun }: LineKind, why: string): KithError {
  return new KithError('malformed', why, { details: { what: noun } });
}

/** Bytes as one line of text, without a line break, in lower case (docs/formats/card.md, "Text"). */
export function encodeLine(kind: LineKind, bytes: Uint8Array): string {
  return kind.prefix + toBase32(bytes, checksumOf(kind, bytes));
}

/** The letters behind the prefix. KithError `malformed` says what the line seems to be. */
function lettersOf(kind: LineKind, text: string): string {
  const { aNoun, noun, prefix, printedBy, others } = kind;
  if (text.length > lineTextMax(kind)) throw refuse(kind, `this text is far too long for ${aNoun}`);
  const line = text.replace(/\s+/g, '');
  // Only ASCII is folded: toLowerCase would make a k of the Kelvin sign.
  const folded = line.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  for (const [other, words] of Object.entries(others)) {
    if (folded.startsWith(other)) throw refuse(kind, words);
  }
  if (!folded.startsWith(prefix)) {
    throw refuse(kind, `this is not ${aNoun}; the line that ${printedBy} prints begins with ${prefix}`);
  }
  const letters = folded.slice(prefix.length);
  const stray = /[^a-z2-7]/.exec(letters);
  if (stray !== null) {
    const place = prefix.length + stray.index + 1;
    const last = stray.index === letters.length - 1 ? ' at its end' : '';
    throw refuse(
      kind,
      `the ${noun} has a character that no ${noun} has${last} (number ${place}); copy the whole line again`,
    );
  }
  if (letters.length > lettersMax(kind)) throw refuse(kind, `this text is too long for ${aNoun}`);
  return letters;
}

/**
 * The bytes of a line, fresh, as they were written; what they say nobody has checked. Takes either case and white space
 * anywhere. KithError `malformed`, saying what seems to be wrong.
 */
export function decodeLine(kind: LineKind, text: string): Uint8Array {
  const { noun } = kind;
  const whole = fromBase32(lettersOf(kind, text));
  if (whole === undefined || whole.length <= checksumBytes) {
    throw refuse(kind, `the ${noun} is cut short or a letter of it is lost; copy the whole line again`);
  }
  const bytes = whole.slice(0, -checksumBytes);
  if (!equalBytes(checksumOf(kind, bytes), whole.subarray(-checksumBytes))) {
    throw refuse(
      kind,
      `the ${noun} is cut short, or letters of it were changed or lost; copy the whole line again`,
    );
  }
  return bytes;
}
