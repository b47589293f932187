import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { textOf, toHex, utf8 } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';
import type { ErrorCode } from '../../lib/base/errors.ts';
import {
  decodeAcceptance,
  encodeAcceptance,
  signAcceptance,
  verifyAcceptance,
} from '../../lib/format/acceptance.ts';
import { boxKeyPair } from '../../lib/crypto/sign.ts';
import { cardBytesMax, encodeCard } from '../../lib/format/card.ts';
import { decodeCardText, encodeCardText } from '../../lib/format/card-text.ts';
import { decodeInviteText, encodeInviteText } from '../../lib/format/invite-text.ts';
import {
  decodeInvite,
  encodeInvite,
  inviteBytesMax,
  inviteIdOf,
  meetingPointsMax,
  oneTimePair,
  signInvite,
  verifyInvite,
} from '../../lib/format/invite.ts';
import type { Invite } from '../../lib/format/invite.ts';
import {
  decodeInviteRecord,
  decodePendingInvite,
  encodeInviteRecord,
  encodePendingInvite,
} from '../../lib/format/invite-records.ts';
import type { InviteRecord, PendingInvite } from '../../lib/format/invite-records.ts';
import type { ContactKey } from '../../lib/format/contact-keys.ts';
import { letterTextBytesMax } from '../../lib/format/letter.ts';
import {
  decodeWelcome,
  encodeWelcome,
  signWelcome,
  verifyWelcome,
  welcomeCardBytesMax,
} from '../../lib/format/welcome.ts';
import { canonical, fuzzDecoder } from '../support/fuzz.ts';
import { checkGolden } from '../support/golden.ts';
import { SamplePerson } from '../support/sample-card.ts';
import { inviteDay, sampleInvite, sampleInviteId } from '../support/sample-invite.ts';

const refusedAs =
  (...codes: ErrorCode[]) =>
  (error: unknown): boolean =>
    isKithError(error, ...codes);

const ada = new SamplePerson('Ada');
const ben = new SamplePerson('Ben');

function contactKeyOf(keyEpoch: number): ContactKey {
  const { publicKey, secretKey } = boxKeyPair(new Uint8Array(32).fill(keyEpoch));
  return { keyEpoch, createdNs: 5n, publicKey, secretKey };
}

const small = sampleInvite(ada);
const full = sampleInvite(ada, {
  card: encodeCard(ada.card(3)),
  quotaBytes: 7,
  hints: {
    meetingPoints: [
      { host: '192.0.2.1', port: 49000 },
      { host: 'meet.example.org', port: 1 },
    ],
    publicDht: true,
  },
  extensions: [{ tag: 9, bytes: utf8('later') }],
});

const verified = (bytes: Uint8Array): Invite => {
  const invite = decodeInvite(bytes);
  verifyInvite(invite);
  return invite;
};

void describe('invites', () => {
  void it('are written as they always were', () => {
    for (const [name, invite] of Object.entries({ small, full })) {
      const read = checkGolden('invite.json', name, () => encodeInvite(invite), decodeInvite, encodeInvite);
      assert.equal(toHex(verifyInvite(read).identity), toHex(ada.identity));
    }
    checkGolden(
      'invite.json',
      'text of small',
      () => utf8(encodeInviteText(encodeInvite(small))),
      (bytes) => decodeInviteText(textOf(bytes) ?? ''),
      (bytes) => utf8(encodeInviteText(bytes)),
    );
  });

  void it('are refused with any bit altered', () => {
    const bytes = encodeInvite(small);
    for (let at = 0; at < bytes.length; at++) {
      const altered = bytes.slice();
      altered[at] = (altered[at] ?? 0) ^ (1 << (at % 8));
      assert.throws(
        () => verified(altered),
        refusedAs('malformed', 'too-new', 'not-authentic'),
        `byte ${at}`,
      );
    }
  });

  void it('are bound to the one who invites', () => {
    const refused = refusedAs('not-authentic');
    // Somebody else's card, signed by our device; a device that isn't in the card; one that was revoked.
    assert.throws(() => verifyInvite(sampleInvite(ada, { card: encodeCard(ben.card()) })), refused);
    const { publicKey: deviceId, secretKey } = ada.device(2);
    assert.throws(() => verifyInvite(signInvite({ ...small, deviceId }, secretKey)), refused);
    const revoked = ada.card(1, { revocations: [ada.revocation(1)] });
    assert.throws(() => verifyInvite(sampleInvite(ada, { card: encodeCard(revoked) })), refused);
    assert.throws(() => verifyInvite(signInvite(small, ben.device(1).secretKey)), refused);
    assert.equal(toHex(inviteIdOf(small.seed)), toHex(sampleInviteId));
  });

  void it('keep to their limits', () => {
    const point = { host: '192.0.2.1', port: 1 };
    const hints = {
      meetingPoints: Array.from({ length: meetingPointsMax + 1 }, () => point),
      publicDht: false,
    };
    assert.throws(() => sampleInvite(ada, { hints }), refusedAs('limit-exceeded'));
    for (const bad of [
      { host: '0.0.0.0', port: 1 },
      { host: '192.0.2.1', port: 0 },
    ]) {
      assert.throws(
        () => sampleInvite(ada, { hints: { meetingPoints: [bad], publicDht: false } }),
        RangeError,
      );
    }
    assert.throws(
      () => sampleInvite(ada, { card: new Uint8Array(cardBytesMax + 1) }),
      refusedAs('limit-exceeded'),
    );
    assert.throws(() => decodeInvite(new Uint8Array(inviteBytesMax + 1)), refusedAs('malformed'));
    const fat = sampleInvite(ada, { extensions: [{ tag: 1, bytes: new Uint8Array(1025) }] });
    assert.throws(() => decodeInvite(encodeInvite(fat)), refusedAs('malformed'));
    const newer = encodeInvite(small);
    newer[8] = 2;
    assert.throws(() => decodeInvite(newer), refusedAs('too-new'));
  });

  fuzzDecoder('invite', [encodeInvite(small), encodeInvite(full)], canonical(decodeInvite, encodeInvite));
});

void describe('text of invites', () => {
  void it('and of cards are told apart, each with what to do', () => {
    const invite = encodeInviteText(encodeInvite(small));
    const card = encodeCardText(encodeCard(ada.card()));
    assert.match(invite, /^kith:invite:[a-z2-7]+$/);
    assert.deepEqual(decodeInviteText(` ${invite.toUpperCase()}\n`), encodeInvite(small));
    assert.throws(() => decodeInviteText(card), /this is a card.*kith friend add/);
    assert.throws(() => decodeCardText(invite), /this is an invite.*kith accept/);
    assert.throws(() => decodeInviteText('hello'), /not an invite.*kith invite/);
    assert.throws(() => decodeInviteText(invite.slice(0, -2)), /the invite is cut short/);
    // The same letters under the other prefix: the checksums have contexts of their own.
    assert.throws(() => decodeInviteText(card.replace('kith:card:', 'kith:invite:')), refusedAs('malformed'));
    assert.throws(() => decodeInviteText('a'.repeat(200_000)), /too long for an invite/);
  });

  fuzzDecoder('text of an invite', [utf8(encodeInviteText(utf8('an invite of sorts')))], (any) =>
    decodeInviteText(Buffer.from(any).toString('latin1')),
  );
});

void describe('acceptances', () => {
  const acceptance = signAcceptance(oneTimePair(small.seed), encodeCard(ben.card()));

  void it('are written as they always were, and signed with the key of the invite', () => {
    const bytes = (): Uint8Array => encodeAcceptance(acceptance);
    verifyAcceptance(checkGolden('invite.json', 'acceptance', bytes, decodeAcceptance, encodeAcceptance));
    const other = signAcceptance(oneTimePair(new Uint8Array(32)), encodeCard(ben.card()));
    for (const wrong of [
      { ...acceptance, card: encodeCard(ada.card()) },
      { ...acceptance, inviteId: other.inviteId },
      { ...acceptance, signature: other.signature },
      { ...acceptance, extensions: [{ tag: 2, bytes: utf8('x') }] },
    ]) {
      assert.throws(() => verifyAcceptance(wrong), refusedAs('not-authentic'));
    }
  });

  const keys = [contactKeyOf(1), contactKeyOf(2)];
  const withKeys = signAcceptance(oneTimePair(small.seed), encodeCard(ben.card()), keys);

  void it('carry what their writer can be found by, in a field that an older kith skips', () => {
    const bytes = (): Uint8Array => encodeAcceptance(withKeys);
    const read = checkGolden(
      'invite.json',
      'acceptance with contact keys',
      bytes,
      decodeAcceptance,
      encodeAcceptance,
    );
    verifyAcceptance(read);
    assert.deepEqual(read.contactKeys, keys);
    assert.deepEqual(decodeAcceptance(encodeAcceptance(acceptance)).contactKeys, []);
    const junk = { ...withKeys, extensions: [{ tag: 1, bytes: utf8('x') }] };
    assert.throws(() => decodeAcceptance(encodeAcceptance(junk)), refusedAs('malformed'));
  });

  fuzzDecoder(
    'acceptance',
    [encodeAcceptance(acceptance), encodeAcceptance(withKeys)],
    canonical(decodeAcceptance, encodeAcceptance),
  );
});

void describe('welcomes', () => {
  const { publicKey, secretKey } = ada.device(1);
  const plain = {
    inviteId: sampleInviteId,
    acceptedBy: ben.identity,
    contactKeys: [contactKeyOf(3)],
    card: encodeCard(ada.card()),
    extensions: [],
  };
  const welcome = signWelcome(plain, secretKey);

  void it('are written as they always were, and signed by the device that made the invite', () => {
    const bytes = (): Uint8Array => encodeWelcome(welcome);
    verifyWelcome(checkGolden('invite.json', 'welcome', bytes, decodeWelcome, encodeWelcome), publicKey);
    for (const wrong of [
      { ...welcome, acceptedBy: ada.identity },
      { ...welcome, inviteId: new Uint8Array(32) },
      { ...welcome, contactKeys: [] },
      { ...welcome, card: new Uint8Array(0) },
      { ...welcome, signature: signWelcome(plain, ben.device(1).secretKey).signature },
    ]) {
      assert.throws(() => verifyWelcome(wrong, publicKey), refusedAs('not-authentic'));
    }
    assert.throws(() => verifyWelcome(welcome, ben.device(1).publicKey), refusedAs('not-authentic'));
  });

  void it('fit a letter with the most that they can have', () => {
    const most = signWelcome(
      {
        ...plain,
        contactKeys: [contactKeyOf(1), contactKeyOf(2)],
        card: new Uint8Array(welcomeCardBytesMax),
      },
      secretKey,
    );
    assert.ok(encodeWelcome(most).length <= letterTextBytesMax);
    const more = { ...plain, card: new Uint8Array(welcomeCardBytesMax + 1) };
    assert.throws(() => signWelcome(more, secretKey), refusedAs('limit-exceeded'));
  });

  fuzzDecoder('welcome', [encodeWelcome(welcome)], canonical(decodeWelcome, encodeWelcome));
});

void describe('records of invites', () => {
  const id = fc.uint8Array({ minLength: 32, maxLength: 32 });
  const text = fc.string({ unit: 'grapheme', maxLength: 30 });
  const anyRecord: fc.Arbitrary<InviteRecord> = fc.record(
    {
      inviteId: id,
      deviceId: id,
      state: fc.constantFrom(1 as const, 2 as const, 3 as const),
      madeMs: fc.maxSafeNat(),
      expiresMs: fc.maxSafeNat(),
      quotaBytes: fc.maxSafeNat(),
      name: text,
      usedBy: id,
      atNs: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      extensions: fc.constantFrom([], [{ tag: 3, bytes: new Uint8Array([1]) }]),
    },
    { noNullPrototype: true },
  );
  const record: InviteRecord = {
    inviteId: sampleInviteId,
    deviceId: ada.device(1).publicKey,
    state: 3,
    madeMs: inviteDay,
    expiresMs: inviteDay + 1,
    quotaBytes: 50e9,
    name: 'ben',
    usedBy: ben.identity,
    atNs: BigInt(inviteDay) * 1_000_000n,
    extensions: [],
  };
  const pending: PendingInvite = {
    state: 1,
    seed: small.seed,
    deviceId: small.deviceId,
    expiresMs: small.expiresMs,
    quotaBytes: 50e9,
    hints: full.hints,
  };

  void it('come back as they were written, as they always were', () => {
    fc.assert(
      fc.property(anyRecord, (any) => {
        assert.deepEqual(decodeInviteRecord(encodeInviteRecord(any)), any);
      }),
    );
    checkGolden(
      'invite.json',
      'record',
      () => encodeInviteRecord(record),
      decodeInviteRecord,
      encodeInviteRecord,
    );
    const read = checkGolden(
      'invite.json',
      'pending',
      () => encodePendingInvite(pending),
      decodePendingInvite,
      encodePendingInvite,
    );
    assert.deepEqual(read, pending);
  });

  fuzzDecoder(
    'invite record',
    [encodeInviteRecord(record)],
    canonical(decodeInviteRecord, encodeInviteRecord),
  );
  fuzzDecoder(
    'pending invite',
    [encodePendingInvite(pending)],
    canonical(decodePendingInvite, encodePendingInvite),
  );
});
