import { friendStateNumbers } from '../format/friend-records.ts';
import { inviteStateNumbers } from '../format/invite-records.ts';
import { safetyWords } from '../trust/safety-words.ts';
import type { Session } from './session.ts';

/** How long status speaks of a friend who came by an invite. */
const newsNs: bigint = 7n * 86_400_000_000_000n;

/** Of many the newest: a line each. */
const newsMax = 3;

/** Sentences about who has lately become a friend by an invite of ours, with the words to compare; mostly none. */
export async function inviteNews(session: Session): Promise<string[]> {
  const nowNs = session.surroundings.clock.nowNs();
  const used = session.state
    .invites()
    .filter(({ state, atNs }) => state === inviteStateNumbers.used && nowNs - atNs < newsNs)
    .sort((a, b) => (a.atNs < b.atNs ? 1 : -1));
  const sentences: string[] = [];
  for (const { usedBy } of used.slice(0, newsMax)) {
    const friend = session.state.friend(usedBy);
    if (friend?.state !== friendStateNumbers.active) continue;
    const words = await safetyWords(session.device.vaultId, usedBy);
    sentences.push(
      `"${friend.name}" has accepted your invite. Ask them, by telephone say, whether they see the same safety words: ${words}.`,
    );
  }
  return sentences;
}
