import { equalBytes } from '../base/bytes.ts';
import { KithError } from '../base/errors.ts';
import { hashIn } from '../crypto/hash.ts';
import { cardBytesMax } from './card.ts';

/** What the text of a card begins with. */
export const cardTextPrefix = 'kith:card:';

const invitePrefix = 'kith:invite:';
const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';
const checksumBytes = 4;

/** Letters of the longest card. */
const lettersMax: number = Math.ceil(((cardBytesMax + checksumBytes) * 8) / 5);

/** Characters that are looked at at all: the longest card, with as much white space again. */
export const cardTextMax: number = 2 * (cardTextPrefix.length + lettersMax);

function checksumOf(bytes: Uint8Array): Uint8Array {
  return hashIn('cardText', bytes).subarray(0, checksumBytes);
}

/** Base32 (RFC 4648 in lower case, no padding) of the parts in a row. */
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

/** The bytes of lower-case base32; undefined where bits are left over that a writer would not have left. Only letters of its alphabet may be in it. */
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

function refuse(why: string): KithError {
  return new KithError('malformed', why, { details: { what: 'card' } });
}

/** The card's bytes as one line of text, without a line break, in lower case (docs/formats/card.md). */
export function encodeCardText(bytes: Uint8Array): string {
  return cardTextPrefix + toBase32(bytes, checksumOf(bytes));
}

/**
 * The card's bytes, fresh, as they were written; what they say nobody has checked. Takes either case and white space
 * anywhere. KithError `malformed`, saying what seems to be wrong.
 */
export function decodeCardText(text: string): Uint8Array {
  if (text.length > cardTextMax) throw refuse('this text is far too long for a card');
  const line = text.replace(/\s+/g, '');
  // Only ASCII is folded: toLowerCase would make a k of the Kelvin sign.
  const folded = line.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  if (folded.startsWith(invitePrefix)) {
    throw refuse('this is an invite, not a card; use it with: kith accept INVITE');
  }
  if (!folded.startsWith(cardTextPrefix)) {
    throw refuse(`this is not a card; the line that kith card prints begins with ${cardTextPrefix}`);
  }
  const letters = folded.slice(cardTextPrefix.length);
  const stray = /[^a-z2-7]/.exec(letters);
  if (stray !== null) {
    const place = cardTextPrefix.length + stray.index + 1;
    const last = stray.index === letters.length - 1 ? ' at its end' : '';
    throw refuse(
      `the card has a character that no card has${last} (number ${place}); copy the whole line again`,
    );
  }
  if (letters.length > lettersMax) throw refuse('this text is too long for a card');
  const whole = fromBase32(letters);
  if (whole === undefined || whole.length <= checksumBytes) {
    throw refuse('the card is cut short or a letter of it is lost; copy the whole line again');
  }
  const bytes = whole.slice(0, -checksumBytes);
  if (!equalBytes(checksumOf(bytes), whole.subarray(-checksumBytes))) {
    throw refuse('the card is cut short, or letters of it were changed or lost; copy the whole line again');
  }
  return bytes;
}
