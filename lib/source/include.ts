import { pathText, nameKey, joinPath, splitPath } from './path.ts';
import type { Pattern } from './pattern.ts';
import { compilePatterns, verdictOf } from './pattern.ts';

const root: Uint8Array = new Uint8Array([0x2f]);

/**
 * Which part of a snapshot a restore takes. Patterns are those of `--exclude` at backup (lib/source/pattern.ts):
 * without a slash they match base names. What lies in a matched folder is matched with it.
 * Paths are names from the snapshot's root (or from the folder that is restored) down.
 */
export class RestoreFilter {
  readonly #includes: readonly Pattern[];
  readonly #excludes: readonly Pattern[];

  /** KithError `usage` for a bad pattern. */
  constructor(options: { readonly include?: readonly string[]; readonly exclude?: readonly string[] } = {}) {
    this.#includes = compilePatterns(options.include ?? []);
    this.#excludes = compilePatterns(options.exclude ?? []);
  }

  /** True where everything is wanted, so that nobody needs to ask. */
  get takesAll(): boolean {
    return this.#includes.length === 0 && this.#excludes.length === 0;
  }

  /** Whether the thing itself is to be restored. */
  wants(components: readonly Uint8Array[], isFolder: boolean): boolean {
    if (this.takesAll) return true;
    if (this.#hits(this.#excludes, components, isFolder)) return false;
    return this.#includes.length === 0 || this.#hits(this.#includes, components, isFolder);
  }

  /** Whether something in this folder may be wanted, so that it has to be looked into. */
  enters(components: readonly Uint8Array[]): boolean {
    if (this.takesAll || components.length === 0) return true;
    const negated = this.#excludes.some((pattern) => pattern.negative);
    if (!negated && this.#hits(this.#excludes, components, true)) return false;
    if (this.#includes.length === 0 || this.#hits(this.#includes, components, true)) return true;
    const text = textOfComponents(components);
    return this.#includes.some((pattern) => !pattern.negative && pattern.leads(text));
  }

  /** Whether the deepest folder of the path, or the thing itself, about which the patterns say something, is a match. */
  #hits(patterns: readonly Pattern[], components: readonly Uint8Array[], isFolder: boolean): boolean {
    if (patterns.length === 0) return false;
    let path = root;
    let hit = false;
    for (const [i, name] of components.entries()) {
      path = joinPath(path, name);
      const folder = i < components.length - 1 || isFolder;
      hit = verdictOf(patterns, pathText(path), folder) ?? hit;
    }
    return hit;
  }
}

/**
 * For `--delete`: true for what lies inside one of the sources. The folders above hold only what leads to a source,
 * so that what else is there says nothing about the snapshot and must stay. `components` are from the snapshot's root.
 */
export function insideSources(
  sources: readonly Uint8Array[],
): (components: readonly Uint8Array[]) => boolean {
  const whole = sources.map((source) => splitPath(source).map(nameKey));
  return (components) => {
    const names = components.map(nameKey);
    return whole.some(
      (source) => names.length > source.length && source.every((name, i) => names[i] === name),
    );
  };
}

function textOfComponents(components: readonly Uint8Array[]): string {
  let path = root;
  for (const name of components) path = joinPath(path, name);
  return pathText(path);
}
