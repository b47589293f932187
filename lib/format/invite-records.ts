import { ByteReader, ByteWriter } from '../base/codec.ts';
import { readExtensions, writeExtensions } from './extensions.ts';
import type { Extension } from './extensions.ts';
import {
  nameTextBytesMax,
  readChoice,
  readId,
  readU64Number,
  writeChoice,
  writeId,
  writeText,
  writeU64Number,
} from './fields.ts';
import { readHints, writeHints } from './invite.ts';
import type { InviteHints } from './invite.ts';

/** What the catalog keeps of invites, on either side (docs/formats/invite.md). */

const knownExtensions: ReadonlySet<number> = new Set();

/** Numbers of an invite's state: of two records of one invite the higher counts, so that one that was used stays used. */
export const inviteStateNumbers = { open: 1, withdrawn: 2, used: 3 } as const;
export type InviteStateNumber = (typeof inviteStateNumbers)[keyof typeof inviteStateNumbers];
const inviteStates: readonly InviteStateNumber[] = Object.values(inviteStateNumbers);

/** An invite that this identity made. */
export interface InviteRecord {
  /** Public half of the one-time pair. The secret half is in the invite and nowhere else. */
  readonly inviteId: Uint8Array;
  /** The device that made it, which alone answers it. */
  readonly deviceId: Uint8Array;
  readonly state: InviteStateNumber;
  readonly madeMs: number;
  readonly expiresMs: number;
  /** Bytes that whoever accepts may keep here. */
  readonly quotaBytes: number;
  /** What the inviter will call them; empty to take the name on their card. */
  readonly name: string;
  /** The identity that used it; zeros while nobody has. */
  readonly usedBy: Uint8Array;
  readonly atNs: bigint;
  readonly extensions: readonly Extension[];
}

export function encodeInviteRecord(record: InviteRecord): Uint8Array {
  const writer = new ByteWriter();
  writeId(writer, record.inviteId);
  writeId(writer, record.deviceId);
  writeChoice(writer, record.state, inviteStates);
  writeU64Number(writer, record.madeMs);
  writeU64Number(writer, record.expiresMs);
  writer.varint(record.quotaBytes);
  writeText(writer, record.name, nameTextBytesMax, 'name in an invite');
  writeId(writer, record.usedBy);
  writer.i64(record.atNs);
  writeExtensions(writer, record.extensions);
  return writer.finish();
}

/** Views into `bytes`. KithError `malformed` or `too-new`. */
export function decodeInviteRecord(bytes: Uint8Array): InviteRecord {
  const reader = new ByteReader(bytes, 'record "invite"');
  const record = {
    inviteId: readId(reader),
    deviceId: readId(reader),
    state: readChoice(reader, inviteStates, 'state of an invite'),
    madeMs: readU64Number(reader),
    expiresMs: readU64Number(reader),
    quotaBytes: reader.varint(),
    name: reader.text(nameTextBytesMax),
    usedBy: readId(reader),
    atNs: reader.i64(),
    extensions: readExtensions(reader, knownExtensions),
  };
  reader.end();
  return record;
}

/** Tag of the extension of a friend's record that says that an invite of theirs is pending. */
export const pendingInviteTag = 1;

/** How it stands with an invite that was accepted here. */
export const pendingStateNumbers = { waiting: 1, used: 2, expired: 3, refused: 4 } as const;
export type PendingStateNumber = (typeof pendingStateNumbers)[keyof typeof pendingStateNumbers];
const pendingStates: readonly PendingStateNumber[] = Object.values(pendingStateNumbers);

/** A friend's invite that was accepted here and that the friend hasn't answered with yes. */
export interface PendingInvite {
  /** Waiting, or why it was refused for good. */
  readonly state: PendingStateNumber;
  /** Seed of the one-time pair. */
  readonly seed: Uint8Array;
  /** The friend's device that made it. */
  readonly deviceId: Uint8Array;
  readonly expiresMs: number;
  /** Bytes that the friend offers. */
  readonly quotaBytes: number;
  readonly hints: InviteHints;
}

export function encodePendingInvite(pending: PendingInvite): Uint8Array {
  const writer = new ByteWriter();
  writeChoice(writer, pending.state, pendingStates);
  writeId(writer, pending.seed);
  writeId(writer, pending.deviceId);
  writeU64Number(writer, pending.expiresMs);
  writer.varint(pending.quotaBytes);
  writeHints(writer, pending.hints);
  return writer.finish();
}

/** Views into `bytes`. KithError `malformed`. */
export function decodePendingInvite(bytes: Uint8Array): PendingInvite {
  const reader = new ByteReader(bytes, 'pending invite');
  const pending = {
    state: readChoice(reader, pendingStates, 'state of a pending invite'),
    seed: readId(reader),
    deviceId: readId(reader),
    expiresMs: readU64Number(reader),
    quotaBytes: reader.varint(),
    hints: readHints(reader),
  };
  reader.end();
  return pending;
}
