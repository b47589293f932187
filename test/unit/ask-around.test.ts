import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toHex } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { boxKeyPair } from '../../lib/crypto/sign.ts';
import { AskAround, liarMs, type AskLinks } from '../../lib/daemon/ask-around.ts';
import { decodeCard, verifyCard, type Card } from '../../lib/format/card.ts';
import { signHead } from '../../lib/format/signed-head.ts';
import type { PeerInfo } from '../../lib/net/service.ts';
import { decodeAsk, encodeAnswers, type Answer } from '../../lib/services/cards/cards-codec.ts';
import { carryCard, type CarriedCard } from '../../lib/services/cards/carried-card.ts';
import { identityTag } from '../../lib/services/cards/identity-tag.ts';
import { FakeTimers } from '../support/fake-timers.ts';
import { turns } from '../support/net-peers.ts';
import { SamplePerson } from '../support/sample-card.ts';
import { Seeded } from '../support/seeded.ts';

const me = new SamplePerson('me');
const ada = new SamplePerson('Ada');
const pair = boxKeyPair(new Seeded(4).bytes(32));
const people = Array.from({ length: 120 }, (_, i) => new SamplePerson(`P${i}`));

/** Links to people: who is sought, who is here, and what each would answer. */
class Links implements AskLinks {
  readonly timers = new FakeTimers();
  readonly wanted = new Map<string, boolean>();
  here: SamplePerson[] = [];
  /** Who was asked, about whom as far as that is known. */
  readonly asked: { readonly by: string; readonly about: string[] }[] = [];
  readonly learned: Uint8Array[] = [];
  readonly dropped: string[] = [];
  readonly own: Uint8Array[] = [];
  readonly heads: string[] = [];
  /** What a carrier says of an identity. */
  answer: (identity: Uint8Array) => CarriedCard | undefined = () => undefined;
  #checks = new Set<() => void>();
  readonly around: AskAround;
  readonly #known = [me, ada, ...people];
  /** The session with each, as an object. */
  readonly #sessions = new Map<SamplePerson, PeerInfo>();

  constructor() {
    const seeded = new Seeded(3);
    this.around = new AskAround({
      links: this,
      identity: me.identity,
      pairsOf: () => [pair],
      onHeads: (identity, heads) => void this.heads.push(`${heads.length} of ${toHex(identity)}`),
      onOwn: ({ card }) => Promise.resolve(void this.own.push(card)),
      random: (count) => seeded.bytes(count),
      timers: this.timers,
      onTrouble: (words) => assert.fail(words),
    });
  }

  sought(): ReadonlyMap<string, boolean> {
    return this.wanted;
  }

  peers(): readonly PeerInfo[] {
    return this.here.map((person) => {
      const session = this.#sessions.get(person) ?? {
        identity: person.identity,
        deviceId: person.device(1).publicKey,
        via: 'direct',
        remoteAddress: '',
      };
      this.#sessions.set(person, session);
      return session;
    });
  }

  /** Another session takes the place of the one with somebody, who is there all the while. */
  replace(person: SamplePerson): void {
    this.#sessions.delete(person);
    this.change();
  }

  caller(id: string): ReturnType<AskLinks['caller']> {
    return {
      connected: true,
      call: (_, body) => {
        const { salt, tags } = decodeAsk(body);
        const found: Answer[] = [];
        const about: string[] = [];
        for (const [place, tag] of tags.entries()) {
          const person = this.#known.find(
            ({ identity }) => toHex(identityTag(salt, identity)) === toHex(tag),
          );
          if (person === undefined) continue;
          about.push(person.label);
          const carried = this.answer(person.identity);
          if (carried !== undefined) found.push({ place, carried });
        }
        const by = this.#known.find(({ identity }) => toHex(identity) === id)?.label ?? '';
        this.asked.push({ by, about });
        return Promise.resolve({ body: encodeAnswers(found), download: new Uint8Array(0) });
      },
    };
  }

  /** As the book does: what isn't genuine is refused. */
  learn(identity: Uint8Array, card: Uint8Array): Promise<boolean> {
    try {
      const read = decodeCard(card);
      verifyCard(read);
      assert.equal(toHex(read.identity), toHex(identity));
      this.learned.push(card);
      return Promise.resolve(true);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  drop(id: string): void {
    this.dropped.push(id);
    this.here = this.here.filter(({ identity }) => toHex(identity) !== id);
    this.change();
  }

  watch(check: () => void): () => void {
    this.#checks.add(check);
    return () => void this.#checks.delete(check);
  }

  /** Somebody is sought, and was dialled in vain or not yet. */
  seek(person: SamplePerson, isTried: boolean): void {
    this.wanted.set(toHex(person.identity), isTried);
  }

  change(): void {
    for (const check of this.#checks) check();
  }

  /** Time goes on, and what is under way with it. */
  async pass(ms: number): Promise<void> {
    this.timers.advance(ms);
    await turns(10);
  }
}

async function started(links: Links): Promise<Links> {
  links.around.start();
  await turns(10);
  return links;
}

const [ben, cleo] = people as [SamplePerson, SamplePerson];
const { publicKey: deviceId, secretKey } = ada.device(1);
const position = { logKey: ada.identity, length: 7, hash: ada.identity };
const adasHeads = [signHead(ada.identity, { deviceId, position }, secretKey)];
const carriedAda = (card: Card = ada.card()): CarriedCard => carryCard(card, { key: pair.publicKey });

describe('asking around', () => {
  it('asks who comes what it knows of us, and of those who were dialled in vain', async () => {
    const links = new Links();
    links.seek(ada, true);
    links.seek(ben, false);
    links.here = [cleo];
    await started(links);
    assert.deepEqual(links.asked[0]?.about.toSorted(), ['Ada', 'me']);
  });

  it('takes what is told, with the addresses that we may open', async () => {
    const links = new Links();
    links.seek(ada, true);
    links.here = [cleo];
    links.answer = (identity) => {
      if (toHex(identity) === toHex(me.identity)) return carryCard(me.card(2), 'clear');
      return carryCard(ada.card(), { key: pair.publicKey }, adasHeads);
    };
    await started(links);
    assert.equal(links.learned.length > 0, true);
    assert.equal(decodeCard(links.learned[0] ?? new Uint8Array(0)).addresses.length, 1);
    assert.equal(decodeCard(links.own[0] ?? new Uint8Array(0)).addresses.length, 2);
    assert.deepEqual(links.heads, [`1 of ${toHex(ada.identity)}`]);
    assert.deepEqual(links.dropped, []);
  });

  it('asks again what is known of us where another session takes the place of the one that was asked in', async () => {
    const links = new Links();
    links.here = [cleo, ben];
    await started(links);
    links.change();
    await links.pass(200);
    assert.deepEqual(links.asked.map(({ by }) => by).toSorted(), [ben.label, cleo.label]);
    links.asked.length = 0;
    links.replace(cleo);
    await links.pass(200);
    assert.deepEqual(links.asked, [{ by: cleo.label, about: ['me'] }]);
  });

  it('waits for a moment where no dial has ended yet, and asks ever more seldom', async () => {
    const links = new Links();
    links.here = [cleo];
    await started(links);
    links.asked.length = 0;
    links.seek(ada, false);
    links.change();
    await links.pass(200);
    assert.equal(links.asked.length, 0);
    await links.pass(600);
    assert.equal(links.asked.length, 1);
    const hour: number[] = [];
    for (let minute = 0; minute < 60; minute++) {
      await links.pass(60_000);
      hour.push(links.asked.length);
    }
    const count = hour.at(-1) ?? 0;
    assert.ok(count >= 18 && count <= 32, `${String(count)} questions an hour`);
    assert.ok((hour.at(-1) ?? 0) - (hour.at(-11) ?? 0) <= 5, 'one in some minutes at last');
  });

  it('asks a few of many friends, each in turn, and for no more than fit a question', async () => {
    const links = new Links();
    for (const person of people.slice(0, 80)) links.seek(person, true);
    links.here = people.slice(80, 120);
    await started(links);
    // Each was asked once, when it came; a round needn't ask them again.
    assert.equal(links.asked.length, 40);
    assert.ok(links.asked.every(({ about }) => about.length <= 64));
    for (let i = 0; i < 600; i++) await links.pass(1_000);
    const named = new Set(links.asked.flatMap(({ about }) => about));
    assert.equal(named.size, 80 + 1, 'everybody was asked for');
    assert.ok(links.asked.length <= 40 + 8 * (16 + 600 / 30), `${links.asked.length} questions`);
  });

  it('is not made to ask without end by friends who come and go', async () => {
    const links = new Links();
    links.seek(ada, true);
    await started(links);
    for (let i = 0; i < 600; i++) {
      links.here = [];
      links.change();
      await links.pass(500);
      links.here = [cleo];
      links.change();
      await links.pass(500);
    }
    assert.ok(links.asked.length <= 16 + 600 / 20 + 1, `${links.asked.length} questions in ten minutes`);
  });

  for (const [what, lie] of [
    ['a card of somebody else', carryCard(ben.card(), { key: pair.publicKey })],
    [
      'an address that another signed',
      carriedAda(
        ada.card(1, { addresses: ada.card(1).addresses.map((record) => ({ ...record, counter: 9 })) }),
      ),
    ],
    [
      'a head that nobody signed',
      carryCard(
        ada.card(),
        { key: pair.publicKey },
        adasHeads.map((head) => ({ ...head, position: { ...position, length: 8 } })),
      ),
    ],
    ['addresses in clear', carryCard(ada.card(), 'clear')],
  ] as const) {
    it(`lets go a carrier that tells ${what}, and believes it no more`, async () => {
      const links = new Links();
      links.seek(ada, true);
      links.here = [cleo];
      links.answer = () => lie;
      await started(links);
      assert.deepEqual(links.learned, []);
      assert.deepEqual(links.dropped, [toHex(cleo.identity)]);
      links.here = [cleo];
      const count = links.asked.length;
      links.change();
      await links.pass(liarMs / 2);
      assert.equal(links.asked.length, count);
      links.answer = () => undefined;
      await links.pass(liarMs);
      links.change();
      await links.pass(1);
      assert.ok(links.asked.length > count, 'an hour later it is asked again');
    });
  }

  it('hears who tells by itself only of those who are sought', async () => {
    const links = await started(new Links());
    links.seek(ada, false);
    const [peer] = ((links.here = [cleo]), links.peers());
    assert.ok(peer !== undefined);
    const salt = new Uint8Array(16);
    const told = (person: SamplePerson, carried: CarriedCard): Promise<void> =>
      links.around.onCarried(peer, { salt, tag: identityTag(salt, person.identity), carried });
    await told(ben, carryCard(ben.card(), undefined));
    assert.equal(links.learned.length, 0);
    await told(ada, carriedAda());
    assert.equal(links.learned.length, 1);
    await assert.rejects(told(ada, carryCard(ben.card(), undefined)), (error) =>
      isKithError(error, 'not-authentic'),
    );
  });

  it('has hope for who was not asked for yet, and for who was just told of', async () => {
    const links = new Links();
    links.seek(ada, true);
    const id = toHex(ada.identity);
    await started(links);
    assert.equal(links.around.isHopeful(id), false, 'nobody is here');
    links.answer = (identity) => (toHex(identity) === id ? carriedAda() : undefined);
    links.here = [cleo];
    links.change();
    await links.pass(150);
    assert.equal(links.around.isHopeful(id), true, 'just told');
    links.answer = () => undefined;
    await links.pass(20_000);
    assert.equal(links.around.isHopeful(id), false);
    assert.equal(links.around.isHopeful(toHex(ben.identity)), false);
  });

  it('ends when it is closed', async () => {
    const links = new Links();
    links.seek(ada, true);
    links.here = [cleo];
    await started(links);
    const count = links.asked.length;
    links.around.close();
    links.change();
    await links.pass(60_000);
    assert.equal(links.asked.length, count);
    assert.equal(links.timers.pending, 0);
  });
});
