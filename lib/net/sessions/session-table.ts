import { equalBytes, idKey } from '../../base/bytes.ts';
import type { KithError } from '../../base/errors.ts';
import { notWanted } from '../../base/refusals.ts';
import type { Admission } from '../directory.ts';
import { linkCountMax, spareSession } from '../links/link-room.ts';
import type { Link } from '../links/link.ts';
import { Offences } from './offences.ts';
import { Retiring } from './retiring.ts';
import { chooses, isBetterWay, takesPlace } from './session-choice.ts';
import { Session } from './session.ts';
import type { EndCode } from './end-codes.ts';
import type { GreetedPeer, SessionHost } from './session.ts';

/** Links made with one key that may be greeting at a time; more is somebody playing. */
export const greetingCountMax = 4;

/** Devices of one identity that may be greeting, and with which there may be sessions: an identity can certify without end. */
export const identityDevicesMax = 8;

export interface SessionTableEvents {
  /** Calls may be made. */
  readonly onOpen: (session: Session) => void;
  /** A session that counted has ended, and none has taken its place. */
  readonly onGone: (session: Session, error: KithError) => void;
  /** A link ended before it became a session. */
  readonly onFailed: (session: Session, error: KithError) => void;
  readonly onTrouble: (session: Session, words: string) => void;
  /** The other side broke a rule, and isn't listened to for so long. After `onGone` or `onFailed`. */
  readonly onBroken: (session: Session, error: KithError, waitMs: number) => void;
  /** The other side has said anew what it grants and how its line is. */
  readonly onOffers: (session: Session) => void;
}

/** All links of this process, and which of them is the session with each device (docs/formats/wire.md). */
export class SessionTable {
  readonly #host: SessionHost;
  readonly #events: SessionTableEvents;
  readonly #doubts: (session: Session) => boolean;
  readonly #all = new Set<Session>();
  /** Those of them that have greeted, by the hex of the identity: with hundreds of friends nobody is looked for among all. */
  readonly #ofIdentity = new Map<string, Set<Session>>();
  /** The one session with each device: offered by us, or on its way to be. */
  readonly #current = new Map<string, Session>();
  /** Sessions in whose place another is stepping; by device. */
  readonly #retiring = new Map<string, Retiring>();
  readonly #offences = new Offences();
  #closed = false;

  /** `doubts`: whether an answer on a session is overdue, so that another may take its place. */
  constructor(host: SessionHost, events: SessionTableEvents, doubts: (session: Session) => boolean) {
    this.#host = host;
    this.#events = events;
    this.#doubts = doubts;
  }

  /** Greets on a link, which is the table's to close from now on; undefined where it isn't wanted. */
  add(link: Link): Session | undefined {
    const { directory, device } = this.#host;
    const admission = directory.admit(link.remoteKey);
    const known = admission !== undefined && !equalBytes(link.remoteKey, device.publicKey);
    const current = this.current(link.remoteKey);
    const isWanted =
      current === undefined || isBetterWay(link.via, current.link.via) || this.#doubts(current);
    const needless = link.isInitiator && !isWanted;
    if (this.#closed || !known || needless || this.#isCrowded(link.remoteKey, admission) || this.#isFull()) {
      // Nothing was said on it; how it ends is nobody's concern.
      link.close().catch(() => {});
      return undefined;
    }
    const session = new Session(link, admission, this.#host, {
      onGreeted: (greeted) => this.#onGreeted(greeted),
      onChosen: (chosen) => this.#onChosen(chosen),
      onOpen: (open) => this.#onOpen(open),
      onOffers: (session) => this.#events.onOffers(session),
      onTrouble: (troubled, words) => this.#events.onTrouble(troubled, words),
      onEnd: (ended, error) => this.#onEnd(ended, error),
    });
    if (session.ended) return session;
    this.#all.add(session);
    const pausedMs = this.pausedMs(link.remoteKey);
    if (pausedMs > 0) {
      const words = `it broke a rule, and is listened to again in ${Math.ceil(pausedMs / 1000)} s`;
      this.#end(session, 'paused', words);
      return session;
    }
    if (admission.kind !== 'invite') session.greet();
    return session;
  }

  /** The session with a device; it may not be open yet. */
  current(deviceId: Uint8Array): Session | undefined {
    return this.#current.get(idKey(deviceId));
  }

  /** For how long whoever broke a rule with that key isn't listened to; 0 for all others. */
  pausedMs(remoteKey: Uint8Array): number {
    return this.#offences.leftMs(remoteKey, this.#host.timers.nowMs());
  }

  /** Sessions in which calls may be made. */
  open(): Session[] {
    return [...this.#current.keys()].flatMap((key) => this.#usable(key) ?? []);
  }

  /** The same with one identity (hex). */
  openOf(identityHex: string): Session[] {
    const open: Session[] = [];
    for (const session of this.#ofIdentity.get(identityHex) ?? []) {
      if (session.peer !== undefined && this.#usable(idKey(session.peer.deviceId)) === session)
        open.push(session);
    }
    return open;
  }

  /** Until the new link is agreed on, calls go over the one before. */
  #usable(key: string): Session | undefined {
    const current = this.#current.get(key);
    const usable = current?.isOpen === true ? current : this.#retiring.get(key)?.session;
    return usable?.isOpen === true ? usable : undefined;
  }

  /** Ends what is no longer admitted at once, and does as `regrant` with the rest. */
  recheck(identities?: ReadonlySet<string>): void {
    for (const session of this.#all) {
      const { directory } = this.#host;
      const { peer, link } = session;
      const stays =
        peer === undefined
          ? directory.admit(link.remoteKey) !== undefined
          : directory.owns(peer.identity, peer.deviceId);
      if (!stays) session.end('refused', notWanted);
    }
    this.regrant(identities);
  }

  /** Asks the services anew what they grant: to these identities (hex), or to all. */
  regrant(identities?: ReadonlySet<string>): void {
    const ids = identities ?? this.#ofIdentity.keys();
    for (const id of ids) for (const session of this.#ofIdentity.get(id) ?? []) session.regrant();
  }

  /** Says anew to all how our line is. */
  restate(): void {
    for (const session of this.#all) session.restate();
  }

  /** Ends all and takes no more. */
  async close(): Promise<void> {
    this.#closed = true;
    const all = [...this.#all];
    for (const session of all) session.end('stopping', 'it is being stopped');
    await Promise.all(all.map((session) => session.closed()));
  }

  /** Too many links of one key, or of one identity, that haven't come to anything yet. */
  #isCrowded(remoteKey: Uint8Array, admission: Admission): boolean {
    const greeting = [...this.#all].filter((session) => !session.isOpen);
    const ofKey = greeting.filter(({ link }) => equalBytes(link.remoteKey, remoteKey));
    if (ofKey.length >= greetingCountMax) return true;
    // Who knocks at a doorstep, or comes with an invite, says only then who it is; all who do have one key.
    if (admission.kind !== 'device') return false;
    const ofIdentity = greeting.filter(
      (session) =>
        session.admission.kind === 'device' && equalBytes(session.admission.identity, admission.identity),
    );
    return ofIdentity.length >= identityDevicesMax;
  }

  /** As many links as there may be, and none that could give way; one that could is ended. */
  #isFull(): boolean {
    if (this.#all.size < linkCountMax) return false;
    const spare = spareSession(this.#all);
    if (spare !== undefined) this.#end(spare, 'superseded', 'there are too many connections here');
    return spare === undefined;
  }

  /** Ends the oldest session that does nothing where an identity has too many; false if it was `session` that had to go. */
  #makeRoom(session: Session, { identity, deviceId }: GreetedPeer): boolean {
    const others = [...this.#all].filter(
      ({ peer }) =>
        peer !== undefined && equalBytes(peer.identity, identity) && !equalBytes(peer.deviceId, deviceId),
    );
    if (others.length < identityDevicesMax) return true;
    const idle = others.find(({ busy }) => !busy);
    this.#end(idle ?? session, 'superseded', `it has more than ${identityDevicesMax} devices here`);
    return idle !== undefined;
  }

  #choosesFor(session: Session): boolean {
    const { peer } = session;
    return peer !== undefined && chooses(this.#host.device.publicKey, peer.deviceId);
  }

  #onGreeted(session: Session): void {
    const { peer, identityHex } = session;
    if (peer === undefined || identityHex === undefined) return;
    this.#ofIdentity.set(identityHex, (this.#ofIdentity.get(identityHex) ?? new Set()).add(session));
    if (!this.#makeRoom(session, peer) || !this.#choosesFor(session)) return;
    const current = this.current(peer.deviceId);
    const currentPeer = current?.peer;
    if (current !== undefined && currentPeer !== undefined) {
      const { runId } = currentPeer;
      const further = {
        runId: peer.runId,
        helloMoment: peer.helloMoment,
        openedByChooser: session.link.isInitiator,
        isBetter: isBetterWay(session.link.via, current.link.via),
      };
      const { offersMoment } = current;
      if (!takesPlace({ runId, offersMoment, isDoubted: this.#doubts(current) }, further)) {
        this.#end(session, 'superseded', 'there is a session already');
        return;
      }
    }
    this.#adopt(session);
  }

  #onChosen(session: Session): void {
    if (this.#choosesFor(session)) this.#end(session, 'broken', 'it chose a link, which is not its part');
    else this.#adopt(session);
  }

  #adopt(session: Session): void {
    const { peer } = session;
    if (peer === undefined || session.ended) return;
    const key = idKey(peer.deviceId);
    const old = this.#current.get(key);
    this.#current.set(key, session);
    if (old !== undefined && old !== session) this.#replaced(key, old, session);
    session.offer();
  }

  #replaced(key: string, old: Session, session: Session): void {
    const isSameRun =
      old.peer !== undefined && session.peer !== undefined && equalBytes(old.peer.runId, session.peer.runId);
    if (!old.isOpen || !isSameRun) {
      this.#end(old, 'superseded', 'another session took its place');
      return;
    }
    const before = this.#retiring.get(key);
    before?.callOff();
    if (before !== undefined) this.#end(before.session, 'superseded', 'another session took its place');
    this.#retiring.set(key, new Retiring(old, this.#host.timers));
  }

  #onOpen(session: Session): void {
    const { peer } = session;
    if (peer !== undefined) this.#retiring.get(idKey(peer.deviceId))?.begin();
    this.#events.onOpen(session);
  }

  #end(session: Session, code: EndCode, words: string): void {
    session.end(code, words);
  }

  #onEnd(session: Session, error: KithError): void {
    this.#all.delete(session);
    this.#forget(session);
    // Before anybody is told: whoever looks for the device is to find that it waits.
    const { remoteKey } = session.link;
    const waitMs = session.isBroken ? this.#offences.note(remoteKey, this.#host.timers.nowMs()) : undefined;
    this.#over(session, error);
    if (waitMs !== undefined) this.#events.onBroken(session, error, waitMs);
  }

  #forget(session: Session): void {
    const { identityHex = '' } = session;
    const those = this.#ofIdentity.get(identityHex);
    those?.delete(session);
    if (those?.size === 0) this.#ofIdentity.delete(identityHex);
  }

  #over(session: Session, error: KithError): void {
    const { peer } = session;
    if (peer === undefined) {
      this.#events.onFailed(session, error);
      return;
    }
    const key = idKey(peer.deviceId);
    const retiring = this.#retiring.get(key);
    if (retiring?.session === session) {
      retiring.callOff();
      this.#retiring.delete(key);
    }
    if (this.#current.get(key) !== session) return;
    if (retiring !== undefined && retiring.session.isOpen) {
      // The new link came to nothing: the one before goes on.
      retiring.callOff();
      this.#retiring.delete(key);
      this.#current.set(key, retiring.session);
      this.#events.onOpen(retiring.session);
      return;
    }
    this.#current.delete(key);
    this.#events.onGone(session, error);
  }
}
