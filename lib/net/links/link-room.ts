import { idKey } from '../../base/bytes.ts';
import type { Session } from '../sessions/session.ts';

/**
 * Links of this process at a time, whatever has become of them: each is a socket. Twice as many as there can be friends; systems allow a process 1024
 * and more open files, and Node raises that to what they allow at most, commonly 4096 or more.
 */
export const linkCountMax = 2048;

/** A session that may go where there are too many links: an idle one of whoever has most of them, and more than one. The oldest first. */
export function spareSession(sessions: Iterable<Session>): Session | undefined {
  const byIdentity = new Map<string, Session[]>();
  for (const session of sessions) {
    if (session.peer === undefined) continue;
    const key = idKey(session.peer.identity);
    byIdentity.set(key, [...(byIdentity.get(key) ?? []), session]);
  }
  const crowds = [...byIdentity.values()]
    .filter((each) => each.length > 1 && each.some(({ busy }) => !busy))
    .sort((a, b) => b.length - a.length);
  return crowds[0]?.find(({ busy }) => !busy);
}
