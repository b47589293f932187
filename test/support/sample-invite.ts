import { encodeCard } from '../../lib/format/card.ts';
import { inviteIdOf, signInvite } from '../../lib/format/invite.ts';
import type { Invite } from '../../lib/format/invite.ts';
import { SamplePerson } from './sample-card.ts';
import { Seeded } from './seeded.ts';

export const inviteDay = 1_760_000_000_000;

/** An invite of a person's device 1, the same on every run; `facts` says what is otherwise. */
export function sampleInvite(person: SamplePerson, facts: Partial<Omit<Invite, 'signature'>> = {}): Invite {
  const { publicKey: deviceId, secretKey } = person.device(1);
  return signInvite(
    {
      seed: new Seeded(77).bytes(32),
      deviceId,
      card: encodeCard(person.card()),
      madeMs: inviteDay,
      expiresMs: inviteDay + 7 * 86_400_000,
      quotaBytes: 50e9,
      hints: { meetingPoints: [], publicDht: false },
      extensions: [],
      ...facts,
    },
    secretKey,
  );
}

/** The id of the invite that sampleInvite gives. */
export const sampleInviteId: Uint8Array = inviteIdOf(new Seeded(77).bytes(32));
