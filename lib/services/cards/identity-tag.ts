import { hashIn } from '../../crypto/hash.ts';

/** Bytes of a tag, and of the salt that it is made with. */
export const tagBytes = 16;
export const saltBytes = 16;

/** What a question calls an identity (docs/formats/cards-service.md): only who knows the identity recognises it. About a microsecond. */
export function identityTag(salt: Uint8Array, identity: Uint8Array): Uint8Array {
  if (salt.length !== saltBytes) throw new RangeError(`a salt of ${salt.length} bytes`);
  return hashIn('identityTag', salt, identity).subarray(0, tagBytes);
}
