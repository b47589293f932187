import { KithError } from '../../base/errors.ts';
import { freeName } from './holder-book.ts';
import type { Session } from '../session.ts';

/** A name for a new holder: the one that is wanted, or with a number behind it. Names are unique over drives and friends. */
export function nameFor(session: Session, wanted: string): string {
  const names = new Set(session.holders().map(({ name }) => name));
  return freeName(wanted, (name) => names.has(name));
}

/** KithError `usage` if another holder than that of `ownId` has the name. */
export function refuseTakenName(session: Session, name: string, ownId: string | undefined): void {
  const other = session.holders().find((keeper) => keeper.name === name && keeper.id !== ownId);
  if (other === undefined) return;
  const what = other.kind === 'drive' ? 'disk' : 'friend';
  throw new KithError('usage', `there is a ${what} named "${name}" already; choose another --name.`);
}
