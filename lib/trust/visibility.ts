import { KithError } from '../base/errors.ts';
import { extensionOf, withExtension, type Extension } from '../format/extensions.ts';

/** Whether a friend may find me through other friends, or only tell them of me, or neither. The first is the default. */
export const visibilities = ['yes', 'introduce', 'no'] as const;

export type Visibility = (typeof visibilities)[number];

/** Tag of a friend record's visibility (docs/formats/cards-service.md): u8, the place in `visibilities` from 1 on; absent: yes. */
export const visibilityTag = 3;

/** A word of the table. KithError `usage`. */
export function parseVisibility(text: string): Visibility {
  const found = visibilities.find((each) => each === text);
  if (found !== undefined) return found;
  throw new KithError('usage', `visibility is ${visibilities.join(', ')}, not "${text}".`);
}

/** What a record says. One that this kith can't read counts as `no`: nothing is told that may have been meant to be kept. */
export function visibilityOf(extensions: readonly Extension[]): Visibility {
  const bytes = extensionOf(extensions, visibilityTag);
  if (bytes === undefined) return 'yes';
  const [number = 0] = bytes;
  return (bytes.length === 1 ? visibilities[number - 1] : undefined) ?? 'no';
}

/** A record's extensions, saying that. */
export function withVisibility(extensions: readonly Extension[], visibility: Visibility): Extension[] {
  const number = visibilities.indexOf(visibility) + 1;
  return withExtension(extensions, visibilityTag, number === 1 ? undefined : new Uint8Array([number]));
}
