import { setImmediate as nextTurn } from 'node:timers/promises';
import { equalBytes, toHex } from '../../base/bytes.ts';
import type { TaskSet } from '../../base/concurrency.ts';
import { isKithError, KithError, messageOf } from '../../base/errors.ts';
import { addressClass, hostOf } from '../address-class.ts';
import { AnswerStream } from '../calls/bulk-pace.ts';
import type { CallBudgets } from '../calls/call-server.ts';
import type { CallClient } from '../calls/call-client.ts';
import { CalledServices } from '../calls/called-services.ts';
import type { Admission, Directory } from '../directory.ts';
import { disownedError, endCodeOf, errorCodeOfEnd, errorOfGoodbye, type EndCode } from './end-codes.ts';
import { HelloChannel } from './hello-channel.ts';
import { roleInitiator, roleResponder, signHello, verifyHello } from './hello.ts';
import type { Goodbye, Hello, Offers } from './hello.ts';
import type { KeyPair, Link } from '../links/link.ts';
import { meteredExtensions, saysMetered } from '../rates/metered.ts';
import { Mux } from '../links/mux.ts';
import { SendGate } from '../calls/send-gate.ts';
import { ServedServices } from '../calls/served-services.ts';
import type { ServiceWiring } from '../calls/served-services.ts';
import { SessionFlow } from './session-flow.ts';
import type { Shaper } from '../rates/shaper.ts';
import type { PeerInfo, Service } from '../service.ts';
import type { Timers } from '../timers.ts';
import { plainText } from '../calls/wire-error.ts';

/** What one is told whose device, as far as is known here, is none of its identity's. */
const notOneOfIts = 'the card does not show that this device belongs to its identity';

/** How long two devices may take to greet each other. */
export const helloMsMax = 10_000;

/** A sign of life this often on an idle link, and how long without one until it is given up. */
const keepAliveMs = 10_000;
const lifelessMsMax = 35_000;

/** Lists of offers in one session: each may open and close channels. */
const offersCountMax = 1024;

/** What all sessions of this process share. */
export interface SessionHost {
  readonly device: KeyPair;
  readonly directory: Directory;
  readonly services: readonly Service[];
  readonly budgets: CallBudgets;
  /** What handlers of all sessions are doing. */
  readonly handling: TaskSet;
  readonly shaper: Shaper;
  /** Whether our own line is metered. */
  isMetered(): boolean;
  readonly timers: Timers;
  /** 16 random bytes of this process. */
  readonly runId: Uint8Array;
  /** A number that no hello and no offers of this process had before, and higher than all of them. */
  nextMoment(): number;
  /** A card was shown: the directory may give other answers than before, also about other sessions. */
  onLearned(): void;
}

/** What a session tells whoever decides which of them counts (docs/formats/wire.md). */
export interface SessionEvents {
  /** The other side is who it says. */
  readonly onGreeted: (session: Session) => void;
  /** The chooser has chosen this link: `offer` is expected in return. Only told to a follower, once. */
  readonly onChosen: (session: Session) => void;
  /** Both sides have said what they grant: calls may be made. */
  readonly onOpen: (session: Session) => void;
  /** Something went wrong that doesn't end the session; for people. */
  readonly onTrouble: (session: Session, words: string) => void;
  /** The other side has said anew what it grants and how its line is. */
  readonly onOffers: (session: Session) => void;
  readonly onEnd: (session: Session, error: KithError) => void;
}

/** Who is at the other end, once it has greeted. */
export interface GreetedPeer extends PeerInfo {
  readonly runId: Uint8Array;
  readonly helloMoment: number;
}

/**
 * One link to one device, from hello to its end: who it is, what each side grants the other, and the calls. It
 * doesn't decide whether it is the one session with that device: it waits for `offer`.
 */
export class Session {
  readonly link: Link;
  /** Whose the link's key was when it came. */
  readonly admission: Admission;
  /** Resolves when calls may be made, or with the error that ended it before. */
  readonly opened: Promise<KithError | undefined>;
  #settleOpened: (error: KithError | undefined) => void = () => {};
  readonly #host: SessionHost;
  readonly #events: SessionEvents;
  readonly #mux: Mux;
  readonly #gate: SendGate;
  readonly #answers = new AnswerStream(() => this.#mux.sentBytes);
  readonly #flow: SessionFlow;
  readonly #hello: HelloChannel;
  readonly #called: CalledServices;
  readonly #callOffDeadline: () => void;
  #peer: GreetedPeer | undefined;
  #identityHex: string | undefined;
  #served: ServedServices | undefined;
  #offered = false;
  #drains = 0;
  #offersCount = 0;
  #theirs: Offers | undefined;
  #open = false;
  #goodbye: Goodbye | undefined;
  #closing: Promise<void> | undefined;
  #ended: KithError | undefined;
  #isBroken = false;

  constructor(link: Link, admission: Admission, host: SessionHost, events: SessionEvents) {
    this.link = link;
    this.opened = new Promise((resolve) => {
      this.#settleOpened = resolve;
    });
    this.#host = host;
    this.admission = admission;
    this.#events = events;
    const { stream } = link;
    stream.setKeepAlive(keepAliveMs);
    stream.setTimeout(lifelessMsMax);
    this.#mux = new Mux(
      stream,
      () => host.timers.nowMs(),
      (error) => this.#broken(error),
    );
    this.#gate = new SendGate(host.timers, () => this.end('silent', 'it takes nothing any more'));
    stream.on('drain', () => {
      this.#drains++;
      this.#gate.drained();
    });
    this.#flow = new SessionFlow(host.shaper, host.timers);
    this.#hello = new HelloChannel(this.#mux, this.#gate, {
      onHello: (hello) => void this.#onHello(hello),
      onOffers: (offers) => this.#onOffers(offers),
      onGoodbye: (goodbye) => {
        this.#goodbye ??= goodbye;
      },
      onClose: () => this.#lost(),
    });
    const wiring = { ...this.#wiring(), callerRole: this.#role };
    this.#called = new CalledServices(wiring, host.services, () => this.#peer);
    this.#callOffDeadline = host.timers.after(helloMsMax, () =>
      this.end('silent', `it did not finish its hello within ${helloMsMax / 1000} s`),
    );
    link.closed.then(
      () => this.#lost(),
      () => this.#lost(),
    );
    if (!this.#hello.usable) this.#lost();
  }

  /** Undefined until it has greeted. */
  get peer(): GreetedPeer | undefined {
    return this.#peer;
  }

  /** The identity of the peer in hex: with hundreds of sessions it is compared very often. */
  get identityHex(): string | undefined {
    if (this.#peer !== undefined) this.#identityHex ??= toHex(this.#peer.identity);
    return this.#identityHex;
  }

  /** True while calls may be made. */
  get isOpen(): boolean {
    return this.#open;
  }

  /** True while a call is under way, either way. */
  get busy(): boolean {
    return (this.#served?.openCount ?? 0) + this.#called.openCount > 0;
  }

  /** True if the other end is in a network of our own, as far as its address tells. */
  get isNear(): boolean {
    const kind = addressClass(hostOf(this.link.remoteAddress));
    return kind === 'link' || kind === 'private';
  }

  /** Grows with every byte that comes in, and whenever a full stream has room again. */
  get moved(): number {
    return (this.link.stream.bytesIn ?? 0) + this.#drains;
  }

  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /** True where this side ended it because the other broke a rule. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** The moment of the last offers that came; undefined before. */
  get offersMoment(): number | undefined {
    return this.#theirs?.moment;
  }

  /** True while the other side says that its line is metered. */
  get metered(): boolean {
    return this.#theirs !== undefined && saysMetered(this.#theirs.extensions);
  }

  /** Messages that wait for the stream. */
  get queuedMessages(): number {
    return this.#gate.waiting;
  }

  /** Says hello. */
  greet(): void {
    const { device, directory, runId } = this.#host;
    if (this.#ended !== undefined) return;
    try {
      this.#hello.sendHello({
        runId,
        moment: this.#host.nextMoment(),
        deviceId: device.publicKey,
        card: directory.ownCard(),
        signature: signHello(this.link.handshakeHash, this.#role, device.secretKey),
        extensions: [],
      });
    } catch (error) {
      // Too large a card, say: nobody can be greeted with it, but the process and the sessions there are go on.
      this.#events.onTrouble(this, `our own card can't be shown: ${messageOf(error)}`);
      this.end('refused', 'it has no card to show');
    }
  }

  /** Makes this the session, as far as this side is concerned: says what the peer is granted. After `onGreeted`. */
  offer(): void {
    const peer = this.#peer;
    if (peer === undefined) throw new RangeError('an offer before the hello');
    if (this.#ended !== undefined || this.#offered) return;
    this.#offered = true;
    const { services, budgets } = this.#host;
    const callerRole = this.#role === roleInitiator ? roleResponder : roleInitiator;
    const share = toHex(peer.identity);
    this.#flow.bind(share, this.link.remoteAddress, (signal) => this.ping(signal));
    this.#served = new ServedServices({ ...this.#wiring(), callerRole }, services, peer, share, budgets);
    this.#served.regrant();
    this.#sendOffers();
    this.#openIfAgreed();
  }

  /** Grants have changed: closes what is no longer granted, and tells the peer. */
  regrant(): void {
    if (this.#ended === undefined && this.#served?.regrant() === true) this.#sendOffers();
  }

  /** Says anew what the peer is granted, and how our line is. */
  restate(): void {
    if (this.#ended === undefined && this.#served !== undefined) this.#sendOffers();
  }

  /** Undefined while the peer doesn't grant the service. */
  client(service: string): CallClient | undefined {
    return this.#open ? this.#called.client(service) : undefined;
  }

  /** Resolves when the peer has answered. */
  async ping(signal: AbortSignal): Promise<void> {
    await this.#hello.ping(signal);
  }

  /** Ends the session and tells the peer why; resolves when the link is closed. Harmless when repeated. */
  end(code: EndCode, words: string): void {
    if (this.#ended === undefined) this.#isBroken = code === 'broken';
    this.#end(new KithError(errorCodeOfEnd(code), words), {
      code,
      words: plainText(words, 1024),
      extensions: [],
    });
  }

  /** Resolves when the link of an ended session is closed. */
  async closed(): Promise<void> {
    await (this.#closing ?? this.link.closed);
  }

  get #role(): number {
    return this.link.isInitiator ? roleInitiator : roleResponder;
  }

  get #remoteRole(): number {
    return this.link.isInitiator ? roleResponder : roleInitiator;
  }

  #wiring(): Omit<ServiceWiring, 'callerRole'> {
    const { handling, timers } = this.#host;
    const onBroken = (error: unknown): void => this.#broken(error);
    const calls = { gate: this.#gate, answers: this.#answers, flow: this.#flow, timers, onBroken };
    return { mux: this.#mux, handling, calls };
  }

  /** Never rejects. */
  async #onHello(hello: Hello): Promise<void> {
    try {
      const identity = await this.#welcome(hello);
      if (this.#ended !== undefined) return;
      const { via, remoteAddress } = this.link;
      const { deviceId, runId, moment } = hello;
      this.#peer = { identity, deviceId, via, remoteAddress, runId, helloMoment: moment };
      this.#events.onGreeted(this);
      if (this.#theirs !== undefined) this.#takeOffers(this.#theirs, undefined);
    } catch (error) {
      if (isKithError(error)) this.end(endCodeOf(error), error.message);
      else this.#broken(error);
    }
  }

  /** The identity that the peer is of, if its hello shows that it is what the directory knows, or may learn. */
  async #welcome(hello: Hello): Promise<Uint8Array> {
    const { directory, device } = this.#host;
    if (!verifyHello(hello, this.link.handshakeHash, this.#remoteRole)) {
      throw new KithError('not-authentic', 'the hello is not signed by its device for this link');
    }
    if (equalBytes(hello.deviceId, device.publicKey)) {
      throw new KithError('not-authentic', 'the other side says it is this very device');
    }
    if (this.admission.kind === 'invite') {
      return await this.#welcomeInvited(this.admission.inviteId, hello);
    }
    if (this.admission.kind === 'doorstep') {
      const shown = directory.identityOf(hello.card);
      const identity = this.admission.identities.find((each) => equalBytes(each, shown));
      if (identity === undefined) {
        throw new KithError('not-authentic', 'the card is of another identity');
      }
      if (await this.#learn(identity, hello)) return identity;
      throw disownedError(notOneOfIts);
    }
    if (!equalBytes(hello.deviceId, this.link.remoteKey)) {
      throw new KithError('not-authentic', 'the hello is of another device than the link');
    }
    const { identity } = this.admission;
    let trouble: string | undefined;
    try {
      const known = await this.#learn(identity, hello);
      if (!known) trouble = 'its card does not name its device';
    } catch (error) {
      // A card that a newer kith wrote, or that is too much together with what is known of it, is no reason to part.
      if (!isKithError(error, 'too-new', 'limit-exceeded')) throw error;
      trouble = messageOf(error);
    }
    if (!directory.owns(identity, hello.deviceId)) {
      throw new KithError('peer-refused', trouble ?? 'the device is not known any longer');
    }
    if (trouble !== undefined) this.#events.onTrouble(this, trouble);
    return identity;
  }

  /** Says hello only now: who comes with an invite that is used up, or stolen, isn't shown where we are. */
  async #welcomeInvited(inviteId: Uint8Array, hello: Hello): Promise<Uint8Array> {
    const identity = await this.#host.directory.welcome?.(inviteId, hello.deviceId, hello.card);
    if (identity === undefined) throw new KithError('peer-refused', 'no invites are answered here');
    // Who is told yes again may come from another device than the first time.
    if (!(await this.#learn(identity, hello))) {
      throw disownedError(notOneOfIts);
    }
    this.greet();
    return identity;
  }

  async #learn(identity: Uint8Array, { deviceId, card }: Hello): Promise<boolean> {
    const known = await this.#host.directory.learn(identity, deviceId, card);
    this.#host.onLearned();
    return known;
  }

  #onOffers(offers: Offers): void {
    if (++this.#offersCount > offersCountMax)
      throw new KithError('malformed', 'the other side sent too many offers');
    const before = this.#theirs;
    if (before !== undefined && offers.moment <= before.moment) {
      throw new KithError('malformed', 'the other side sent offers that are older than the last');
    }
    this.#theirs = offers;
    // While its hello is still being checked they wait.
    if (this.#peer !== undefined) this.#takeOffers(offers, before);
  }

  #takeOffers(offers: Offers, before: Offers | undefined): void {
    if (this.#open) {
      this.#called.takeOffers(offers.services);
      this.#events.onOffers(this);
    } else if (this.#offered) this.#openIfAgreed();
    else if (before === undefined) this.#events.onChosen(this);
  }

  #openIfAgreed(): void {
    const theirs = this.#theirs;
    if (this.#open || !this.#offered || theirs === undefined || this.#ended !== undefined) return;
    this.#open = true;
    this.#callOffDeadline();
    this.#called.takeOffers(theirs.services);
    this.#settleOpened(undefined);
    this.#events.onOpen(this);
  }

  #sendOffers(): void {
    const services = this.#served?.offers ?? [];
    const extensions = meteredExtensions(this.#host.isMetered());
    this.#hello.sendOffers({ moment: this.#host.nextMoment(), services, extensions });
  }

  /** Only what can't be read, or isn't signed by whom it names, is the other side's doing for certain: it is held against it. */
  #broken(error: unknown): void {
    if (isKithError(error, 'malformed', 'not-authentic')) this.end('broken', error.message);
    else if (isKithError(error, 'holder-unavailable')) this.end('silent', error.message);
    else if (isKithError(error)) this.end('stopping', error.message);
    else this.#mistaken(error);
  }

  /** What it was is nobody's business but ours. */
  #mistaken(cause: unknown): void {
    const error = new KithError('holder-unavailable', `a mistake of kith here: ${messageOf(cause)}`, {
      cause,
    });
    this.#end(error, { code: 'stopping', words: 'a mistake on this side', extensions: [] });
  }

  /** The link ended, not by us: the reason is what the other side said, if it did. */
  #lost(): void {
    const goodbye = this.#goodbye;
    if (goodbye === undefined) {
      const words = this.link.endedBecause?.() ?? 'the connection ended';
      this.#end(new KithError('holder-unavailable', words), undefined);
      return;
    }
    const words = plainText(goodbye.words, 1024);
    this.#end(errorOfGoodbye(goodbye.code, `the other side ended it: ${words}`), undefined);
  }

  #end(error: KithError, goodbye: Goodbye | undefined): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    this.#open = false;
    this.#settleOpened(error);
    this.#callOffDeadline();
    this.#mux.end();
    if (goodbye !== undefined) this.#hello.sendGoodbye(goodbye);
    const callError = new KithError('holder-unavailable', `the session ended: ${error.message}`, {
      cause: error,
    });
    this.#gate.end(callError);
    this.#flow.end();
    this.#served?.end(callError);
    this.#called.end(callError);
    this.#closing = this.#closeSoon();
    this.#events.onEnd(this, error);
  }

  /** A turn later, so that the goodbye is on its way. Never rejects. */
  async #closeSoon(): Promise<void> {
    await nextTurn();
    // How a link that is over ends is nobody's concern any more.
    await this.link.close().catch(() => {});
  }
}
