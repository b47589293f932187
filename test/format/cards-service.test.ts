import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compareBytes, toHex, utf8 } from '../../lib/base/bytes.ts';
import { ByteReader, ByteWriter } from '../../lib/base/codec.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { boxKeyPair } from '../../lib/crypto/sign.ts';
import { decodeCard, encodeCard } from '../../lib/format/card.ts';
import {
  decodeContactKeys,
  encodeContactKeys,
  verifyContactKeys,
  type ContactKey,
} from '../../lib/format/contact-keys.ts';
import {
  decodeKeptLetter,
  decodeLetter,
  encodeKeptLetter,
  encodeLetter,
  letterBytesMax,
  letterTextBytesMax,
} from '../../lib/format/letter.ts';
import { decodeHeadsFile, encodeHeadsFile, signHead, verifyHead } from '../../lib/format/signed-head.ts';
import {
  answerBytesMax,
  decodeAnswers,
  decodeAsk,
  decodeCarried,
  decodeDelivered,
  decodeHeads,
  decodePosted,
  decodeYes,
  encodeAnswers,
  encodeAsk,
  encodeCarried,
  encodeDelivered,
  encodeHeads,
  encodePosted,
  encodeYes,
} from '../../lib/services/cards/cards-codec.ts';
import {
  carryCard,
  decodeWhereabouts,
  encodeWhereabouts,
  openCarriedCard,
  readCarriedCard,
  writeCarriedCard,
  type CarriedCard,
} from '../../lib/services/cards/carried-card.ts';
import { identityTag } from '../../lib/services/cards/identity-tag.ts';
import { canonical, fuzzDecoder } from '../support/fuzz.ts';
import { checkGolden } from '../support/golden.ts';
import { SamplePerson } from '../support/sample-card.ts';
import { idOf } from './samples.ts';

const ada = new SamplePerson('Ada');
const ben = new SamplePerson('Ben');
const salt = idOf('salt').subarray(0, 16);
const pairOf = (label: string): ReturnType<typeof boxKeyPair> => boxKeyPair(idOf(label));

function keyOf(label: string, keyEpoch: number, isWhole: boolean): ContactKey {
  const { publicKey, secretKey } = pairOf(label);
  return {
    keyEpoch,
    createdNs: 1_767_225_600_000_000_000n,
    publicKey,
    secretKey: isWhole ? secretKey : undefined,
  };
}

const keys = [keyOf('old', 0, true), keyOf('new', 7, false)];
const bare = carryCard(ada.card(2, { revocations: [ada.revocation(2)] }), undefined);
const position = { logKey: idOf('log'), length: 258, hash: idOf('segment') };
const { publicKey: deviceId, secretKey } = ada.device(1);
const heads = [signHead(ada.identity, { deviceId, position }, secretKey)];
const ownersHeads = [{ owner: ada.identity, heads }];
const records = encodeWhereabouts({
  records: ada.card(2).addresses.toSorted((a, b) => compareBytes(a.deviceId, b.deviceId)),
  heads,
});
const carriedSamples: Readonly<Record<string, CarriedCard>> = {
  none: bare,
  sealed: { ...bare, addresses: { way: 'sealed', key: keys[0]?.publicKey ?? salt, sealed: idOf('box') } },
  clear: { ...bare, addresses: { way: 'clear', records } },
};
const tags = [ada, ben].map((person) => identityTag(salt, person.identity)).sort(compareBytes);
const asked = { salt, tags };
const answers = Object.values(carriedSamples).map((carried, place) => ({ place, carried }));
const carried = { salt, tag: identityTag(salt, ada.identity), carried: bare };
const posted = { salt, tag: identityTag(salt, ada.identity), sealed: idOf('sealed letter') };
const letter = { kind: 1, addressee: ada.identity, bytes: utf8('accepted') };
const kept = {
  sender: ben.identity,
  addressee: ada.identity,
  receivedNs: 1_767_225_600_000_000_000n,
  sealed: idOf('sealed letter'),
};

function encodeOne(one: CarriedCard): Uint8Array {
  const writer = new ByteWriter();
  writeCarriedCard(writer, one);
  return writer.finish();
}

function decodeOne(bytes: Uint8Array): CarriedCard {
  const reader = new ByteReader(bytes, 'carried');
  const one = readCarriedCard(reader);
  reader.end();
  return one;
}

const readAnswers = (bytes: Uint8Array): ReturnType<typeof decodeAnswers> => decodeAnswers(bytes, 64);

void describe('bodies of kith/cards', () => {
  void it('are written as they always were', () => {
    const golden = <T>(
      name: string,
      value: T,
      encode: (value: T) => Uint8Array,
      decode: (bytes: Uint8Array) => T,
    ): unknown => checkGolden('cards-service.json', name, () => encode(value), decode, encode);
    golden('contact keys', keys, encodeContactKeys, decodeContactKeys);
    golden('no contact keys', [], encodeContactKeys, decodeContactKeys);
    for (const [name, one] of Object.entries(carriedSamples))
      golden(`card ${name}`, one, encodeOne, decodeOne);
    golden('whereabouts', decodeWhereabouts(records), encodeWhereabouts, decodeWhereabouts);
    golden('ask', asked, encodeAsk, decodeAsk);
    golden('answers', answers, encodeAnswers, readAnswers);
    golden('carried', carried, encodeCarried, decodeCarried);
    golden('posted', posted, encodePosted, decodePosted);
    golden('delivered', posted.sealed, encodeDelivered, decodeDelivered);
    golden('letter', letter, encodeLetter, decodeLetter);
    golden('kept letter', kept, encodeKeptLetter, decodeKeptLetter);
    golden('heads', heads, encodeHeads, decodeHeads);
    golden('heads file', ownersHeads, encodeHeadsFile, decodeHeadsFile);
    golden('yes', true, encodeYes, decodeYes);
  });

  void it('say nothing of an identity to who does not know it', () => {
    assert.equal(identityTag(salt, ada.identity).length, 16);
    assert.notDeepEqual(
      identityTag(salt, ada.identity),
      identityTag(idOf('x').subarray(0, 16), ada.identity),
    );
    assert.throws(() => identityTag(idOf('x'), ada.identity), RangeError);
  });

  void it('leave out of an answer what there is no room for', () => {
    const big = { ...bare, addresses: { way: 'clear' as const, records: new Uint8Array(48 * 1024) } };
    const bytes = encodeAnswers(Array.from({ length: 20 }, (_, place) => ({ place, carried: big })));
    assert.ok(bytes.length <= answerBytesMax);
    assert.equal(readAnswers(bytes).length, 5);
  });

  void it('take no answer to what was not asked', () => {
    const bytes = encodeAnswers([{ place: 3, carried: bare }]);
    assert.equal(decodeAnswers(bytes, 4).length, 1);
    assert.throws(
      () => decodeAnswers(bytes, 3),
      (error) => isKithError(error, 'malformed'),
    );
  });
});

void describe('a carried card', () => {
  const pair = pairOf('contact');
  const card = ada.card(2);

  void it('is whole for who has the contact key, and bare for who has another', () => {
    const sealed = decodeOne(encodeOne(carryCard(card, { key: pair.publicKey })));
    const open = (pairs: readonly ReturnType<typeof pairOf>[]): Uint8Array =>
      openCarriedCard(sealed, { identity: ada.identity, pairs, isOwn: false }).card;
    assert.equal(toHex(open([pairOf('other'), pair])), toHex(encodeCard(card)));
    assert.deepEqual(decodeCard(open([pairOf('other')])).addresses, []);
    assert.deepEqual(decodeCard(open([])).certificates.length, 2);
  });

  void it('has addresses in clear for its subject alone', () => {
    const clear = decodeOne(encodeOne(carryCard(card, 'clear')));
    const asked = { identity: ada.identity, pairs: [] };
    assert.equal(toHex(openCarriedCard(clear, { ...asked, isOwn: true }).card), toHex(encodeCard(card)));
    assert.throws(
      () => openCarriedCard(clear, { ...asked, isOwn: false }),
      (error) => isKithError(error, 'not-authentic'),
    );
  });

  void it('brings heads that their device signed, and no others', () => {
    const open = (told: typeof heads): unknown =>
      openCarriedCard(decodeOne(encodeOne(carryCard(card, 'clear', told))), {
        identity: ada.identity,
        pairs: [],
        isOwn: true,
      }).heads;
    assert.deepEqual(open(heads), heads);
    const longer = heads.map((head) => ({ ...head, position: { ...position, length: 259 } }));
    assert.throws(
      () => open(longer),
      (error) => isKithError(error, 'not-authentic'),
    );
    for (const head of heads) {
      assert.throws(
        () => verifyHead(ben.identity, head),
        (error) => isKithError(error, 'not-authentic'),
      );
    }
  });

  void it('is of whom was asked for', () => {
    assert.throws(
      () => openCarriedCard(bare, { identity: ben.identity, pairs: [], isOwn: false }),
      (error) => isKithError(error, 'not-authentic'),
    );
  });

  void it('carries no extensions, which nobody signs', () => {
    const told = carryCard({ ...card, extensions: [{ tag: 5, bytes: utf8('x') }] }, undefined);
    assert.deepEqual(told.card.extensions, []);
    const forged = encodeOne({ ...told, card: { ...told.card, extensions: [{ tag: 5, bytes: utf8('x') }] } });
    assert.throws(
      () => decodeOne(forged),
      (error) => isKithError(error, 'malformed'),
    );
    const open = encodeOne({ ...told, card });
    assert.throws(
      () => decodeOne(open),
      (error) => isKithError(error, 'malformed'),
    );
  });
});

void describe('contact keys', () => {
  void it('must fit together, and seal', () => {
    verifyContactKeys(keys);
    verifyContactKeys([]);
    const wrong = { ...keyOf('old', 0, true), secretKey: pairOf('other').secretKey };
    const weak = { ...keyOf('old', 0, false), publicKey: new Uint8Array(32) };
    for (const key of [wrong, weak]) {
      assert.throws(
        () => verifyContactKeys([key]),
        (error) => isKithError(error, 'not-authentic'),
      );
    }
  });
});

void it('a letter fits its seal', () => {
  const bytes = new Uint8Array(letterTextBytesMax);
  assert.ok(encodeLetter({ ...letter, bytes }).length + 48 <= letterBytesMax);
  assert.throws(
    () => encodeLetter({ ...letter, bytes: new Uint8Array(letterTextBytesMax + 1) }),
    (error) => isKithError(error, 'limit-exceeded'),
  );
});

// Hostile cards and address records are tried in card.test.ts: here it is what stands around them, and little of it.
const small = carryCard(ada.card(1), undefined);
const smallSealed: CarriedCard = {
  ...small,
  addresses: { way: 'sealed', key: idOf('key'), sealed: idOf('box') },
};

fuzzDecoder('contact keys', [encodeContactKeys(keys)], canonical(decodeContactKeys, encodeContactKeys));
fuzzDecoder('carried cards', [encodeOne(smallSealed)], canonical(decodeOne, encodeOne));
fuzzDecoder(
  'addresses',
  [encodeWhereabouts({ records: ada.card(1).addresses, heads })],
  canonical(decodeWhereabouts, encodeWhereabouts),
);
fuzzDecoder('questions', [encodeAsk(asked)], canonical(decodeAsk, encodeAsk));
fuzzDecoder(
  'answers',
  [encodeAnswers([{ place: 2, carried: small }])],
  canonical(readAnswers, encodeAnswers),
);
fuzzDecoder(
  'carried bodies',
  [encodeCarried({ ...carried, carried: small })],
  canonical(decodeCarried, encodeCarried),
);
fuzzDecoder('posted letters', [encodePosted(posted)], canonical(decodePosted, encodePosted));
fuzzDecoder(
  'delivered letters',
  [encodeDelivered(posted.sealed)],
  canonical(decodeDelivered, encodeDelivered),
);
fuzzDecoder('letters', [encodeLetter(letter)], canonical(decodeLetter, encodeLetter));
fuzzDecoder('kept letters', [encodeKeptLetter(kept)], canonical(decodeKeptLetter, encodeKeptLetter));
fuzzDecoder('heads', [encodeHeads(heads)], canonical(decodeHeads, encodeHeads));
fuzzDecoder('files of heads', [encodeHeadsFile(ownersHeads)], canonical(decodeHeadsFile, encodeHeadsFile));
