import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { equalBytes, toHex } from '../../lib/base/bytes.ts';
import { InviteLetters } from '../../lib/daemon/invite-letters.ts';
import { Letters } from '../../lib/daemon/letters.ts';
import { encodeAcceptance, signAcceptance } from '../../lib/format/acceptance.ts';
import { decodeCard, encodeCard } from '../../lib/format/card.ts';
import type { ContactKey } from '../../lib/format/contact-keys.ts';
import type { EpochKeys } from '../../lib/format/epoch-keys.ts';
import { decodeInviteText } from '../../lib/format/invite-text.ts';
import { decodeInvite, oneTimePair } from '../../lib/format/invite.ts';
import { encodeLetter, letterKinds } from '../../lib/format/letter.ts';
import { sealBox } from '../../lib/crypto/sign.ts';
import type { CardsCaller } from '../../lib/services/cards/cards-caller.ts';
import { contactKeysFor, storedContactKeys } from '../../lib/trust/contact.ts';
import { initVault, Session, systemSurroundings, vaultOf, type VaultApi } from '../../lib/vault/index.ts';
import { exchangeWithAll } from '../../lib/vault/logs/exchange.ts';
import {
  acceptanceFor,
  applyAcceptance,
  applyWelcome,
  welcomeFor,
} from '../../lib/vault/invites/invite-letters.ts';
import { InvitePerson } from '../support/invite-person.ts';
import { poll } from '../support/poll.ts';
import { SamplePerson } from '../support/sample-card.ts';
import { Seeded } from '../support/seeded.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { failure, tickingClock, VaultFixture } from '../support/vault-fixture.ts';
import { quickDisk } from '../support/vault-fixture-disk.ts';
import { atEnd } from '../support/at-end.ts';

function epoch(keyEpoch: number): EpochKeys {
  const seeded = new Seeded(keyEpoch);
  const key = (): Uint8Array => seeded.bytes(32);
  const createdNs = BigInt(keyEpoch);
  return { keyEpoch, createdNs, sealing: key(), catalog: key(), custody: key(), contactSeed: key() };
}

/** Longer than anything here takes: what is waited for comes about, or the test fails. */
const longMs = 30_000;
const dayMs = 86_400_000;

async function pair(t: TestContext): Promise<readonly [InvitePerson, InvitePerson]> {
  const make = async (name: string): Promise<InvitePerson> => await (await InvitePerson.make(t, name)).up();
  return await Promise.all([make('anna'), make('ben')]);
}

function idOf(person: InvitePerson): Uint8Array {
  return person.session.device.vaultId;
}

/** How many contact keys of a friend a catalog has. */
function contactsOf(session: Session, friend: Uint8Array): number {
  return storedContactKeys(session.state.friend(friend)?.extensions ?? []).length;
}

/** What friends give is taken into the book once some holder was heard, as the daemon sees to. */
async function hasContacts(one: InvitePerson, friend: Uint8Array, count: number): Promise<void> {
  await poll(`${one.name} has ${count} contact keys`, async () => {
    if (contactsOf(one.session, friend) === count) return true;
    await exchangeWithAll(one.session);
    return false;
  });
}

async function restart(...people: readonly InvitePerson[]): Promise<void> {
  for (const person of people) {
    await person.down();
    await person.up();
  }
}

function acceptanceOf(person: InvitePerson, inviter: Uint8Array): Uint8Array {
  const acceptance = acceptanceFor(person.session, inviter);
  assert.ok(acceptance !== undefined);
  return acceptance.bytes;
}

test('a late copy of an acceptance brings back nothing that was taken back since', async (t) => {
  const [anna, ben] = await pair(t);
  const [annas, bens] = [idOf(anna), idOf(ben)];
  const { text } = await anna.vault.invite();
  await anna.down();
  await ben.vault.accept(text);
  const [first, again] = [acceptanceOf(ben, annas), acceptanceOf(ben, annas)];
  await ben.down();
  await anna.up();
  assert.ok((await applyAcceptance(anna.session, first)).isNew);
  assert.equal(contactsOf(anna.session, bens), 1);
  await ben.up();
  assert.equal((await ben.vault.acceptWait('anna', longMs)).invite, null);
  await ben.vault.friendSet('anna', { visibility: 'no' });
  await hasContacts(anna, bens, 0);
  await ben.down();
  assert.equal((await applyAcceptance(anna.session, again)).isNew, false);
  assert.equal(contactsOf(anna.session, bens), 0);
  await restart(anna);
  assert.equal((await applyAcceptance(anna.session, again)).isNew, false);
  assert.equal(contactsOf(anna.session, bens), 0, 'nor after a restart');
  // What he gives in a session counts again.
  await ben.up();
  await ben.vault.friendPing('anna');
  await ben.vault.friendSet('anna', { visibility: 'introduce' });
  await hasContacts(anna, bens, 1);
  assert.deepEqual([anna.problems, ben.problems], [[], []]);
});

test('nor does an acceptance that comes first, of one who was a friend by then', async (t) => {
  const [anna, ben] = await pair(t);
  const [annas, bens] = [idOf(anna), idOf(ben)];
  const { text } = await anna.vault.invite();
  const { text: other } = await anna.vault.invite();
  await anna.down();
  await ben.vault.accept(text);
  const late = acceptanceOf(ben, annas);
  await ben.vault.accept(other);
  await anna.up();
  await ben.vault.friendPing('anna');
  assert.equal((await ben.vault.acceptWait('anna', longMs)).invite, null);
  await hasContacts(anna, bens, 1);
  await ben.vault.friendSet('anna', { visibility: 'no' });
  await hasContacts(anna, bens, 0);
  await restart(anna);
  assert.ok((await applyAcceptance(anna.session, late)).isNew, 'the invite is used up');
  assert.equal(contactsOf(anna.session, bens), 0);
});

test('a late copy of a welcome brings back nothing that was taken back since', async (t) => {
  const [anna, ben] = await pair(t);
  const [annas, bens] = [idOf(anna), idOf(ben)];
  const { text } = await anna.vault.invite();
  await anna.down();
  await ben.vault.accept(text);
  const acceptance = acceptanceOf(ben, annas);
  await ben.down();
  await anna.up();
  const applied = await applyAcceptance(anna.session, acceptance);
  const [first, again] = [welcomeFor(anna.session, applied), welcomeFor(anna.session, applied)];
  assert.ok(first !== undefined && again !== undefined);
  await anna.down();
  await ben.up();
  await applyWelcome(ben.session, first);
  assert.equal(contactsOf(ben.session, annas), 1);
  await anna.up();
  await ben.vault.friendPing('anna');
  await anna.vault.friendSet('ben', { visibility: 'no' });
  await hasContacts(ben, annas, 0);
  await anna.down();
  assert.equal((await failure(applyWelcome(ben.session, again))).code, 'friend-unknown');
  // While she is away he takes her invite once more: it is pending again, and the second carrier comes.
  await restart(ben);
  await ben.vault.accept(text);
  assert.equal((await ben.vault.friendShow('anna')).invite, 'pending');
  await applyWelcome(ben.session, again);
  assert.equal((await ben.vault.friendShow('anna')).invite, null, 'it is a welcome all the same');
  assert.equal(contactsOf(ben.session, annas), 0);
  await restart(ben);
  assert.equal(contactsOf(ben.session, annas), 0, 'nor after a restart');
  await anna.up();
  await anna.vault.friendPing('ben');
  await anna.vault.friendSet('ben', { visibility: 'yes' });
  await hasContacts(ben, annas, 1);
  assert.equal(contactsOf(anna.session, bens), 1);
});

test('contact keys that wait for a holder to be heard are those that would be in the book by now', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 1, friends: ['anna', 'ben'] });
  const { id, person } = fixture.friend('anna');
  const { holder } = fixture.friend('ben');
  const given = (keyEpoch: number): ContactKey[] => contactKeysFor([epoch(keyEpoch)], 'yes');
  const stored = (session: Session): number[] =>
    storedContactKeys(session.state.friend(person.identity)?.extensions ?? []).map(
      ({ keyEpoch }) => keyEpoch,
    );
  await fixture.session(async (session) => {
    for (const each of [given(2), given(1)]) assert.equal(await session.learnFriendContact(id, each), false);
    await session.exchangeLogs([holder]);
    assert.deepEqual(stored(session), [2], 'a device of hers had not heard of the epoch');
  });
  await fixture.session(async (session) => {
    for (const each of [[], given(1)]) await session.learnFriendContact(id, each);
    await session.exchangeLogs([holder]);
    assert.deepEqual(stored(session), [1], 'she had taken back a later one');
  });
  await fixture.session(async (session) => {
    for (const each of [given(3), []]) await session.learnFriendContact(id, each);
    await session.exchangeLogs([holder]);
    assert.deepEqual(stored(session), []);
  });
});

/** A home without a network, and its letters, as far as they go by the hand of one carrier. */
class Desk {
  readonly notes: string[] = [];
  /** Letters that the carrier was given. */
  posted = 0;
  learned = 0;
  readonly session: Session;
  readonly vault: VaultApi;
  readonly inviteLetters: InviteLetters;
  readonly letters: Letters;
  readonly #works: Promise<void>[] = [];

  private constructor(session: Session) {
    this.session = session;
    this.vault = vaultOf(session);
    const carrier = {
      post: () => {
        this.posted++;
        return Promise.resolve(true);
      },
    };
    this.letters = new Letters({
      device: () => session.device,
      box: undefined,
      carriers: () => [carrier as unknown as CardsCaller],
      contactKeyOf: () => undefined,
      cardOf: (identity) => {
        const record = session.state.friend(identity);
        return record === undefined ? undefined : decodeCard(record.card);
      },
    });
    this.inviteLetters = new InviteLetters({
      session,
      letters: this.letters,
      isOnline: () => false,
      learn: () => Promise.resolve(this.learned++),
      note: (_, event, text) => this.notes.push(`${event}: ${text}`),
      onWork: (work) => this.#works.push(work),
    });
  }

  static async open(t: TestContext, time: { ms: number }): Promise<Desk> {
    const home = join(await tempFolder(t), 'home');
    const clock = { ...tickingClock(), monotonicMs: () => time.ms };
    const surroundings = { ...systemSurroundings, disk: quickDisk, clock };
    await initVault({ home, name: 'anna', surroundings });
    const desk = new Desk(await Session.open({ home, surroundings }));
    atEnd(t, () => desk.vault.close());
    return desk;
  }

  /** A letter is handed over; gives whether it needn't be kept any longer. */
  async deliver(kind: number, bytes: Uint8Array): Promise<boolean> {
    const { vaultId: addressee, boxKeys } = this.session.device;
    const isDone = await this.letters.onDelivered(
      sealBox(encodeLetter({ kind, addressee, bytes }), boxKeys.publicKey),
    );
    await Promise.all(this.#works.splice(0));
    return isDone;
  }
}

test('copies of an acceptance are answered once in three days, and told of once', async (t) => {
  const time = { ms: 0 };
  const anna = await Desk.open(t, time);
  const ben = new SamplePerson('ben');
  const { text, id } = await anna.vault.invite();
  const { seed } = decodeInvite(decodeInviteText(text));
  const acceptance = encodeAcceptance(signAcceptance(oneTimePair(seed), encodeCard(ben.card())));
  for (let copy = 0; copy < 50; copy++) assert.ok(await anna.deliver(letterKinds.acceptance, acceptance));
  await anna.inviteLetters.send();
  assert.equal((await anna.vault.inviteList()).find((each) => each.id === id)?.usedBy, toHex(ben.identity));
  assert.deepEqual(anna.notes, ['invite-used: ben has accepted an invite, by way of a friend']);
  assert.equal(anna.posted, 1);
  assert.equal(anna.learned, 50, 'each may have a newer card');
  time.ms = 3 * dayMs - 1;
  await anna.deliver(letterKinds.acceptance, acceptance);
  await anna.inviteLetters.send();
  assert.equal(anna.posted, 1);
  // Who still asks then hasn't been told.
  time.ms = 3 * dayMs;
  for (let copy = 0; copy < 3; copy++) await anna.deliver(letterKinds.acceptance, acceptance);
  assert.equal(anna.posted, 2);
  assert.equal(anna.notes.length, 1);
});

test('a letter of a newer kith is kept until this one is updated', async (t) => {
  const anna = await Desk.open(t, { ms: 0 });
  const { text } = await anna.vault.invite();
  const { seed } = decodeInvite(decodeInviteText(text));
  const card = encodeCard(new SamplePerson('ben').card());
  const acceptance = encodeAcceptance(signAcceptance(oneTimePair(seed), card));
  // The version stands behind the magic.
  const newer = acceptance.slice();
  newer[8] = 200;
  assert.ok(equalBytes(newer.subarray(0, 8), acceptance.subarray(0, 8)));
  assert.equal((await failure(applyAcceptance(anna.session, newer))).code, 'too-new');
  assert.equal(await anna.deliver(letterKinds.acceptance, newer), false);
  const welcome = new Uint8Array(64);
  welcome.set(Buffer.from('kithwelc'));
  welcome[8] = 200;
  assert.equal((await failure(applyWelcome(anna.session, welcome))).code, 'too-new');
  assert.equal(await anna.deliver(letterKinds.welcome, welcome), false);
  // Nonsense never becomes anything else.
  assert.equal(await anna.deliver(letterKinds.acceptance, newer.subarray(0, 5)), true);
});
