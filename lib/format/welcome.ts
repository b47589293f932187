import { ByteReader, ByteWriter, fileHead, readFileHead } from '../base/codec.ts';
import { KithError } from '../base/errors.ts';
import { sign, signatureBytes, verifySignature } from '../crypto/sign.ts';
import { contactKeysBytesMax, decodeContactKeys, encodeContactKeys } from './contact-keys.ts';
import type { ContactKey } from './contact-keys.ts';
import { readExtensions, writeExtensions } from './extensions.ts';
import type { Extension } from './extensions.ts';
import { readId, writeBlob, writeFixed, writeId } from './fields.ts';

const magic = 'kithwelc';
const version = 1;
const knownExtensions: ReadonlySet<number> = new Set();

/** Bytes of the card in it: one device with its addresses. With all else it fits a letter. */
export const welcomeCardBytesMax: number = 5 * 1024;

/** Bytes of a whole welcome. */
export const welcomeBytesMax: number = 7 * 1024;

/** "You are my friend now", by the device that made the invite, where the acceptance came by letter (docs/formats/invite.md). */
export interface Welcome {
  /** Public half of the one-time pair. */
  readonly inviteId: Uint8Array;
  /** Who accepted. */
  readonly acceptedBy: Uint8Array;
  /** What the inviter gives this friend to be found by; undecided here whether it is sound. */
  readonly contactKeys: readonly ContactKey[];
  /** The inviter's card with that device alone, encoded; empty where there is no room. */
  readonly card: Uint8Array;
  readonly extensions: readonly Extension[];
  /** The device's, over all before it. */
  readonly signature: Uint8Array;
}

function signedPart(welcome: Omit<Welcome, 'signature'>): ByteWriter {
  const writer = new ByteWriter().bytes(fileHead(magic, version));
  writeId(writer, welcome.inviteId);
  writeId(writer, welcome.acceptedBy);
  writeBlob(writer, encodeContactKeys(welcome.contactKeys), contactKeysBytesMax, 'contact keys');
  writeBlob(writer, welcome.card, welcomeCardBytesMax, 'card of a welcome');
  writeExtensions(writer, welcome.extensions);
  return writer;
}

/** Signs as the device that made the invite. KithError `limit-exceeded` for too long a card. */
export function signWelcome(welcome: Omit<Welcome, 'signature'>, deviceSecretKey: Uint8Array): Welcome {
  return { ...welcome, signature: sign(signedPart(welcome).finish(), deviceSecretKey) };
}

export function encodeWelcome(welcome: Welcome): Uint8Array {
  const writer = signedPart(welcome);
  writeFixed(writer, welcome.signature, signatureBytes);
  return writer.finish();
}

/** Views into `bytes`, unverified, the card undecoded. KithError `malformed` or `too-new`. */
export function decodeWelcome(bytes: Uint8Array): Welcome {
  const reader = new ByteReader(bytes, 'welcome');
  if (bytes.length > welcomeBytesMax) throw reader.fail(`${bytes.length} bytes are too long`);
  readFileHead(reader, magic, version);
  const welcome = {
    inviteId: readId(reader),
    acceptedBy: readId(reader),
    contactKeys: decodeContactKeys(reader.blob(contactKeysBytesMax)),
    card: reader.blob(welcomeCardBytesMax),
    extensions: readExtensions(reader, knownExtensions),
    signature: reader.bytes(signatureBytes),
  };
  reader.end();
  return welcome;
}

/** KithError `not-authentic` unless that device has signed it. */
export function verifyWelcome(welcome: Welcome, deviceId: Uint8Array): void {
  if (verifySignature(signedPart(welcome).finish(), welcome.signature, deviceId)) return;
  throw new KithError('not-authentic', 'the welcome is not signed by the device that made the invite');
}
