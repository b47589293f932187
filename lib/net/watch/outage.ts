/** What is done about peers that fell silent, until they are back: pure, in ms of one monotonic clock (docs/watchdog.md). */

/** At first one of them is tried this often … */
export const probeMsMin = 3_000;

/** … then ever more rarely, up to this: an outage of any length heals as soon. */
export const probeMsMax = 15_000;

/** After that they are dialled as anybody who isn't there: they were switched off. */
export const outageMsMax: number = 60 * 60_000;

/** The DHT isn't asked to begin anew more often, nor are all absent peers dialled at once. */
export const reviveMsMin = 10_000;

/** Those dialled at once are spread over this. */
export const spreadMs = 1_000;

/** How long until one of the silent ones is tried again; undefined when that is given up. */
export function probeDelayMs(silentSinceMs: number, nowMs: number): number | undefined {
  const sinceMs = nowMs - silentSinceMs;
  if (sinceMs >= outageMsMax) return undefined;
  return Math.min(probeMsMax, Math.max(probeMsMin, sinceMs / 10));
}

/** A timer that is so late shows that this process stood still: nobody else is to blame for silence meanwhile. */
export const stallMs = 700;

/** A standstill, or a leap of the wall clock ahead of the other, that is a sleep of the computer. */
export const sleepMs = 5_000;

/**
 * What lies behind a timer that was to fire `dueMs` after the moment `before`: the monotonic clock of Linux stands
 * still while the computer sleeps, the wall clock doesn't.
 */
export function delayKind(
  before: { readonly monotonicMs: number; readonly wallMs: number },
  now: { readonly monotonicMs: number; readonly wallMs: number },
  dueMs: number,
): 'none' | 'stall' | 'sleep' {
  const tookMs = now.monotonicMs - before.monotonicMs;
  const leapMs = now.wallMs - before.wallMs - tookMs;
  const lateMs = tookMs - dueMs;
  if (lateMs >= sleepMs || leapMs >= sleepMs) return 'sleep';
  return lateMs >= stallMs ? 'stall' : 'none';
}
