/** Time as the network sees it; tests pass one that they move by hand. */
export interface Timers {
  /** Monotonic ms. */
  nowMs(): number;
  /** Ms of the wall clock, which goes on while the computer sleeps; left out, it is taken to keep step with the other. */
  wallMs?(): number;
  /** Runs `work` once after so many ms; the result calls it off, and is harmless when repeated. */
  after(ms: number, work: () => void): () => void;
}

/** The machine's timers. */
export const systemTimers: Timers = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(ms, work) {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};
