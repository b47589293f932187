/** Beacons are looked at in windows of so long. */
export const lanWindowMs = 10_000;

/** Packets of one address in a window: friends send one or two, and answer once. */
export const lanPacketsPerAddressMax = 40;

/** Packets of all addresses in a window. */
export const lanPacketsMax = 400;

/** Entries compared in a window: each costs a keyed hash, so a flood costs a few percent of a core at most (net.md). */
export const lanComparisonsMax = 200_000;

/** What strangers in the local network may make us do. */
export class LanBudget {
  #sinceMs = Number.NEGATIVE_INFINITY;
  #packets = 0;
  #comparisons = 0;
  /** Never more than `lanPacketsMax`. */
  readonly #byAddress = new Map<string, number>();

  /** True if a packet of that address may be looked at now, which takes so many comparisons. */
  take(address: string, comparisons: number, nowMs: number): boolean {
    if (nowMs - this.#sinceMs >= lanWindowMs) {
      this.#sinceMs = nowMs;
      this.#packets = 0;
      this.#comparisons = 0;
      this.#byAddress.clear();
    }
    // On loopback all have one address; who can send there needn't flood us to do harm.
    const ofAddress = address.startsWith('127.') ? 0 : (this.#byAddress.get(address) ?? 0);
    if (this.#packets >= lanPacketsMax || ofAddress >= lanPacketsPerAddressMax) return false;
    if (this.#comparisons + comparisons > lanComparisonsMax) return false;
    this.#packets++;
    this.#comparisons += comparisons;
    this.#byAddress.set(address, ofAddress + 1);
    return true;
  }
}
