import { setImmediate as nextTurn } from 'node:timers/promises';
import { idKey } from '../../base/bytes.ts';
import { KithError } from '../../base/errors.ts';
import { delayKind, probeDelayMs, reviveMsMin, spreadMs } from './outage.ts';
import { lastingMs } from '../dialling/dial-schedule.ts';
import { AnswerMemory } from './answer-memory.ts';
import type { Session } from '../sessions/session.ts';
import { Watchdog, watchStepMs } from './watchdog.ts';
import type { Lived } from './watchdog.ts';
import type { Timers } from '../timers.ts';

/** Answers that aren't there by then are waited for no longer; the session has been judged before. */
const pingMsMax = 15_000;
const late = new KithError('peer-unreachable', `no answer within ${pingMsMax / 1000} s`);
const ended = new KithError('peer-unreachable', 'the session ended');

export interface SessionWatchOptions {
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  /** Dials one device now, unless it is being dialled. */
  readonly probe: (deviceId: Uint8Array) => void;
  /** Its session is doubted: the device is to be dialled beside it. */
  readonly doubted: (deviceId: Uint8Array) => void;
  /** It has been heard of again. */
  readonly trusted: (deviceId: Uint8Array) => void;
  /** Dials all who are absent, spread over so many ms. */
  readonly hurry: (spreadMs: number) => void;
  /** The transports find their way anew. */
  readonly refresh: () => void;
}

/**
 * How a session ended: `silent`, given up for its silence; `mute`, the same twice in a row, without anything to be heard for long from
 * either; `over`, otherwise.
 */
export type SessionEnd = 'over' | 'silent' | 'mute';

/** Keeps a watchdog over the open sessions, and tries those who fell silent until they are back (docs/watchdog.md). */
export class SessionWatch {
  readonly #options: SessionWatchOptions;
  readonly #dog = new Watchdog<Session>();
  readonly #memory = new AnswerMemory();
  /** The session of each device that opened last. Others are about to end. */
  readonly #newest = new Map<string, Session>();
  /** Sessions that were doubted at the last look. */
  readonly #doubted = new Set<Session>();
  /** Questions that wait for their answers. */
  readonly #asking = new Map<Session, Set<AbortController>>();
  /** Devices that were given up for their silence, the least lately tried first. */
  readonly #silent = new Map<string, Uint8Array>();
  /** Sessions that are just being ended for their silence, and when that was decided. */
  readonly #givenUp = new Map<Session, number>();
  #silentSinceMs = 0;
  #callOffLook: (() => void) | undefined;
  #callOffProbe: (() => void) | undefined;
  #callOffRevival: (() => void) | undefined;
  #hurriedMs = Number.NEGATIVE_INFINITY;
  #refreshedMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(options: SessionWatchOptions) {
    this.#options = options;
  }

  /** A session is open: it is watched from now on. One that is watched goes on as it was: another that was to take its place came to nothing. */
  opened(session: Session): void {
    if (this.#closed || session.peer === undefined) return;
    const nowMs = this.#options.timers.nowMs();
    const key = idKey(session.peer.deviceId);
    const before = this.#newest.get(key);
    this.#newest.set(key, session);
    const lived = before === undefined || before === session ? undefined : this.#replaced(key, before);
    if (this.#dog.lived(session) === undefined) {
      const usualMs = Math.max(this.#memory.usualMs(key, nowMs), lived?.usualMs ?? 0);
      this.#dog.add(session, nowMs, usualMs, this.#memory.graceMs(key, nowMs));
    } else if (this.#dog.doubts(session)) this.#doubt(session, nowMs);
    this.#endOutlived();
    this.#plan();
    if (!this.#silent.delete(key)) return;
    // Who was silent is back: so may be the others.
    this.#revive();
    if (this.#silent.size === 0) this.#endProbes();
  }

  /** A session has ended, and there is no other with its device. */
  gone(session: Session): SessionEnd {
    const lived = this.#dog.lived(session);
    this.#dog.remove(session);
    this.#doubted.delete(session);
    for (const over of this.#asking.get(session) ?? []) over.abort(ended);
    if (this.#dog.count === 0) this.#endLooks();
    const nowMs = this.#givenUp.get(session);
    const deviceId = session.peer?.deviceId;
    if (deviceId === undefined) return 'over';
    this.#newest.delete(idKey(deviceId));
    if (lived === undefined) return 'over';
    const isLasting = lived.heardForMs >= lastingMs;
    const last = { usualMs: lived.usualMs, isLasting, isGivenUp: nowMs !== undefined };
    const mutes = this.#memory.ended(idKey(deviceId), this.#options.timers.nowMs(), last);
    if (nowMs === undefined) return 'over';
    // One that opens and then says nothing, again and again, isn't tried every few seconds.
    if (mutes > 1) return 'mute';
    if (this.#silent.size === 0) this.#silentSinceMs = nowMs;
    this.#silent.set(idKey(deviceId), deviceId);
    this.#planProbe();
    return 'silent';
  }

  /** True while an answer on the session is overdue. */
  doubts(session: Session): boolean {
    return this.#dog.doubts(session);
  }

  /** What answers of a device took of late, in ms; 0 if that isn't known. */
  usualMs(deviceId: Uint8Array): number {
    return this.#memory.usualMs(idKey(deviceId), this.#options.timers.nowMs());
  }

  /** True for a device that fell silent and isn't back yet. */
  misses(deviceId: Uint8Array): boolean {
    return this.#silent.has(idKey(deviceId));
  }

  /** Whoever isn't wanted any longer isn't tried either. */
  keepOnly(wanted: readonly { readonly deviceId: Uint8Array }[]): void {
    const kept = new Set(wanted.map(({ deviceId }) => idKey(deviceId)));
    for (const key of this.#silent.keys()) if (!kept.has(key)) this.#silent.delete(key);
    if (this.#silent.size === 0) this.#endProbes();
  }

  /** Other addresses, or a sleep: the sessions are asked at once, the absent dialled, the transports refreshed. */
  disturbed(): void {
    if (this.#closed) return;
    for (const session of this.#dog.alarm(this.#options.timers.nowMs())) this.#ask(session);
    // The next look comes when answers should be there.
    this.#endLooks();
    this.#plan();
    this.#revive();
  }

  close(): void {
    this.#closed = true;
    this.#endLooks();
    this.#endProbes();
    this.#callOffRevival?.();
    for (const asking of this.#asking.values()) for (const over of asking) over.abort(ended);
  }

  #endLooks(): void {
    this.#callOffLook?.();
    this.#callOffLook = undefined;
  }

  #endProbes(): void {
    this.#callOffProbe?.();
    this.#callOffProbe = undefined;
  }

  #clocks(): { monotonicMs: number; wallMs: number } {
    const { timers } = this.#options;
    return { monotonicMs: timers.nowMs(), wallMs: timers.wallMs?.() ?? timers.nowMs() };
  }

  #plan(): void {
    if (this.#closed || this.#callOffLook !== undefined || this.#dog.count === 0) return;
    const before = this.#clocks();
    this.#callOffLook = this.#options.timers.after(watchStepMs, () => {
      this.#callOffLook = undefined;
      const kind = delayKind(before, this.#clocks(), watchStepMs);
      void this.#look(kind);
    });
  }

  /** Never rejects. */
  async #look(kind: ReturnType<typeof delayKind>): Promise<void> {
    // What has come in meanwhile is read before anybody is judged.
    await nextTurn();
    if (this.#closed) return;
    const nowMs = this.#options.timers.nowMs();
    if (kind !== 'none') this.#dog.excuse(nowMs);
    if (kind === 'sleep') this.disturbed();
    const { ask, doubted, lost } = this.#dog.look(nowMs);
    for (const session of ask) this.#ask(session);
    this.#trustHeard();
    for (const session of doubted) this.#doubt(session, nowMs);
    this.#endOutlived();
    for (const session of lost) this.#giveUp(session, nowMs);
    this.#plan();
  }

  #ask(session: Session): void {
    const { timers } = this.#options;
    const askedMs = timers.nowMs();
    const over = new AbortController();
    const asking = this.#asking.get(session) ?? new Set();
    this.#asking.set(session, asking.add(over));
    const callOff = timers.after(pingMsMax, () => over.abort(late));
    session
      .ping(over.signal)
      .then(
        () => {
          this.#dog.answered(session, timers.nowMs(), timers.nowMs() - askedMs);
          this.#trustHeard();
        },
        () => {},
      )
      .finally(() => {
        callOff();
        asking.delete(over);
        if (asking.size === 0) this.#asking.delete(session);
      });
  }

  /** Another session takes its place: what was learned goes on with that one. */
  #replaced(key: string, before: Session): Lived | undefined {
    const lived = this.#dog.lived(before);
    const nowMs = this.#options.timers.nowMs();
    if (lived !== undefined && this.#dog.doubts(before)) {
      const isLasting = lived.heardForMs >= lastingMs;
      this.#memory.ended(key, nowMs, { usualMs: lived.usualMs, isLasting, isGivenUp: true });
    } else if (this.#dog.suspect(before, nowMs)) this.#ask(before);
    return lived;
  }

  #doubt(session: Session, nowMs: number): void {
    const deviceId = session.peer?.deviceId;
    if (deviceId === undefined) return;
    this.#doubted.add(session);
    const key = idKey(deviceId);
    // Who opens sessions and says nothing isn't given one after the other.
    if (this.#newest.get(key) === session && this.#memory.mutes(key, nowMs) === 0)
      this.#options.doubted(deviceId);
  }

  #trustHeard(): void {
    for (const session of this.#doubted) {
      if (this.#dog.doubts(session)) continue;
      this.#doubted.delete(session);
      const deviceId = session.peer?.deviceId;
      if (deviceId !== undefined && this.#newest.get(idKey(deviceId)) === session)
        this.#options.trusted(deviceId);
    }
  }

  /** Calls on a session whose place was taken, and that isn't heard of any longer, are made again over the other. */
  #endOutlived(): void {
    for (const session of this.#doubted) {
      const next = this.#newest.get(idKey(session.peer?.deviceId ?? session.link.remoteKey));
      if (next === undefined || next === session || !this.#dog.isOutlived(session, next)) continue;
      this.#doubted.delete(session);
      session.end('superseded', 'another session took its place');
    }
  }

  #giveUp(session: Session, nowMs: number): void {
    // Of a session that was about to give way to a better one `gone` isn't told: then its device is there.
    this.#givenUp.set(session, nowMs);
    session.end('silent', 'it does not answer any longer');
    this.#givenUp.delete(session);
  }

  #planProbe(): void {
    if (this.#closed || this.#callOffProbe !== undefined || this.#silent.size === 0) return;
    const { timers } = this.#options;
    const delayMs = probeDelayMs(this.#silentSinceMs, timers.nowMs());
    if (delayMs === undefined) {
      this.#silent.clear();
      return;
    }
    this.#callOffProbe = timers.after(delayMs, () => {
      this.#callOffProbe = undefined;
      this.#probe();
      this.#planProbe();
    });
  }

  #probe(): void {
    const [next] = this.#silent;
    if (next === undefined) return;
    const [key, deviceId] = next;
    this.#silent.delete(key);
    this.#silent.set(key, deviceId);
    // With somebody there the DHT works, or is nobody's concern.
    if (this.#dog.count === 0) this.#refresh();
    this.#options.probe(deviceId);
  }

  /** When it was last done just now, it is done again a little later, once. */
  #revive(): void {
    if (this.#callOffRevival !== undefined) return;
    const { timers, random, hurry } = this.#options;
    const go = (): void => {
      this.#callOffRevival = undefined;
      this.#hurriedMs = timers.nowMs();
      this.#refresh();
      hurry(spreadMs);
    };
    const restMs = this.#hurriedMs + reviveMsMin - timers.nowMs();
    if (restMs <= 0) go();
    else this.#callOffRevival = timers.after(restMs + random() * spreadMs, go);
  }

  #refresh(): void {
    const { timers, refresh } = this.#options;
    const nowMs = timers.nowMs();
    if (nowMs - this.#refreshedMs < reviveMsMin) return;
    this.#refreshedMs = nowMs;
    refresh();
  }
}
