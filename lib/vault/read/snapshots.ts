import { displayText, toHex } from '../../base/bytes.ts';
import { KithError } from '../../base/errors.ts';
import { orderSnapshots } from '../../catalog/snapshot-order.ts';
import type { Snapshot } from '../../format/snapshot.ts';
import { loadPending } from '../shards/pending.ts';
import type { Session } from '../session.ts';
import { namesOf } from './tree-reader.ts';
import type { SnapshotInfo } from '../types.ts';

/** A snapshot and whether it waits for holders. */
export interface FoundSnapshot {
  readonly id: string;
  readonly snapshot: Snapshot;
  readonly pending: boolean;
}

/** A snapshot and a place in it, as a command names them. */
export interface ResolvedPath {
  readonly found: FoundSnapshot;
  /** Names from the root; undefined when no path was given. */
  readonly names: readonly Uint8Array[] | undefined;
}

/** All snapshots in the order in which they were made, oldest first, waiting ones included. */
export async function allSnapshots(session: Session): Promise<FoundSnapshot[]> {
  // First: one that is published meanwhile is then among the others.
  const waiting = await loadPending(session);
  const published = session.state.snapshots().map(({ id, snapshot }) => ({ id, snapshot, pending: false }));
  const known = new Set(published.map(({ id }) => id));
  const pending = waiting
    .filter(({ id }) => !known.has(id))
    .map(({ id, snapshot }) => ({ id, snapshot, pending: true }));
  return orderSnapshots([...published, ...pending], session.surroundings.clock.nowNs());
}

/** Resolves `latest`, a hex prefix, and `SNAP:PATH`. KithError `snapshot-unknown` or `usage`. */
export async function resolveSnapshot(session: Session, text: string): Promise<ResolvedPath> {
  const colon = text.indexOf(':');
  const name = (colon < 0 ? text : text.slice(0, colon)).toLowerCase();
  const names = colon < 0 ? undefined : namesOf(text.slice(colon + 1));
  const all = await allSnapshots(session);
  if (all.length === 0) {
    throw new KithError('snapshot-unknown', 'there are no snapshots yet. Make one: kith backup PATH');
  }
  if (name === 'latest') {
    const found = all.filter(({ pending }) => !pending).at(-1) ?? all.at(-1);
    if (found !== undefined) return { found, names };
  }
  if (!/^[0-9a-f]{1,64}$/.test(name)) {
    throw new KithError(
      'usage',
      `"${name}" names no snapshot. Use latest, or the first digits of an id from \`kith snapshots\`.`,
    );
  }
  const matching = all.filter(({ id }) => id.startsWith(name));
  const [only] = matching;
  if (only === undefined)
    throw new KithError('snapshot-unknown', `there is no snapshot ${name}. \`kith snapshots\` lists them.`);
  if (matching.length > 1) {
    throw new KithError(
      'usage',
      `${name} fits ${matching.length} snapshots; give more digits (\`kith snapshots\` lists them).`,
    );
  }
  return { found: only, names };
}

/** What `kith snapshots` shows of one. */
export function snapshotInfo({ id, snapshot, pending }: FoundSnapshot): SnapshotInfo {
  const { summary } = snapshot;
  return {
    id,
    shortId: id.slice(0, 8),
    timeNs: snapshot.timeNs,
    paths: snapshot.sources.map(displayText),
    hostname: snapshot.host,
    user: snapshot.user,
    tags: [...snapshot.tags],
    state: pending ? 'pending' : snapshot.partial ? 'partial' : 'complete',
    parent: snapshot.parent === undefined ? null : toHex(snapshot.parent),
    summary: {
      files: summary.filesNew + summary.filesChanged + summary.filesUnmodified,
      folders: summary.folders,
      bytes: summary.bytesProcessed,
      bytesAdded: summary.bytesAdded,
      unreadable: summary.unreadable,
    },
  };
}
