import { compareBytes, idKey } from '../../base/bytes.ts';
import type { RandomSource } from '../../crypto/random.ts';
import type { Card } from '../../format/card.ts';
import { encodeContactKeys, type ContactKey } from '../../format/contact-keys.ts';
import type { SignedHead } from '../../format/signed-head.ts';
import { readReply } from '../../net/calls/read-reply.ts';
import type { ServiceCaller } from '../../net/service.ts';
import { carryCard, type CarriedCard } from './carried-card.ts';
import {
  askTagsMax,
  cardsMethods,
  decodeAnswers,
  decodeYes,
  encodeAsk,
  encodeCarried,
  encodeDelivered,
  encodeHeads,
  encodePosted,
} from './cards-codec.ts';
import type { Subject } from './cards-service.ts';
import { identityTag, saltBytes } from './identity-tag.ts';

/** What a carrier told of one of those that were asked about. */
export interface Told {
  readonly identity: Uint8Array;
  readonly carried: CarriedCard;
}

/**
 * The calls of `kith/cards` to one friend. Errors are those of a call; what comes back is read here and not verified. What can't be read
 * ends the session.
 */
export class CardsCaller {
  readonly #caller: ServiceCaller;
  readonly #random: RandomSource;

  constructor(caller: ServiceCaller, random: RandomSource) {
    this.#caller = caller;
    this.#random = random;
  }

  /** False while the other side doesn't grant it, or is away. */
  get connected(): boolean {
    return this.#caller.connected;
  }

  async show(card: Uint8Array): Promise<void> {
    await this.#caller.call(cardsMethods.show, card);
  }

  /** Says how long our logs are. */
  async heads(heads: readonly SignedHead[]): Promise<void> {
    await this.#caller.call(cardsMethods.heads, encodeHeads(heads));
  }

  async contact(keys: readonly ContactKey[]): Promise<void> {
    await this.#caller.call(cardsMethods.contact, encodeContactKeys(keys));
  }

  /** At most askTagsMax identities, each once. KithError `malformed` also for an answer that can't be read. */
  async ask(identities: readonly Uint8Array[]): Promise<Told[]> {
    if (identities.length > askTagsMax) throw new RangeError(`${identities.length} people in one question`);
    const salt = this.#random(saltBytes);
    const asked = identities
      .map((identity) => ({ identity, tag: identityTag(salt, identity) }))
      .sort((a, b) => compareBytes(a.tag, b.tag));
    const tags = asked.map(({ tag }) => tag);
    const reply = await this.#caller.call(cardsMethods.ask, encodeAsk({ salt, tags }));
    const answers = readReply(reply, ({ body }) => decodeAnswers(body, tags.length));
    return answers.flatMap(({ place, carried }) => {
      const identity = asked[place]?.identity;
      return identity === undefined ? [] : [{ identity, carried }];
    });
  }

  /** Tells a friend who asked before of somebody's card. */
  async carry({ identity, key }: Subject, card: Card, heads: readonly SignedHead[]): Promise<void> {
    const salt = this.#random(saltBytes);
    const carried = carryCard(card, { key }, heads);
    const body = encodeCarried({ salt, tag: identityTag(salt, identity), carried });
    await this.#caller.call(cardsMethods.carried, body);
  }

  /** True if the friend keeps the letter for the addressee. */
  async post(addressee: Uint8Array, sealed: Uint8Array): Promise<boolean> {
    const salt = this.#random(saltBytes);
    const body = encodePosted({ salt, tag: identityTag(salt, addressee), sealed });
    return readReply(await this.#caller.call(cardsMethods.post, body), (reply) => decodeYes(reply.body));
  }

  /** True if the friend could open the letter. */
  async deliver(sealed: Uint8Array): Promise<boolean> {
    const reply = await this.#caller.call(cardsMethods.deliver, encodeDelivered(sealed));
    return readReply(reply, ({ body }) => decodeYes(body));
  }
}

/** Which of some people a tag stands for; a microsecond each. */
export function whoIs(
  salt: Uint8Array,
  tag: Uint8Array,
  people: Iterable<Uint8Array>,
): Uint8Array | undefined {
  const key = idKey(tag);
  for (const identity of people) if (idKey(identityTag(salt, identity)) === key) return identity;
  return undefined;
}
