import { equalBytes, idKey, toHex } from '../base/bytes.ts';
import { isKithError, KithError, messageOf } from '../base/errors.ts';
import { systemRandom } from '../crypto/random.ts';
import type { RandomSource } from '../crypto/random.ts';
import {
  bodyBudgetBytes,
  bodyBudgetBytesPerPeer,
  BulkBudget,
  uploadBudgetBytes,
  uploadBudgetBytesPerPeer,
} from './bulk-budget.ts';
import type { CallBudgets } from './call-server.ts';
import { dialLimitMs } from './dial-schedule.ts';
import { DialJournal, takeStep } from './dial-steps.ts';
import { mostTelling, tryWays, wordsOf } from './dial-ways.ts';
import { Dialler } from './dialler.ts';
import type { Directory, WantedPeer } from './directory.ts';
import type { EndpointHints } from './endpoint-hints.ts';
import { isServiceName, isVersionRange, offerCountMax, runIdBytes } from './hello.ts';
import type { DialTarget, KeyPair, Link, Transport, TransportOptions } from './link.ts';
import { pingPeer } from './ping.ts';
import type { PeerPresence, PingStep } from './presence.ts';
import { chooses } from './session-choice.ts';
import { identityDevicesMax, SessionTable } from './session-table.ts';
import { SessionWatch } from './session-watch.ts';
import { Shaper } from './shaper.ts';
import type { RateLimits } from './shaper.ts';
import type { Session } from './session.ts';
import type { CallOptions, CallReply, PeerInfo, Service, ServiceCaller } from './service.ts';
import { UploadMemory } from './upload-memory.ts';
import { systemTimers } from './timers.ts';
import type { Timers } from './timers.ts';
import { Upgrader } from './upgrader.ts';

export interface NetworkOptions {
  /** Who we are. */
  readonly device: KeyPair;
  /** The pair with which a device of ours that a friend doesn't know yet knocks there. */
  readonly doorstep?: KeyPair | undefined;
  /** True for a device that nobody can know yet: it always knocks with the doorstep pair. */
  readonly knocks?: boolean;
  readonly directory: Directory;
  readonly services: readonly Service[];
  readonly timers?: Timers;
  readonly random?: RandomSource;
  readonly budgets?: Partial<CallBudgets>;
  /** Where devices were seen just now; `refresh` after it has changed. */
  readonly hints?: EndpointHints;
  /** Somebody came or went, or the last try to reach somebody came to something else. */
  readonly onChange?: () => void;
  /** A peer has refused the invite that we came with: `invite-used`, `invite-expired` or `invite-refused`. Must not throw. */
  readonly onInviteRefused?: (peer: WantedPeer, error: KithError) => void;
}

/** Of so many tries over the DHT one is a knock. */
const knockEvery = 4;

/** Addresses that peers came from, which are remembered to tell whether we can be dialled. */
const cameInMax = 16;

/** Somebody who wanted to know when peers are there. */
interface Waiter {
  readonly check: () => void;
}

/** One session with each device that the directory wants, kept over whatever transports there are; calls by identity. */
export class Network {
  readonly #options: NetworkOptions;
  readonly #timers: Timers;
  readonly #sessions: SessionTable;
  readonly #dialler: Dialler;
  readonly #watch: SessionWatch;
  readonly #shaper: Shaper;
  readonly #uploadMemory: UploadMemory;
  readonly #upgrader: Upgrader;
  /** Hex of identities that had a session since this process began. */
  readonly #met = new Set<string>();
  /** Why the last try failed, by hex of the device. Only of those wanted. */
  readonly #troubles = new Map<string, string>();
  /** Hex of the devices that answered the last try and didn't want us. Only of those wanted. */
  readonly #refusals = new Set<string>();
  /** Hex of the devices whose addresses neither answered nor refused at the last try. Only of those wanted. */
  readonly #slow = new Set<string>();
  readonly #journal = new DialJournal();
  readonly #cameIn = new Set<string>();
  readonly #waiters = new Set<Waiter>();
  #transports: readonly Transport[] = [];
  #started = false;
  #moment = 0;
  #isMetered = false;
  /** Of the directory, when it was last asked about everybody. */
  #revision: number | undefined;
  #asked: { readonly revision: number; readonly peers: readonly WantedPeer[] } | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: NetworkOptions) {
    checkServices(options.services);
    this.#options = options;
    const { device, directory, services, random = systemRandom } = options;
    this.#timers = options.timers ?? systemTimers;
    this.#shaper = new Shaper(this.#timers);
    this.#uploadMemory = new UploadMemory(this.#timers);
    const host = {
      device,
      directory,
      services,
      budgets: {
        bodies: new BulkBudget(bodyBudgetBytes, bodyBudgetBytesPerPeer),
        uploads: new BulkBudget(uploadBudgetBytes, uploadBudgetBytesPerPeer),
        downloads: new BulkBudget(),
        memory: this.#uploadMemory,
        ...options.budgets,
      },
      shaper: this.#shaper,
      isMetered: () => this.#isMetered,
      timers: this.#timers,
      runId: random(runIdBytes),
      nextMoment: () => ++this.#moment,
      onLearned: () => {
        if (directory.revision !== this.#revision) this.refresh();
      },
    };
    this.#sessions = new SessionTable(host, {
      onOpen: (session) => this.#onOpen(session),
      onGone: (session, error) => this.#onGone(session, error),
      onFailed: () => this.#changed(),
      onOffers: () => this.#changed(),
      onTrouble: (session, words) => this.#note(session.link.remoteKey, words),
    });
    const draw = (): number => new DataView(random(4).buffer).getUint32(0, true) / 2 ** 32;
    this.#watch = new SessionWatch({
      timers: this.#timers,
      random: draw,
      probe: (deviceId) => this.#dialler.probe(deviceId),
      hurry: (spreadMs) => this.#dialler.hurry(spreadMs),
      refresh: () => {
        for (const transport of this.#transports) transport.refresh?.();
      },
    });
    this.#dialler = new Dialler({
      timers: this.#timers,
      random: draw,
      dial: (peer, attempts, signal) => this.#dial(peer, attempts, signal),
      onTried: () => this.#changed(),
    });
    this.#upgrader = new Upgrader({
      timers: this.#timers,
      random: draw,
      goesFirst: (deviceId) => chooses(device.publicKey, deviceId),
      dial: (deviceId, attempts, signal) => this.#dialBetter(deviceId, attempts, signal),
    });
  }

  /** What transports are to be made with. */
  get wiring(): TransportOptions {
    const { device, directory } = this.#options;
    return {
      keyPair: device,
      admits: (key) => !equalBytes(key, device.publicKey) && directory.admit(key) !== undefined,
      onLink: (link) => this.accept(link),
    };
  }

  /** Begins to dial, over the transports in their order; they are the network's to close from now on. */
  start(transports: readonly Transport[]): void {
    if (this.#started) throw new RangeError('a network starts once');
    this.#started = true;
    this.#transports = transports;
    this.#revision = undefined;
    this.refresh();
  }

  /** Takes over a link that somebody else opened. */
  accept(link: Link): void {
    this.#sessions.add(link);
  }

  /** The directory has changed: whom to dial, whom to let go, what each may use. */
  refresh(): void {
    if (this.#closing !== undefined) return;
    const { revision } = this.#options.directory;
    if (revision === this.#revision) {
      this.#sessions.regrant();
      return;
    }
    this.#revision = revision;
    this.#sessions.recheck();
    if (this.#started) {
      const wanted = this.#wanted();
      this.#forgetTroubles(wanted);
      this.#watch.keepOnly(wanted);
      this.#upgrader.update(wanted);
      this.#lookFor(wanted);
    }
    this.#changed();
  }

  #lookFor(wanted: readonly WantedPeer[]): void {
    this.#dialler.update(wanted, (deviceId) => this.isConnected(deviceId));
  }

  /**
   * This computer has other addresses, or its line was cut: who is there is asked, who isn't is dialled, within seconds. Sessions from an
   * address that isn't ours any longer are ended at once.
   */
  disturbed(isOurs: (address: string) => boolean = () => true): void {
    if (this.#closing !== undefined) return;
    for (const session of this.#sessions.open()) {
      const { localAddress } = session.link;
      if (localAddress !== undefined && !isOurs(localAddress))
        session.end('silent', 'this computer no longer has the address that it was connected from');
    }
    this.#watch.disturbed();
  }

  /** A device showed itself just now, at what `hints` say: it is dialled at once, if there is no session. */
  showed(deviceId: Uint8Array): void {
    if (this.#started) this.#lookFor(this.#wanted());
    this.#dialler.probe(deviceId);
  }

  /** Where peers came from that dialled us over TCP since this process began, each `HOST:PORT`; the last 16. */
  get cameInFrom(): readonly string[] {
    return [...this.#cameIn];
  }

  /** Grants have changed, nothing else. */
  regrant(): void {
    this.#sessions.regrant();
  }

  /** How fast bulk may go from now on; `of` says what else holds for one friend. */
  setLimits(limits: RateLimits, of?: (identityHex: string) => Partial<RateLimits>): void {
    this.#shaper.setLimits(limits, of);
  }

  /** Tells all peers, now and as they come, that our line is metered, or that it isn't. */
  setMetered(isMetered: boolean): void {
    if (isMetered === this.#isMetered) return;
    this.#isMetered = isMetered;
    this.#sessions.restate();
  }

  /** The devices with which calls may be made now. */
  peers(): PeerInfo[] {
    return this.#sessions.open().flatMap(({ peer }) => {
      if (peer === undefined) return [];
      const { identity, deviceId, via, remoteAddress } = peer;
      return [{ identity, deviceId, via, remoteAddress }];
    });
  }

  /** True while calls may be made with that device. */
  isConnected(deviceId: Uint8Array): boolean {
    return this.#sessions.current(deviceId)?.isOpen === true;
  }

  /**
   * Calls to a service of an identity, over whichever of its devices grants it at the moment of the call; over none but `deviceId` where
   * that is given.
   */
  caller(identity: Uint8Array, service: string, deviceId?: Uint8Array): ServiceCaller {
    const client = (): ReturnType<Session['client']> => {
      for (const session of this.#sessionsOf(identity)) {
        if (deviceId !== undefined && !equalBytes(session.peer?.deviceId ?? identity, deviceId)) continue;
        const found = session.client(service);
        if (found !== undefined) return found;
      }
      return undefined;
    };
    return {
      get connected() {
        return client() !== undefined;
      },
      async call(method: number, body: Uint8Array, options: CallOptions = {}): Promise<CallReply> {
        const found = client();
        if (found === undefined)
          throw new KithError('holder-unavailable', 'there is no connection to it now');
        return await found.call(method, body, options);
      },
    };
  }

  /** Ends all sessions of an identity, as after a broken rule of the wire: an answer of it was a lie. */
  drop(identity: Uint8Array, words: string): void {
    for (const session of this.#sessionsOf(identity)) session.end('broken', words);
  }

  presence(identityHex: string): PeerPresence {
    const mutual = this.#met.has(identityHex);
    const session = this.#sessions
      .open()
      .find(({ peer }) => peer !== undefined && toHex(peer.identity) === identityHex);
    if (session !== undefined) {
      const { via, remoteAddress } = session.link;
      return {
        online: true,
        via,
        address: remoteAddress,
        mutual,
        trouble: null,
        steps: [],
        metered: session.metered,
      };
    }
    const devices = this.#wanted().filter(({ identity }) => toHex(identity) === identityHex);
    const troubles = devices.map(({ deviceId }) => this.#troubles.get(toHex(deviceId)));
    const trouble = troubles.find((words) => words !== undefined) ?? null;
    const steps = devices.flatMap(({ deviceId }) => this.#journal.of(deviceId));
    return { online: false, via: null, address: null, mutual, trouble, steps, metered: false };
  }

  /** True if each device of the identity was dialled in vain at least once since it was last there. */
  wasTried(identity: Uint8Array): boolean {
    return this.#tried(identity);
  }

  /** Hex of the identities that sessions are wanted with, and whether each was dialled in vain, as `wasTried` says. One pass over all. */
  sought(): Map<string, boolean> {
    const sought = new Map<string, boolean>();
    for (const peer of this.#wanted()) {
      const id = toHex(peer.identity);
      sought.set(id, (sought.get(id) ?? true) && this.#triedDevice(peer));
    }
    return sought;
  }

  /** True if somebody answered for the identity at the last try, and didn't know us. */
  refusedBy(identity: Uint8Array): boolean {
    return this.#wanted().some(
      (peer) => equalBytes(peer.identity, identity) && this.#refusals.has(toHex(peer.deviceId)),
    );
  }

  /** Tries every way to an identity, one after the other. Rejects only if the signal fires. */
  async ping(identity: Uint8Array, signal?: AbortSignal): Promise<PingStep[]> {
    return await pingPeer({
      sessions: this.#sessionsOf(identity),
      peers: this.#wanted().filter((peer) => equalBytes(peer.identity, identity)),
      transports: this.#transports,
      target: (peer) => this.#target(peer),
      // A link that works is used, if there is no session yet.
      onLink: (link) => this.accept(link),
      timers: this.#timers,
      signal,
    });
  }

  /**
   * Waits until there is a session with each of the identities, or the time is over; with `untilTried` also no longer
   * than until each of the others has been dialled in vain once. Resolves with those that are missing.
   */
  async waitFor(
    identities: readonly Uint8Array[],
    options: { readonly signal?: AbortSignal; readonly timeoutMs: number; readonly untilTried?: boolean },
  ): Promise<Uint8Array[]> {
    const missing = (): Uint8Array[] =>
      identities.filter((identity) => this.#sessionsOf(identity).length === 0);
    const done = (): boolean => {
      const left = missing();
      return (
        left.length === 0 || (options.untilTried === true && left.every((identity) => this.#tried(identity)))
      );
    };
    options.signal?.throwIfAborted();
    if (done() || this.#closing !== undefined) return missing();
    await new Promise<void>((resolve, reject) => {
      const end = (settle: () => void): void => {
        callOff();
        this.#waiters.delete(waiter);
        options.signal?.removeEventListener('abort', onAbort);
        settle();
      };
      const onAbort = (): void => end(() => reject(options.signal?.reason as Error));
      const waiter = {
        check: () => {
          if (done() || this.#closing !== undefined) end(resolve);
        },
      };
      const callOff = this.#timers.after(options.timeoutMs, () => end(resolve));
      options.signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiters.add(waiter);
    });
    return missing();
  }

  /** Ends dials, sessions and transports. Harmless when repeated. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    // What is told to peers in goodbye goes out before their transports are closed.
    this.#watch.close();
    const dials = [this.#dialler.close(), this.#upgrader.close()];
    this.#shaper.close();
    await this.#sessions.close();
    await Promise.all(dials);
    await Promise.all(this.#transports.map((transport) => transport.close()));
    this.#uploadMemory.close();
    for (const waiter of this.#waiters) waiter.check();
  }

  /** The directory is asked once for each of its revisions; hints come and go without one. */
  #wanted(): readonly WantedPeer[] {
    const { directory, hints } = this.#options;
    const { revision } = directory;
    if (this.#asked?.revision !== revision) this.#asked = { revision, peers: this.#askWanted() };
    const { peers } = this.#asked;
    return hints === undefined ? peers : peers.map((peer) => hints.merged(peer));
  }

  #askWanted(): WantedPeer[] {
    const { device, directory } = this.#options;
    // The newest come first: those beyond, which there would be no room for, are likely given up.
    const counts = new Map<string, number>();
    return directory.wanted().filter(({ identity, deviceId }) => {
      if (equalBytes(deviceId, device.publicKey)) return false;
      const count = (counts.get(idKey(identity)) ?? 0) + 1;
      counts.set(idKey(identity), count);
      return count <= identityDevicesMax;
    });
  }

  /** Direct ones first: they are faster. */
  #sessionsOf(identity: Uint8Array): Session[] {
    const sessions = this.#sessions
      .open()
      .filter(({ peer }) => peer !== undefined && equalBytes(peer.identity, identity));
    return sessions.sort((a, b) => Number(b.link.via === 'direct') - Number(a.link.via === 'direct'));
  }

  #tried(identity: Uint8Array): boolean {
    const devices = this.#wanted().filter((peer) => equalBytes(peer.identity, identity));
    return devices.every((peer) => this.#triedDevice(peer));
  }

  /** Who didn't answer in the little time of a first try may only be slow. */
  #triedDevice({ deviceId }: WantedPeer): boolean {
    return this.#dialler.tried(deviceId, this.#slow.has(toHex(deviceId)) ? 2 : 1);
  }

  #target(peer: WantedPeer): DialTarget {
    return {
      remoteKey: peer.deviceId,
      endpoints: peer.endpoints,
      keyPair: peer.oneTime ?? this.#options.device,
    };
  }

  /** One try over every transport; rejects with the most telling of their errors. */
  async #dial(peer: WantedPeer, attempts: number, signal: AbortSignal): Promise<void> {
    const journal = this.#journal.begin(peer.deviceId);
    const ways = this.#transports.map(
      (transport) => () => this.#dialOver(transport, peer, attempts, signal, journal.tell),
    );
    const errors = await tryWays(ways, this.#timers);
    if (errors === undefined) return;
    const told = mostTelling(errors);
    if (signal.aborted) throw told;
    journal.end();
    if (isKithError(told, 'peer-refused')) this.#refusals.add(toHex(peer.deviceId));
    else this.#refusals.delete(toHex(peer.deviceId));
    this.#note(peer.deviceId, wordsOf(errors));
    throw told;
  }

  /** One try over every transport but relays, all at once, to a device that is connected through one. */
  async #dialBetter(deviceId: Uint8Array, attempts: number, signal: AbortSignal): Promise<void> {
    const peer = this.#wanted().find((wanted) => equalBytes(wanted.deviceId, deviceId));
    if (peer === undefined) return;
    const better = this.#transports.filter(({ name }) => name !== 'relay');
    // Nothing waits for it: it may take as long as a late try.
    const untold = (): void => undefined;
    await Promise.all(
      better.map((transport) => this.#dialOver(transport, peer, attempts + 2, signal, untold)),
    );
  }

  /** With which of our keys to try, in this order; the next only where the one before was refused. */
  #pairsFor(transport: Transport, peer: WantedPeer, attempts: number): readonly KeyPair[] {
    const { device, doorstep, knocks = false } = this.#options;
    if (peer.oneTime !== undefined) return invitePairs(transport, peer.oneTime, device, attempts);
    if (doorstep === undefined) return [device];
    // Over the DHT, or a relay, a refusal can't be told from silence, so that there is no second try: now and then it is a knock.
    const blindly = transport.name !== 'direct' && attempts % knockEvery === 1;
    return knocks || blindly ? [doorstep] : [device, doorstep];
  }

  /** Undefined if there is a session now. Where our device key is refused, the doorstep key knocks once. */
  async #dialOver(
    transport: Transport,
    peer: WantedPeer,
    attempts: number,
    signal: AbortSignal,
    tell: (step: PingStep) => void,
  ): Promise<KithError | undefined> {
    let last: KithError | undefined;
    for (const keyPair of this.#pairsFor(transport, peer, attempts)) {
      const limit = this.#limit(dialLimitMs(attempts, this.#watch.misses(peer.deviceId)), signal);
      try {
        const link = await this.#dialWith(transport, { ...this.#target(peer), keyPair }, limit.signal, tell);
        const session = this.#sessions.add(link);
        // Not taken: there is a session by now.
        const error = await session?.opened;
        if (error === undefined || this.#sessions.current(peer.deviceId) !== undefined) return undefined;
        if (isKithError(error, 'invite-used', 'invite-expired', 'invite-refused')) {
          this.#options.onInviteRefused?.(peer, error);
        }
        return error;
      } catch (error) {
        last = isKithError(error)
          ? error
          : new KithError('peer-unreachable', messageOf(error), { cause: error });
        if (transport.name === 'direct' || !peer.endpoints.some(({ direct }) => direct)) {
          if (limit.isOver()) this.#slow.add(toHex(peer.deviceId));
          else this.#slow.delete(toHex(peer.deviceId));
        }
        if (!isKithError(error, 'peer-refused')) return last;
      } finally {
        limit.end();
      }
    }
    return last;
  }

  /** One dial, and a step told of it where the transport told none itself. */
  async #dialWith(
    transport: Transport,
    target: DialTarget,
    signal: AbortSignal,
    tell: (step: PingStep) => void,
  ): Promise<Link> {
    let told = false;
    const onStep = (step: PingStep): void => {
      told = true;
      tell(step);
    };
    const unlessTold = (step: PingStep): void => {
      if (!told) tell(step);
    };
    const whole = { way: transport.name, address: null };
    return await takeStep(
      whole,
      () => this.#timers.nowMs(),
      unlessTold,
      () => transport.dial({ ...target, onStep }, signal),
    );
  }

  #limit(
    ms: number,
    signal: AbortSignal,
  ): { readonly signal: AbortSignal; readonly isOver: () => boolean; readonly end: () => void } {
    const over = new AbortController();
    const end = this.#timers.after(ms, () =>
      over.abort(new KithError('peer-unreachable', `no answer within ${ms / 1000} s`)),
    );
    return { signal: AbortSignal.any([signal, over.signal]), isOver: () => over.signal.aborted, end };
  }

  #onOpen(session: Session): void {
    const { peer } = session;
    if (peer === undefined) return;
    this.#met.add(toHex(peer.identity));
    if (!session.link.isInitiator && session.link.via === 'direct')
      this.#remember(session.link.remoteAddress);
    this.#troubles.delete(toHex(peer.deviceId));
    this.#refusals.delete(toHex(peer.deviceId));
    this.#journal.forget(peer.deviceId);
    this.#dialler.opened(peer.deviceId);
    this.#watch.opened(session);
    this.#upgrader.opened(peer.deviceId, session.link.via === 'relay');
    this.#changed();
  }

  /** The newest stay. */
  #remember(address: string): void {
    this.#cameIn.delete(address);
    this.#cameIn.add(address);
    for (const oldest of this.#cameIn) {
      if (this.#cameIn.size <= cameInMax) break;
      this.#cameIn.delete(oldest);
    }
  }

  #onGone(session: Session, error: KithError): void {
    const { peer } = session;
    if (peer === undefined) return;
    this.#watch.gone(session);
    this.#note(peer.deviceId, error.message);
    this.#upgrader.ended(peer.deviceId);
    this.#dialler.ended(peer.deviceId);
  }

  #note(deviceId: Uint8Array, words: string): void {
    const wanted = this.#wanted().some((peer) => equalBytes(peer.deviceId, deviceId));
    if (wanted) this.#troubles.set(toHex(deviceId), words);
    this.#changed();
  }

  #forgetTroubles(wanted: readonly WantedPeer[]): void {
    const kept = new Set(wanted.map(({ deviceId }) => toHex(deviceId)));
    this.#journal.keep(kept);
    for (const device of this.#troubles.keys()) if (!kept.has(device)) this.#troubles.delete(device);
    for (const device of this.#refusals) if (!kept.has(device)) this.#refusals.delete(device);
    for (const device of this.#slow) if (!kept.has(device)) this.#slow.delete(device);
  }

  #changed(): void {
    for (const waiter of this.#waiters) waiter.check();
    this.#options.onChange?.();
  }
}

/**
 * While an invite is pending: its pair first, then the device's, since they may know us by now. Over the DHT, where a refusal looks like
 * silence, by turns.
 */
function invitePairs(
  transport: Transport,
  oneTime: KeyPair,
  device: KeyPair,
  attempts: number,
): readonly KeyPair[] {
  if (transport.name !== 'dht') return [oneTime, device];
  return attempts % 2 === 0 ? [oneTime] : [device];
}

/** A programmer's mistakes, found when the process starts. */
function checkServices(services: readonly Service[]): void {
  const names = new Set(services.map(({ name }) => name));
  const sound = services.every(({ name, versions }) => isServiceName(name) && isVersionRange(versions));
  if (!sound || names.size !== services.length || names.size > offerCountMax) {
    throw new RangeError('services need names such as kith/store, each once, and versions from 1 on');
  }
}
