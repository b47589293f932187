import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isKithError } from '../../lib/base/errors.ts';
import { openBox, sealBox } from '../../lib/crypto/sign.ts';
import { verifyContactKeys } from '../../lib/format/contact-keys.ts';
import type { EpochKeys } from '../../lib/format/epoch-keys.ts';
import { extensionOf } from '../../lib/format/extensions.ts';
import {
  contactKeysFor,
  contactKeysTag,
  contactPairOf,
  contactPairs,
  storedContactKeys,
  withContactKeys,
  withContactKeysOfLetter,
} from '../../lib/trust/contact.ts';
import { parseVisibility, visibilityOf, visibilityTag, withVisibility } from '../../lib/trust/visibility.ts';
import { Seeded } from '../support/seeded.ts';

function epoch(keyEpoch: number): EpochKeys {
  const seeded = new Seeded(keyEpoch + 1);
  return {
    keyEpoch,
    createdNs: BigInt(keyEpoch),
    sealing: seeded.bytes(32),
    catalog: seeded.bytes(32),
    custody: seeded.bytes(32),
    contactSeed: seeded.bytes(32),
  };
}

const epochs = [epoch(0), epoch(1), epoch(2)];

describe('contact keys', () => {
  it('of the newest two epochs are given as far as a friend may find us', () => {
    const whole = contactKeysFor(epochs, 'yes');
    assert.deepEqual(
      whole.map(({ keyEpoch }) => keyEpoch),
      [1, 2],
    );
    verifyContactKeys(whole);
    const [, newest] = contactPairs(whole);
    assert.ok(newest !== undefined);
    const sealed = sealBox(new Uint8Array([7]), contactPairOf(epoch(2)).publicKey);
    assert.deepEqual(openBox(sealed, newest), new Uint8Array([7]));

    const half = contactKeysFor(epochs, 'introduce');
    assert.deepEqual(
      half.map(({ publicKey }) => publicKey),
      whole.map(({ publicKey }) => publicKey),
    );
    assert.deepEqual(contactPairs(half), []);
    assert.deepEqual(contactKeysFor(epochs, 'no'), []);
  });

  it('of a number above the current one are a thief’s, and given to nobody', () => {
    // A revoked device had begun an epoch of a very high number: it stands before the sound ones.
    const given = contactKeysFor([epoch(4_000_000_000), epoch(1), epoch(2)], 'yes');
    assert.deepEqual(
      given.map(({ keyEpoch }) => keyEpoch),
      [1, 2],
    );
    assert.deepEqual(
      contactKeysFor([epoch(1), epoch(4_000_000_000), epoch(2)], 'yes').map(({ keyEpoch }) => keyEpoch),
      [1, 2],
    );
    assert.deepEqual(contactKeysFor([], 'yes'), []);
  });

  it('that are taken back make room for sound ones of a lower number', () => {
    const thief = withContactKeys([], contactKeysFor([epoch(4_000_000_000)], 'yes')) ?? [];
    const sound = contactKeysFor(epochs, 'yes');
    assert.equal(withContactKeys(thief, sound), undefined);
    const cleared = withContactKeys(thief, []) ?? [];
    assert.deepEqual(storedContactKeys(cleared), []);
    assert.equal(storedContactKeys(withContactKeys(cleared, sound) ?? []).at(-1)?.keyEpoch, 2);
  });

  it('are not the seed that they are made from', () => {
    assert.notDeepEqual(contactPairOf(epoch(2)).secretKey, epoch(2).contactSeed);
  });

  it('replace those that were there, but for older ones', () => {
    const other = [{ tag: 1, bytes: new Uint8Array(3) }];
    const first = withContactKeys(other, contactKeysFor(epochs.slice(0, 2), 'yes'));
    assert.ok(first !== undefined);
    assert.deepEqual(
      first.map(({ tag }) => tag),
      [1, contactKeysTag],
    );
    assert.equal(withContactKeys(first, contactKeysFor(epochs.slice(0, 2), 'yes')), undefined, 'the same');
    assert.equal(withContactKeys(first, contactKeysFor(epochs.slice(0, 1), 'yes')), undefined, 'older');
    const half = withContactKeys(first, contactKeysFor(epochs.slice(0, 2), 'introduce'));
    assert.deepEqual(contactPairs(storedContactKeys(half ?? [])), [], 'the secret is given up');
    const next = withContactKeys(first, contactKeysFor(epochs, 'yes'));
    assert.deepEqual(storedContactKeys(next ?? []).at(-1)?.keyEpoch, 2);
    const none = [...other, { tag: contactKeysTag, bytes: new Uint8Array(1) }];
    assert.deepEqual(withContactKeys(first, []), none);
    assert.deepEqual(withContactKeys(other, []), none, 'that there are none is said too');
    assert.equal(withContactKeys(none, []), undefined);
  });

  it('of a letter count where none were given, or for a later epoch, and never after they were taken back', () => {
    const second = contactKeysFor(epochs.slice(0, 2), 'yes');
    const letter = withContactKeysOfLetter([], second);
    assert.deepEqual(letter, withContactKeys([], second));
    assert.equal(withContactKeysOfLetter([], []), undefined);
    const half = withContactKeys([], contactKeysFor(epochs.slice(0, 2), 'introduce')) ?? [];
    assert.equal(withContactKeysOfLetter(half, second), undefined, 'the secret was given up');
    assert.equal(
      withContactKeysOfLetter(half, contactKeysFor(epochs.slice(0, 1), 'yes')),
      undefined,
      'older',
    );
    const later = withContactKeysOfLetter(half, contactKeysFor(epochs, 'yes')) ?? [];
    assert.equal(storedContactKeys(later).at(-1)?.keyEpoch, 2);
    const none = withContactKeysOfLetter(half, []) ?? [];
    assert.deepEqual(none, withContactKeys(half, []), 'a letter can take back');
    assert.equal(withContactKeysOfLetter(none, contactKeysFor(epochs, 'yes')), undefined);
  });

  it('that cannot be read are as good as none', () => {
    assert.deepEqual(storedContactKeys([{ tag: contactKeysTag, bytes: new Uint8Array([9, 9]) }]), []);
  });
});

describe('visibility', () => {
  it('is yes unless said otherwise, and no where it cannot be read', () => {
    assert.equal(visibilityOf([]), 'yes');
    for (const visibility of ['yes', 'introduce', 'no'] as const) {
      const fields = withVisibility([{ tag: 9, bytes: new Uint8Array(1) }], visibility);
      assert.equal(visibilityOf(fields), visibility);
      assert.equal(fields.length, visibility === 'yes' ? 1 : 2);
      assert.equal(extensionOf(withVisibility(fields, 'yes'), visibilityTag), undefined);
    }
    for (const bytes of [[], [0], [4], [2, 2]]) {
      assert.equal(visibilityOf([{ tag: visibilityTag, bytes: new Uint8Array(bytes) }]), 'no');
    }
  });

  it('is one of three words', () => {
    assert.equal(parseVisibility('introduce'), 'introduce');
    assert.throws(
      () => parseVisibility('maybe'),
      (error) => isKithError(error, 'usage'),
    );
  });
});
