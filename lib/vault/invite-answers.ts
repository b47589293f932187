import type { BookInvites } from '../trust/friends-book.ts';
import { oneTimeOf } from './invite-accept.ts';
import { admittedInvites, welcomeInvited } from './invite-welcome.ts';
import type { Session } from './session.ts';

/** What the friends book of an opened session asks about invites. `onUsed` is told of each that has made somebody a friend. */
export function inviteAnswers(
  session: Session,
  onUsed: (identity: Uint8Array) => void = () => undefined,
): BookInvites {
  return {
    admitted: () => admittedInvites(session),
    oneTimeOf,
    welcome: async (inviteId, deviceId, card) => {
      const identity = await welcomeInvited(session, inviteId, deviceId, card);
      onUsed(identity);
      return identity;
    },
  };
}
