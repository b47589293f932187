/** Time as pure rooms see it. */
export interface Clock {
  /** Wall clock, ns since 1970. Shown to people and written down; never the only ground of a safety decision. */
  nowNs(): bigint;
  /** Monotonic ms, for durations. */
  monotonicMs(): number;
}

/** The machine's clock. */
export const systemClock: Clock = {
  nowNs: () => BigInt(Date.now()) * 1_000_000n,
  monotonicMs: () => performance.now(),
};
