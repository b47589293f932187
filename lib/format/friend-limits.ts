import { ByteReader, ByteWriter } from '../base/codec.ts';
import { extensionOf, type Extension } from './extensions.ts';

/** Tag of the field of a friend record (docs/formats/log.md). */
export const friendLimitsTag = 4;

/** Bytes a second at most that go to a friend and come from there; undefined for no limit. */
export interface FriendLimits {
  readonly uploadLimit: number | undefined;
  readonly downloadLimit: number | undefined;
}

export function encodeFriendLimits({ uploadLimit = 0, downloadLimit = 0 }: FriendLimits): Uint8Array {
  return new ByteWriter().varint(uploadLimit).varint(downloadLimit).finish();
}

/** KithError `malformed`. */
export function decodeFriendLimits(bytes: Uint8Array): FriendLimits {
  const reader = new ByteReader(bytes, 'limits of a friend');
  const limits = { uploadLimit: reader.varint() || undefined, downloadLimit: reader.varint() || undefined };
  reader.end();
  return limits;
}

/** What a friend's record says; no limits where it says nothing. KithError `malformed`. */
export function limitsOfFriend(extensions: readonly Extension[]): FriendLimits {
  const bytes = extensionOf(extensions, friendLimitsTag);
  return bytes === undefined
    ? { uploadLimit: undefined, downloadLimit: undefined }
    : decodeFriendLimits(bytes);
}

/** The record's fields with other limits in them; without the field where there are none. */
export function withFriendLimits(extensions: readonly Extension[], limits: FriendLimits): Extension[] {
  const others = extensions.filter(({ tag }) => tag !== friendLimitsTag);
  if (limits.uploadLimit === undefined && limits.downloadLimit === undefined) return others;
  const field = { tag: friendLimitsTag, bytes: encodeFriendLimits(limits) };
  return [...others, field].sort((a, b) => a.tag - b.tag);
}
