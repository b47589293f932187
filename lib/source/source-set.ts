import { lstatSync } from 'node:fs';
import { KithError, systemCode } from '../base/errors.ts';
import { displayText } from '../base/bytes.ts';
import { pathBytesMax } from '../base/limits.ts';
import { nameKey, splitPath, withReach } from './path.ts';

/** Sources of one backup, as the snapshot format holds them. */
const sourcesMax = 4096;

/** A folder on the way from the root to the sources. */
export interface SourceNode {
  /** True where a person named this very path. */
  isSource: boolean;
  /** By nameKey. */
  readonly children: Map<string, SourceNode>;
}

/**
 * The sources as a tree of names from the root. A source inside another is a mark inside it.
 * KithError `source-missing` for one that isn't there, `usage` for one that isn't a plain absolute path.
 */
export function sourceTree(sources: readonly Uint8Array[]): SourceNode {
  if (sources.length > sourcesMax) {
    throw new KithError('usage', `${sources.length} sources at once; kith takes ${sourcesMax}.`);
  }
  const root: SourceNode = { isSource: false, children: new Map() };
  for (const source of sources) {
    checkSource(source);
    let node = root;
    for (const name of splitPath(source)) {
      const key = nameKey(name);
      let next = node.children.get(key);
      if (next === undefined) {
        next = { isSource: false, children: new Map() };
        node.children.set(key, next);
      }
      node = next;
    }
    node.isSource = true;
  }
  return root;
}

function checkSource(source: Uint8Array): void {
  const shown = displayText(source);
  const dots = splitPath(source).some((name) => ['.', '..'].includes(nameKey(name)));
  if (source[0] !== 0x2f || source.includes(0) || dots || source.length > pathBytesMax) {
    throw new KithError('usage', `"${shown}" is not a plain absolute path.`);
  }
  try {
    withReach(source, (path) => lstatSync(path));
  } catch (error) {
    const code = systemCode(error);
    if (code !== 'ENOENT' && code !== 'ENOTDIR') return; // It is there; the walk reports why it can't be read.
    throw new KithError('source-missing', `There is nothing at ${shown}. Nothing was backed up.`, {
      details: { path: shown },
      cause: error,
    });
  }
}
