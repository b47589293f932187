import { copyBytes, equalBytes, idKey, toHex } from '../base/bytes.ts';
import type { Clock } from '../base/clock.ts';
import { KithError, isKithError } from '../base/errors.ts';
import { cardBytesMax, decodeCard, encodeCard, verifyCard } from '../format/card.ts';
import type { Card } from '../format/card.ts';
import type { FriendRecord } from '../format/friend-records.ts';
import type { Admission, Directory, WantedPeer } from '../net/directory.ts';
import type { KeyPair } from '../net/links/link.ts';
import { cardCovers, devicesOf, doorstepKeyOf, endpointsOf, mergeCards, type CardDevice } from './card.ts';
import { grantsAllow } from './grants.ts';
import { LearnBudget } from './learn-budget.ts';
import { RevokedDevices } from './revocations.ts';

/** Friends of one person; each costs a few kilobytes here. */
export const friendCountMax = 1024;

/** Devices of one friend that are remembered to have been certified once: a card names 64 at a time, and drops the oldest. */
const certifiedCountMax = 1024;

/** What the book needs of a line of the catalog's friends book. */
export type BookRecord = Pick<FriendRecord, 'identity' | 'state' | 'grants' | 'card'> &
  Partial<Pick<FriendRecord, 'extensions'>>;

export interface FriendsBookOptions {
  /** Our own identity and device: nobody else can claim them. */
  readonly identity: Uint8Array;
  readonly deviceId: Uint8Array;
  /** Our own card, as it is now, encoded. Asked in `replace` too: no friend can claim a device of ours. */
  readonly ownCard: () => Uint8Array;
  /**
   * Our own card has grown by what another device of ours showed: it is to be stored. Must not throw. Where it is left out our other
   * devices are nobody here; else they are admitted and looked for as friends' devices are.
   */
  readonly onLearnedOwn?: ((card: Uint8Array) => void) | undefined;
  /** A friend's card has grown: it is to be stored. Must not throw. */
  readonly onLearned: (identityHex: string, card: Uint8Array) => void;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  /** Invites, in both directions; left out where there are none, as in a recovery. */
  readonly invites?: BookInvites;
}

/** What the book asks about invites. */
export interface BookInvites {
  /** Ids of those that are answered here, closed ones included that are still told why. Asked in `replace`. */
  admitted(): readonly Uint8Array[];
  /** The one-time pair of a friend's invite that is pending here. Asked in `replace`. */
  oneTimeOf(record: BookRecord): KeyPair | undefined;
  /** As Directory.welcome. */
  welcome(inviteId: Uint8Array, deviceId: Uint8Array, card: Uint8Array): Promise<Uint8Array>;
}

/** A card that was verified, and its bytes. */
interface KnownCard {
  readonly card: Card;
  readonly bytes: Uint8Array;
}

/** An active friend, as the book keeps it. */
interface Friend {
  readonly identity: Uint8Array;
  readonly identityHex: string;
  readonly grants: readonly string[];
  /** Undefined where the catalog's card can't be read: then the friend has no devices. */
  readonly known: KnownCard | undefined;
  /** What of it the catalog has, or was given to store. */
  readonly handed: Card | undefined;
  /** Keys of all devices that were ever in a card of it since it is in the book; shared by its later states. */
  readonly certified: Set<string>;
  /** The pair to dial with first, while an invite of theirs is pending. */
  readonly oneTime: KeyPair | undefined;
  /** The catalog's bytes, by which an unchanged record is known. */
  readonly stored: Uint8Array;
  readonly budgets: { readonly identity: LearnBudget; readonly addresses: LearnBudget };
}

interface OwnedDevice {
  readonly identityHex: string;
  readonly identity: Uint8Array;
  readonly deviceId: Uint8Array;
  /** The device itself has said whose it is; else only the identity says so, which can say it of any key. */
  readonly signed: boolean;
}

/** Nothing of it is verified. */
function readCard(bytes: Uint8Array, identity: Uint8Array): Card {
  if (bytes.length > cardBytesMax) throw new KithError('malformed', 'the card is too long');
  const card = decodeCard(bytes);
  if (!equalBytes(card.identity, identity)) {
    throw new KithError('not-authentic', 'the card is of another identity');
  }
  return card;
}

function readStoredCard(record: BookRecord): Card | undefined {
  try {
    const card = readCard(record.card, record.identity);
    verifyCard(card);
    return card;
  } catch (error) {
    if (isKithError(error)) return undefined;
    throw error;
  }
}

/** Of its own memory: a card that was merged from many would keep the bytes of each. */
function knownCard(card: Card): KnownCard {
  const bytes = encodeCard(card);
  return { card: decodeCard(bytes), bytes };
}

/** Of more than are remembered the first go. */
function rememberCertified(certified: Set<string>, card: Card | undefined): void {
  for (const { deviceId } of card?.certificates ?? []) certified.add(idKey(deviceId));
  for (const key of certified) {
    if (certified.size <= certifiedCountMax) return;
    certified.delete(key);
  }
}

/** What either has; the catalog's alone where the two together are too large. */
function bothCards(learned: Card | undefined, stored: Card | undefined): Card | undefined {
  if (learned === undefined || stored === undefined) return stored ?? learned;
  try {
    return mergeCards(learned, stored);
  } catch (error) {
    if (isKithError(error, 'limit-exceeded')) return stored;
    throw error;
  }
}

function sameMembers(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && [...a].every((member) => b.has(member));
}

/** The pair that was known where it is the same: an unchanged friend is then known as one. */
function samePair(before: KeyPair | undefined, now: KeyPair | undefined): KeyPair | undefined {
  const isSame = before !== undefined && now !== undefined && equalBytes(before.publicKey, now.publicKey);
  return isSame ? before : now;
}

function sameCard(a: Card | undefined, b: Card | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return equalBytes(encodeCard(a), encodeCard(b));
}

/** True if both are the same friends in the same order, and each says the same in every part. */
function sameFriends(a: ReadonlyMap<string, Friend>, b: ReadonlyMap<string, Friend>): boolean {
  if (a.size !== b.size) return false;
  const others = b.values();
  for (const friend of a.values()) {
    const other = others.next().value;
    if (other === undefined || !sameParts(friend, other)) return false;
  }
  return true;
}

function sameParts(a: object, b: object): boolean {
  const entries = Object.entries(a) as [string, unknown][];
  return entries.every(([part, value]) => {
    const other = (b as Record<string, unknown>)[part];
    if (value === other) return true;
    if (value instanceof Uint8Array && other instanceof Uint8Array) return equalBytes(value, other);
    if (!Array.isArray(value) || !Array.isArray(other)) return false;
    return value.length === other.length && value.every((item, index) => item === other[index]);
  });
}

/** Who may come in, whom to look for, and what each may use: the friends, by their keys, in memory. */
export class FriendsBook implements Directory {
  readonly #options: FriendsBookOptions;
  /** By identity in hex, in the order in which the catalog has them. */
  #friends: Map<string, Friend> = new Map();
  /** By device key. */
  #devices: Map<string, OwnedDevice> = new Map();
  /** By doorstep key: all who name it, since each can name any. */
  #doorsteps: Map<string, Uint8Array[]> = new Map();
  /** Keys of invites of ours. */
  #invites: ReadonlySet<string> = new Set();
  /** Keys of our own devices, revoked ones included. */
  #own: ReadonlySet<string> = new Set();
  /** Our own card, as far as it was given or shown by our other devices. */
  #ownKnown: Card | undefined;
  readonly #ownBudget: LearnBudget;
  #revision = 0;

  constructor(options: FriendsBookOptions) {
    this.#options = options;
    this.#ownBudget = new LearnBudget(options.clock.monotonicMs());
  }

  /**
   * Takes the catalog's friends, the first added first, in the place of those that were there. Only active ones count; a
   * friend whose card can't be read stays, without devices. What was learned of a friend that stays isn't lost. KithError
   * `limit-exceeded` for more than friendCountMax. The caller then refreshes the network.
   */
  replace(records: readonly BookRecord[]): void {
    const friends = new Map<string, Friend>();
    for (const record of records) {
      if (record.state !== 1 || equalBytes(record.identity, this.#options.identity)) continue;
      const friend = this.#friendOf(record);
      friends.set(friend.identityHex, friend);
    }
    if (friends.size > friendCountMax) {
      throw new KithError('limit-exceeded', `${friends.size} friends are more than ${friendCountMax}`);
    }
    const ownCardBefore = this.#ownKnown;
    const own = this.#ownKeys();
    const invites = new Set(this.#options.invites?.admitted().map(idKey));
    // It is called after every exchange of logs, most of which bring nothing about friends.
    const sameOwn = sameMembers(own, this.#own) && sameCard(ownCardBefore, this.#ownKnown);
    const same = sameOwn && sameMembers(invites, this.#invites);
    if (same && sameFriends(friends, this.#friends)) return;
    this.#own = own;
    this.#invites = invites;
    this.#friends = friends;
    this.#index();
  }

  /** Those known before, where the own card can't be had: it may be too large, and friends are needed all the same. */
  #ownKeys(): ReadonlySet<string> {
    try {
      this.#ownKnown = bothCards(this.#ownKnown, decodeCard(this.#options.ownCard()));
      const { certificates = [] } = this.#ownKnown ?? {};
      return new Set([this.#options.deviceId, ...certificates.map(({ deviceId }) => deviceId)].map(idKey));
    } catch (error) {
      if (!isKithError(error)) throw error;
      return new Set([...this.#own, idKey(this.#options.deviceId)]);
    }
  }

  #friendOf(record: BookRecord): Friend {
    const { identity, grants, card } = record;
    const identityHex = toHex(identity);
    const before = this.#friends.get(identityHex);
    const oneTime = samePair(before?.oneTime, this.#options.invites?.oneTimeOf(record));
    if (before !== undefined && equalBytes(before.stored, card)) {
      return { ...before, grants: [...grants], oneTime };
    }
    const read = readStoredCard(record);
    const both = bothCards(before?.known?.card, read);
    const nowMs = this.#options.clock.monotonicMs();
    const certified = before?.certified ?? new Set();
    rememberCertified(certified, both);
    return {
      identity: identity.slice(),
      identityHex,
      grants: [...grants],
      known: both === undefined ? undefined : knownCard(both),
      handed: read,
      certified,
      oneTime,
      stored: card.slice(),
      budgets: before?.budgets ?? { identity: new LearnBudget(nowMs), addresses: new LearnBudget(nowMs) },
    };
  }

  /** Makes the maps by key anew: a few microseconds for each device, at each change. */
  #index(): void {
    const devices = new Map<string, OwnedDevice>();
    const doorsteps = new Map<string, Uint8Array[]>();
    for (const friend of this.#friends.values()) {
      if (friend.known === undefined) continue;
      const { identity, identityHex } = friend;
      for (const { deviceId, address } of devicesOf(friend.known.card)) {
        const key = idKey(deviceId);
        // An identity can certify any key. A device that signed its address for an identity has said itself whose it is.
        const signed = address !== undefined;
        if (this.#own.has(key)) continue;
        const other = devices.get(key);
        if (other !== undefined && (!signed || other.signed)) continue;
        devices.set(key, { identity, identityHex, deviceId: deviceId.slice(), signed });
      }
      const doorstep = idKey(doorstepKeyOf(friend.known.card));
      doorsteps.set(doorstep, [...(doorsteps.get(doorstep) ?? []), identity]);
    }
    this.#indexOwn(devices, doorsteps);
    this.#revision++;
    this.#devices = devices;
    this.#doorsteps = doorsteps;
  }

  #ownDevices(): CardDevice[] {
    if (this.#ownKnown === undefined || this.#options.onLearnedOwn === undefined) return [];
    return devicesOf(this.#ownKnown).filter(({ deviceId }) => !equalBytes(deviceId, this.#options.deviceId));
  }

  #indexOwn(devices: Map<string, OwnedDevice>, doorsteps: Map<string, Uint8Array[]>): void {
    const { identity, onLearnedOwn } = this.#options;
    if (this.#ownKnown === undefined || onLearnedOwn === undefined) return;
    const identityHex = toHex(identity);
    for (const { deviceId } of this.#ownDevices())
      devices.set(idKey(deviceId), { identity, identityHex, deviceId: deviceId.slice(), signed: true });
    const doorstep = idKey(doorstepKeyOf(this.#ownKnown));
    doorsteps.set(doorstep, [identity, ...(doorsteps.get(doorstep) ?? [])]);
  }

  get revision(): number {
    return this.#revision;
  }

  admit(remoteKey: Uint8Array): Admission | undefined {
    const key = idKey(remoteKey);
    // We made it, so it is nobody's device, whatever friends may say who have seen it.
    if (this.#invites.has(key)) return { kind: 'invite', inviteId: copyBytes(remoteKey) };
    const device = this.#devices.get(key);
    if (this.#own.has(key)) {
      return device === undefined
        ? undefined
        : { kind: 'device', identity: device.identity, deviceId: device.deviceId };
    }
    const doorsteps = this.#doorsteps.get(key);
    if (device !== undefined && (device.signed || doorsteps === undefined)) {
      return { kind: 'device', identity: device.identity, deviceId: device.deviceId };
    }
    if (doorsteps === undefined) return undefined;
    // One identity calls the key its device, another its doorstep, and one of them may lie to keep the other out.
    const others = doorsteps.filter((identity) => identity !== device?.identity);
    return { kind: 'doorstep', identities: device === undefined ? others : [device.identity, ...others] };
  }

  owns(identity: Uint8Array, deviceId: Uint8Array): boolean {
    const owner = this.#devices.get(idKey(deviceId));
    return owner !== undefined && equalBytes(owner.identity, identity);
  }

  wanted(): readonly WantedPeer[] {
    const peers: WantedPeer[] = [];
    for (const friend of this.#friends.values()) {
      const { known, identity, identityHex, oneTime } = friend;
      if (known === undefined) continue;
      for (const deviceId of this.devicesOf(identityHex)) {
        const endpoints = endpointsOf(known.card, deviceId);
        peers.push({ identity, deviceId, endpoints, ...(oneTime !== undefined && { oneTime }) });
      }
    }
    const { identity } = this.#options;
    for (const { deviceId } of this.#ownDevices()) {
      const endpoints = this.#ownKnown === undefined ? [] : endpointsOf(this.#ownKnown, deviceId);
      peers.push({ identity, deviceId, endpoints });
    }
    return peers;
  }

  /** Keys of the devices that are a friend's (hex) now, as `wanted` has them. */
  devicesOf(identityHex: string): Uint8Array[] {
    const { known } = this.#friends.get(identityHex) ?? {};
    const devices = known === undefined ? [] : devicesOf(known.card).map(({ deviceId }) => deviceId);
    return devices.filter((deviceId) => this.#devices.get(idKey(deviceId))?.identityHex === identityHex);
  }

  ownCard(): Uint8Array {
    return this.#options.ownCard();
  }

  identityOf(card: Uint8Array): Uint8Array {
    return copyBytes(decodeCard(card).identity);
  }

  async welcome(inviteId: Uint8Array, deviceId: Uint8Array, card: Uint8Array): Promise<Uint8Array> {
    const { invites } = this.#options;
    if (invites === undefined) throw new KithError('peer-refused', 'no invites are answered here');
    return await invites.welcome(inviteId, deviceId, card);
  }

  learn(identity: Uint8Array, deviceId: Uint8Array, card: Uint8Array): Promise<boolean> {
    return new Promise((resolve) => {
      resolve(this.#learn(identity, deviceId, card));
    });
  }

  /**
   * False also for an identity that is no friend (any more). KithError `limit-exceeded` where the card would grow too large;
   * then nothing is taken.
   */
  #learn(identity: Uint8Array, deviceId: Uint8Array, bytes: Uint8Array): boolean {
    const identityHex = toHex(identity);
    if (equalBytes(identity, this.#options.identity)) return this.#learnOwn(deviceId, bytes);
    const friend = this.#friends.get(identityHex);
    if (friend === undefined) return false;
    if (friend.known === undefined || !equalBytes(friend.known.bytes, bytes)) {
      this.#take(friend, readCard(bytes, identity));
    }
    this.#handOver(identityHex);
    return this.#devices.get(idKey(deviceId))?.identityHex === identityHex;
  }

  /** What another device of ours shows of our identity: it may know devices, revocations and addresses that this one doesn't. */
  #learnOwn(deviceId: Uint8Array, bytes: Uint8Array): boolean {
    const { identity, onLearnedOwn, clock } = this.#options;
    if (onLearnedOwn === undefined || this.#ownKnown === undefined) return false;
    const shown = readCard(bytes, identity);
    if (!cardCovers(this.#ownKnown, shown)) {
      verifyCard(shown);
      const merged = mergeCards(this.#ownKnown, shown);
      const bare = { ...merged, addresses: [], extensions: [] };
      const isIdentity = !cardCovers(this.#ownKnown, bare);
      this.#ownKnown = knownCard(merged).card;
      this.#own = new Set([...this.#own, ...merged.certificates.map((one) => idKey(one.deviceId))]);
      this.#index();
      // The identity's own word is always kept; a device's addresses not without end.
      if (isIdentity || this.#ownBudget.take(clock.monotonicMs())) onLearnedOwn(encodeCard(merged));
    }
    const owner = this.#devices.get(idKey(deviceId));
    return owner !== undefined && equalBytes(owner.identity, identity);
  }

  #take(friend: Friend, shown: Card): void {
    const { known, certified, identityHex } = friend;
    // What is known was verified once: a friend that says the same at each hello costs no signatures.
    if (known !== undefined && cardCovers(known.card, shown)) return;
    verifyCard(shown);
    const merged = known === undefined ? shown : mergeCards(known.card, shown);
    rememberCertified(certified, merged);
    this.#friends.set(identityHex, { ...friend, known: knownCard(merged) });
    this.#index();
  }

  /** Gives what is new to be stored, if the friend hasn't made us store too often; then it is tried at the next learning. */
  #handOver(identityHex: string): void {
    const friend = this.#friends.get(identityHex);
    if (friend?.known === undefined) return;
    const { known, handed, budgets } = friend;
    if (handed !== undefined && cardCovers(handed, known.card)) return;
    // A thief of a device can change addresses for ever, and must not use up what a revocation needs.
    const signedByIdentity = { ...known.card, addresses: [], extensions: [] };
    const grew = handed === undefined || !cardCovers(handed, signedByIdentity);
    const budget = grew ? budgets.identity : budgets.addresses;
    if (!budget.take(this.#options.clock.monotonicMs())) return;
    this.#friends.set(identityHex, { ...friend, handed: known.card });
    this.#options.onLearned(identityHex, known.bytes.slice());
  }

  /** True for a device that the friend certified once, also one that is revoked or no longer named: what it signed stays signed. */
  isDeviceOf(identityHex: string, deviceId: Uint8Array): boolean {
    return this.#friends.get(identityHex)?.certified.has(idKey(deviceId)) ?? false;
  }

  /** How many records of a log of the friend's device count, by the revocations in its card. */
  trustedLength(identityHex: string, deviceId: Uint8Array, logKey: Uint8Array): number {
    const revocations = this.#friends.get(identityHex)?.known?.card.revocations ?? [];
    return new RevokedDevices(revocations).trustedLength(deviceId, logKey);
  }

  /** The friend's card as it is now, encoded; undefined for one that isn't a friend, or has no card that can be read. */
  cardOf(identityHex: string): Uint8Array | undefined {
    return this.#friends.get(identityHex)?.known?.bytes.slice();
  }

  /** The doorstep keys of all friends: with which new devices of theirs knock. */
  doorstepKeys(): Uint8Array[] {
    return [...this.#friends.values()].flatMap(({ known }) =>
      known === undefined ? [] : [doorstepKeyOf(known.card).slice()],
    );
  }

  /** None for one that isn't an active friend. */
  grants(identityHex: string): readonly string[] {
    return this.#friends.get(identityHex)?.grants ?? [];
  }

  /** Deny by default: true only for an active friend that has the grant of the service. */
  allows(identityHex: string, service: string): boolean {
    return grantsAllow(this.grants(identityHex), service);
  }
}
