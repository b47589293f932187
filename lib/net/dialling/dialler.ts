import { idKey } from '../../base/bytes.ts';
import { KithError } from '../../base/errors.ts';
import {
  afterFailure,
  afterMove,
  afterOutage,
  afterSession,
  besideDial,
  freshDial,
  nextDueMs,
  pickDue,
} from './dial-schedule.ts';
import type { DialState } from './dial-schedule.ts';
import type { WantedPeer } from '../directory.ts';
import type { Timers } from '../timers.ts';
import type { SessionEnd } from '../watch/session-watch.ts';

/** A device that a session is wanted with. */
interface Target {
  identity: string;
  peer: WantedPeer;
  state: DialState;
  dialling: AbortController | undefined;
  /** When its session opened; undefined while it has none. */
  openedAtMs: number | undefined;
  /** An answer on its session is overdue. */
  isDoubted: boolean;
  /** How dials beside its sessions have gone; undefined before the first. */
  beside: DialState | undefined;
}

/** A dial that may be begun. */
interface Wanted {
  readonly target: Target;
  readonly identity: string;
  readonly state: DialState;
  /** Its session is there, and doubted. */
  readonly isBeside: boolean;
}

export interface DiallerOptions {
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  /**
   * Tries to open a session; rejects if that failed. `attempts` says how often it failed before; `isBeside`, that there is a session, which
   * is doubted.
   */
  readonly dial: (
    peer: WantedPeer,
    attempts: number,
    signal: AbortSignal,
    isBeside: boolean,
  ) => Promise<void>;
  /** A dial has ended, and counts in `tried`. */
  readonly onTried: () => void;
}

/** Keeps dialling those with whom there is no session, or one that is doubted, as dial-schedule.ts says. */
export class Dialler {
  readonly #options: DiallerOptions;
  readonly #targets = new Map<string, Target>();
  /** Dials under way, those included that are being called off, and to whose devices. */
  readonly #running = new Map<Promise<void>, string>();
  #callOff: () => void = () => {};
  #closed = false;

  constructor(options: DiallerOptions) {
    this.#options = options;
  }

  /** Whom sessions are wanted with from now on; dials to others are called off. */
  update(wanted: readonly WantedPeer[], connected: (deviceId: Uint8Array) => boolean): void {
    if (this.#closed) return;
    const nowMs = this.#options.timers.nowMs();
    const kept = new Set<string>();
    for (const peer of wanted) {
      const key = idKey(peer.deviceId);
      kept.add(key);
      const target = this.#targets.get(key);
      if (target === undefined) {
        const openedAtMs = connected(peer.deviceId) ? nowMs : undefined;
        const identity = idKey(peer.identity);
        const fresh = { state: freshDial(nowMs), dialling: undefined, isDoubted: false, beside: undefined };
        this.#targets.set(key, { identity, peer, openedAtMs, ...fresh });
        continue;
      }
      if (!sameWays(target.peer, peer)) target.state = afterMove(target.state, nowMs);
      target.peer = peer;
      target.identity = idKey(peer.identity);
    }
    for (const [key, target] of this.#targets) {
      if (kept.has(key)) continue;
      this.#targets.delete(key);
      this.#stop(target);
    }
    this.#plan();
  }

  /** A session is there, whoever dialled: a dial under way is called off. */
  opened(deviceId: Uint8Array): void {
    const target = this.#targets.get(idKey(deviceId));
    if (target === undefined) return;
    target.openedAtMs = this.#options.timers.nowMs();
    target.isDoubted = false;
    this.#stop(target);
  }

  /** An answer on its session is overdue: it is dialled beside it. */
  doubted(deviceId: Uint8Array): void {
    const target = this.#targets.get(idKey(deviceId));
    if (target?.openedAtMs === undefined || target.isDoubted) return;
    target.isDoubted = true;
    target.beside = besideDial(target.beside, this.#options.timers.nowMs());
    this.#plan();
  }

  /** Its session is heard of again: it is no longer dialled beside it. */
  trusted(deviceId: Uint8Array): void {
    const target = this.#targets.get(idKey(deviceId));
    if (target?.isDoubted !== true) return;
    target.isDoubted = false;
    this.#stop(target);
  }

  /**
   * Its session is over; `silent`: it was given up here, and whoever is there didn't end it; `mute`: so again and again, which counts as a
   * dial that failed however long it took.
   */
  ended(deviceId: Uint8Array, end: SessionEnd = 'over'): void {
    const target = this.#targets.get(idKey(deviceId));
    if (target?.openedAtMs === undefined) return;
    const { timers, random } = this.#options;
    const nowMs = timers.nowMs();
    const openedAtMs = { over: target.openedAtMs, silent: Number.NEGATIVE_INFINITY, mute: nowMs }[end];
    target.state = afterSession(target.state, openedAtMs, nowMs, random());
    target.openedAtMs = undefined;
    target.isDoubted = false;
    // The other side, or the system, says that it is over: what was dialled into the silence before may hang.
    if (end === 'over') this.#stop(target);
    this.#plan();
  }

  /** The line seems to be there again: all who are absent are dialled once within so many ms, in no particular order. */
  hurry(spreadMs: number): void {
    const { timers, random } = this.#options;
    const nowMs = timers.nowMs();
    for (const target of this.#targets.values()) {
      if (!isAbsent(target)) continue;
      target.state = afterOutage(target.state, nowMs, Math.round(random() * spreadMs));
    }
    this.#plan();
  }

  /** Dials the device now, if it is absent and isn't being dialled. */
  probe(deviceId: Uint8Array): void {
    const target = this.#targets.get(idKey(deviceId));
    if (target === undefined || !isAbsent(target)) return;
    target.state = { ...target.state, dueAtMs: this.#options.timers.nowMs() };
    this.#plan();
  }

  /** True if the device has been dialled in vain so many times since it was last connected. */
  tried(deviceId: Uint8Array, times = 1): boolean {
    return (this.#targets.get(idKey(deviceId))?.state.attempts ?? times) >= times;
  }

  /** Calls off all dials and waits for them to end. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#callOff();
    for (const target of this.#targets.values()) this.#stop(target);
    this.#targets.clear();
    await Promise.all(this.#running.keys());
  }

  #stop(target: Target): void {
    target.dialling?.abort(new KithError('interrupted', 'the dial is no longer wanted'));
  }

  #plan(): void {
    if (this.#closed) return;
    this.#callOff();
    const { timers } = this.#options;
    const nowMs = timers.nowMs();
    const waiting = [...this.#targets.values()].flatMap(wantedDial);
    for (const wanted of pickDue(waiting, nowMs, [...this.#running.values()])) this.#begin(wanted);
    // Who is due already waits for a dial to end, which plans anew.
    const delayMs = nextDueMs(waiting, nowMs);
    this.#callOff = delayMs === undefined ? () => {} : timers.after(delayMs, () => this.#plan());
  }

  #begin({ target, state, isBeside }: Wanted): void {
    const dialling = new AbortController();
    target.dialling = dialling;
    const { timers, random, dial } = this.#options;
    const running = dial(target.peer, state.attempts, dialling.signal, isBeside)
      // Without a session it was in vain, also where nothing failed.
      .catch(() => {})
      .finally(() => {
        // Whatever came of it: sessions that are doubted again and again are dialled beside ever more rarely.
        if (isBeside) target.beside = afterFailure(state, timers.nowMs(), random());
        else if (target.openedAtMs === undefined) {
          const after = afterFailure(state, timers.nowMs(), random());
          if (target.state === state) target.state = after;
          // It named other addresses meanwhile: they are tried now, but the dial counts.
          else if (target.state.sinceMs === state.sinceMs) {
            target.state = { ...after, dueAtMs: target.state.dueAtMs };
          }
        }
        target.dialling = undefined;
        this.#running.delete(running);
        this.#plan();
        this.#options.onTried();
      });
    this.#running.set(running, target.identity);
  }
}

function isAbsent({ dialling, openedAtMs }: Target): boolean {
  return dialling === undefined && openedAtMs === undefined;
}

/** The dial that a target waits for; none where one is under way, or its session is well. */
function wantedDial(target: Target): Wanted[] {
  const { identity, state, beside, isDoubted } = target;
  if (isAbsent(target)) return [{ target, identity, state, isBeside: false }];
  if (!isDoubted || beside === undefined || target.dialling !== undefined) return [];
  return [{ target, identity, state: beside, isBeside: true }];
}

/** The same places, with the same of our keys: an invite that has just been accepted is worth a try at once. */
function sameWays(a: WantedPeer, b: WantedPeer): boolean {
  const written = ({ endpoints, oneTime }: WantedPeer): string =>
    JSON.stringify([
      oneTime !== undefined,
      ...endpoints.map(({ host, port, direct, dht }) => [host, port, direct, dht]),
    ]);
  return written(a) === written(b);
}
