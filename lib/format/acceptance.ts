import { ByteReader, ByteWriter, fileHead, readFileHead } from '../base/codec.ts';
import { KithError } from '../base/errors.ts';
import { sign, signatureBytes, verifySignature } from '../crypto/sign.ts';
import type { SignKeyPair } from '../crypto/sign.ts';
import { cardBytesMax } from './card.ts';
import { decodeContactKeys, encodeContactKeys } from './contact-keys.ts';
import type { ContactKey } from './contact-keys.ts';
import { extensionOf, readExtensions, writeExtensions } from './extensions.ts';
import type { Extension } from './extensions.ts';
import { readId, writeBlob, writeFixed, writeId } from './fields.ts';

const magic = 'kithaccp';
const version = 1;

/** Tag of the contact keys; a kith that doesn't know it takes the acceptance without them. */
const contactKeysTag = 1;
const knownExtensions: ReadonlySet<number> = new Set([contactKeysTag]);

/** Bytes of a whole acceptance: a card and some 200 bytes around it, with room for extensions. */
export const acceptanceBytesMax: number = cardBytesMax + 2048;

/** "I accept this invite", signed with its one-time key: as good as having dialled with it (docs/formats/invite.md). */
export interface Acceptance {
  /** Public half of the one-time pair. */
  readonly inviteId: Uint8Array;
  /** The card of the one who accepts, encoded. */
  readonly card: Uint8Array;
  /** What whoever accepts gives the inviter to be found by, as `extensions` has it; whether it is sound is another matter. */
  readonly contactKeys: readonly ContactKey[];
  readonly extensions: readonly Extension[];
  /** The one-time key's, over all before it. */
  readonly signature: Uint8Array;
}

function signedPart(acceptance: Pick<Acceptance, 'inviteId' | 'card' | 'extensions'>): ByteWriter {
  const writer = new ByteWriter().bytes(fileHead(magic, version));
  writeId(writer, acceptance.inviteId);
  writeBlob(writer, acceptance.card, cardBytesMax, 'card of an acceptance');
  writeExtensions(writer, acceptance.extensions);
  return writer;
}

/**
 * The acceptance of the invite whose one-time pair this is, by the one whose card it is. With contact keys it is a secret between the two.
 */
export function signAcceptance(
  oneTime: SignKeyPair,
  card: Uint8Array,
  contactKeys: readonly ContactKey[] = [],
): Acceptance {
  const bytes = encodeContactKeys(contactKeys);
  const extensions = contactKeys.length === 0 ? [] : [{ tag: contactKeysTag, bytes }];
  const acceptance = { inviteId: oneTime.publicKey, card, contactKeys, extensions };
  return { ...acceptance, signature: sign(signedPart(acceptance).finish(), oneTime.secretKey) };
}

export function encodeAcceptance(acceptance: Acceptance): Uint8Array {
  const writer = signedPart(acceptance);
  writeFixed(writer, acceptance.signature, signatureBytes);
  return writer.finish();
}

/** Views into `bytes`, unverified, the card undecoded. KithError `malformed` or `too-new`. */
export function decodeAcceptance(bytes: Uint8Array): Acceptance {
  const reader = new ByteReader(bytes, 'acceptance');
  if (bytes.length > acceptanceBytesMax) throw reader.fail(`${bytes.length} bytes are too long`);
  readFileHead(reader, magic, version);
  const inviteId = readId(reader);
  const card = reader.blob(cardBytesMax);
  const extensions = readExtensions(reader, knownExtensions);
  const signature = reader.bytes(signatureBytes);
  reader.end();
  const keys = extensionOf(extensions, contactKeysTag);
  const contactKeys = keys === undefined ? [] : decodeContactKeys(keys);
  return { inviteId, card, contactKeys, extensions, signature };
}

/** KithError `not-authentic` unless it is signed with the invite's one-time key. Its card is another matter. */
export function verifyAcceptance(acceptance: Acceptance): void {
  if (verifySignature(signedPart(acceptance).finish(), acceptance.signature, acceptance.inviteId)) return;
  throw new KithError('not-authentic', 'the acceptance is not signed with the key of the invite');
}
