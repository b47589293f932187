import { ByteReader, ByteWriter } from '../../base/codec.ts';
import { isKithError } from '../../base/errors.ts';
import { extensionOf, type Extension } from '../../format/extensions.ts';

/** Tag of the field of offers (docs/formats/wire.md). */
const meteredTag = 1;

/** Fields of the offers of a side whose line is metered, or isn't. */
export function meteredExtensions(isMetered: boolean): Extension[] {
  return isMetered ? [{ tag: meteredTag, bytes: new ByteWriter().u8(1).finish() }] : [];
}

/** True where the other side says that its line is metered. What can't be read says nothing. */
export function saysMetered(extensions: readonly Extension[]): boolean {
  const bytes = extensionOf(extensions, meteredTag);
  if (bytes === undefined) return false;
  try {
    const reader = new ByteReader(bytes, 'metered');
    const word = reader.u8();
    reader.end();
    return word === 1;
  } catch (error) {
    if (isKithError(error)) return false;
    throw error;
  }
}
