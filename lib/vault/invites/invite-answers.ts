import { isIPv4 } from 'node:net';
import { friendStateNumbers } from '../../format/friend-records.ts';
import { pendingStateNumbers } from '../../format/invite-records.ts';
import type { MeetingPoint } from '../../format/invite.ts';
import type { BookInvites } from '../../trust/friends-book.ts';
import { oneTimeOf } from './invite-accept.ts';
import { admittedInvites, welcomeInvited } from './invite-welcome.ts';
import { pendingOf } from './pending-invite.ts';
import type { Session } from '../session.ts';

/** What the friends book of an opened session asks about invites. `onUsed` is told of each that has made somebody a friend. */
export function inviteAnswers(
  session: Session,
  onUsed: (identity: Uint8Array) => void = () => undefined,
): BookInvites {
  return {
    admitted: () => admittedInvites(session),
    oneTimeOf,
    welcome: async (inviteId, deviceId, card) => {
      const { identity, isNew } = await welcomeInvited(session, inviteId, deviceId, card);
      if (isNew) onUsed(identity);
      return identity;
    },
  };
}

/** Where the DHT is entered for the sake of friends whose invites are pending: at most so many in all. */
const meetingPointsInAllMax = 16;

/** As the pending invites of friends name them, each once. Whether the inviter asks public servers is not ours to follow. */
export function pendingMeetingPoints(session: Session): MeetingPoint[] {
  const points = new Map<string, MeetingPoint>();
  for (const record of session.state.friends()) {
    const pending = record.state === friendStateNumbers.active ? pendingOf(record) : undefined;
    if (pending?.state !== pendingStateNumbers.waiting) continue;
    for (const point of pending.hints.meetingPoints) {
      // Of a name nobody knows beforehand whom it leads to.
      if (isIPv4(point.host)) points.set(`${point.host} ${point.port}`, point);
    }
  }
  return [...points.values()].slice(0, meetingPointsInAllMax);
}
