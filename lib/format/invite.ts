import { equalBytes } from '../base/bytes.ts';
import { ByteReader, ByteWriter, fileHead, readFileHead } from '../base/codec.ts';
import { KithError } from '../base/errors.ts';
import { sign, signatureBytes, signKeyPair, verifySignature, wipeKeyPair } from '../crypto/sign.ts';
import type { SignKeyPair } from '../crypto/sign.ts';
import { validHost } from './address-body.ts';
import { cardBytesMax, decodeCard, verifyCard } from './card.ts';
import type { Card } from './card.ts';
import { readExtensions, writeExtensions } from './extensions.ts';
import type { Extension } from './extensions.ts';
import {
  readChoice,
  readId,
  readList,
  readU64Number,
  writeBlob,
  writeFixed,
  writeId,
  writeList,
  writeText,
  writeU64Number,
} from './fields.ts';

const magic = 'kithinvi';
const version = 1;
const knownExtensions: ReadonlySet<number> = new Set();
const seedBytes = 32;
const hostBytesMax = 255;

/** Meeting points that an invite names: as many as anybody needs to be found by. */
export const meetingPointsMax = 8;

/** Extensions in all: an invite is a line that people paste, and little of it is for later. */
const extensionBytesInAllMax = 1024;

/** Bytes of a whole invite: a card, and some 2.5 KiB of what stands around it. */
export const inviteBytesMax: number = cardBytesMax + 4096;

/** A meeting point, as `up --bootstrap` takes it. */
export interface MeetingPoint {
  readonly host: string;
  readonly port: number;
}

/** How the one who accepts may look for the inviter, beside the addresses on the card. */
export interface InviteHints {
  readonly meetingPoints: readonly MeetingPoint[];
  /** The inviter has said that hyperdht's public servers may be asked. */
  readonly publicDht: boolean;
}

/** What an inviter gives to one person (docs/formats/invite.md). Secret: who has it can use it. */
export interface Invite {
  /** 32 bytes: the seed of the one-time Ed25519 pair. */
  readonly seed: Uint8Array;
  /** The inviter's device that made it: the only one that answers it. */
  readonly deviceId: Uint8Array;
  /** The inviter's card, encoded. */
  readonly card: Uint8Array;
  /** By the inviter's clock, ms since 1970. */
  readonly madeMs: number;
  readonly expiresMs: number;
  /** Bytes that the inviter will keep for whoever accepts. */
  readonly quotaBytes: number;
  readonly hints: InviteHints;
  readonly extensions: readonly Extension[];
  /** The device's, over all before it. Nobody has checked it until verifyInvite did. */
  readonly signature: Uint8Array;
}

function signedPart(invite: Omit<Invite, 'signature'>): ByteWriter {
  const writer = new ByteWriter().bytes(fileHead(magic, version));
  writeFixed(writer, invite.seed, seedBytes);
  writeId(writer, invite.deviceId);
  writeBlob(writer, invite.card, cardBytesMax, 'card of an invite');
  writeU64Number(writer, invite.madeMs);
  writeU64Number(writer, invite.expiresMs);
  writer.varint(invite.quotaBytes);
  writeHints(writer, invite.hints);
  writeExtensions(writer, invite.extensions);
  return writer;
}

/** Writes hints as they stand in an invite, and with a friend whose invite is pending. */
export function writeHints(writer: ByteWriter, { meetingPoints, publicDht }: InviteHints): void {
  writeList(writer, meetingPoints, meetingPointsMax, 'meeting points', ({ host, port }) => {
    if (!validHost(host) || port < 1 || port > 65535) throw new RangeError(`${host}:${port} is no place`);
    writeText(writer, host, hostBytesMax, 'host');
    writer.u16(port);
  });
  writer.u8(publicDht ? 1 : 0);
}

/** Reads what writeHints wrote. */
export function readHints(reader: ByteReader): InviteHints {
  const meetingPoints = readList(reader, meetingPointsMax, 4, () => {
    const host = reader.text(hostBytesMax);
    const port = reader.u16();
    if (!validHost(host) || port === 0) throw reader.fail('a meeting point that is no place');
    return { host, port };
  });
  return { meetingPoints, publicDht: readChoice(reader, [0, 1] as const, 'public DHT') === 1 };
}

/** Signs with the secret key (64 bytes) of the device that the invite names. */
export function signInvite(invite: Omit<Invite, 'signature'>, deviceSecretKey: Uint8Array): Invite {
  return { ...invite, signature: sign(signedPart(invite).finish(), deviceSecretKey) };
}

/** One way to write an invite. */
export function encodeInvite(invite: Invite): Uint8Array {
  const writer = signedPart(invite);
  writeFixed(writer, invite.signature, signatureBytes);
  return writer.finish();
}

/** Views into `bytes`, unverified, the card undecoded. KithError `malformed` or `too-new`. */
export function decodeInvite(bytes: Uint8Array): Invite {
  const reader = new ByteReader(bytes, 'invite');
  if (bytes.length > inviteBytesMax) throw reader.fail(`${bytes.length} bytes are too long`);
  readFileHead(reader, magic, version);
  const seed = reader.bytes(seedBytes);
  const deviceId = readId(reader);
  const card = reader.blob(cardBytesMax);
  const madeMs = readU64Number(reader);
  const expiresMs = readU64Number(reader);
  const quotaBytes = reader.varint();
  const hints = readHints(reader);
  const extensions = readExtensions(reader, knownExtensions);
  if (extensions.reduce((sum, field) => sum + field.bytes.length, 0) > extensionBytesInAllMax) {
    throw reader.fail('extensions are too large');
  }
  const signature = reader.bytes(signatureBytes);
  reader.end();
  return { seed, deviceId, card, madeMs, expiresMs, quotaBytes, hints, extensions, signature };
}

/**
 * The inviter's card, verified: views into the invite's bytes. KithError `not-authentic` unless the card is genuine and a
 * device that belongs to it has signed the invite; `malformed` or `too-new` for a card that is none.
 */
export function verifyInvite(invite: Invite): Card {
  const card = decodeCard(invite.card);
  verifyCard(card);
  const { deviceId } = invite;
  const certified = card.certificates.some((each) => equalBytes(each.deviceId, deviceId));
  const revoked = card.revocations.some((each) => equalBytes(each.deviceId, deviceId));
  if (!certified || revoked) {
    throw new KithError('not-authentic', 'the invite is not of a device of the one who invites');
  }
  if (!verifySignature(signedPart(invite).finish(), invite.signature, deviceId)) {
    throw new KithError('not-authentic', 'the invite is not signed by the one who invites');
  }
  return card;
}

/** The one-time pair of an invite. Wipe it with wipeKeyPair when its work is done. */
export function oneTimePair(seed: Uint8Array): SignKeyPair {
  return signKeyPair(seed);
}

/** The public half of the one-time pair, by which both sides know the invite. */
export function inviteIdOf(seed: Uint8Array): Uint8Array {
  const pair = oneTimePair(seed);
  wipeKeyPair(pair);
  return pair.publicKey;
}
