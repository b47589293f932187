import { displayText } from '../../base/bytes.ts';
import { KithError } from '../../base/errors.ts';
import { entryTypes, type TreeEntry } from '../../format/tree.ts';
import { BlobReader } from './blob-reader.ts';
import { completeIndex } from './adopt.ts';
import type { Session } from '../session.ts';
import { resolveSnapshot } from './snapshots.ts';
import { pathOf, TreeReader } from './tree-reader.ts';
import type { ListedEntry } from '../types.ts';

const typeNames: Readonly<Record<number, ListedEntry['type']>> = {
  [entryTypes.file]: 'file',
  [entryTypes.folder]: 'folder',
  [entryTypes.symlink]: 'symlink',
  [entryTypes.fifo]: 'fifo',
  [entryTypes.socket]: 'socket',
  [entryTypes.blockDevice]: 'block-device',
  [entryTypes.characterDevice]: 'character-device',
  [entryTypes.unreadable]: 'unreadable',
};

/** A reader for one operation that needs no inventory: hints and questions find the shards. */
export async function openReader(session: Session): Promise<BlobReader> {
  const { here, away } = await session.reachable();
  const reader = new BlobReader(
    session,
    here,
    away.map(({ keeper }) => keeper),
    (problem) => session.problem(problem),
  );
  await completeIndex(session, reader);
  return reader;
}

/** Everything in a snapshot, or below a path of it, depth first; a path that is a file gives that file. */
export async function* list(session: Session, what: string): AsyncGenerator<ListedEntry, void, undefined> {
  const { found, names } = await resolveSnapshot(session, what);
  const trees = new TreeReader(await openReader(session));
  const { root } = found.snapshot;
  if (names === undefined || names.length === 0) {
    for await (const { names: path, entry } of trees.walk(root)) yield listed(path, entry);
    return;
  }
  const entry = await trees.at(root, names);
  if (entry === undefined) throw pathUnknown(names);
  yield listed(names, entry);
  if (entry.type !== entryTypes.folder || entry.content === undefined) return;
  for await (const inner of trees.walk(entry.content, names)) yield listed(inner.names, inner.entry);
}

/** The error for a path that a snapshot doesn't have. */
export function pathUnknown(names: readonly Uint8Array[]): KithError {
  return new KithError(
    'path-unknown',
    `the snapshot has nothing at ${pathOf(names)}. \`kith ls SNAP\` lists what it has.`,
  );
}

function listed(names: readonly Uint8Array[], entry: TreeEntry): ListedEntry {
  return {
    path: pathOf(names),
    type: typeNames[entry.type] ?? 'unreadable',
    mode: entry.mode,
    uid: entry.uid,
    gid: entry.gid,
    user: entry.user ?? null,
    group: entry.group ?? null,
    bytes: entry.size,
    mtimeNs: entry.mtimeNs,
    linkTarget: entry.linkTarget === undefined ? null : displayText(entry.linkTarget),
    error: entry.error ?? null,
  };
}
