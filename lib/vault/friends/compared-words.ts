import { encodeSetting } from '../../format/catalog-records.ts';
import { recordKinds } from '../../format/log-kinds.ts';
import { logRoles } from '../../format/segment.ts';
import type { Session } from '../session.ts';

/** The catalog's setting that says that a friend's safety words were compared. They are of the two identities, and so never change. */
function comparedKey(friendId: string): string {
  return `friend.${friendId}.words`;
}

/** True once the user has said that both see the same safety words. `friendId`: 64 hex digits. */
export function isCompared({ state }: Pick<Session, 'state'>, friendId: string): boolean {
  return state.setting(comparedKey(friendId)) === 'same';
}

/** Notes it, for all devices of the identity. */
export async function noteCompared(session: Session, friendId: string): Promise<void> {
  if (isCompared(session, friendId)) return;
  const key = comparedKey(friendId);
  const atNs = session.state.settingTimeNs(key, session.surroundings.clock.nowNs());
  const body = encodeSetting({ key, value: 'same', atNs });
  await session.logs.append(logRoles.catalog, [{ kind: recordKinds.setting, body }]);
}
