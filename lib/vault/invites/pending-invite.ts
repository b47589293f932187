import { isKithError } from '../../base/errors.ts';
import { extensionOf, type Extension } from '../../format/extensions.ts';
import type { FriendRecord } from '../../format/friend-records.ts';
import {
  decodePendingInvite,
  encodePendingInvite,
  pendingInviteTag,
  pendingStateNumbers,
  type PendingInvite,
} from '../../format/invite-records.ts';
import type { FriendInfo } from '../types.ts';

/** The extensions of a friend's line, whose other fields are kept. */
type Fields = readonly Extension[];

/** The invite of a friend that is pending here; undefined for most, and where it can't be read. */
export function pendingOf(record: Partial<Pick<FriendRecord, 'extensions'>>): PendingInvite | undefined {
  const bytes = extensionOf(record.extensions ?? [], pendingInviteTag);
  if (bytes === undefined) return undefined;
  try {
    return decodePendingInvite(bytes);
  } catch (error) {
    if (!isKithError(error)) throw error;
    return undefined;
  }
}

export function withoutPending(fields: Fields): Extension[] {
  return fields.filter(({ tag }) => tag !== pendingInviteTag);
}

export function withPending(fields: Fields, pending: PendingInvite): Extension[] {
  const field = { tag: pendingInviteTag, bytes: encodePendingInvite(pending) };
  return [...withoutPending(fields), field].sort((a, b) => a.tag - b.tag);
}

const stateNames = new Map<number, NonNullable<FriendInfo['invite']>>([
  [pendingStateNumbers.waiting, 'pending'],
  [pendingStateNumbers.used, 'used'],
  [pendingStateNumbers.expired, 'expired'],
  [pendingStateNumbers.refused, 'refused'],
]);

const stateWords: Readonly<Record<NonNullable<FriendInfo['invite']>, string>> = {
  pending: 'their invite is accepted here, and completes by itself when both computers are on',
  used: 'their invite was used by somebody else before; ask them for a new one',
  expired: 'their invite had expired; ask them for a new one',
  refused: 'their invite is no longer good; ask them for a new one',
};

/** How it stands with the friend's invite, by name and in words; null where there is none. */
export function pendingShown(record: FriendRecord): {
  readonly invite: FriendInfo['invite'];
  readonly words: string | null;
} {
  const pending = pendingOf(record);
  const invite = pending === undefined ? null : (stateNames.get(pending.state) ?? null);
  return { invite, words: invite === null ? null : stateWords[invite] };
}
