import { equalBytes, fromHex, toHex } from '../base/bytes.ts';
import { isKithError, messageOf } from '../base/errors.ts';
import type { LetterBox } from '../custody/letter-box.ts';
import { decodeCard, verifyCard, type Card } from '../format/card.ts';
import { compareContactKeys, encodeContactKeys, type ContactKey } from '../format/contact-keys.ts';
import { friendStateNumbers, type FriendRecord } from '../format/friend-records.ts';
import type { SignedHead } from '../format/signed-head.ts';
import type { PeerInfo } from '../net/service.ts';
import { helloMsMax } from '../net/sessions/session.ts';
import { systemTimers, type Timers } from '../net/timers.ts';
import { CardsCaller, whoIs } from '../services/cards/cards-caller.ts';
import type { OpenedCard } from '../services/cards/carried-card.ts';
import { cardsServiceName, encodeHeads, type Posted } from '../services/cards/cards-codec.ts';
import { CardsService, type Subject } from '../services/cards/cards-service.ts';
import { contactKeysForRecord, contactPairs, storedContactKeys } from '../trust/contact.ts';
import type { Session } from '../vault/session.ts';
import { AskAround } from './ask-around.ts';
import { Heads } from './heads.ts';
import { Letters } from './letters.ts';
import type { PeerLinks } from './peer-links.ts';
import { UnderWay } from './under-way.ts';

/** What was given to one device of a friend in its session. */
interface Given {
  /** Whom, as the links name it for as long as it is the same session. */
  readonly peer: PeerInfo;
  /** The contact keys it has, encoded; undefined before. */
  contact: string | undefined;
  /** What they were made from, as objects: with the same it gets the same. */
  madeFrom: readonly [record: FriendRecord, epochs: unknown] | undefined;
  /** The heads of our logs that it was told, encoded. */
  heads: string | undefined;
}

/** The heads of our logs as they are now; `encoded` is undefined where there are none. */
interface OwnHeads {
  readonly own: readonly SignedHead[];
  readonly encoded: string | undefined;
}

/** How often friends are told of what our logs have grown by, and what friends said of theirs is made durable. */
const headsMs = 30_000;

export interface CardsNodeOptions {
  readonly session: Session;
  readonly links: () => PeerLinks;
  /** Our own card as it is now, encoded. */
  readonly ownCard: () => Uint8Array;
  /** Where letters are kept; undefined for a command that works by itself. */
  readonly box: LetterBox | undefined;
  /** Somebody has a newer address record of this device than we: a newer one is to be published. */
  readonly onOvertaken: () => void;
  readonly timers?: Timers;
}

/**
 * `kith/cards` in a process that has a home open: answers friends for friends, asks around, tells friends of what is new of ourselves, and
 * gives each what it may find us by.
 */
export class CardsNode {
  readonly service: CardsService;
  /** Letters to friends who are away, and from them. */
  readonly letters: Letters;
  readonly #options: CardsNodeOptions;
  readonly #around: AskAround;
  readonly #heads: Heads;
  readonly #timers: Timers;
  /** By device, of sessions that there are now. */
  readonly #given = new Map<string, Given>();
  /** What friends gave in this process: the catalog may have to wait for it. */
  readonly #contacts = new Map<string, readonly ContactKey[]>();
  /** The own card as friends have it from their hello or from us; undefined before the start. */
  #shown: Uint8Array | undefined;
  #changedAtMs = -Infinity;
  #unwatch: () => void = () => undefined;
  #callOff: () => void = () => undefined;
  #isClosed = false;
  readonly #underWay = new UnderWay();

  constructor(options: CardsNodeOptions) {
    this.#options = options;
    const { session, links } = options;
    this.#heads = new Heads(session);
    this.#timers = options.timers ?? systemTimers;
    const { random, clock } = session.surroundings;
    this.service = new CardsService({
      allows: (identity) => links().book.allows(toHex(identity), cardsServiceName),
      nowMs: () => clock.monotonicMs(),
      subjects: () => this.#subjects(),
      cardOf: (identity) => this.#cardOf(toHex(identity)),
      headsOf: (identity) => this.#heads.of(identity),
      onHeads: (peer, heads) => this.#takeHeads(peer.identity, heads),
      onShown: async (peer, card) => void (await links().learnShown(peer, card)),
      onContact: (peer, keys) => this.#underWay.add(this.#onContact(peer, keys)),
      onCarried: (peer, carried) => this.#around.onCarried(peer, carried),
      onPosted: (peer, posted) => this.#underWay.add(this.#onPosted(peer, posted)),
      onDelivered: (_, sealed) => this.#underWay.add(this.letters.onDelivered(sealed)),
    });
    this.letters = new Letters({
      device: () => session.device,
      box: options.box,
      carriers: () => this.#carriers(),
      contactKeyOf: (identity) => this.#contactOf(toHex(identity)).at(-1)?.publicKey,
      cardOf: (identity) => this.#cardOf(toHex(identity)),
    });
    this.#around = new AskAround({
      links: {
        sought: () => links().sought(),
        peers: () => links().peers(),
        caller: (id, service, deviceId) => links().caller(id, service, deviceId),
        learn: (identity, card) => links().learn(identity, card),
        drop: (id, words) => links().drop(id, words),
        watch: (check) => links().watch(check),
      },
      identity: session.device.vaultId,
      pairsOf: (id) => contactPairs(this.#contactOf(id)),
      onOwn: (own) => this.#onOwn(own),
      onHeads: (identity, heads) => this.#takeHeads(identity, heads),
      random,
      timers: this.#timers,
      onTrouble: (words) => this.#trouble(words),
    });
  }

  /** The links have been started. */
  async start(): Promise<void> {
    await this.#heads.load();
    if (this.#isClosed) return;
    this.#shown = this.#ownCard();
    this.#unwatch = this.#options.links().watch(() => this.#look());
    this.#around.start();
    this.#look();
    this.#tellHeads();
  }

  /** Nothing is asked or told any more; calls under way end with the links, and `ended` is to be awaited then. */
  close(): void {
    this.#isClosed = true;
    this.#unwatch();
    this.#callOff();
    this.#around.close();
  }

  /** Resolves when nothing of this writes to the home any more. */
  async ended(): Promise<void> {
    await this.#around.ended();
    await this.#underWay.ended();
    await this.#heads.save();
  }

  /** The friends book has changed, or the epochs have: who may find us by what. */
  refresh(): void {
    this.#look();
  }

  /** Shows our card to all who are here, if it says something new: after a change of address, a certificate, a revocation. */
  ownCardChanged(): void {
    const card = this.#ownCard();
    if (this.#isClosed || card === undefined || this.#shown === undefined) return;
    if (equalBytes(card, this.#shown)) return;
    this.#shown = card;
    this.#changedAtMs = this.#options.session.surroundings.clock.monotonicMs();
    for (const peer of this.#options.links().peers()) this.#run(this.#caller(peer).show(card));
  }

  /** A friend's card has grown: those who asked for it lately are told. */
  friendChanged(id: string): void {
    const { session, links } = this.#options;
    const asked = this.#isClosed ? [] : this.service.whoAskedFor(identityOf(id));
    const record = asked.length === 0 ? undefined : session.state.friend(identityOf(id));
    const subject = record === undefined ? undefined : this.#subjectOf(record);
    const card = subject === undefined ? undefined : this.#cardOf(id);
    if (subject === undefined || card === undefined) return;
    for (const peer of asked) {
      if (links().book.allows(toHex(peer.identity), cardsServiceName))
        this.#run(this.#caller(peer).carry(subject, card, this.#heads.of(subject.identity)));
    }
  }

  /** The longest that is known of each of a friend's logs. */
  headsOf(identity: Uint8Array): readonly SignedHead[] {
    return this.#heads.of(identity);
  }

  #ownCard(): Uint8Array | undefined {
    try {
      return this.#options.ownCard();
    } catch (error) {
      // Too large, say: the greeting tells of it.
      if (isKithError(error)) return undefined;
      throw error;
    }
  }

  #caller(peer: PeerInfo): CardsCaller {
    const { links, session } = this.#options;
    const caller = links().caller(toHex(peer.identity), cardsServiceName, peer.deviceId);
    return new CardsCaller(caller, session.surroundings.random);
  }

  /** Gives each device that is here what it may find us by, once, and again when that changes. */
  #look(): void {
    if (this.#isClosed) return;
    const peers = this.#options.links().peers();
    const here = new Set(peers);
    for (const [id, { peer }] of this.#given) if (!here.has(peer)) this.#given.delete(id);
    const own = this.#heads.own();
    const heads = { own, encoded: own.length === 0 ? undefined : toHex(encodeHeads(own)) };
    for (const peer of peers) this.#giveTo(peer, heads);
  }

  #giveTo(peer: PeerInfo, heads: OwnHeads): void {
    const { session } = this.#options;
    const record = session.state.friend(peer.identity);
    const caller = this.#caller(peer);
    if (record?.state !== friendStateNumbers.active || !caller.connected) return;
    const key = toHex(peer.deviceId);
    let given = this.#given.get(key);
    if (given === undefined) {
      given = { peer, contact: undefined, madeFrom: undefined, heads: undefined };
      this.#given.set(key, given);
      this.#showIfNew(caller);
      this.#run(this.letters.handOver(peer.identity, caller));
    }
    this.#giveHeads(given, caller, heads);
    this.#giveContact(given, caller, record);
  }

  #giveContact(given: Given, caller: CardsCaller, record: FriendRecord): void {
    const { session } = this.#options;
    const { epochs } = session.device;
    if (given.madeFrom?.[0] === record && given.madeFrom[1] === epochs) return;
    if (session.keepsContacts) {
      session.oweRefresh();
      return;
    }
    given.madeFrom = [record, epochs];
    const keys = contactKeysForRecord(epochs, record);
    const contact = toHex(encodeContactKeys(keys));
    if (given.contact === contact) return;
    given.contact = contact;
    this.#run(this.#give(caller, keys));
  }

  /**
   * Where a device was revoked, what it gave in our name goes first: it may have given keys of an epoch that would pass for a later one
   * for ever.
   */
  async #give(caller: CardsCaller, keys: readonly ContactKey[]): Promise<void> {
    if (this.#options.session.revoked.size > 0 && keys.length > 0) await caller.contact([]);
    await caller.contact(keys);
  }

  #giveHeads(given: Given, caller: CardsCaller, { own, encoded }: OwnHeads): void {
    if (encoded === undefined || given.heads === encoded) return;
    given.heads = encoded;
    this.#run(caller.heads(own));
  }

  /** Again and again, until the end. */
  #tellHeads(): void {
    this.#callOff = this.#timers.after(headsMs, () => {
      this.#look();
      void this.#underWay.add(this.#heads.save());
      this.#tellHeads();
    });
  }

  /** A change may have fallen between the hello of a session and its beginning. */
  #showIfNew(caller: CardsCaller): void {
    const sinceMs = this.#options.session.surroundings.clock.monotonicMs() - this.#changedAtMs;
    if (this.#shown !== undefined && sinceMs <= helloMsMax) this.#run(caller.show(this.#shown));
  }

  /** For whom the letter is may be a friend that we may tell of, or we ourselves. */
  async #onPosted(peer: PeerInfo, { salt, tag, sealed }: Posted): Promise<boolean> {
    const { vaultId } = this.#options.session.device;
    const addressee = whoIs(salt, tag, [vaultId, ...[...this.#subjects()].map(({ identity }) => identity)]);
    const isTaken = await this.letters.onPosted(peer.identity, addressee, sealed);
    if (isTaken && addressee !== undefined) {
      for (const other of this.#options.links().peers()) {
        if (equalBytes(other.identity, addressee))
          this.#run(this.letters.handOver(addressee, this.#caller(other)));
      }
    }
    return isTaken;
  }

  /** One device of each friend who is here. */
  #carriers(): CardsCaller[] {
    const peers = new Map(
      this.#options
        .links()
        .peers()
        .map((peer) => [toHex(peer.identity), peer]),
    );
    return [...peers.values()].map((peer) => this.#caller(peer));
  }

  async #onContact(peer: PeerInfo, keys: readonly ContactKey[]): Promise<void> {
    const id = toHex(peer.identity);
    const known = this.#contactOf(id).at(-1);
    const newest = keys.at(-1);
    // Another device of the friend has told of a later epoch.
    if (known !== undefined && newest !== undefined && compareContactKeys(newest, known) < 0) return;
    this.#contacts.set(id, keys);
    await this.#options.session.learnFriendContact(id, keys);
  }

  #contactOf(id: string): readonly ContactKey[] {
    const inMemory = this.#contacts.get(id);
    const record = this.#options.session.state.friend(identityOf(id));
    const stored = record === undefined ? [] : storedContactKeys(record.extensions);
    if (inMemory === undefined) return stored;
    const [newest, newestStored] = [inMemory.at(-1), stored.at(-1)];
    // Another device of ours may have been told of a later epoch. What was taken back in this session stays so.
    const isOlder =
      newest !== undefined && newestStored !== undefined && compareContactKeys(newest, newestStored) < 0;
    return isOlder ? stored : inMemory;
  }

  *#subjects(): Generator<Subject> {
    for (const record of this.#options.session.state.friends()) {
      const subject = this.#subjectOf(record);
      if (subject !== undefined) yield subject;
    }
  }

  /** Undefined for a friend that we aren't to tell of. */
  #subjectOf({ identity, state }: FriendRecord): Subject | undefined {
    if (state !== friendStateNumbers.active) return undefined;
    const key = this.#contactOf(toHex(identity)).at(-1)?.publicKey;
    return key === undefined ? undefined : { identity, key };
  }

  #cardOf(id: string): Card | undefined {
    const bytes = this.#options.links().book.cardOf(id);
    return bytes === undefined ? undefined : decodeCard(bytes);
  }

  /** A friend tells what it knows of us. Records of this device above ours are jumped over. */
  async #onOwn(own: OpenedCard): Promise<void> {
    const card = decodeCard(own.card);
    verifyCard(card);
    const { session, onOvertaken } = this.#options;
    const record = card.addresses.find(({ deviceId }) => equalBytes(deviceId, session.device.deviceId));
    if (record !== undefined && session.ownAddress.sawOwn(record.counter)) onOvertaken();
    await this.#heads.heardOwn(own.heads);
  }

  #takeHeads(identity: Uint8Array, heads: readonly SignedHead[]): void {
    const { book } = this.#options.links();
    this.#heads.take(identity, heads, (id, deviceId) => book.isDeviceOf(id, deviceId));
  }

  /** A call whose failure is the other side's affair: it is made again at the next session. */
  #run(call: Promise<void>): void {
    void this.#underWay.add(call).catch((error: unknown) => {
      if (!isKithError(error)) this.#trouble(messageOf(error));
    });
  }

  #trouble(words: string): void {
    this.#options.session.problem({ item: cardsServiceName, message: words, code: 'internal' });
  }
}

function identityOf(id: string): Uint8Array {
  const identity = fromHex(id);
  if (identity === undefined) throw new RangeError(`not an identity: ${id}`);
  return identity;
}
