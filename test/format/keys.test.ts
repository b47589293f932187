import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { toHex } from '../../lib/base/bytes.ts';
import { ByteReader, ByteWriter } from '../../lib/base/codec.ts';
import { isKithError } from '../../lib/base/errors.ts';
import type { RandomSource } from '../../lib/crypto/random.ts';
import { boxKeyPair, signKeyPair } from '../../lib/crypto/sign.ts';
import {
  decodeCertificate,
  encodeCertificate,
  signCertificate,
  verifyCertificate,
} from '../../lib/format/certificate.ts';
import type { Certificate } from '../../lib/format/certificate.ts';
import { decodeEpochKeys, encodeEpochKeys, epochIdOf } from '../../lib/format/epoch-keys.ts';
import type { EpochKeys } from '../../lib/format/epoch-keys.ts';
import { extensionOf, readExtensions, writeExtensions } from '../../lib/format/extensions.ts';
import type { Extension } from '../../lib/format/extensions.ts';
import {
  decodeKeyRecord,
  encodeKeyRecord,
  keyRecordCovers,
  mergeKeyRecords,
  openEnvelope,
  sealEpoch,
  signKeyRecord,
  verifyKeyRecord,
  withOrigin,
} from '../../lib/format/key-record.ts';
import type { Envelope, KeyRecordContent } from '../../lib/format/key-record.ts';
import {
  decodeKeyStore,
  decodeKeyStoreContent,
  encodeKeyStore,
  encodeKeyStoreContent,
} from '../../lib/format/key-store.ts';
import {
  decodeRevocation,
  encodeRevocation,
  signRevocation,
  verifyRevocation,
} from '../../lib/format/revocation.ts';
import { createIdentity, doorstepKeys } from '../../lib/trust/identity.ts';
import { openKeyStore, sealKeyStore } from '../../lib/trust/key-store.ts';
import { canonical, fuzzDecoder } from '../support/fuzz.ts';
import { checkGolden, goldenBytes } from '../support/golden.ts';
import { Seeded } from '../support/seeded.ts';

function randomOf(seed: number): RandomSource {
  const seeded = new Seeded(seed);
  return (count) => seeded.bytes(count);
}

const notAuthentic = (error: unknown): boolean => isKithError(error, 'not-authentic');
const malformed = (error: unknown): boolean => isKithError(error, 'malformed');
const tooNew = (error: unknown): boolean => isKithError(error, 'too-new');

const identity = signKeyPair(new Uint8Array(32).fill(1));
const vaultId = identity.publicKey;
const device = signKeyPair(new Uint8Array(32).fill(2));
const stranger = signKeyPair(new Uint8Array(32).fill(3));

const id = fc.uint8Array({ minLength: 32, maxLength: 32 });
const i64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const skippable: fc.Arbitrary<Extension[]> = fc
  .uniqueArray(fc.integer({ min: 0, max: 127 }), { maxLength: 4 })
  .chain((tags) =>
    fc.tuple(
      ...tags
        .sort((a, b) => a - b)
        .map((tag) =>
          fc.record({ tag: fc.constant(tag), bytes: fc.uint8Array() }, { noNullPrototype: true }),
        ),
    ),
  );
const name = fc.string({ unit: 'grapheme', maxLength: 20 });

const facts = fc.record(
  {
    vaultId: fc.constant(vaultId),
    deviceId: id,
    boxKey: id,
    recoveryKey: id,
    doorstepKey: id,
    createdNs: i64,
    name,
    extensions: skippable,
  },
  { noNullPrototype: true },
);

function certificateOf(seed: number): Certificate {
  const random = randomOf(seed);
  const parts = {
    vaultId,
    deviceId: seed === 2 ? device.publicKey : random(32),
    boxKey: boxKeyPair(random(32)).publicKey,
    recoveryKey: boxKeyPair(random(32)).publicKey,
    doorstepKey: random(32),
    createdNs: BigInt(seed),
    name: `device ${seed}`,
    extensions: seed % 2 === 0 ? [] : [{ tag: 7, bytes: random(5) }],
  };
  return signCertificate(parts, identity.secretKey);
}

function epochOf(seed: number, keyEpoch = seed): EpochKeys {
  const random = randomOf(seed);
  return {
    keyEpoch,
    createdNs: BigInt(seed) * 1000n,
    sealing: random(32),
    catalog: random(32),
    custody: random(32),
    contactSeed: random(32),
  };
}

/** Boxes with made-up bytes: good for shapes, where opening doesn't matter, and the same on every run. */
function dummyEnvelope(seed: number, boxCount = 2): Envelope {
  const random = randomOf(seed);
  const boxes = Array.from({ length: boxCount }, () => ({ recipient: random(32), sealed: random(60) }));
  return { keyEpoch: seed % 3, epochId: random(32), boxes };
}

function contentOf(seed: number): KeyRecordContent {
  return {
    vaultId,
    revision: seed,
    certificates: [certificateOf(2), certificateOf(seed)],
    envelopes: [dummyEnvelope(seed), dummyEnvelope(seed + 1)],
  };
}

/** With a revocation and an epoch that says who began it. */
function revokingContent(seed: number): KeyRecordContent {
  const [first, ...others] = contentOf(seed).envelopes;
  assert.ok(first !== undefined);
  const begun = withOrigin(vaultId, first, device.publicKey, device.secretKey);
  return { ...contentOf(seed), revocations: [revocation], envelopes: [begun, ...others] };
}

function revokingRecord(seed: number): Uint8Array {
  return encodeKeyRecord(signKeyRecord(revokingContent(seed), device.publicKey, device.secretKey));
}

function signedRecord(seed: number): Uint8Array {
  return encodeKeyRecord(signKeyRecord(contentOf(seed), device.publicKey, device.secretKey));
}

const revocation = signRevocation(
  {
    vaultId,
    deviceId: device.publicKey,
    createdNs: 77n,
    logs: [{ logKey: new Uint8Array(32).fill(4), trustedLength: 1234 }],
    extensions: [{ tag: 3, bytes: new Uint8Array([1, 2]) }],
  },
  identity.secretKey,
);

function extensionBytes(fields: readonly Extension[]): Uint8Array {
  const writer = new ByteWriter();
  writeExtensions(writer, fields);
  return writer.finish();
}

function decodeExtensions(bytes: Uint8Array, known: ReadonlySet<number> = new Set()): Extension[] {
  const reader = new ByteReader(bytes, 'extensions');
  const fields = readExtensions(reader, known);
  reader.end();
  return fields;
}

void describe('extensions', () => {
  void it('come back, known or not', () => {
    fc.assert(
      fc.property(skippable, (fields) => {
        const back = decodeExtensions(extensionBytes(fields));
        assert.deepEqual(back, fields);
        for (const { tag, bytes } of fields) assert.deepEqual(extensionOf(back, tag), bytes);
        assert.equal(extensionOf(back, 200), undefined);
      }),
    );
  });

  void it('stop a reader that does not know a tag from 128 on', () => {
    const bytes = extensionBytes([
      { tag: 127, bytes: new Uint8Array(1) },
      { tag: 128, bytes: new Uint8Array(0) },
    ]);
    assert.throws(() => decodeExtensions(bytes), tooNew);
    assert.equal(decodeExtensions(bytes, new Set([128])).length, 2);
  });

  void it('ascend, each once, within their limits', () => {
    const field = (tag: number): Extension => ({ tag, bytes: new Uint8Array(0) });
    assert.throws(() => extensionBytes([field(2), field(1)]), RangeError);
    assert.throws(() => extensionBytes([field(1), field(1)]), RangeError);
    assert.throws(() => extensionBytes(Array.from({ length: 65 }, (_, i) => field(i))), RangeError);
    assert.throws(() => extensionBytes([{ tag: 1, bytes: new Uint8Array(2 ** 20 + 1) }]), RangeError);
    assert.throws(() => decodeExtensions(new Uint8Array([2, 2, 0, 1, 0])), malformed);
    assert.throws(() => decodeExtensions(new Uint8Array([2, 1, 0, 1, 0])), malformed);
    assert.throws(() => decodeExtensions(new Uint8Array([65, ...new Uint8Array(130)])), malformed);
  });
});

void describe('certificate', () => {
  void it('comes back as it was signed', () => {
    fc.assert(
      fc.property(facts, (parts) => {
        const certificate = signCertificate(parts, identity.secretKey);
        const back = decodeCertificate(encodeCertificate(certificate));
        assert.deepEqual(back, certificate);
        verifyCertificate(back, vaultId);
      }),
    );
  });

  void it('is refused when any bit differs, or for another identity', () => {
    const bytes = encodeCertificate(certificateOf(3));
    for (let at = 0; at < bytes.length; at++) {
      const altered = bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));
      assert.throws(
        () => verifyCertificate(decodeCertificate(altered), vaultId),
        (error) => isKithError(error, 'not-authentic', 'malformed', 'too-new'),
      );
    }
    assert.throws(() => verifyCertificate(certificateOf(3), stranger.publicKey), notAuthentic);
    const forged = signCertificate(certificateOf(3), stranger.secretKey);
    assert.throws(() => verifyCertificate(forged), notAuthentic);
  });

  void it('has room for 255 bytes of name and not for more', () => {
    const parts = { ...certificateOf(2), name: 'é'.repeat(127) };
    assert.equal(
      decodeCertificate(encodeCertificate(signCertificate(parts, identity.secretKey))).name,
      parts.name,
    );
    assert.throws(
      () => signCertificate({ ...parts, name: 'é'.repeat(128) }, identity.secretKey),
      (error) => isKithError(error, 'limit-exceeded'),
    );
  });
});

void describe('epoch keys', () => {
  void it('come back, for their own vault only', () => {
    const keys = epochOf(5);
    assert.deepEqual(decodeEpochKeys(encodeEpochKeys(vaultId, keys), vaultId), keys);
    assert.throws(() => decodeEpochKeys(encodeEpochKeys(vaultId, keys), stranger.publicKey), notAuthentic);
  });

  void it('open for every recipient, and for nobody else', () => {
    const pairs = [1, 2, 3].map((n) => boxKeyPair(new Uint8Array(32).fill(n)));
    const [first, second, outsider] = pairs;
    assert.ok(first !== undefined && second !== undefined && outsider !== undefined);
    const keys = epochOf(5);
    const envelope = sealEpoch(vaultId, keys, [first.publicKey, second.publicKey]);
    assert.deepEqual(openEnvelope(vaultId, envelope, first), keys);
    assert.deepEqual(openEnvelope(vaultId, envelope, second), keys);
    assert.equal(openEnvelope(vaultId, envelope, outsider), undefined);
    assert.equal(openEnvelope(stranger.publicKey, envelope, first), undefined);
  });

  void it('are not taken where the box holds another epoch than the envelope says', () => {
    const pair = boxKeyPair(new Uint8Array(32).fill(1));
    const envelope = sealEpoch(vaultId, epochOf(5), [pair.publicKey]);
    const other = sealEpoch(vaultId, epochOf(6), [pair.publicKey]);
    assert.equal(openEnvelope(vaultId, { ...envelope, boxes: other.boxes }, pair), undefined);
    assert.equal(openEnvelope(vaultId, { ...envelope, keyEpoch: 6 }, pair), undefined);
  });

  void it('open though a damaged box stands before the sound one', () => {
    const pair = boxKeyPair(new Uint8Array(32).fill(1));
    const envelope = sealEpoch(vaultId, epochOf(5), [pair.publicKey]);
    const bad = { recipient: pair.publicKey, sealed: new Uint8Array(3) };
    assert.deepEqual(
      openEnvelope(vaultId, { ...envelope, boxes: [bad, ...envelope.boxes] }, pair),
      epochOf(5),
    );
  });
});

void describe('key record', () => {
  void it('comes back as it was signed', () => {
    const record = signKeyRecord(contentOf(9), device.publicKey, device.secretKey);
    const back = decodeKeyRecord(encodeKeyRecord(record));
    assert.deepEqual(back, record);
    verifyKeyRecord(back, vaultId);
    assert.equal(toHex(encodeKeyRecord(back)), toHex(encodeKeyRecord(record)));
  });

  void it('is refused when any bit differs, for another vault, or from a device without certificate', () => {
    const bytes = signedRecord(9);
    for (let at = 0; at < bytes.length; at++) {
      const altered = bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));
      assert.throws(
        () => verifyKeyRecord(decodeKeyRecord(altered), vaultId),
        (error) => isKithError(error, 'not-authentic', 'malformed', 'too-new'),
      );
    }
    assert.throws(() => verifyKeyRecord(decodeKeyRecord(bytes), stranger.publicKey), notAuthentic);
    const outsider = signKeyRecord(contentOf(9), stranger.publicKey, stranger.secretKey);
    assert.throws(() => verifyKeyRecord(outsider, vaultId), notAuthentic);
    const posing = signKeyRecord(contentOf(9), device.publicKey, stranger.secretKey);
    assert.throws(() => verifyKeyRecord(posing, vaultId), notAuthentic);
  });

  void it('with a certificate that another identity signed is refused', () => {
    const forged = signCertificate({ ...certificateOf(9), deviceId: stranger.publicKey }, stranger.secretKey);
    const content = { ...contentOf(9), certificates: [certificateOf(2), forged] };
    for (const [signer, secretKey] of [
      [device.publicKey, device.secretKey],
      [stranger.publicKey, stranger.secretKey],
    ] as const) {
      assert.throws(() => verifyKeyRecord(signKeyRecord(content, signer, secretKey), vaultId), notAuthentic);
    }
  });

  void it('merges to the union, whatever the order', () => {
    const seeds = fc.uniqueArray(fc.integer({ min: 3, max: 40 }), { minLength: 3, maxLength: 3 });
    const bytesOf = (content: KeyRecordContent): string =>
      toHex(encodeKeyRecord(signKeyRecord(content, device.publicKey, device.secretKey)));
    fc.assert(
      fc.property(seeds, (picked) => {
        const [a, b, c] = picked.map(contentOf);
        assert.ok(a !== undefined && b !== undefined && c !== undefined);
        const all = mergeKeyRecords(mergeKeyRecords(a, b), c);
        assert.equal(bytesOf(mergeKeyRecords(c, mergeKeyRecords(b, a))), bytesOf(all));
        assert.equal(bytesOf(mergeKeyRecords(all, b)), bytesOf(all));
        assert.equal(all.revision, Math.max(...picked));
        for (const part of [a, b, c]) assert.ok(keyRecordCovers(all, part));
        assert.ok(!keyRecordCovers(a, all));
      }),
      { numRuns: 25 },
    );
    assert.throws(
      () => mergeKeyRecords(contentOf(3), { ...contentOf(3), vaultId: stranger.publicKey }),
      notAuthentic,
    );
  });

  void it('keeps one envelope for one epoch, with the boxes of both sides', () => {
    const [first, second] = [1, 2].map((n) => boxKeyPair(new Uint8Array(32).fill(n)));
    assert.ok(first !== undefined && second !== undefined);
    const base = { vaultId, revision: 1, certificates: [certificateOf(2)] };
    const a = { ...base, envelopes: [sealEpoch(vaultId, epochOf(5, 1), [first.publicKey])] };
    const b = { ...base, envelopes: [sealEpoch(vaultId, epochOf(5, 1), [second.publicKey])] };
    const twin = { ...base, envelopes: [sealEpoch(vaultId, epochOf(6, 1), [first.publicKey])] };
    const merged = mergeKeyRecords(mergeKeyRecords(a, b), twin);
    assert.equal(merged.envelopes.length, 2);
    const opened = merged.envelopes.map((envelope) => openEnvelope(vaultId, envelope, first));
    assert.deepEqual(new Set(opened.map((keys) => keys?.createdNs)), new Set([5000n, 6000n]));
    const own = merged.envelopes.find((envelope) => envelope.boxes.length === 2);
    assert.ok(own !== undefined);
    assert.deepEqual(own.epochId, epochIdOf(vaultId, epochOf(5, 1)));
    assert.deepEqual(openEnvelope(vaultId, own, second), epochOf(5, 1));
  });

  void it('with revocations and origins comes back, merges, and is refused when any bit differs', () => {
    const bytes = revokingRecord(9);
    const back = decodeKeyRecord(bytes);
    verifyKeyRecord(back, vaultId);
    assert.deepEqual(back.revocations, [revocation]);
    assert.equal(toHex(encodeKeyRecord(back)), toHex(bytes));
    for (let at = 0; at < bytes.length; at++) {
      const altered = bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));
      assert.throws(
        () => verifyKeyRecord(decodeKeyRecord(altered), vaultId),
        (error) => isKithError(error, 'not-authentic', 'malformed', 'too-new'),
      );
    }
    const plain = contentOf(9);
    const merged = mergeKeyRecords(plain, revokingContent(9));
    assert.deepEqual(merged, mergeKeyRecords(revokingContent(9), plain));
    assert.ok(keyRecordCovers(merged, plain) && !keyRecordCovers(plain, merged));
    assert.equal(merged.envelopes.filter(({ origins }) => origins !== undefined).length, 1);
  });

  void it('with a revocation or an origin that is nobody’s word is refused', () => {
    const forged = signRevocation(revocation, stranger.secretKey);
    const [first, ...others] = contentOf(9).envelopes;
    assert.ok(first !== undefined);
    for (const content of [
      { ...contentOf(9), revocations: [forged] },
      {
        ...contentOf(9),
        envelopes: [withOrigin(vaultId, first, stranger.publicKey, stranger.secretKey), ...others],
      },
      {
        ...contentOf(9),
        envelopes: [withOrigin(vaultId, first, device.publicKey, stranger.secretKey), ...others],
      },
    ]) {
      const record = signKeyRecord(content, device.publicKey, device.secretKey);
      assert.throws(() => verifyKeyRecord(record, vaultId), notAuthentic);
    }
  });

  void it('of the second version without anything that needs it is refused', () => {
    const bytes = signedRecord(9);
    bytes[8] = 2;
    assert.throws(() => decodeKeyRecord(bytes), malformed);
  });

  void it('that is not in its one order is refused', () => {
    const record = signKeyRecord(contentOf(9), device.publicKey, device.secretKey);
    for (const altered of [
      { ...record, certificates: [...record.certificates].toReversed() },
      { ...record, certificates: [...record.certificates, ...record.certificates.slice(-1)] },
      { ...record, envelopes: [...record.envelopes].toReversed() },
      {
        ...record,
        envelopes: record.envelopes.map((envelope) => ({
          ...envelope,
          boxes: [...envelope.boxes].toReversed(),
        })),
      },
    ]) {
      assert.throws(() => decodeKeyRecord(encodeKeyRecord(altered)), malformed);
    }
  });

  void it('that outgrew a log record is refused when it is written', () => {
    const envelopes = Array.from({ length: 1000 }, (_, i) => dummyEnvelope(i, 12));
    const record = signKeyRecord({ ...contentOf(9), envelopes }, device.publicKey, device.secretKey);
    assert.throws(
      () => encodeKeyRecord(record),
      (error) => isKithError(error, 'limit-exceeded'),
    );
  });
});

void describe('revocation', () => {
  void it('comes back and is verified', () => {
    const back = decodeRevocation(encodeRevocation(revocation));
    assert.deepEqual(back, revocation);
    verifyRevocation(back, vaultId);
    assert.throws(() => verifyRevocation(back, stranger.publicKey), notAuthentic);
    assert.throws(() => verifyRevocation({ ...back, createdNs: 78n }, vaultId), notAuthentic);
  });
});

void describe('golden vectors of keys', () => {
  const file = 'keys.json';
  const golden = (): ReturnType<typeof createIdentity> =>
    createIdentity({ name: 'golden', random: randomOf(2026), nowNs: () => 1_767_225_600_000_000_000n });

  void it('certificate', () => {
    const found = checkGolden(
      file,
      'certificate',
      () => golden().device.certificate,
      decodeCertificate,
      encodeCertificate,
    );
    verifyCertificate(found);
    assert.equal(found.name, 'golden');
  });

  void it('key record', () => {
    // Boxes are sealed with a key pair of the moment, so that only shape, signature and content can be compared.
    const options = { deterministic: false };
    const found = checkGolden(
      file,
      'keyRecord',
      () => golden().keyRecord,
      decodeKeyRecord,
      encodeKeyRecord,
      options,
    );
    const { device: made } = golden();
    verifyKeyRecord(found, made.vaultId);
    const [envelope] = found.envelopes;
    assert.ok(envelope !== undefined);
    assert.deepEqual(openEnvelope(made.vaultId, envelope, made.boxKeys), made.epochs[0]);
  });

  void it('key record with a revocation', () => {
    const found = checkGolden(
      file,
      'keyRecordRevoking',
      () => revokingRecord(5),
      decodeKeyRecord,
      encodeKeyRecord,
    );
    verifyKeyRecord(found, vaultId);
    assert.equal(found.revocations?.length, 1);
  });

  void it('epoch keys and their public name', () => {
    const keys = checkGolden(
      file,
      'epochKeys',
      () => encodeEpochKeys(vaultId, epochOf(1)),
      (bytes) => decodeEpochKeys(bytes, vaultId),
      (value) => encodeEpochKeys(vaultId, value),
    );
    assert.deepEqual(
      goldenBytes(file, 'epochId', () => epochIdOf(vaultId, epochOf(1))),
      epochIdOf(vaultId, keys),
    );
  });

  void it('key store, plain and with a passphrase', async () => {
    // The first two are of before devices kept the doorstep's seed.
    const before = { ...golden().device, extensions: [] };
    for (const [vector, device, passphrase] of [
      ['keyStorePlain', before, undefined],
      ['keyStorePassphrase', before, 'correct horse battery staple'],
      ['keyStoreDoorstep', golden().device, undefined],
    ] as const) {
      const costs = { operations: 1, memoryBytes: 8192 };
      const today = await sealKeyStore(device, passphrase, randomOf(7), costs);
      const bytes = goldenBytes(file, vector, () => today);
      assert.deepEqual(await openKeyStore(bytes, passphrase), device);
      assert.equal(toHex(today), toHex(bytes));
    }
  });

  void it('the doorstep pair of a device is the one that its certificate names', () => {
    const { device } = golden();
    assert.deepEqual(doorstepKeys(device)?.publicKey, decodeCertificate(device.certificate).doorstepKey);
    assert.equal(doorstepKeys({ extensions: [] }), undefined);
    assert.equal(doorstepKeys({ extensions: [{ tag: 1, bytes: new Uint8Array(31) }] }), undefined);
  });

  void it('revocation', () => {
    verifyRevocation(
      checkGolden(file, 'revocation', () => encodeRevocation(revocation), decodeRevocation, encodeRevocation),
      vaultId,
    );
  });
});

const storeContent = {
  vaultId,
  deviceSeed: new Uint8Array(32).fill(2),
  boxSeed: new Uint8Array(32).fill(3),
  blobIdKey: new Uint8Array(32).fill(4),
  cutKey: new Uint8Array(32).fill(5),
  certificate: encodeCertificate(certificateOf(2)),
  epochs: [epochOf(0), epochOf(1)],
  extensions: [{ tag: 9, bytes: new Uint8Array([1]) }],
};

const storeHead = { kdf: 1, operations: 3, memoryBytes: 2 ** 28, salt: new Uint8Array(16).fill(6) } as const;

void it('the key store content comes back with fields it does not know', () => {
  assert.deepEqual(decodeKeyStoreContent(encodeKeyStoreContent(storeContent)), storeContent);
});

fuzzDecoder(
  'extensions',
  [
    extensionBytes([
      { tag: 1, bytes: new Uint8Array(3) },
      { tag: 9, bytes: new Uint8Array(200) },
    ]),
  ],
  canonical(decodeExtensions, extensionBytes),
);
fuzzDecoder(
  'certificate',
  [2, 3].map((seed) => encodeCertificate(certificateOf(seed))),
  canonical(decodeCertificate, encodeCertificate),
);
fuzzDecoder(
  'epoch keys',
  [encodeEpochKeys(vaultId, epochOf(1))],
  canonical(
    (bytes) => decodeEpochKeys(bytes, vaultId),
    (keys) => encodeEpochKeys(vaultId, keys),
  ),
);
fuzzDecoder('key record', [signedRecord(3), revokingRecord(3)], canonical(decodeKeyRecord, encodeKeyRecord));
fuzzDecoder('revocation', [encodeRevocation(revocation)], canonical(decodeRevocation, encodeRevocation));
fuzzDecoder(
  'key store',
  [encodeKeyStore(storeHead, new Uint8Array(100).fill(7))],
  canonical(decodeKeyStore, ({ head, sealed }) => encodeKeyStore(head, sealed)),
);
fuzzDecoder(
  'key store content',
  [encodeKeyStoreContent(storeContent)],
  canonical(decodeKeyStoreContent, encodeKeyStoreContent),
);
