import { equalBytes, toHex } from '../base/bytes.ts';
import { TaskSet } from '../base/concurrency.ts';
import { KithError } from '../base/errors.ts';
import { systemRandom } from '../crypto/random.ts';
import {
  bodyBudgetBytes,
  bodyBudgetBytesPerPeer,
  BulkBudget,
  uploadBudgetBytes,
  uploadBudgetBytesPerPeer,
} from './calls/bulk-budget.ts';
import type { CallClient } from './calls/call-client.ts';
import { DeviceDials } from './dialling/device-dials.ts';
import { Dialler } from './dialling/dialler.ts';
import type { WantedPeer } from './directory.ts';
import { isServiceName, isVersionRange, offerCountMax, runIdBytes } from './sessions/hello.ts';
import type { Link, Transport, TransportOptions } from './links/link.ts';
import { isDisowned } from './sessions/end-codes.ts';
import { pingPeer } from './sessions/ping.ts';
import type { PeerPresence, PingStep, Trouble } from './presence.ts';
import { chooses } from './sessions/session-choice.ts';
import { SessionTable } from './sessions/session-table.ts';
import { SessionWatch } from './watch/session-watch.ts';
import { Shaper } from './rates/shaper.ts';
import type { RateLimits } from './rates/shaper.ts';
import type { Session } from './sessions/session.ts';
import type { CallOptions, CallReply, PeerInfo, Service, ServiceCaller } from './service.ts';
import { UploadMemory } from './calls/upload-memory.ts';
import { systemTimers } from './timers.ts';
import type { Timers } from './timers.ts';
import type { NetworkOptions } from './network-options.ts';
import { Waiters } from './waiters.ts';
import { WantedPeers } from './wanted-peers.ts';
import { Upgrader } from './dialling/upgrader.ts';

/** Addresses that peers came from, which are remembered to tell whether we can be dialled. */
const cameInMax = 16;

/** How long the end waits for what handlers are still doing: one whose disk is stuck, or who heeds no signal, holds it up no longer. */
const handlingMsMax = 10_000;

/** One session with each device that the directory wants, kept over whatever transports there are; calls by identity. */
export class Network {
  readonly #options: NetworkOptions;
  readonly #timers: Timers;
  readonly #sessions: SessionTable;
  readonly #dialler: Dialler;
  readonly #watch: SessionWatch;
  readonly #shaper: Shaper;
  readonly #uploadMemory: UploadMemory;
  readonly #handling = new TaskSet();
  readonly #upgrader: Upgrader;
  /** Hex of identities that had a session since this process began. */
  readonly #met = new Set<string>();
  /** Why the last try failed, by hex of the device. Only of those wanted. */
  readonly #troubles = new Map<string, Trouble>();
  readonly #dials: DeviceDials;
  /** Whose device came from each address, the newest last. */
  readonly #cameIn = new Map<string, Uint8Array>();
  readonly #waiters: Waiters;
  readonly #wanted: WantedPeers;
  #transports: readonly Transport[] = [];
  #started = false;
  #moment = 0;
  #isMetered = false;
  /** Of the directory, when it was last asked about everybody. */
  #revision: number | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: NetworkOptions) {
    checkServices(options.services);
    this.#options = options;
    const { device, directory, services, random = systemRandom } = options;
    this.#timers = options.timers ?? systemTimers;
    this.#waiters = new Waiters(this.#timers);
    this.#wanted = new WantedPeers(directory, device.publicKey);
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
      handling: this.#handling,
      shaper: this.#shaper,
      isMetered: () => this.#isMetered,
      timers: this.#timers,
      runId: random(runIdBytes),
      nextMoment: () => ++this.#moment,
      onLearned: () => {
        if (directory.revision !== this.#revision) this.refresh();
      },
    };
    this.#sessions = new SessionTable(
      host,
      {
        onOpen: (session) => this.#onOpen(session),
        onGone: (session, error) => this.#onGone(session, error),
        onFailed: () => this.#changed(),
        onOffers: () => this.#changed(),
        onTrouble: (session, words) => this.#note(session.link.remoteKey, { words, disowned: false }),
        onBroken: (session, error, waitMs) => this.#onBroken(session, error, waitMs),
      },
      (session) => this.#watch.doubts(session),
    );
    const draw = (): number => new DataView(random(4).buffer).getUint32(0, true) / 2 ** 32;
    this.#watch = new SessionWatch({
      timers: this.#timers,
      random: draw,
      probe: (deviceId) => this.#dialler.probe(deviceId),
      doubted: (deviceId) => this.#dialler.doubted(deviceId),
      trusted: (deviceId) => this.#dialler.trusted(deviceId),
      hurry: (spreadMs) => this.#dialler.hurry(spreadMs),
      refresh: () => {
        for (const transport of this.#transports) transport.refresh?.();
      },
    });
    this.#dials = new DeviceDials({
      ...options,
      timers: this.#timers,
      sessions: this.#sessions,
      misses: (deviceId) => this.#watch.misses(deviceId),
      usualMs: (deviceId) => this.#watch.usualMs(deviceId),
      onFailed: ({ deviceId }, trouble) => this.#note(deviceId, trouble),
    });
    this.#dialler = new Dialler({
      timers: this.#timers,
      random: draw,
      dial: async (peer, attempts, signal, isBeside) => {
        // It counts as a try in vain, and what is known of its trouble stays.
        if (this.#sessions.pausedMs(peer.deviceId) > 0)
          throw new KithError('holder-unavailable', 'it broke a rule, and waits');
        if (isBeside) await this.#dials.dialBeside(peer, attempts, signal);
        else await this.#dials.dial(peer, attempts, signal);
      },
      onTried: () => this.#changed(),
    });
    this.#upgrader = new Upgrader({
      timers: this.#timers,
      random: draw,
      goesFirst: (deviceId) => chooses(device.publicKey, deviceId),
      dial: async (deviceId, attempts, signal) => {
        const peer = this.#wanted.device(deviceId);
        if (peer !== undefined) await this.#dials.dialBetter(peer, attempts, signal);
      },
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
    this.#dials.transports = transports;
    this.#revision = undefined;
    this.refresh();
  }

  /** Takes over a link that somebody else opened. */
  accept(link: Link): void {
    this.#sessions.add(link);
  }

  /**
   * The directory has changed: whom to dial, whom to let go, what each may use. Where it is known whose grants may be others than before,
   * by identity in hex, only those are looked at.
   */
  refresh(identities?: ReadonlySet<string>): void {
    if (this.#closing !== undefined) return;
    const { revision } = this.#options.directory;
    if (revision === this.#revision) {
      this.#sessions.regrant(identities);
      return;
    }
    this.#revision = revision;
    this.#sessions.recheck(identities);
    if (this.#started) {
      const wanted = this.#wanted.all();
      this.#forgetTroubles(wanted);
      this.#watch.keepOnly(wanted);
      this.#upgrader.update(wanted);
      this.#dialler.update(wanted, (deviceId) => this.isConnected(deviceId));
    }
    this.#changed();
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
    this.#dialler.probe(deviceId);
  }

  /** Where peers came from that dialled us over TCP since this process began, each `HOST:PORT`, and whose they are; the last 16. */
  get cameInFrom(): readonly { readonly address: string; readonly identity: Uint8Array }[] {
    return [...this.#cameIn].map(([address, identity]) => ({ address, identity }));
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

  /**
   * The devices with which calls may be made now: each as the same object for as long as it is the same session. Another may take its place
   * without a moment in which nobody is there, and calls on the one before be lost.
   */
  peers(): PeerInfo[] {
    return this.#sessions.open().flatMap(({ peer }) => peer ?? []);
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
    const identityHex = toHex(identity);
    const client = (): { readonly session: Session; readonly calls: CallClient } | undefined => {
      for (const session of this.#sessionsOf(identityHex)) {
        if (deviceId !== undefined && !equalBytes(session.peer?.deviceId ?? identity, deviceId)) continue;
        const calls = session.client(service);
        if (calls !== undefined) return { session, calls };
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
        const { session, calls } = found;
        const reply = await calls.call(method, body, options);
        return { ...reply, broken: ({ message }) => session.end('broken', message) };
      },
    };
  }

  /** Hex of the identities that say that their line is metered. One pass over all. */
  metered(): Set<string> {
    const found = new Set<string>();
    for (const session of this.#sessions.open()) {
      if (session.metered && session.peer !== undefined) found.add(toHex(session.peer.identity));
    }
    return found;
  }

  /** Ends all sessions of an identity, as after a broken rule of the wire: an answer of it was a lie. */
  drop(identity: Uint8Array, words: string): void {
    for (const session of this.#sessionsOf(toHex(identity))) session.end('broken', words);
  }

  presence(identityHex: string): PeerPresence {
    const mutual = this.#met.has(identityHex);
    const [session] = this.#sessions.openOf(identityHex);
    if (session !== undefined) {
      const { via, remoteAddress } = session.link;
      return {
        online: true,
        via,
        address: remoteAddress,
        mutual,
        trouble: null,
        disowned: false,
        steps: [],
        metered: session.metered,
      };
    }
    const devices = this.#wanted.of(identityHex);
    const troubles = devices.flatMap(({ deviceId }) => this.#troubles.get(toHex(deviceId)) ?? []);
    const trouble = troubles[0]?.words ?? null;
    const disowned = troubles.some((each) => each.disowned);
    const steps = devices.flatMap(({ deviceId }) => this.#dials.stepsOf(deviceId));
    return { online: false, via: null, address: null, mutual, trouble, disowned, steps, metered: false };
  }

  /** True if each device of the identity was dialled in vain at least once since it was last there. */
  wasTried(identity: Uint8Array): boolean {
    return this.#tried(identity);
  }

  /** Hex of the identities that sessions are wanted with, and whether each was dialled in vain, as `wasTried` says. One pass over all. */
  sought(): Map<string, boolean> {
    const sought = new Map<string, boolean>();
    for (const peer of this.#wanted.all()) {
      const id = toHex(peer.identity);
      sought.set(id, (sought.get(id) ?? true) && this.#triedDevice(peer));
    }
    return sought;
  }

  /** True if somebody answered for the identity at the last try, and didn't know us. */
  refusedBy(identity: Uint8Array): boolean {
    return this.#wanted.of(toHex(identity)).some((peer) => this.#dials.refused(peer.deviceId));
  }

  /** Tries every way to an identity, or only the sessions there are, one after the other. Rejects only if the signal fires. */
  async ping(identity: Uint8Array, signal?: AbortSignal, sessionOnly = false): Promise<PingStep[]> {
    return await pingPeer({
      sessions: this.#sessionsOf(toHex(identity)),
      peers: (sessionOnly ? [] : this.#wanted.of(toHex(identity))).map((peer) => this.#dials.placed(peer)),
      transports: this.#transports,
      target: (peer) => this.#dials.target(peer),
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
      identities.filter((identity) => this.#sessionsOf(toHex(identity)).length === 0);
    const done = (): boolean => {
      const left = missing();
      return (
        left.length === 0 || (options.untilTried === true && left.every((identity) => this.#tried(identity)))
      );
    };
    await this.#waiters.until(done, options.timeoutMs, options.signal);
    return missing();
  }

  /** Ends dials, sessions and transports, and waits for handlers: what they write may be in a home that is let go next. Harmless when repeated. */
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
    await this.#handled();
    this.#uploadMemory.close();
    this.#waiters.close();
  }

  async #handled(): Promise<void> {
    let callOff = (): void => {};
    const late = new Promise<void>((resolve) => {
      callOff = this.#timers.after(handlingMsMax, resolve);
    });
    await Promise.race([this.#handling.allEnded(), late]);
    callOff();
  }

  /** Direct ones first: they are faster. */
  #sessionsOf(identityHex: string): Session[] {
    const sessions = this.#sessions.openOf(identityHex);
    return sessions.sort((a, b) => Number(b.link.via === 'direct') - Number(a.link.via === 'direct'));
  }

  #tried(identity: Uint8Array): boolean {
    return this.#wanted.of(toHex(identity)).every((peer) => this.#triedDevice(peer));
  }

  /** Who didn't answer in the little time of a first try may only be slow. */
  #triedDevice({ deviceId }: WantedPeer): boolean {
    return this.#dialler.tried(deviceId, this.#dials.wasSlow(deviceId) ? 2 : 1);
  }

  #onOpen(session: Session): void {
    const { peer } = session;
    if (peer === undefined) return;
    this.#met.add(toHex(peer.identity));
    if (!session.link.isInitiator && session.link.via === 'direct')
      this.#remember(session.link.remoteAddress, peer.identity);
    this.#troubles.delete(toHex(peer.deviceId));
    this.#dials.opened(peer.deviceId, session.link.via);
    this.#dialler.opened(peer.deviceId);
    this.#watch.opened(session);
    this.#upgrader.opened(peer.deviceId, session.link.via === 'relay');
    this.#changed();
  }

  /** The newest stay. */
  #remember(address: string, identity: Uint8Array): void {
    this.#cameIn.delete(address);
    this.#cameIn.set(address, identity);
    for (const oldest of this.#cameIn.keys()) {
      if (this.#cameIn.size <= cameInMax) break;
      this.#cameIn.delete(oldest);
    }
  }

  #onGone(session: Session, error: KithError): void {
    const { peer } = session;
    if (peer === undefined) return;
    const end = this.#watch.gone(session);
    this.#note(peer.deviceId, { words: error.message, disowned: isDisowned(error) });
    this.#upgrader.ended(peer.deviceId);
    this.#dialler.ended(peer.deviceId, end);
  }

  #onBroken({ peer, admission }: Session, { message }: KithError, waitMs: number): void {
    const known = admission.kind === 'device' ? admission.identity : undefined;
    this.#options.onBroken?.({ identity: peer?.identity ?? known, words: message, waitMs });
  }

  #note(deviceId: Uint8Array, trouble: Trouble): void {
    if (this.#wanted.device(deviceId) !== undefined) this.#troubles.set(toHex(deviceId), trouble);
    this.#changed();
  }

  #forgetTroubles(wanted: readonly WantedPeer[]): void {
    const kept = new Set(wanted.map(({ deviceId }) => toHex(deviceId)));
    this.#dials.keepOnly(kept);
    for (const device of this.#troubles.keys()) if (!kept.has(device)) this.#troubles.delete(device);
  }

  #changed(): void {
    this.#waiters.check();
    this.#options.onChange?.();
  }
}

/** A programmer's mistakes, found when the process starts. */
function checkServices(services: readonly Service[]): void {
  const names = new Set(services.map(({ name }) => name));
  const sound = services.every(({ name, versions }) => isServiceName(name) && isVersionRange(versions));
  if (!sound || names.size !== services.length || names.size > offerCountMax) {
    throw new RangeError('services need names such as kith/store, each once, and versions from 1 on');
  }
}
