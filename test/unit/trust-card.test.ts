import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { toHex, utf8 } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { decodeCard, encodeCard, verifyCard } from '../../lib/format/card.ts';
import type { Card } from '../../lib/format/card.ts';
import {
  cardCovers,
  cleanName,
  devicesOf,
  doorstepKeyOf,
  endpointsOf,
  mergeCards,
  nameOfCard,
  ownCard,
} from '../../lib/trust/card.ts';
import { createIdentity, recoverIdentity } from '../../lib/trust/identity.ts';
import { signAddressRecord } from '../../lib/format/friend-records.ts';
import { encodeAddressBody } from '../../lib/format/address-body.ts';
import { Seeded } from '../support/seeded.ts';
import { endpointOf, SamplePerson } from '../support/sample-card.ts';

const ada = new SamplePerson('Ada');
const ben = new SamplePerson('Ben');

function hexOf(card: Card): string {
  return toHex(encodeCard(card));
}

/** Any card of Ada that verifyCard takes; devices with low numbers, so that two often meet. */
const anyCard: fc.Arbitrary<Card> = fc
  .tuple(
    fc.uniqueArray(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 5 }),
    fc.uniqueArray(fc.integer({ min: 1, max: 7 }), { maxLength: 3 }),
    fc.array(
      fc.record({
        pick: fc.nat({ max: 4 }),
        counter: fc.integer({ min: 1, max: 3 }),
        name: fc.constantFrom('Ada', 'Countess'),
      }),
      { maxLength: 5 },
    ),
    fc.uniqueArray(fc.integer({ min: 0, max: 20 }), { maxLength: 16 }),
    fc.integer({ min: 0, max: 3 }),
  )
  .map(([devices, revoked, records, tags, length]) => {
    const addresses = records.map(({ pick, counter, name }) =>
      ada.address(devices[pick % devices.length] ?? 1, counter, { name }),
    );
    return ada.card(0, {
      // Two certificates of one device differ by their names.
      certificates: devices.map((index) => ada.certificate(index, { name: `device ${length % 2}` })),
      revocations: revoked.map((index) => ada.revocation(index)),
      addresses,
      extensions: tags
        .sort((a, b) => a - b)
        .map((tag) => ({ tag, bytes: new Uint8Array(length).fill(tag % 3) })),
    });
  })
  // As a reader gives it: one address a device, in order.
  .map((card) => decodeCard(encodeCard(card)));

void describe('merging cards', () => {
  void it('is commutative, associative and idempotent, and what comes out is a card', () => {
    fc.assert(
      fc.property(anyCard, anyCard, anyCard, (a, b, c) => {
        const ab = mergeCards(a, b);
        verifyCard(decodeCard(encodeCard(ab)));
        assert.equal(hexOf(mergeCards(b, a)), hexOf(ab));
        assert.equal(hexOf(mergeCards(mergeCards(a, b), c)), hexOf(mergeCards(a, mergeCards(b, c))));
        assert.equal(hexOf(mergeCards(a, a)), hexOf(a));
        assert.equal(hexOf(mergeCards(ab, b)), hexOf(ab));
        assert.ok(cardCovers(ab, a) && cardCovers(ab, b));
        assert.equal(cardCovers(a, b), hexOf(ab) === hexOf(a));
      }),
      { numRuns: 150 },
    );
  });

  void it('never loses a certificate, a revocation or a device’s newest address', () => {
    fc.assert(
      fc.property(anyCard, anyCard, (a, b) => {
        const merged = mergeCards(a, b);
        for (const card of [a, b]) {
          const signatures = [...merged.certificates, ...merged.revocations].map(({ signature }) =>
            toHex(signature),
          );
          for (const { signature } of [...card.certificates, ...card.revocations]) {
            assert.ok(signatures.includes(toHex(signature)));
          }
          for (const { deviceId, counter } of card.addresses) {
            const kept = merged.addresses.find((record) => toHex(record.deviceId) === toHex(deviceId));
            assert.ok(kept !== undefined && kept.counter >= counter);
          }
        }
      }),
      { numRuns: 100 },
    );
  });

  void it('takes the highest counter of a device: an older record, shown again, changes nothing', () => {
    const newer = ada.card(1, { addresses: [ada.address(1, 9, { endpoints: [endpointOf(9)] })] });
    const older = ada.card(1, { addresses: [ada.address(1, 8, { endpoints: [endpointOf(8)] })] });
    for (const merged of [mergeCards(newer, older), mergeCards(older, newer)]) {
      assert.deepEqual(endpointsOf(merged, ada.device(1).publicKey), [endpointOf(9)]);
    }
    assert.ok(cardCovers(newer, older) && !cardCovers(older, newer));
  });

  void it('is for one identity', () => {
    assert.throws(() => mergeCards(ada.card(), ben.card()), RangeError);
  });

  void it('keeps the newest 64 of an identity with more devices, in whatever order cards come', () => {
    const of = (from: number, to: number): Card => {
      const indices = Array.from({ length: to - from }, (_, i) => from + i);
      return ada.card(0, {
        certificates: indices.map((index) => ada.certificate(index)),
        addresses: [ada.address(from, 1)],
      });
    };
    const parts = [of(1, 41), of(30, 61), of(50, 81)];
    const [a, b, c] = parts;
    assert.ok(a !== undefined && b !== undefined && c !== undefined);
    const merged = mergeCards(mergeCards(a, b), c);
    assert.equal(hexOf(mergeCards(a, mergeCards(c, b))), hexOf(merged));
    verifyCard(decodeCard(encodeCard(merged)));
    const created = merged.certificates.map(({ createdNs }) => Number(createdNs)).sort((x, y) => x - y);
    assert.deepEqual([created.length, created[0], created.at(-1)], [64, 17, 80]);
    // The address of device 1 went with its certificate; those of 30 and 50 stayed.
    assert.equal(merged.addresses.length, 2);
  });

  void it('refuses what would be too large, whole', () => {
    const of = (from: number): Card =>
      ada.card(1, { revocations: Array.from({ length: 40 }, (_, i) => ada.revocation(from + i)) });
    assert.throws(
      () => mergeCards(of(100), of(200)),
      (error) => isKithError(error, 'limit-exceeded'),
    );
    assert.equal(cardCovers(of(100), of(200)), false);
  });
});

void describe('a card tells', () => {
  void it('which devices belong to it: certified and not revoked, newest address first', () => {
    const card = ada.card(3, {
      revocations: [ada.revocation(2)],
      addresses: [ada.address(1, 5), ada.address(2, 99), ada.address(3, 6)],
    });
    verifyCard(card);
    assert.deepEqual(
      devicesOf(card).map(({ name }) => name),
      ['device 3', 'device 1'],
    );
    assert.deepEqual(endpointsOf(card, ada.device(2).publicKey), [], 'a revoked device has no address');
    assert.deepEqual(endpointsOf(card, ada.device(3).publicKey), [endpointOf(1006)]);
    assert.deepEqual(endpointsOf(card, ben.device(1).publicKey), []);
  });

  void it('a device once, by the name of its newest certificate', () => {
    const certificates = [ada.certificate(1), ada.certificate(1, { createdNs: 9n, name: 'renamed' })];
    for (const each of [certificates, certificates.toReversed()]) {
      assert.deepEqual(
        devicesOf(ada.card(1, { certificates: each })).map(({ name }) => name),
        ['renamed'],
      );
    }
  });

  void it('nothing of a body that is sealed, broken or of a newer kith', () => {
    for (const body of [[], [0], [0, 1, 0, 255], [1, 2, 3], [0, 9, 0], [7]]) {
      const card = ada.card(1, { addresses: [ada.addressOf(1, 1, new Uint8Array(body))] });
      verifyCard(decodeCard(encodeCard(card)));
      assert.deepEqual(endpointsOf(card, ada.device(1).publicKey), []);
      assert.equal(nameOfCard(card), '');
    }
  });

  void it('the name of the newest address that has one, and never of a revoked device', () => {
    const named = (names: Record<number, string>, revoked: number[] = []): string =>
      nameOfCard(
        ada.card(3, {
          revocations: revoked.map((index) => ada.revocation(index)),
          addresses: Object.entries(names).map(([index, name]) =>
            ada.address(Number(index), Number(index), { name }),
          ),
        }),
      );
    assert.equal(named({}), '');
    assert.equal(named({ 1: 'Ada', 2: 'Countess' }), 'Countess');
    assert.equal(named({ 1: 'Ada', 2: '' }), 'Ada');
    assert.equal(named({ 1: 'Ada', 2: '\u0007' }), 'Ada');
    assert.equal(named({ 1: 'Ada', 2: 'Mallory' }, [2]), 'Ada');
  });

  void it('a name that is fit for a terminal', () => {
    assert.equal(cleanName(' Ada\n\tLovelace \u001b[31m\u202e\u200b\u0000 '), 'Ada Lovelace [31m');
    assert.equal(cleanName('Ægir 木 🌳'), 'Ægir 木 🌳');
  });

  void it('the doorstep key of the newest certificate', () => {
    const moved = ada.certificate(2, { doorstepKey: ben.doorstep.publicKey });
    for (const certificates of [
      [ada.certificate(1), moved],
      [moved, ada.certificate(1)],
    ]) {
      assert.deepEqual(doorstepKeyOf(ada.card(1, { certificates })), ben.doorstep.publicKey);
    }
    assert.throws(() => doorstepKeyOf(ada.card(0)), isKithError);
  });
});

void describe('the own card', () => {
  const seeded = new Seeded(4);
  const random = (count: number): Uint8Array => seeded.bytes(count);
  const first = createIdentity({ name: 'laptop', random, nowNs: () => 5n });

  void it('names this device, with its address, and every device of the key record', async () => {
    const { device, keyRecord } = await recoverIdentity({
      phrase: first.phrase,
      name: 'desktop',
      random,
      nowNs: () => 6n,
      keyRecordsFor: async () => await Promise.resolve([first.keyRecord]),
    });
    const sealed = encodeAddressBody({ name: 'Ada', endpoints: [endpointOf(7)], extensions: [] });
    const { vaultId: identity, deviceId, deviceSecretKey, certificate } = device;
    const address = signAddressRecord(identity, { deviceId, counter: 1, sealed }, deviceSecretKey);
    const card = ownCard({ identity, certificate, keyRecord, address });
    verifyCard(decodeCard(encodeCard(card)));
    assert.deepEqual(
      devicesOf(card).map(({ name }) => name),
      ['desktop', 'laptop'],
    );
    assert.equal(nameOfCard(card), 'Ada');
    assert.deepEqual(endpointsOf(card, deviceId), [endpointOf(7)]);

    const stale = ownCard({ identity, certificate, keyRecord: first.keyRecord, address: undefined });
    verifyCard(stale);
    assert.equal(stale.certificates.length, 2, 'the own certificate, even before the key record has it');
  });

  void it('can be merged with extensions that others keep', () => {
    const { vaultId: identity, certificate } = first.device;
    const card = ownCard({ identity, certificate, keyRecord: first.keyRecord, address: undefined });
    const carried = { ...card, extensions: [{ tag: 1, bytes: utf8('x') }] };
    assert.equal(hexOf(mergeCards(card, carried)), hexOf(carried));
  });
});
