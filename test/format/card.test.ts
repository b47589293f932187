import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { compareBytes, concatBytes, textOf, toHex, utf8 } from '../../lib/base/bytes.ts';
import { ByteWriter, fileHead } from '../../lib/base/codec.ts';
import { isKithError } from '../../lib/base/errors.ts';
import type { ErrorCode } from '../../lib/base/errors.ts';
import { decodeAddressBody, encodeAddressBody, validHost } from '../../lib/format/address-body.ts';
import type { AddressBody } from '../../lib/format/address-body.ts';
import { cardBytesMax, decodeCard, encodeCard, verifyCard } from '../../lib/format/card.ts';
import type { Card } from '../../lib/format/card.ts';
import { cardTextMax, decodeCardText, encodeCardText } from '../../lib/format/card-text.ts';
import { encodeCertificate } from '../../lib/format/certificate.ts';
import { encodeAddressRecord } from '../../lib/format/friend-records.ts';
import { canonical, fuzzDecoder } from '../support/fuzz.ts';
import { checkGolden } from '../support/golden.ts';
import { endpointOf, SamplePerson } from '../support/sample-card.ts';

const refusedAs =
  (...codes: ErrorCode[]) =>
  (error: unknown): boolean =>
    isKithError(error, ...codes);
const malformed = refusedAs('malformed');
const notAuthentic = refusedAs('not-authentic');

const ada = new SamplePerson('Ada');
const ben = new SamplePerson('Ben');

const small = ada.card(1);
const full: Card = ada.card(3, {
  certificates: [
    ada.certificate(1),
    ada.certificate(2, { extensions: [{ tag: 9, bytes: utf8('x') }] }),
    ada.certificate(3),
  ],
  revocations: [ada.revocation(2), ada.revocation(17)],
  addresses: [
    ada.address(1, 1_780_000_000_000, {
      name: 'Ada Lovelace 🌳',
      endpoints: [endpointOf(4001, '2001:db8::7'), endpointOf(4002, 'ada.example.org')],
    }),
    ada.address(2, 3, { endpoints: [] }),
    ada.addressOf(3, 5, new Uint8Array([1, 77, 78])),
  ],
  extensions: [{ tag: 5, bytes: utf8('later') }],
});

const verified = (bytes: Uint8Array): Card => {
  const card = decodeCard(bytes);
  verifyCard(card);
  return card;
};

void describe('cards', () => {
  void it('are written as they always were', () => {
    for (const [name, card] of Object.entries({ small, full })) {
      verifyCard(checkGolden('card.json', name, () => encodeCard(card), decodeCard, encodeCard));
    }
    const text = checkGolden(
      'card.json',
      'text of small',
      () => utf8(encodeCardText(encodeCard(small))),
      (bytes) => decodeCardText(textOf(bytes) ?? ''),
      (bytes) => utf8(encodeCardText(bytes)),
    );
    assert.equal(toHex(text), toHex(encodeCard(small)));
    for (const [name, body] of Object.entries(bodies)) {
      checkGolden(
        'card.json',
        `address ${name}`,
        () => encodeAddressBody(body),
        decodeClear,
        encodeAddressBody,
      );
    }
  });

  void it('have one way to write a set, in whatever order it is given, each thing once', () => {
    const { certificates, revocations, addresses } = full;
    const shuffled = {
      ...full,
      certificates: [...certificates.toReversed(), ...certificates],
      revocations: [...revocations, ...revocations.toReversed()],
      addresses: [ada.address(1, 4), ...addresses.toReversed(), ada.address(1, 5)],
    };
    assert.equal(toHex(encodeCard(shuffled)), toHex(encodeCard(full)));
  });

  void it('in another order, or with a thing twice, are refused', () => {
    const certificates = decodeCard(encodeCard(full)).certificates.map(encodeCertificate);
    const rest = (items: readonly Uint8Array[]): Uint8Array => {
      const writer = new ByteWriter().bytes(fileHead('kithcard', 1)).bytes(ada.identity).varint(items.length);
      for (const item of items) writer.blob(item);
      return writer.varint(0).varint(0).varint(0).finish();
    };
    assert.equal(decodeCard(rest(certificates)).certificates.length, 3);
    assert.throws(() => decodeCard(rest(certificates.toReversed())), malformed);
    assert.throws(() => decodeCard(rest([...certificates, ...certificates.slice(2)])), malformed);
    assert.throws(() => decodeCard(rest([])), malformed);
  });

  void it('with two address records of one device are refused', () => {
    const bytes = encodeCard(small);
    const record = encodeAddressRecord(ada.address(1, 1));
    const blob = new ByteWriter().blob(record).finish();
    const head = bytes.slice(0, bytes.length - blob.length - 2);
    const rebuilt = (count: number, ...blobs: Uint8Array[]): Uint8Array =>
      concatBytes(head, new Uint8Array([count]), ...blobs, new Uint8Array([0]));
    assert.equal(toHex(rebuilt(1, blob)), toHex(bytes));
    const newer = new ByteWriter().blob(encodeAddressRecord(ada.address(1, 2))).finish();
    assert.throws(() => decodeCard(rebuilt(2, blob, newer)), malformed);
  });

  void it('with a byte changed anywhere are refused, or say what they said', () => {
    const bytes = encodeCard(full);
    const extensions = new ByteWriter().varint(1).u8(5).blob(utf8('later')).finish();
    const signedEnd = bytes.length - extensions.length;
    for (let at = 0; at < bytes.length; at++) {
      // One bit, another at each byte, and all: what is signed is so as a whole, and every bit of a small one is flipped below.
      for (const flip of [1 << (at % 8), 0xff]) {
        const altered = bytes.slice();
        altered[at] = (altered[at] ?? 0) ^ flip;
        if (at < signedEnd) {
          const codes: ErrorCode[] = ['malformed', 'not-authentic', 'too-new'];
          assert.throws(() => verified(altered), refusedAs(...codes), `byte ${at} with ${flip}`);
        } else {
          // Extensions are signed by nobody: whatever becomes of them, the rest stays.
          attemptEqual(altered, full);
        }
      }
    }
  });

  void it('cut at any length are refused', () => {
    const bytes = encodeCard(full);
    for (let length = 0; length < bytes.length; length++) {
      assert.throws(() => decodeCard(bytes.slice(0, length)), malformed, `${length} bytes`);
    }
    assert.throws(() => decodeCard(concatBytes(bytes, new Uint8Array(1))), malformed);
  });

  void it('spliced with what another signed are refused', () => {
    const [hers] = small.certificates;
    const [his] = ben.card(1).certificates;
    assert.ok(hers !== undefined && his !== undefined);
    const spliced: Record<string, Partial<Card>> = {
      'another identity on top': { identity: ben.identity },
      'a certificate of another': { certificates: [hers, his] },
      'only that of another': { certificates: [his], addresses: [] },
      'a certificate with the signature of another': {
        certificates: [{ ...hers, signature: his.signature }],
      },
      'a certificate made over to her': { certificates: [hers, { ...his, vaultId: ada.identity }] },
      'a revocation by another': { revocations: [ben.revocation(1)] },
      'a revocation made over to her': { revocations: [{ ...ben.revocation(1), vaultId: ada.identity }] },
      'an address of a device without certificate': { addresses: [ada.address(2, 1)] },
      'an address by another device': {
        addresses: [{ ...ben.address(1, 9), deviceId: ada.device(1).publicKey }],
      },
      'an address with another counter': { addresses: [{ ...ada.address(1, 1), counter: 2 }] },
      'an address that was signed for another identity': {
        certificates: [hers, ada.certificate(1, { deviceId: ben.device(1).publicKey })],
        addresses: [ben.address(1, 1)],
      },
      'no certificate': { certificates: [], addresses: [] },
    };
    verifyCard(small);
    for (const [name, parts] of Object.entries(spliced)) {
      assert.throws(() => verifyCard({ ...small, ...parts }), notAuthentic, name);
    }
  });

  void it('keep an address of a revoked device, if it is genuine', () => {
    const revoked = { ...small, revocations: [ada.revocation(1)] };
    verifyCard(revoked);
    const forged = { ...ada.address(1, 1), counter: 9 };
    assert.throws(() => verifyCard({ ...revoked, addresses: [forged] }), notAuthentic);
  });

  void it('have room for 64 devices, and not for one more, nor for more bytes than fit a record', () => {
    const of = (count: number): Card => ada.card(count, { addresses: [] });
    assert.equal(verified(encodeCard(of(64))).certificates.length, 64);
    assert.throws(() => encodeCard(of(65)), refusedAs('limit-exceeded'));
    const certificates = of(65).certificates.map(encodeCertificate).sort(compareBytes);
    const writer = new ByteWriter().bytes(fileHead('kithcard', 1)).bytes(ada.identity).varint(65);
    for (const item of certificates) writer.blob(item);
    assert.throws(() => decodeCard(writer.varint(0).varint(0).varint(0).finish()), malformed);

    const fat = ada.card(20, { addresses: [] });
    const addresses = fat.certificates.map((_, i) => ada.addressOf(i + 1, 1, new Uint8Array(4096)));
    assert.throws(() => encodeCard({ ...fat, addresses }), refusedAs('limit-exceeded'));
    assert.throws(() => decodeCard(new Uint8Array(cardBytesMax + 1)), malformed);
  });

  void it('of a newer kith are told so', () => {
    const newer = encodeCard(small);
    newer[8] = 2;
    assert.throws(() => decodeCard(newer), refusedAs('too-new'));
  });

  void it('have little room for what nobody signed', () => {
    const many = Array.from({ length: 17 }, (_, tag) => ({ tag, bytes: new Uint8Array(1) }));
    assert.throws(() => encodeCard({ ...small, extensions: many }), RangeError);
    assert.throws(
      () => encodeCard({ ...small, extensions: [{ tag: 1, bytes: new Uint8Array(257) }] }),
      RangeError,
    );
    const without = encodeCard(small).slice(0, -1);
    const long = new ByteWriter().bytes(without).varint(1).u8(1).blob(new Uint8Array(257)).finish();
    assert.throws(() => decodeCard(long), malformed);
  });

  fuzzDecoder('card', [encodeCard(small), encodeCard(full)], canonical(decodeCard, encodeCard));
  fuzzDecoder('verified card', [encodeCard(small)], verified);
});

function attemptEqual(bytes: Uint8Array, expected: Card): void {
  try {
    const card = verified(bytes);
    assert.equal(
      toHex(encodeCard({ ...card, extensions: [] })),
      toHex(encodeCard({ ...expected, extensions: [] })),
    );
  } catch (error) {
    if (!isKithError(error, 'malformed', 'too-new')) throw error;
  }
}

function decodeClear(bytes: Uint8Array): AddressBody {
  const body = decodeAddressBody(bytes);
  assert.ok(body !== undefined);
  return body;
}

const bodies: Record<string, AddressBody> = {
  empty: { name: '', endpoints: [], extensions: [] },
  full: {
    name: 'größer',
    endpoints: [
      { host: '192.0.2.1', port: 1, direct: true, dht: false },
      { host: 'fe80::1%eth0', port: 65535, direct: false, dht: true },
      { host: 'a-b_c.example', port: 443, direct: true, dht: true },
    ],
    extensions: [{ tag: 3, bytes: utf8('x') }],
  },
};

void describe('address bodies', () => {
  void it('round-trip', () => {
    const host = fc.stringMatching(/^[0-9a-z.:-]{1,40}$/).filter(validHost);
    const port = fc.integer({ min: 1, max: 65535 });
    const way = fc.constantFrom([true, false], [false, true], [true, true]);
    const endpoint = fc.tuple(host, port, way).map(([host, port, [direct = false, dht = false]]) => ({
      host,
      port,
      direct,
      dht,
    }));
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', maxLength: 20 }),
        fc.array(endpoint, { maxLength: 16 }),
        (name, endpoints) => {
          const body = { name, endpoints, extensions: [] };
          assert.deepEqual(decodeAddressBody(encodeAddressBody(body)), body);
        },
      ),
    );
  });

  void it('are not read when they are sealed, or of a kind or version to come', () => {
    assert.equal(decodeAddressBody(new Uint8Array([1, 2, 3])), undefined);
    assert.throws(() => decodeAddressBody(new Uint8Array([2, 2, 3])), refusedAs('too-new'));
    assert.throws(() => decodeAddressBody(new Uint8Array([0, 2, 0])), refusedAs('too-new'));
    assert.throws(() => decodeAddressBody(new Uint8Array([0, 0, 0])), malformed);
    assert.throws(() => decodeAddressBody(new Uint8Array()), malformed);
  });

  void it('name places only', () => {
    const refused = [
      '',
      '0.0.0.0',
      '::',
      '0:0::0',
      '::%eth0',
      '0',
      'a b',
      'a\nb',
      'ä',
      '[::1]',
      'a/b',
      'x'.repeat(256),
      '0',
      '0x0',
      '0X7f000001',
      '127.1',
      '255.1',
      '2130706433',
      '0177.0.0.1',
      '1.2.3.0x4',
      '1.2.3.4.',
      'example.7',
      'a.0x',
      '::ffff:0.0.0.0',
      '0:0:0:0:0:ffff:0:0',
      '::%eth0',
      '1:2',
      'a:b',
      'a%b',
      'a..b',
      '.a',
      '.',
      '256.1.1.1',
      `${'a'.repeat(64)}.example`,
    ];
    for (const host of refused) assert.equal(validHost(host), false, JSON.stringify(host));
    for (const host of [
      '10.0.0.1',
      '::1',
      '1.0.0.0',
      '2001:db8::',
      'localhost',
      'fe80::1%en0',
      '0xa.example',
      '4.example.',
      '7-zip',
    ]) {
      assert.equal(validHost(host), true, host);
    }
    const encode = (parts: object): unknown =>
      encodeAddressBody({ ...bodies['empty'], endpoints: [{ ...endpointOf(80), ...parts }] } as AddressBody);
    encode({});
    for (const parts of [{ host: '0.0.0.0' }, { port: 0 }, { port: 65536 }, { direct: false, dht: false }]) {
      assert.throws(() => encode(parts), RangeError);
    }
    const many = Array.from({ length: 17 }, (_, i) => endpointOf(i + 1));
    assert.throws(
      () => encodeAddressBody({ name: '', endpoints: many, extensions: [] }),
      refusedAs('limit-exceeded'),
    );
    assert.throws(
      () => encodeAddressBody({ name: 'x'.repeat(256), endpoints: [], extensions: [] }),
      refusedAs('limit-exceeded'),
    );
  });

  fuzzDecoder('address body', Object.values(bodies).map(encodeAddressBody), (bytes) => {
    const body = decodeAddressBody(bytes);
    // Of a sealed one nothing is known that could be written again.
    if (body !== undefined) assert.equal(toHex(encodeAddressBody(body)), toHex(bytes));
  });
});

void describe('text of cards', () => {
  const bytes = encodeCard(small);
  const text = encodeCardText(bytes);

  void it('is one line, and gives any bytes back', () => {
    assert.match(text, /^kith:card:[a-z2-7]+$/);
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 80 }), (any) => {
        assert.deepEqual(decodeCardText(encodeCardText(any)), any);
      }),
    );
    const longest = new Uint8Array(cardBytesMax).fill(0xa5);
    assert.deepEqual(decodeCardText(encodeCardText(longest)), longest);
  });

  void it('is RFC 4648 base32', () => {
    // The test vectors of the RFC, in front of the checksum: 40 bits a group, so that five bytes stand alone.
    assert.equal(encodeCardText(utf8('fooba')).slice(0, 'kith:card:mzxw6ytb'.length), 'kith:card:mzxw6ytb');
  });

  void it('may come in capitals, with line breaks and spaces around and inside', () => {
    assert.deepEqual(decodeCardText(text.toUpperCase()), bytes);
    assert.deepEqual(decodeCardText(`\r\n\t ${text}\n`), bytes);
    assert.deepEqual(decodeCardText(text.replace(/(.{40})/g, '$1\r\n')), bytes);
    assert.deepEqual(decodeCardText(text.replace('kith:card:', 'Kith:Card:\n')), bytes);
  });

  void it('with any one character changed is refused', () => {
    for (let at = 0; at < text.length; at++) {
      const was = text.charAt(at);
      for (const put of ['a', 'b', 'q', '2', '7', '0', '=', 'ſ', ':', '😀']) {
        if (put === was) continue;
        const altered = text.slice(0, at) + put + text.slice(at + 1);
        assert.throws(() => decodeCardText(altered), malformed, `character ${at} as ${put}`);
      }
    }
    assert.throws(() => decodeCardText(text.replace('k', '\u212a')), malformed);
  });

  void it('cut anywhere, with a letter lost, doubled or swapped is refused', () => {
    for (let at = 0; at < text.length; at++) {
      assert.throws(() => decodeCardText(text.slice(0, at)), malformed, `cut at ${at}`);
      assert.throws(() => decodeCardText(text.slice(at + 1)), malformed, `begins at ${at + 1}`);
      assert.throws(() => decodeCardText(text.slice(0, at) + text.slice(at + 1)), malformed, `${at} lost`);
      const doubled = text.slice(0, at) + text.charAt(at) + text.slice(at);
      assert.throws(() => decodeCardText(doubled), malformed, `${at} twice`);
      const swapped = text.slice(0, at) + text.charAt(at + 1) + text.charAt(at) + text.slice(at + 2);
      if (swapped !== text) assert.throws(() => decodeCardText(swapped), malformed, `${at} swapped`);
    }
  });

  void it('with bits left over is refused: there is one text for a card', () => {
    const odd = encodeCardText(utf8('x'));
    const last = odd.at(-1) ?? '';
    const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';
    for (const other of alphabet.replace(last, '')) {
      assert.throws(() => decodeCardText(odd.slice(0, -1) + other), malformed, other);
    }
  });

  void it('says what seems to be wrong', () => {
    const says = (wrong: string, words: RegExp): void => {
      assert.throws(
        () => decodeCardText(wrong),
        (error) => isKithError(error, 'malformed') && words.test(error.message),
        wrong.slice(0, 40),
      );
    };
    says('hello', /not a card.*kith card/);
    says('', /not a card/);
    says('kith:invite:abc', /invite.*kith accept/);
    says('KITH:INVITE:ABC', /invite.*kith accept/);
    says('kith:card:', /cut short/);
    says(text.slice(0, -3), /cut short/);
    says(text.replace(/.$/, '!'), /no card has at its end/);
    says(`${text.slice(0, 30)}0${text.slice(31)}`, /no card has \(number 31\)/);
    says('a'.repeat(cardTextMax + 1), /too long/);
    says(`kith:card:${'a'.repeat(79_000)}`, /too long/);
  });

  fuzzDecoder('text of a card', [utf8(encodeCardText(utf8('a card of sorts')))], (any) =>
    decodeCardText(Buffer.from(any).toString('latin1')),
  );
});
