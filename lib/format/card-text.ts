import { cardBytesMax } from './card.ts';
import { decodeLine, encodeLine, lineTextMax } from './line-text.ts';
import type { LineKind } from './line-text.ts';

/** What the text of a card begins with. */
export const cardTextPrefix = 'kith:card:';

const cardLine: LineKind = {
  prefix: cardTextPrefix,
  noun: 'card',
  aNoun: 'a card',
  printedBy: 'kith card',
  context: 'cardText',
  bytesMax: cardBytesMax,
  others: { 'kith:invite:': 'this is an invite, not a card; use it with: kith accept INVITE' },
};

/** Characters that are looked at at all: the longest card, with as much white space again. */
export const cardTextMax: number = lineTextMax(cardLine);

/** The card's bytes as one line of text, without a line break, in lower case (docs/formats/card.md). */
export function encodeCardText(bytes: Uint8Array): string {
  return encodeLine(cardLine, bytes);
}

/**
 * The card's bytes, fresh, as they were written; what they say nobody has checked. Takes either case and white space
 * anywhere. KithError `malformed`, saying what seems to be wrong.
 */
export function decodeCardText(text: string): Uint8Array {
  return decodeLine(cardLine, text);
}
