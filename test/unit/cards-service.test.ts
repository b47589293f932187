import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toHex } from '../../lib/base/bytes.ts';
import { isKithError, KithError } from '../../lib/base/errors.ts';
import { boxKeyPair } from '../../lib/crypto/sign.ts';
import type { Card } from '../../lib/format/card.ts';
import { decodeCard } from '../../lib/format/card.ts';
import type { ContactKey } from '../../lib/format/contact-keys.ts';
import { BrokenPeer } from '../../lib/net/calls/broken-peer.ts';
import type { PeerInfo, ServiceHandler } from '../../lib/net/service.ts';
import { CardsCaller, whoIs } from '../../lib/services/cards/cards-caller.ts';
import { cardsMethods, encodeAsk } from '../../lib/services/cards/cards-codec.ts';
import { openCarriedCard } from '../../lib/services/cards/carried-card.ts';
import { CardsService, remindersMax, type Subject } from '../../lib/services/cards/cards-service.ts';
import { CallPair } from '../support/call-pair.ts';
import { SamplePerson } from '../support/sample-card.ts';
import { Seeded } from '../support/seeded.ts';

const ada = new SamplePerson('Ada');
const ben = new SamplePerson('Ben');
const cleo = new SamplePerson('Cleo');
const hidden = new SamplePerson('Hidden');
const stranger = new SamplePerson('Stranger');
const contact = boxKeyPair(new Seeded(4).bytes(32));

function peerOf(person: SamplePerson): PeerInfo {
  return {
    identity: person.identity,
    deviceId: person.device(1).publicKey,
    via: 'direct',
    remoteAddress: 'memory',
  };
}

/** Cleo's computer: Ada, Ben and Hidden are friends, and Hidden gave no contact key. */
class World {
  nowMs = 0;
  readonly cards = new Map<string, Card>();
  readonly shown: Uint8Array[] = [];
  readonly given: (readonly ContactKey[])[] = [];
  subjects: Subject[] = [ada, ben].map(({ identity }) => ({ identity, key: contact.publicKey }));
  error: KithError | undefined;
  readonly service: CardsService;
  readonly #seeded = new Seeded(77);

  constructor() {
    for (const person of [ada, ben, hidden]) this.cards.set(toHex(person.identity), person.card(2));
    this.service = new CardsService({
      allows: (identity) => this.cards.has(toHex(identity)),
      nowMs: () => this.nowMs,
      subjects: () => this.subjects,
      cardOf: (identity) => this.cards.get(toHex(identity)),
      onShown: (_, card) => {
        this.shown.push(card);
        return this.error === undefined ? Promise.resolve() : Promise.reject(this.error);
      },
      onContact: (_, keys) => Promise.resolve(void this.given.push(keys)),
      headsOf: () => [],
      onHeads: () => undefined,
      onCarried: () => (this.error === undefined ? Promise.resolve() : Promise.reject(this.error)),
      onPosted: (_, { sealed }) => Promise.resolve(sealed.length > 3),
      onDelivered: (_, sealed) => Promise.resolve(sealed.length > 3),
    });
  }

  caller(person: SamplePerson): CardsCaller {
    return new CardsCaller(new CallPair(this.service, peerOf(person)), (count) => this.#seeded.bytes(count));
  }

  handler(person: SamplePerson): ServiceHandler {
    const handler = this.service.accept(peerOf(person));
    assert.ok(handler !== undefined);
    return handler;
  }
}

async function handle(handler: ServiceHandler, method: number, body: Uint8Array): Promise<Uint8Array> {
  const signal = new AbortController().signal;
  const receive = (): Promise<Uint8Array> => Promise.resolve(new Uint8Array(0));
  return (await handler.handle({ method, body, uploadBytes: 0, downloadBytesMax: 0, signal, receive })).body;
}

const isBroken = (error: unknown): boolean => error instanceof BrokenPeer;

describe('kith/cards, answering', () => {
  it('does not exist for strangers', () => {
    const { service } = new World();
    assert.equal(service.accept(peerOf(stranger)), undefined);
  });

  it('tells of friends that let it, to who knows them, and seals where they are', async () => {
    const world = new World();
    const told = await world.caller(ben).ask([ada, hidden, stranger, cleo].map(({ identity }) => identity));
    assert.deepEqual(
      told.map(({ identity }) => toHex(identity)),
      [toHex(ada.identity)],
    );
    const [one] = told;
    assert.ok(one !== undefined);
    assert.equal(one.carried.addresses.way, 'sealed');
    assert.deepEqual(one.carried.card.addresses, []);
    const open = (pairs: readonly (typeof contact)[]): Card =>
      decodeCard(openCarriedCard(one.carried, { identity: ada.identity, pairs, isOwn: false }).card);
    assert.equal(open([contact]).addresses.length, 2);
    assert.equal(open([]).addresses.length, 0);
  });

  it('tells the asker what it has of the asker, in clear, hidden or not', async () => {
    const world = new World();
    for (const person of [ben, hidden]) {
      const [own] = await world.caller(person).ask([person.identity]);
      assert.equal(own?.carried.addresses.way, 'clear');
    }
  });

  it('remembers for whom it answered until the session ends, and no more than some', async () => {
    const world = new World();
    const handler = world.handler(ben);
    const [first, ...more] = Array.from({ length: remindersMax + 1 }, (_, i) => new SamplePerson(`P${i}`));
    assert.ok(first !== undefined);
    for (const person of [first, ...more]) world.cards.set(toHex(person.identity), person.card());
    world.subjects = [first, ...more].map(({ identity }) => ({ identity, key: contact.publicKey }));
    const salt = new Uint8Array(16);
    const whoAsked = (person: SamplePerson): number => world.service.whoAskedFor(person.identity).length;
    const caller = new CardsCaller(
      {
        connected: true,
        call: async (method, body) => ({ body: await handle(handler, method, body), download: salt }),
      },
      () => salt,
    );
    const people = [first, ...more].map(({ identity }) => identity);
    for (let i = 0; i < people.length - 1; i += 64)
      await caller.ask(people.slice(i, Math.min(i + 64, remindersMax)));
    assert.equal(whoAsked(first), 1);
    await caller.ask(people.slice(-1));
    assert.equal(
      world.subjects.filter(({ identity }) => world.service.whoAskedFor(identity).length > 0).length,
      remindersMax,
    );
    handler.closed();
    assert.equal(
      world.subjects.filter(({ identity }) => world.service.whoAskedFor(identity).length > 0).length,
      0,
    );
  });

  it('lets go who breaks its rules, with the reason', async () => {
    const world = new World();
    const handler = world.handler(ben);
    const zeros = new Uint8Array(45);
    zeros[0] = 1;
    for (const [method, body] of [
      [cardsMethods.ask, new Uint8Array(3)],
      [cardsMethods.contact, zeros],
      [cardsMethods.carried, new Uint8Array(40)],
      [cardsMethods.post, new Uint8Array(1)],
      [cardsMethods.deliver, new Uint8Array(0)],
    ] as const) {
      await assert.rejects(handle(handler, method, body), isBroken, String(method));
    }
    world.error = new KithError('not-authentic', 'another signature');
    await assert.rejects(handle(handler, cardsMethods.show, new Uint8Array(1)), isBroken);
    // What is no lie costs nobody a session.
    for (const code of ['limit-exceeded', 'too-new'] as const) {
      world.error = new KithError(code, 'x');
      await assert.rejects(handle(handler, cardsMethods.show, new Uint8Array(1)), (error) =>
        isKithError(error, code),
      );
    }
    await assert.rejects(handle(handler, 99, new Uint8Array(0)), (error) => isKithError(error, 'too-new'));
    assert.deepEqual(world.given, []);
  });

  it('looks at nothing of what comes too often, whichever session it comes in', async () => {
    const world = new World();
    const limit = async (): Promise<number> => {
      for (let count = 0; ; count++) {
        try {
          await world.caller(ben).show(new Uint8Array(1));
        } catch (error) {
          assert.ok(isKithError(error, 'limit-exceeded'));
          return count;
        }
      }
    };
    assert.equal(await limit(), 32);
    assert.equal(world.shown.length, 32);
    await world.caller(ada).show(new Uint8Array(1));
    world.nowMs += 15_000;
    assert.equal(await limit(), 1);
    // Another method has a budget of its own.
    await world.caller(ben).ask([ada.identity]);
  });

  it('says of letters only whether they were taken', async () => {
    const caller = new World().caller(ben);
    assert.equal(await caller.post(ada.identity, new Uint8Array(4)), true);
    assert.equal(await caller.post(ada.identity, new Uint8Array(3)), false);
    assert.equal(await caller.deliver(new Uint8Array(4)), true);
    assert.equal(await caller.deliver(new Uint8Array(3)), false);
  });
});

describe('kith/cards, asking', () => {
  it('never uses a salt twice, and names nobody', async () => {
    const bodies: string[] = [];
    const seeded = new Seeded(1);
    const caller = new CardsCaller(
      {
        connected: true,
        call: (_, body) => {
          bodies.push(toHex(body));
          return Promise.resolve({ body: new Uint8Array([0]), download: new Uint8Array(0) });
        },
      },
      (count) => seeded.bytes(count),
    );
    await caller.ask([ada.identity]);
    await caller.ask([ada.identity]);
    assert.notEqual(bodies[0], bodies[1]);
    assert.ok(bodies.every((body) => !body.includes(toHex(ada.identity).slice(0, 16))));
  });

  it('takes no answer that cannot be read', async () => {
    const caller = new CardsCaller(
      {
        connected: true,
        call: () => Promise.resolve({ body: new Uint8Array([9, 1]), download: new Uint8Array(0) }),
      },
      (count) => new Uint8Array(count),
    );
    await assert.rejects(caller.ask([ada.identity]), (error) => isKithError(error, 'malformed'));
    await assert.rejects(caller.ask(Array.from({ length: 65 }, () => ada.identity)), RangeError);
    assert.ok(encodeAsk({ salt: new Uint8Array(16), tags: [] }).length > 0);
  });

  it('knows a tag again', () => {
    const salt = new Uint8Array(16);
    const people = [ada, ben].map(({ identity }) => identity);
    assert.equal(whoIs(salt, new Uint8Array(16), people), undefined);
  });
});
