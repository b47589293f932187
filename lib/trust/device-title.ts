import { toHex } from '../base/bytes.ts';
import { cleanName, type CardDevice } from './card.ts';

/** Characters that are shown of a name that a friend gave a device: a list of them stays readable. */
const shownMax = 40;

/** Digits of a device's id that tell a friend's computers apart. */
const digitsShown = 4;

/**
 * What a friend's device is called here: as its card names it, on one line and cut. A name that says nothing (`device` and digits of the
 * id, which kith puts into certificates since holders can read them) counts as none: then it is `computer 3fa2 of Ben`.
 */
export function deviceTitle(
  { deviceId, name }: Pick<CardDevice, 'deviceId' | 'name'>,
  owner: string,
): string {
  const id = toHex(deviceId);
  const said = cleanName(name);
  const digits = /^device ([0-9a-f]+)$/.exec(said)?.[1];
  if (said === '' || (digits !== undefined && id.startsWith(digits)))
    return `computer ${id.slice(0, digitsShown)} of ${owner}`;
  const letters = Array.from(said);
  return letters.length <= shownMax ? said : `${letters.slice(0, shownMax - 1).join('')}…`;
}
