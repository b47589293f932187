import { renderUnicodeCompact } from 'uqr';
import { KithError } from '../lib/base/errors.ts';

/** Characters that the largest code (version 40, level L) holds in its alphanumeric mode (ISO/IEC 18004). */
export const qrCharactersMax = 4296;

const blackOnWhite = '\u001b[30;107m';
const plain = '\u001b[0m';

/** The light frame that readers need, in modules. */
const quietModules = 4;

/**
 * A QR code of a card's line as text for a terminal, two modules a character, with the quiet zone that readers need: lines of one
 * width, each with a line break behind it. With `color` black on white whatever the terminal's colours; without, light modules are
 * drawn as blocks, which is right on a dark terminal. The line is put in capitals, which need half the room of small letters
 * and mean the same in a card. KithError `limit-exceeded` for one that no code can hold: a card with many devices.
 */
export function qrOfCard(line: string, options: { readonly color: boolean }): string {
  return qrOfLine(line, 'card', options);
}

/** A code that a terminal can show, or why it can't. */
export interface QrOnTerminal {
  readonly lines: readonly string[];
  /** Undefined where the lines fit: a sentence about the window. */
  readonly tooWide: string | undefined;
}

/**
 * The code of a card or an invite for the terminal behind standard output. In a window that is too narrow each line would be broken, and no camera
 * reads that: there are no lines then. `columns` is undefined where it is no terminal, and everything fits. KithError as of qrOfCard.
 */
export function qrForTerminal(
  line: string,
  what: 'card' | 'invite',
  { isTTY, columns }: { readonly isTTY: boolean; readonly columns: number | undefined },
): QrOnTerminal {
  const plainLines = qrOfLine(line, what, { color: false }).replace(/\n$/, '').split('\n');
  const needed = plainLines[0]?.length ?? 0;
  if (isTTY && columns !== undefined && columns > 0 && needed > columns) {
    const tooWide = `The QR code needs a window of ${needed} columns, and this one has ${columns}: make it wider, or its letters smaller, and try again`;
    return { lines: [], tooWide };
  }
  return {
    lines: isTTY ? qrOfLine(line, what, { color: true }).replace(/\n$/, '').split('\n') : plainLines,
    tooWide: undefined,
  };
}

/** The same for a card or an invite. */
export function qrOfLine(
  line: string,
  what: 'card' | 'invite',
  options: { readonly color: boolean },
): string {
  const text = line.trim().toUpperCase();
  if (text.length > qrCharactersMax) {
    throw new KithError(
      'limit-exceeded',
      `this ${what} is too long for a QR code; write it to a file with: kith ${what} --out FILE`,
    );
  }
  const code = renderUnicodeCompact(text, { ecc: 'L', border: quietModules, invert: options.color });
  const lines = code.replace(/\n$/, '').split('\n');
  return lines.map((each) => (options.color ? `${blackOnWhite}${each}${plain}\n` : `${each}\n`)).join('');
}
