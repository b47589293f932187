import type { Clock } from '../base/clock.ts';

export interface FriendPresenceOptions {
  readonly clock: Clock;
  readonly onPresence: (friendId: string, online: boolean) => void;
  /** A friend whose line was metered says that it no longer is. */
  readonly onBulkFree: (() => void) | undefined;
  /** Called before it is told that a friend went. */
  readonly onWent: () => void;
}

/** Who of the friends is there, as it was told last, and since when the others are gone. Identities are in hex. */
export class FriendPresence {
  readonly #options: FriendPresenceOptions;
  readonly #online = new Set<string>();
  /** Those online who say that their line is metered. */
  readonly #metered = new Set<string>();
  /** When each friend that was here was lost, by the monotonic clock. */
  readonly #goneMs = new Map<string, number>();
  #startedMs: number | undefined;

  constructor(options: FriendPresenceOptions) {
    this.#options = options;
  }

  /** Friends are looked for from now on. */
  start(): void {
    this.#startedMs = this.#options.clock.monotonicMs();
  }

  /** How long a friend who isn't there has been away, or been looked for; undefined before `start`. */
  awayMs(id: string): number | undefined {
    const sinceMs = this.#goneMs.get(id) ?? this.#startedMs;
    return sinceMs === undefined ? undefined : this.#options.clock.monotonicMs() - sinceMs;
  }

  /** Tells who came and who went since it was told last. */
  update(now: ReadonlySet<string>, metered: ReadonlySet<string>): void {
    const { clock, onPresence, onWent } = this.#options;
    for (const id of [...this.#online].filter((each) => !now.has(each))) {
      this.#online.delete(id);
      this.#goneMs.set(id, clock.monotonicMs());
      onWent();
      onPresence(id, false);
    }
    for (const id of now) {
      if (this.#online.has(id)) continue;
      this.#online.add(id);
      this.#goneMs.delete(id);
      onPresence(id, true);
    }
    this.#noteMetered(now, metered);
  }

  #noteMetered(online: ReadonlySet<string>, metered: ReadonlySet<string>): void {
    let isFree = false;
    for (const id of online) {
      if (metered.has(id)) this.#metered.add(id);
      else isFree = this.#metered.delete(id) || isFree;
    }
    for (const id of this.#metered) if (!online.has(id)) this.#metered.delete(id);
    if (isFree) this.#options.onBulkFree?.();
  }
}
