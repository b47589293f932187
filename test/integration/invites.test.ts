import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { equalBytes, fromHex } from '../../lib/base/bytes.ts';
import { extensionOf } from '../../lib/format/extensions.ts';
import { decodeInviteText, encodeInviteText } from '../../lib/format/invite-text.ts';
import { decodeInvite, encodeInvite, signInvite } from '../../lib/format/invite.ts';
import { decodeWelcome, encodeWelcome, signWelcome } from '../../lib/format/welcome.ts';
import { storedContactKeys } from '../../lib/trust/contact.ts';
import {
  acceptanceFor,
  applyAcceptance,
  applyWelcome,
  welcomeFor,
} from '../../lib/vault/invites/invite-letters.ts';
import { writeFriend } from '../../lib/vault/friends/friend-records.ts';
import type { FriendInfo } from '../../lib/vault/index.ts';
import { InvitePerson } from '../support/invite-person.ts';
import { failure } from '../support/vault-fixture.ts';

/** Longer than anything here takes: what is waited for comes about, or the test fails. */
const longMs = 30_000;

async function people(t: TestContext, ...names: string[]): Promise<InvitePerson[]> {
  return await Promise.all(names.map(async (name) => await (await InvitePerson.make(t, name)).up()));
}

async function acceptBy(person: InvitePerson, text: string, quotaBytes = 3e9): Promise<FriendInfo> {
  const { id } = await person.vault.accept(text, { quotaBytes });
  return await person.vault.acceptWait(id, longMs);
}

function idOf(person: InvitePerson): Uint8Array {
  return person.session.device.vaultId;
}

async function friendsOf(person: InvitePerson): Promise<string[]> {
  return (await person.vault.friendList()).map(({ name }) => name);
}

test('an invite makes both sides friends in one step, with the room that each gives', async (t) => {
  const [anna, ben] = await people(t, 'anna', 'ben');
  assert.ok(anna !== undefined && ben !== undefined);
  const made = await anna.vault.invite({ quotaBytes: 2e9, name: 'benjamin' });
  const waiting = anna.vault.inviteWait(made.id);
  const annaHere = await acceptBy(ben, made.text);
  assert.deepEqual(
    [annaHere.name, annaHere.online, annaHere.invite, annaHere.quotaGiven, annaHere.quotaReceived],
    ['anna', true, null, 3e9, 2e9],
  );
  const used = await waiting;
  assert.deepEqual([used.state, used.friend, used.usedBy], ['used', 'benjamin', ben.vault.id]);
  assert.equal(used.safetyWords, annaHere.safetyWords);
  assert.equal((await ben.vault.friendShow('anna')).safetyWords, used.safetyWords);
  const benThere = await anna.vault.friendShow('benjamin');
  // Certificates name no host, since holders can read them: the friend's own name stands in.
  assert.match(benThere.devices[0]?.name ?? '', /^computer [0-9a-f]{4} of benjamin$/);
  assert.deepEqual([benThere.quotaGiven, benThere.quotaReceived], [2e9, 3e9]);
  assert.deepEqual(benThere.allow, ['cards', 'store']);
  const news = (await anna.vault.status()).reasons.find((reason) => reason.includes('accepted your invite'));
  assert.ok(news?.includes('benjamin') === true && news.includes(used.safetyWords ?? '-'), news);
  assert.ok(news.endsWith('If so: kith friend set benjamin --words-match'), news);
  await anna.vault.friendSet('benjamin', { wordsMatch: true });
  assert.ok(!(await anna.vault.status()).reasons.some((reason) => reason.includes('accepted your invite')));
  assert.deepEqual(anna.notes, ['invite-used: benjamin has accepted an invite']);
  // In step with the book: nothing is left of the invite here.
  const { extensions = [] } = ben.session.state.friend(idOf(anna)) ?? {};
  assert.equal(extensionOf(extensions, 1), undefined, 'nothing is pending any more');
  assert.equal((await failure(ben.vault.accept(made.text))).code, 'friend-exists');
  // Both know it after a restart, and need no invite any more.
  for (const person of [anna, ben]) {
    await person.down();
    await person.up();
  }
  const ping = await ben.vault.friendPing('anna');
  assert.ok(ping.steps.some(({ ok }) => ok));
  assert.deepEqual([anna.problems, ben.problems], [[], []]);
});

test('a used, an expired and a withdrawn invite are refused with the reason, for good', async (t) => {
  const [anna, ben, cleo] = await people(t, 'anna', 'ben', 'cleo');
  assert.ok(anna !== undefined && ben !== undefined && cleo !== undefined);
  const { text: used } = await anna.vault.invite();
  await acceptBy(ben, used);
  const second = await acceptBy(cleo, used);
  assert.equal(second.invite, 'used');
  assert.match(second.reason ?? '', /used by somebody else/);
  const withdrawn = await anna.vault.invite();
  assert.equal((await anna.vault.inviteWithdraw(withdrawn.id.slice(0, 8))).state, 'withdrawn');
  assert.equal((await acceptBy(cleo, withdrawn.text)).invite, 'refused');
  const { text: expired } = await anna.vault.invite({ expiresInMs: 60_000 });
  anna.clock.forward(60_000);
  assert.equal((await acceptBy(cleo, expired)).invite, 'expired');
  // Nothing of it goes away by itself, and none of it has let cleo in.
  assert.equal((await cleo.vault.friendShow('anna')).invite, 'expired');
  assert.deepEqual(await friendsOf(anna), ['ben']);
  assert.deepEqual(
    (await anna.vault.inviteList()).map(({ state }) => state),
    ['used', 'withdrawn', 'expired'],
  );
  assert.equal((await failure(anna.vault.inviteWithdraw(await firstId(anna)))).code, 'invite-used');
  // A good one makes up for them.
  const { text: good } = await anna.vault.invite();
  assert.equal((await acceptBy(cleo, good)).invite, null);
  assert.deepEqual(await friendsOf(anna), ['ben', 'cleo']);
});

async function firstId(person: InvitePerson): Promise<string> {
  const [first] = await person.vault.inviteList();
  return first?.id ?? '';
}

test('of two who accept at once exactly one wins', async (t) => {
  const [anna, ben, cleo] = await people(t, 'anna', 'ben', 'cleo');
  assert.ok(anna !== undefined && ben !== undefined && cleo !== undefined);
  const { text } = await anna.vault.invite();
  const states = await Promise.all([ben, cleo].map(async (person) => (await acceptBy(person, text)).invite));
  assert.ok(states.includes(null) && states.includes('used'), String(states));
  assert.equal((await friendsOf(anna)).length, 1);
});

test('an invite that is altered, foreign, of one’s own or long expired is refused here already', async (t) => {
  const [anna, ben] = await people(t, 'anna', 'ben');
  assert.ok(anna !== undefined && ben !== undefined);
  const { text } = await anna.vault.invite();
  const bytes = decodeInviteText(text);
  const altered = bytes.slice();
  // The quota's first byte lies behind card and times; any byte does, whatever it is.
  const at = altered.length - 80;
  altered[at] = (altered[at] ?? 0) ^ 1;
  assert.equal((await failure(ben.vault.accept(text.replace(/.$/, '')))).code, 'malformed');
  assert.equal((await failure(ben.vault.accept(encodeInviteText(altered)))).code, 'not-authentic');
  // Anna's card, and Ben's device has signed: whoever has an invite can't make others of it.
  const { deviceId, deviceSecretKey } = ben.session.device;
  const forged = signInvite({ ...decodeInvite(bytes), deviceId }, deviceSecretKey);
  assert.equal(
    (await failure(ben.vault.accept(encodeInviteText(encodeInvite(forged))))).code,
    'not-authentic',
  );
  assert.equal((await failure(anna.vault.accept(text))).code, 'usage');
  ben.clock.forward(8.1 * 86_400_000);
  assert.equal((await failure(ben.vault.accept(text))).code, 'invite-expired');
  assert.deepEqual(await friendsOf(ben), []);
});

test('an invite that its device never made opens nothing', async (t) => {
  const [anna, ben] = await people(t, 'anna', 'ben');
  assert.ok(anna !== undefined && ben !== undefined);
  const { text } = await anna.vault.invite();
  // Signed by Anna's device, as a thief of its key could, but not in her catalog.
  const { deviceSecretKey } = anna.session.device;
  const unknown = signInvite(
    { ...decodeInvite(decodeInviteText(text)), seed: new Uint8Array(32).fill(5) },
    deviceSecretKey,
  );
  const { id } = await ben.vault.accept(encodeInviteText(encodeInvite(unknown)));
  const trouble = (): string | null => ben.session.network.presence(id).trouble;
  await ben.session.network.waitUntil?.(() => trouble() !== null, longMs);
  assert.match(trouble() ?? '', /refused us/);
  assert.equal((await ben.vault.friendShow('anna')).invite, 'pending');
  assert.deepEqual(await friendsOf(anna), []);
});

test('while the inviter is off an invite stays pending, and completes by itself', async (t) => {
  const [anna, ben] = await people(t, 'anna', 'ben');
  assert.ok(anna !== undefined && ben !== undefined);
  const { text } = await anna.vault.invite();
  await anna.down();
  const { id } = await ben.vault.accept(text);
  const pending = await ben.vault.acceptWait(id, 0);
  assert.equal(pending.invite, 'pending');
  assert.match(pending.reason ?? '', /completes by itself/);
  assert.match(pending.safetyWords ?? '', /^[a-z]+( [a-z]+){5}$/);
  // The pending invite survives the process.
  await ben.down();
  await ben.up();
  await anna.up();
  // Ben's daemon dials every two seconds; the ping is only that nobody need wait for it.
  await ben.vault.friendPing('anna');
  assert.equal((await ben.vault.acceptWait('anna', longMs)).invite, null);
  assert.deepEqual(await friendsOf(anna), ['ben']);
});

test('who was cut off before noting the yes asks again with the same key, and is told yes again', async (t) => {
  const [anna, ben] = await people(t, 'anna', 'ben');
  assert.ok(anna !== undefined && ben !== undefined);
  const { text } = await anna.vault.invite();
  await anna.down();
  const { id } = await ben.vault.accept(text);
  const before = ben.session.state.friend(fromHex(id) ?? new Uint8Array())?.extensions ?? [];
  assert.equal(before.length, 1);
  await anna.up();
  await ben.vault.friendPing('anna');
  await ben.vault.acceptWait('anna', longMs);
  // As if nothing had been noted.
  await writeFriend(ben.session, idOf(anna), (record) =>
    record === undefined ? undefined : { ...record, extensions: before },
  );
  await ben.down();
  await ben.up();
  assert.equal((await ben.vault.acceptWait('anna', longMs)).invite, null);
  assert.deepEqual(await friendsOf(anna), ['ben']);
});

test('an acceptance that somebody carries counts as the live way does', async (t) => {
  const [anna, ben, cleo] = await people(t, 'anna', 'ben', 'cleo');
  assert.ok(anna !== undefined && ben !== undefined && cleo !== undefined);
  const { text } = await anna.vault.invite({ quotaBytes: 1e9 });
  const { text: other } = await anna.vault.invite();
  await anna.down();
  await ben.vault.accept(text);
  await cleo.vault.accept(text);
  const [bens, cleos] = [ben, cleo].map((person) => {
    const [friend] = person.session.friends();
    return acceptanceFor(person.session, friend?.record.identity ?? new Uint8Array(32))?.bytes;
  });
  assert.ok(bens !== undefined && cleos !== undefined);
  await ben.down();
  await cleo.down();
  await anna.up();
  const altered = bens.slice();
  altered[100] = (altered[100] ?? 0) ^ 1;
  assert.match((await failure(applyAcceptance(anna.session, altered))).code, /^(not-authentic|malformed)$/);
  assert.deepEqual(await friendsOf(anna), []);
  const ids = [];
  for (let i = 0; i < 3; i++) ids.push((await applyAcceptance(anna.session, bens)).identity);
  await ben.up();
  assert.ok(ids.every((id) => equalBytes(id, idOf(ben))));
  assert.equal((await failure(applyAcceptance(anna.session, cleos))).code, 'invite-used');
  assert.deepEqual(await friendsOf(anna), ['ben']);
  assert.equal((await anna.vault.friendShow('ben')).quotaGiven, 1e9);
  // And the one who accepted learns of it by the very session that follows.
  assert.equal((await ben.vault.acceptWait('anna', longMs)).invite, null);
  // A friend who is removed isn't let in again by what was used once.
  await anna.vault.friendRemove('ben', { force: true });
  assert.equal((await failure(applyAcceptance(anna.session, bens))).code, 'invite-used');
  assert.ok(other.length > 0);
});

test('a welcome that somebody carries completes the invite, once, and only from who was asked', async (t) => {
  const [anna, ben, cleo] = await people(t, 'anna', 'ben', 'cleo');
  assert.ok(anna !== undefined && ben !== undefined && cleo !== undefined);
  const { text } = await anna.vault.invite();
  await anna.down();
  await ben.vault.accept(text);
  const acceptance = acceptanceFor(ben.session, ben.session.friends()[0]?.record.identity ?? idOf(ben));
  assert.ok(acceptance !== undefined);
  const contactsOf = (person: InvitePerson, friend: Uint8Array): number =>
    storedContactKeys(person.session.state.friend(friend)?.extensions ?? []).length;
  await ben.down();
  await anna.up();
  const applied = await applyAcceptance(anna.session, acceptance.bytes);
  assert.equal(contactsOf(anna, applied.identity), 1, 'he can be found by what he sent');
  const welcome = welcomeFor(anna.session, applied);
  const annas = idOf(anna);
  assert.ok(welcome !== undefined);
  await anna.down();
  await ben.up();
  // Somebody who has seen the invite isn't who made it.
  const forged = encodeWelcome(signWelcome(decodeWelcome(welcome), cleo.session.device.deviceSecretKey));
  assert.equal((await failure(applyWelcome(ben.session, forged))).code, 'not-authentic');
  assert.equal((await failure(applyWelcome(cleo.session, welcome))).code, 'not-authentic');
  assert.equal((await ben.vault.friendShow('anna')).invite, 'pending');
  await applyWelcome(ben.session, welcome);
  assert.equal((await ben.vault.friendShow('anna')).invite, null);
  assert.equal(contactsOf(ben, annas), 1);
  assert.equal((await failure(applyWelcome(ben.session, welcome))).code, 'friend-unknown');
});
