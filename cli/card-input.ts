import { readSmallFile } from './context.ts';

/** How every card's line begins, in either case. */
export const cardPrefix = 'kith:card:';

/** Bytes of a file with a card at most. */
export const cardFileBytesMax: number = 128 * 1024;

/** True for a card's line itself, not the name of a file with one. */
export function isCardText(given: string): boolean {
  return given.trim().toLowerCase().startsWith(cardPrefix);
}

/** The card's line, given itself or as the name of a file with it. KithError `usage` where there is no such file. */
export async function readCard(given: string): Promise<string> {
  if (isCardText(given)) return given.trim();
  return (
    await readSmallFile(given, `card (it is no line ${cardPrefix}…, and as a file it)`, cardFileBytesMax)
  ).trim();
}
