import { equalBytes, idKey, toHex } from '../../base/bytes.ts';
import { KithError } from '../../base/errors.ts';
import { TokenBudget, type TokenRate } from '../../base/token-budget.ts';
import type { Card } from '../../format/card.ts';
import { decodeContactKeys, verifyContactKeys, type ContactKey } from '../../format/contact-keys.ts';
import { verifyHead, type SignedHead } from '../../format/signed-head.ts';
import { asBroken } from '../../net/broken-peer.ts';
import type {
  IncomingCall,
  OutgoingReply,
  PeerInfo,
  Service,
  ServiceHandler,
  VersionRange,
} from '../../net/service.ts';
import { carryCard } from './carried-card.ts';
import {
  cardsMethods,
  cardsServiceName,
  cardsVersions,
  decodeAsk,
  decodeCarried,
  decodeDelivered,
  decodeHeads,
  decodePosted,
  encodeAnswers,
  encodeYes,
  type Answer,
  type Carried,
  type Posted,
} from './cards-codec.ts';
import { identityTag } from './identity-tag.ts';

/** How often one identity may call each method: far above what an honest one needs, far below what hurts. */
const rates: Readonly<Record<keyof typeof cardsMethods, TokenRate>> = {
  show: { burst: 32, refillMs: 15_000 },
  ask: { burst: 32, refillMs: 10_000 },
  contact: { burst: 16, refillMs: 15 * 60_000 },
  carried: { burst: 64, refillMs: 5_000 },
  post: { burst: 16, refillMs: 60_000 },
  deliver: { burst: 64, refillMs: 5_000 },
  heads: { burst: 32, refillMs: 15_000 },
};

/** Friends whose changes one session is told of by itself: those it asked for last. */
export const remindersMax = 256;

/** A friend of whom we may tell others. */
export interface Subject {
  readonly identity: Uint8Array;
  /** The newest contact key that it gave us: having it shows that we met. */
  readonly key: Uint8Array;
}

/** What the service needs of who keeps the book of friends. */
export interface CardsServiceOptions {
  readonly allows: (identity: Uint8Array) => boolean;
  /** Monotonic. */
  readonly nowMs: () => number;
  /** Active friends that let us tell others of them. */
  readonly subjects: () => Iterable<Subject>;
  /** Verified; undefined for one that can't be read, and for one that is no friend. */
  readonly cardOf: (identity: Uint8Array) => Card | undefined;
  /** The longest that is known of each of somebody's logs, as its devices told it. */
  readonly headsOf: (identity: Uint8Array) => readonly SignedHead[];
  /** The caller says how long its logs are; each signed by the device that it names, which may be anybody's. */
  readonly onHeads: (peer: PeerInfo, heads: readonly SignedHead[]) => void;
  /** The caller shows its own card. KithError `not-authentic`, `malformed`: then it is let go. */
  readonly onShown: (peer: PeerInfo, card: Uint8Array) => Promise<void>;
  /** Verified. */
  readonly onContact: (peer: PeerInfo, keys: readonly ContactKey[]) => Promise<void>;
  /** KithError `not-authentic`, `malformed`: then the caller is let go. */
  readonly onCarried: (peer: PeerInfo, carried: Carried) => Promise<void>;
  /** True if it was taken. */
  readonly onPosted: (peer: PeerInfo, posted: Posted) => Promise<boolean>;
  /** True if it was opened, and what it says was done. */
  readonly onDelivered: (peer: PeerInfo, sealed: Uint8Array) => Promise<boolean>;
}

type Method = (body: Uint8Array) => Promise<Uint8Array>;

/** `kith/cards`: what a friend may ask and tell of friends (docs/formats/cards-service.md). */
export class CardsService implements Service {
  readonly name: string = cardsServiceName;
  readonly versions: VersionRange = cardsVersions;
  readonly #options: CardsServiceOptions;
  readonly #handlers = new Set<CardsHandler>();
  /** By identity and method: a new session begins no new budget. Callers are friends, and few. */
  readonly #budgets = new Map<string, TokenBudget>();

  constructor(options: CardsServiceOptions) {
    this.#options = options;
  }

  accept(peer: PeerInfo): ServiceHandler | undefined {
    if (!this.#options.allows(peer.identity)) return undefined;
    const handler = new CardsHandler(this.#options, peer, {
      mayCall: (method) => this.#mayCall(peer.identity, method),
      onClosed: () => this.#handlers.delete(handler),
    });
    this.#handlers.add(handler);
    return handler;
  }

  /** The devices, with a session now, that asked for an identity lately. */
  whoAskedFor(identity: Uint8Array): PeerInfo[] {
    const key = idKey(identity);
    return [...this.#handlers].filter((handler) => handler.reminders.has(key)).map(({ peer }) => peer);
  }

  #mayCall(identity: Uint8Array, method: keyof typeof cardsMethods): boolean {
    const nowMs = this.#options.nowMs();
    const key = `${method} ${toHex(identity)}`;
    const budget = this.#budgets.get(key) ?? new TokenBudget(rates[method], nowMs);
    this.#budgets.set(key, budget);
    return budget.take(nowMs);
  }
}

/** One device's session with the service. */
class CardsHandler implements ServiceHandler {
  readonly peer: PeerInfo;
  /** Whom it asked for, and was told of; the oldest first. */
  readonly reminders = new Set<string>();
  readonly #options: CardsServiceOptions;
  readonly #mayCall: (method: keyof typeof cardsMethods) => boolean;
  readonly #onClosed: () => void;
  readonly #methods: Readonly<Record<keyof typeof cardsMethods, Method>>;

  constructor(
    options: CardsServiceOptions,
    peer: PeerInfo,
    around: {
      readonly mayCall: (method: keyof typeof cardsMethods) => boolean;
      readonly onClosed: () => void;
    },
  ) {
    this.#options = options;
    this.#mayCall = around.mayCall;
    this.#onClosed = around.onClosed;
    this.peer = peer;
    this.#methods = {
      show: async (body) => nothing(options.onShown(peer, body)),
      ask: (body) => Promise.resolve(this.#ask(body)),
      contact: (body) => this.#contact(body),
      carried: async (body) => nothing(options.onCarried(peer, decodeCarried(body))),
      post: async (body) => encodeYes(await options.onPosted(peer, decodePosted(body))),
      heads: (body) => this.#heads(body),
      deliver: async (body) => encodeYes(await options.onDelivered(peer, decodeDelivered(body))),
    };
  }

  async handle({ method, body }: IncomingCall): Promise<OutgoingReply> {
    const name = methodNames.get(method);
    if (name === undefined) {
      throw new KithError('too-new', `${cardsServiceName} has no method ${method} here. Update kith.`);
    }
    if (!this.#mayCall(name)) {
      throw new KithError('limit-exceeded', `more calls of "${name}" than are taken; later again`);
    }
    try {
      return { body: await this.#methods[name](body) };
    } catch (error) {
      throw asBroken(error);
    }
  }

  closed(): void {
    this.reminders.clear();
    this.#onClosed();
  }

  async #contact(body: Uint8Array): Promise<Uint8Array> {
    const keys = decodeContactKeys(body);
    verifyContactKeys(keys);
    return await nothing(this.#options.onContact(this.peer, keys));
  }

  async #heads(body: Uint8Array): Promise<Uint8Array> {
    const heads = decodeHeads(body);
    for (const head of heads) verifyHead(this.peer.identity, head);
    this.#options.onHeads(this.peer, heads);
    return await nothing(Promise.resolve());
  }

  /** Who isn't among our friends, or isn't to be told of, isn't in the answer: silence says neither. */
  #ask(body: Uint8Array): Uint8Array {
    const { salt, tags } = decodeAsk(body);
    const places = new Map(tags.map((tag, place) => [idKey(tag), place]));
    const placeOf = (identity: Uint8Array): number | undefined =>
      places.get(idKey(identityTag(salt, identity)));
    const answers: Answer[] = [];
    const tell = (identity: Uint8Array, place: number, to: Parameters<typeof carryCard>[1]): void => {
      const card = this.#options.cardOf(identity);
      const heads = this.#options.headsOf(identity);
      if (card !== undefined) answers.push({ place, carried: carryCard(card, to, heads) });
    };
    const own = placeOf(this.peer.identity);
    if (own !== undefined) tell(this.peer.identity, own, 'clear');
    for (const { identity, key } of this.#options.subjects()) {
      const place = equalBytes(identity, this.peer.identity) ? undefined : placeOf(identity);
      if (place === undefined) continue;
      tell(identity, place, { key });
      this.#remind(identity);
    }
    return encodeAnswers(answers.sort((a, b) => a.place - b.place));
  }

  #remind(identity: Uint8Array): void {
    const key = idKey(identity);
    this.reminders.delete(key);
    this.reminders.add(key);
    for (const oldest of this.reminders) {
      if (this.reminders.size <= remindersMax) return;
      this.reminders.delete(oldest);
    }
  }
}

const methodNames: ReadonlyMap<number, keyof typeof cardsMethods> = new Map(
  (Object.keys(cardsMethods) as (keyof typeof cardsMethods)[]).map((name) => [cardsMethods[name], name]),
);

async function nothing(work: Promise<void>): Promise<Uint8Array> {
  await work;
  return new Uint8Array(0);
}

/** A side that calls `kith/cards` and answers nobody. */
export const callsCards: Service = {
  name: cardsServiceName,
  versions: cardsVersions,
  accept: () => undefined,
};
