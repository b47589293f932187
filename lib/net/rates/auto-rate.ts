/** Delay that others on the line may be made to wait: more is felt in a call or a game. */
export const delayTargetMs = 80;

/** It is never yielded further: a line that is always full would else keep a backup away for ever. */
export const autoRateMin = 50_000;

/** No two cuts within so many ms: the first must be seen in the delay before it can be judged. */
const cutEveryMs = 800;

/** A delay that has become so much less since the last cut is on its way down by itself. */
const fallingShare = 0.9;

/** Share of the rate that is kept at a cut, by how far the delay is above the target. */
const keptMost = 0.85;
const keptLeast = 0.5;

/** Growth in a second, as a factor: far below the rate of the last cut, and near it. */
const growthFar = 2;
const growthNear = 1.12;

/** From this share of the last cut's rate on it grows slowly … */
const nearShare = 0.85;

/** … for so long; then the line may have become another. */
const cutCountsMs = 60_000;

/** After so many ms without any delay, at a rate that isn't used up, there is no limit any more. */
const calmMs = 30_000;

/** What was seen of a line since the last time. */
export interface LineSeen {
  readonly nowMs: number;
  /** Since the last. */
  readonly elapsedMs: number;
  /** How much longer than at best a message takes there and back. */
  readonly delayMs: number;
  /** Bytes that were sent meanwhile. */
  readonly sentBytes: number;
}

/**
 * How fast to send over a line so that others on it don't wait: in the manner of LEDBAT (RFC 6817), with a delay that is measured there and
 * back. Without a limit until the delay rises; then it cuts in proportion, and grows again while there is none. Pure: time and delay are
 * arguments.
 */
export class AutoRate {
  #rate = Number.POSITIVE_INFINITY;
  #throughput = 0;
  #cutAtMs = Number.NEGATIVE_INFINITY;
  #cutDelayMs = 0;
  /** What was sent when the delay last rose above the target. */
  #cutRate = Number.POSITIVE_INFINITY;
  #isAbove = false;
  #calmSinceMs: number | undefined;

  /** Bytes a second; Infinity while nothing suffers. */
  get rate(): number {
    return this.#rate;
  }

  heard(seen: LineSeen): void {
    const { nowMs, elapsedMs, delayMs, sentBytes } = seen;
    if (elapsedMs <= 0) return;
    const current = (sentBytes * 1000) / elapsedMs;
    const weight = Math.min(1, elapsedMs / 600);
    this.#throughput += (current - this.#throughput) * weight;
    const wasAbove = this.#isAbove;
    this.#isAbove = delayMs > delayTargetMs;
    if (this.#isAbove) this.#cut(nowMs, delayMs, !wasAbove);
    else if (this.#rate !== Number.POSITIVE_INFINITY) this.#grow(nowMs, elapsedMs, delayMs);
  }

  #cut(nowMs: number, delayMs: number, isNew: boolean): void {
    this.#calmSinceMs = undefined;
    if (!isNew && nowMs - this.#cutAtMs < cutEveryMs) return;
    const isFalling = !isNew && delayMs < fallingShare * this.#cutDelayMs;
    this.#cutDelayMs = delayMs;
    if (isFalling) {
      this.#cutAtMs = nowMs;
      return;
    }
    const excess = Math.min(1, (delayMs - delayTargetMs) / (2 * delayTargetMs));
    const from = Math.min(this.#rate, Math.max(this.#throughput, autoRateMin));
    this.#cutAtMs = nowMs;
    if (isNew) this.#cutRate = from;
    this.#rate = Math.max(autoRateMin, from * (keptMost - (keptMost - keptLeast) * excess));
  }

  #grow(nowMs: number, elapsedMs: number, delayMs: number): void {
    // What isn't used says nothing of what the line would bear.
    const isUsed = this.#throughput > 0.6 * this.#rate;
    if (delayMs > delayTargetMs / 4 || isUsed) this.#calmSinceMs = undefined;
    else this.#calmSinceMs ??= nowMs;
    if (this.#calmSinceMs !== undefined && nowMs - this.#calmSinceMs >= calmMs) {
      this.#rate = Number.POSITIVE_INFINITY;
      return;
    }
    if (!isUsed) return;
    const counts = nowMs - this.#cutAtMs < cutCountsMs;
    const isNear = counts && this.#rate > nearShare * this.#cutRate;
    const room = 1 - delayMs / delayTargetMs;
    this.#rate *= (isNear ? growthNear : growthFar) ** ((room * elapsedMs) / 1000);
  }
}
