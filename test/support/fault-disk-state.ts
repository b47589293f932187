import type { Seeded } from './seeded.ts';

/** What the fault disk remembers: every file and folder as it is seen, and as it would survive. */
export interface FileNode {
  readonly kind: 'file';
  /** As seen. Replaced, never changed in place. */
  bytes: Uint8Array;
  /** As synced last; undefined: never. */
  synced: Uint8Array | undefined;
  mtimeMs: number;
}

export interface FolderNode {
  readonly kind: 'folder';
  readonly entries: Map<string, Node>;
  readonly synced: Map<string, Node>;
  /** For each name, what it became since the last sync, in order; undefined: removed. */
  readonly pending: Map<string, (Node | undefined)[]>;
}

export type Node = FileNode | FolderNode;

/** How much of what wasn't synced is found after a crash; see FaultDisk.afterCrash. */
export type CrashMode = 'lose-unsynced' | 'keep-all' | 'mixed' | 'process-killed';

export function emptyFolder(): FolderNode {
  return { kind: 'folder', entries: new Map(), synced: new Map(), pending: new Map() };
}

/** Gives a name to a node, or takes it away; seen at once, not yet durable. */
export function setEntry(folder: FolderNode, name: string, node: Node | undefined): void {
  if (node === undefined) folder.entries.delete(name);
  else folder.entries.set(name, node);
  const states = folder.pending.get(name) ?? [];
  states.push(node);
  folder.pending.set(name, states);
}

/** Takes a name away for good: nothing of it comes back after a crash. */
export function forgetEntry(folder: FolderNode, name: string): void {
  folder.entries.delete(name);
  folder.synced.delete(name);
  folder.pending.delete(name);
}

/** Makes a folder's names durable. */
export function syncEntries(folder: FolderNode): void {
  folder.synced.clear();
  for (const [name, node] of folder.entries) folder.synced.set(name, node);
  folder.pending.clear();
}

/** All files below a folder with their paths, in order of names. */
export function* filesUnder(folder: FolderNode, path: string): Generator<[string, FileNode]> {
  for (const [name, node] of sorted(folder.entries)) {
    if (node.kind === 'file') yield [`${path}/${name}`, node];
    else yield* filesUnder(node, `${path}/${name}`);
  }
}

/** A deep copy of a folder as a crash leaves it. */
export function capturedState(root: FolderNode, mode: CrashMode, seeded: Seeded): FolderNode {
  const copies = new Map<Node, Node>();
  const copyNode = (node: Node): Node => {
    const known = copies.get(node);
    if (known !== undefined) return known;
    if (node.kind === 'file') {
      const file = copyFile(node, mode, seeded);
      copies.set(node, file);
      return file;
    }
    const folder = emptyFolder();
    copies.set(node, folder);
    fillFolder(folder, node, mode, seeded, copyNode);
    return folder;
  };
  const copy = copyNode(root);
  if (copy.kind === 'file') throw new Error('the root is a folder');
  return copy;
}

function copyFile(file: FileNode, mode: CrashMode, seeded: Seeded): FileNode {
  if (mode === 'process-killed') return { ...file };
  const bytes = survivingBytes(file, mode, seeded);
  return { kind: 'file', bytes, synced: bytes, mtimeMs: file.mtimeMs };
}

function survivingBytes(file: FileNode, mode: CrashMode, seeded: Seeded): Uint8Array {
  const old = file.synced ?? new Uint8Array(0);
  if (mode === 'keep-all' || file.bytes === file.synced) return file.bytes;
  if (mode === 'lose-unsynced') return old;
  const cut = seeded.below(file.bytes.length + 1);
  switch (seeded.below(4)) {
    case 0:
      return old;
    case 1:
      return file.bytes;
    case 2:
      return file.bytes.slice(0, cut);
    default: {
      // The length reached the disk before the bytes did.
      const zeros = file.bytes.slice();
      zeros.fill(0, cut);
      return zeros;
    }
  }
}

function fillFolder(
  copy: FolderNode,
  folder: FolderNode,
  mode: CrashMode,
  seeded: Seeded,
  copyNode: (node: Node) => Node,
): void {
  if (mode === 'process-killed') {
    for (const [name, node] of sorted(folder.entries)) copy.entries.set(name, copyNode(node));
    for (const [name, node] of sorted(folder.synced)) copy.synced.set(name, copyNode(node));
    for (const [name, states] of sorted(folder.pending)) {
      copy.pending.set(
        name,
        states.map((node) => (node === undefined ? undefined : copyNode(node))),
      );
    }
    return;
  }
  const survivors = new Map(mode === 'keep-all' ? folder.entries : folder.synced);
  if (mode === 'mixed') {
    for (const [name, states] of sorted(folder.pending)) {
      const happened = seeded.below(states.length + 1);
      if (happened === 0) continue;
      const node = states[happened - 1];
      if (node === undefined) survivors.delete(name);
      else survivors.set(name, node);
    }
  }
  for (const [name, node] of sorted(survivors)) copy.entries.set(name, copyNode(node));
  syncEntries(copy);
}

function sorted<T>(map: ReadonlyMap<string, T>): [string, T][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}
