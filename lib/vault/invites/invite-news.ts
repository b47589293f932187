import { toHex } from '../../base/bytes.ts';
import { friendStateNumbers } from '../../format/friend-records.ts';
import { inviteStateNumbers } from '../../format/invite-records.ts';
import { safetyWords } from '../../trust/safety-words.ts';
import { isCompared } from '../friends/compared-words.ts';
import type { Session } from '../session.ts';

/** How long status speaks of a friend who came by an invite. */
const newsNs: bigint = 7n * 86_400_000_000_000n;

/** Of many the newest: a line each. */
const newsMax = 3;

/** A name as it can be typed behind a command. */
function commandWord(name: string): string {
  return /^[\p{L}\p{N}_.@-]+$/u.test(name) ? name : `'${name.replaceAll("'", `'\\''`)}'`;
}

/** Sentences about who has lately become a friend by an invite of ours, with the words to compare, until the user says that they match; mostly none. */
export async function inviteNews(session: Session): Promise<string[]> {
  const nowNs = session.surroundings.clock.nowNs();
  const used = session.state
    .invites()
    .filter(({ state, atNs }) => state === inviteStateNumbers.used && nowNs - atNs < newsNs)
    .sort((a, b) => (a.atNs < b.atNs ? 1 : -1));
  const sentences: string[] = [];
  for (const { usedBy } of used.slice(0, newsMax)) {
    const friend = session.state.friend(usedBy);
    if (friend?.state !== friendStateNumbers.active || isCompared(session, toHex(usedBy))) continue;
    const words = await safetyWords(session.device.vaultId, usedBy);
    sentences.push(
      `"${friend.name}" has accepted your invite. Ask them, by telephone say, whether they see the same safety words: ${words}. If so: kith friend set ${commandWord(friend.name)} --words-match`,
    );
  }
  return sentences;
}
