import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { equalBytes, toHex } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { rootOfPhrase } from '../../lib/crypto/phrase.ts';
import type { RandomSource } from '../../lib/crypto/random.ts';
import type { Secret } from '../../lib/crypto/secret.ts';
import { boxKeyPair } from '../../lib/crypto/sign.ts';
import { decodeCertificate, verifyCertificate } from '../../lib/format/certificate.ts';
import {
  decodeKeyRecord,
  encodeKeyRecord,
  mergeKeyRecords,
  openEnvelope,
  sealEpoch,
  signKeyRecord,
  verifyKeyRecord,
} from '../../lib/format/key-record.ts';
import type { EpochKeys } from '../../lib/format/key-record.ts';
import {
  adoptKeyRecord,
  createIdentity,
  currentEpoch,
  epochKeys,
  recoverDevice,
  recoverIdentity,
  vaultIdOfRoot,
} from '../../lib/trust/identity.ts';
import { Seeded } from '../support/seeded.ts';

function randomOf(seed: number): RandomSource {
  const seeded = new Seeded(seed);
  return (count) => seeded.bytes(count);
}

const nowNs = (): bigint => 1_700_000_000_000_000_000n;

function identity(seed: number, name = 'laptop'): ReturnType<typeof createIdentity> {
  return createIdentity({ name, random: randomOf(seed), nowNs });
}

function recover(
  phrase: string,
  records: Uint8Array | Uint8Array[],
  seed: number,
): ReturnType<typeof recoverDevice> {
  const root = rootOfPhrase(phrase);
  try {
    return recoverDevice(root, records, { name: 'new laptop', random: randomOf(seed), nowNs });
  } finally {
    root.wipe();
  }
}

/** The record with one more epoch, as a device that began it would sign it. */
function withEpoch(
  made: ReturnType<typeof identity>,
  keyEpoch: number,
  seed: number,
): { keys: EpochKeys; record: Uint8Array } {
  const random = randomOf(seed);
  const keys = {
    keyEpoch,
    createdNs: nowNs() + BigInt(seed),
    sealing: random(32),
    catalog: random(32),
    custody: random(32),
    contactSeed: random(32),
  };
  const content = decodeKeyRecord(made.keyRecord);
  const recipients = content.certificates.flatMap((certificate) => [
    certificate.boxKey,
    certificate.recoveryKey,
  ]);
  const { vaultId, deviceId, deviceSecretKey } = made.device;
  const grown = mergeKeyRecords(content, { ...content, envelopes: [sealEpoch(vaultId, keys, recipients)] });
  return { keys, record: encodeKeyRecord(signKeyRecord(grown, deviceId, deviceSecretKey)) };
}

void describe('a new identity', () => {
  void it('has a phrase that leads to its vault id, a genuine certificate and a genuine key record', () => {
    const { phrase, device, keyRecord } = identity(1);
    assert.equal(phrase.split(' ').length, 24);
    assert.deepEqual(vaultIdOfRoot(rootOfPhrase(phrase)), device.vaultId);
    const certificate = decodeCertificate(device.certificate);
    verifyCertificate(certificate, device.vaultId);
    assert.equal(certificate.name, 'laptop');
    assert.deepEqual(certificate.deviceId, device.deviceId);
    const record = decodeKeyRecord(keyRecord);
    verifyKeyRecord(record, device.vaultId);
    assert.equal(record.revision, 1);
    assert.equal(currentEpoch(device).keyEpoch, 0);
    assert.equal(epochKeys(device, 0).length, 1);
    assert.deepEqual(epochKeys(device, 1), []);
  });

  void it('zeroes the root and every secret made from it', () => {
    const seen: { secret: Secret; view: Uint8Array }[] = [];
    const witness = (secret: Secret): void => {
      assert.ok(secret.bytes.some((byte) => byte !== 0));
      seen.push({ secret, view: secret.bytes });
    };
    createIdentity({ name: 'laptop', random: randomOf(2), nowNs, witness });
    // root, identity seed, identity key
    assert.equal(seen.length, 3);
    for (const { secret, view } of seen) {
      assert.ok(secret.wiped);
      assert.ok(view.every((byte) => byte === 0));
    }
  });

  void it('zeroes them also when it fails on the way', () => {
    const seen: { secret: Secret; view: Uint8Array }[] = [];
    const witness = (secret: Secret): void => {
      seen.push({ secret, view: secret.bytes });
    };
    assert.throws(
      () => createIdentity({ name: 'x'.repeat(256), random: randomOf(2), nowNs, witness }),
      (error) => isKithError(error, 'limit-exceeded'),
    );
    assert.equal(seen.length, 3);
    for (const { secret, view } of seen) {
      assert.ok(secret.wiped);
      assert.ok(view.every((byte) => byte === 0));
    }
  });

  void it('keeps neither the root nor the identity key on the device', () => {
    const random = randomOf(3);
    let root = '';
    let identityKey = '';
    const secrets: string[] = [];
    const { device, keyRecord } = createIdentity({
      name: 'laptop',
      random,
      nowNs,
      witness: (secret) => secrets.push(toHex(secret.bytes)),
    });
    [root = '', , identityKey = ''] = secrets;
    assert.equal(root.length, 64);
    assert.equal(identityKey.length, 128);
    const kept = JSON.stringify(device, (_, value: unknown) =>
      value instanceof Uint8Array
        ? toHex(value)
        : String(value) === '[object Object]' || Array.isArray(value)
          ? value
          : String(value),
    );
    assert.ok(kept.includes(toHex(device.blobIdKey)), 'the search would find a key that is kept');
    for (const secret of [root, identityKey.slice(0, 64)]) {
      assert.ok(!kept.includes(secret));
      assert.ok(!toHex(keyRecord).includes(secret));
    }
  });
});

void describe('recovery', () => {
  void it('gives a new device the old epochs and the same dedup keys, and keeps what was in the record', () => {
    const made = identity(4);
    const recovered = recover(made.phrase, made.keyRecord, 5);
    assert.equal(recovered.epochsUnopened, 0);
    assert.deepEqual(recovered.device.epochs, made.device.epochs);
    assert.deepEqual(recovered.device.blobIdKey, made.device.blobIdKey);
    assert.deepEqual(recovered.device.cutKey, made.device.cutKey);
    assert.deepEqual(recovered.device.vaultId, made.device.vaultId);
    assert.notDeepEqual(recovered.device.deviceId, made.device.deviceId);
    const record = decodeKeyRecord(recovered.keyRecord);
    verifyKeyRecord(record, made.device.vaultId);
    assert.equal(record.revision, 2);
    assert.equal(record.certificates.length, 2);
    assert.deepEqual(record.signer, recovered.device.deviceId);
    const [envelope] = record.envelopes;
    assert.ok(envelope !== undefined);
    assert.equal(record.envelopes.length, 1);
    for (const pair of [made.device.boxKeys, recovered.device.boxKeys]) {
      assert.deepEqual(openEnvelope(made.device.vaultId, envelope, pair), made.device.epochs[0]);
    }
    const again = recover(made.phrase, recovered.keyRecord, 6);
    assert.equal(decodeKeyRecord(again.keyRecord).certificates.length, 3);
    assert.deepEqual(again.device.epochs, made.device.epochs);
  });

  void it('opens all epochs of several copies, also two of one number, and seals with the newest', () => {
    const made = identity(7);
    const one = withEpoch(made, 1, 8);
    const other = withEpoch(made, 1, 9);
    const { device } = recover(made.phrase, [one.record, made.keyRecord, other.record], 10);
    assert.equal(device.epochs.length, 3);
    assert.deepEqual(epochKeys(device, 1), [other.keys, one.keys]);
    assert.deepEqual(currentEpoch(device), other.keys);
  });

  void it('refuses another vault, a forged record, and a record that the phrase opens nothing of', () => {
    const made = identity(11);
    const stranger = identity(12);
    assert.throws(
      () => recover(made.phrase, stranger.keyRecord, 13),
      (error) => isKithError(error, 'not-authentic'),
    );
    const forged = made.keyRecord.slice();
    forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
    assert.throws(
      () => recover(made.phrase, forged, 13),
      (error) => isKithError(error, 'not-authentic'),
    );
    const content = decodeKeyRecord(made.keyRecord);
    const empty = signKeyRecord(
      { ...content, envelopes: [] },
      made.device.deviceId,
      made.device.deviceSecretKey,
    );
    assert.throws(
      () => recover(made.phrase, encodeKeyRecord(empty), 13),
      (error) => isKithError(error, 'damaged'),
    );
  });

  void it('goes on with the genuine records when others are not', () => {
    const made = identity(24);
    const bad = [identity(25).keyRecord, made.keyRecord.slice(0, -1), new Uint8Array(0)];
    const recovered = recover(made.phrase, [...bad, made.keyRecord], 26);
    assert.equal(recovered.recordsRefused, 3);
    assert.deepEqual(recovered.device.epochs, made.device.epochs);
    assert.throws(
      () => recover(made.phrase, bad, 26),
      (error) => isKithError(error, 'not-authentic'),
    );
    const newer = made.keyRecord.slice();
    newer[8] = 3;
    assert.throws(
      () => recover(made.phrase, [made.keyRecord, newer], 26),
      (error) => isKithError(error, 'too-new'),
    );
  });

  void it('counts epochs that the phrase does not open and goes on with the others', () => {
    const made = identity(14);
    const content = decodeKeyRecord(made.keyRecord);
    const { keys } = withEpoch(made, 1, 15);
    const elsewhere = sealEpoch(made.device.vaultId, keys, [
      boxKeyPair(new Uint8Array(32).fill(9)).publicKey,
    ]);
    const grown = { ...content, envelopes: [...content.envelopes, elsewhere] };
    const record = encodeKeyRecord(signKeyRecord(grown, made.device.deviceId, made.device.deviceSecretKey));
    const recovered = recover(made.phrase, record, 16);
    assert.equal(recovered.epochsUnopened, 1);
    assert.equal(recovered.device.epochs.length, 1);
    assert.equal(decodeKeyRecord(recovered.keyRecord).envelopes.length, 2);
  });

  void it('from a typed phrase asks for the vault it names, and zeroes the root', async () => {
    const made = identity(17);
    const seen: Uint8Array[] = [];
    const options = {
      name: 'new laptop',
      random: randomOf(18),
      nowNs,
      phrase: made.phrase.toUpperCase(),
      witness: (secret: Secret): void => {
        seen.push(secret.bytes);
      },
    };
    const recovered = await recoverIdentity({
      ...options,
      keyRecordsFor: async (vaultId) => (equalBytes(vaultId, made.device.vaultId) ? [made.keyRecord] : []),
    });
    assert.deepEqual(recovered.device.epochs, made.device.epochs);
    assert.equal(seen.length, 3);
    await assert.rejects(recoverIdentity({ ...options, keyRecordsFor: async () => [] }), (error) =>
      isKithError(error, 'unknown-identity'),
    );
    assert.equal(seen.length, 4);
    assert.ok(seen.every((view) => view.every((byte) => byte === 0)));
  });
});

void describe('adopting a key record', () => {
  void it('takes new epochs and devices, and says when there is nothing new', () => {
    const made = identity(19);
    const recovered = recover(made.phrase, made.keyRecord, 20);
    const { keys, record } = withEpoch(made, 1, 21);
    const adopted = adoptKeyRecord(made.device, made.keyRecord, record);
    assert.deepEqual(currentEpoch(adopted.device), keys);
    const merged = adoptKeyRecord(adopted.device, adopted.keyRecord, recovered.keyRecord);
    const content = decodeKeyRecord(merged.keyRecord);
    verifyKeyRecord(content, made.device.vaultId);
    assert.equal(content.certificates.length, 2);
    assert.equal(content.envelopes.length, 2);
    for (const known of [made.keyRecord, record, recovered.keyRecord, merged.keyRecord]) {
      assert.deepEqual(adoptKeyRecord(merged.device, merged.keyRecord, known).keyRecord, merged.keyRecord);
    }
  });

  void it('refuses what is not genuine', () => {
    const made = identity(22);
    for (const theirs of [identity(23).keyRecord, made.keyRecord.slice(0, -1)]) {
      assert.throws(
        () => adoptKeyRecord(made.device, made.keyRecord, theirs),
        (error) => isKithError(error, 'not-authentic', 'malformed'),
      );
    }
  });
});
