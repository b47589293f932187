import { hostname } from 'node:os';
import { equalBytes } from '../../base/bytes.ts';
import { messageOf, type KithError } from '../../base/errors.ts';
import type { Session } from '../session.ts';
import { allSnapshots, type FoundSnapshot } from '../read/snapshots.ts';
import type { Problem } from '../types.ts';

/** The latest snapshot of the same sources on this host, waiting ones included. */
export async function findParent(
  session: Session,
  sources: readonly Uint8Array[],
): Promise<FoundSnapshot | undefined> {
  const all = await allSnapshots(session);
  const host = hostname();
  const same = all.filter(
    ({ snapshot }) =>
      snapshot.host === host &&
      snapshot.sources.length === sources.length &&
      snapshot.sources.every((source, i) => equalBytes(source, sources[i] ?? new Uint8Array(0))),
  );
  return same.at(-1);
}

/**
 * Gives what tells that parts of the parent can't be read, once, however often it is called: a damaged parent costs time, not data, but its
 * owner should know of it.
 */
export function parentProblemTeller(
  parent: FoundSnapshot | undefined,
  onProblem: (problem: Problem) => void,
): (error: KithError) => void {
  let told = false;
  return (error) => {
    if (told) return;
    told = true;
    onProblem({
      item: parent === undefined ? 'earlier snapshot' : `snapshot ${parent.id.slice(0, 8)}`,
      message: `parts of the backup before this one can’t be read, so what they hold is read from the source again: ${messageOf(error)}`,
      code: error.code,
    });
  };
}
