/** Entries kept: a set of tables is at most 64 KiB (WASM) or 32 KiB for four rows (plain), and a vault sees few spreads and few patterns of loss. */
const entriesMax = 64;

/** Tables by the pattern (k, rows at hand, rows wanted) they were made for; forgets what was not used for longest. */
export class PatternCache<T> {
  readonly #entries = new Map<string, T>();

  get(pattern: string, make: () => T): T {
    const tables = this.#entries.get(pattern) ?? make();
    this.#entries.delete(pattern);
    this.#entries.set(pattern, tables);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= entriesMax) break;
      this.#entries.delete(oldest);
    }
    return tables;
  }
}
