import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { isKithError } from '../../lib/base/errors.ts';
import { signKeyPair } from '../../lib/crypto/sign.ts';
import {
  decodeCheckpoint,
  decodeForget,
  decodeHolderRecord,
  decodeIndexRecord,
  decodeLogOpened,
  decodeSetting,
  encodeCheckpoint,
  encodeForget,
  encodeHolderRecord,
  encodeIndexRecord,
  encodeLogOpened,
  encodeSetting,
} from '../../lib/format/catalog-records.ts';
import {
  decodeAddressRecord,
  decodeFriendRecord,
  encodeAddressRecord,
  encodeFriendRecord,
  signAddressRecord,
  verifyAddressRecord,
} from '../../lib/format/friend-records.ts';
import type { IndexRef } from '../../lib/format/index-blob.ts';
import {
  decodePackRecord,
  decodePlacementRecord,
  encodePackRecord,
  encodePlacementRecord,
} from '../../lib/format/ledger-records.ts';
import {
  allShards,
  decodeAcknowledge,
  decodeCondemn,
  decodeLost,
  decodeRelease,
  encodeAcknowledge,
  encodeCondemn,
  encodeLost,
  encodeRelease,
  signLost,
  verifyLost,
} from '../../lib/format/prune-records.ts';
import { canonical, fuzzDecoder } from '../support/fuzz.ts';
import { checkGolden } from '../support/golden.ts';

/** One kind's body: how it is written and read, any value of it, and the value of its golden vector. */
interface Body<T> {
  readonly name: string;
  readonly encode: (value: T) => Uint8Array;
  readonly decode: (bytes: Uint8Array) => T;
  readonly any: fc.Arbitrary<T>;
  readonly golden: T;
}

const plain = { noNullPrototype: true } as const;
const idOf = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);
const id = fc.uint8Array({ minLength: 32, maxLength: 32 });
const signature = fc.uint8Array({ minLength: 64, maxLength: 64 });
const atNs = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const count = fc.maxSafeNat();
const text = fc.string({ unit: 'grapheme', maxLength: 30 });
const oneOrTwo = fc.constantFrom(1 as const, 2 as const);
const extensions = fc.constantFrom([], [{ tag: 3, bytes: new Uint8Array([1, 2, 3]) }]);
const position = fc.record({ logKey: id, length: count, hash: id }, plain);
const placements = fc.array(fc.record({ shardIndex: fc.nat(63), holderId: id }, plain), { maxLength: 64 });
const packs = fc.array(
  fc.record({ packId: id, shardIndex: fc.oneof(fc.nat(63), fc.constant(allShards)) }, plain),
  { maxLength: 10 },
);
const indexRef: fc.Arbitrary<IndexRef> = fc.record(
  {
    blobId: id,
    packId: id,
    offset: fc.integer({ min: 48, max: 1_000_000 }),
    sealedLength: fc.integer({ min: 100, max: 100_000 }),
    ordinal: fc.nat(1000),
    offsetInFrame: fc.nat(10_000),
    length: fc.nat(10_000),
  },
  plain,
);

const goldenRef: IndexRef = {
  blobId: idOf(1),
  packId: idOf(2),
  offset: 48,
  sealedLength: 5000,
  ordinal: 3,
  offsetInFrame: 200,
  length: 300,
};
const goldenPosition = { logKey: idOf(3), length: 12345, hash: idOf(4) };
const goldenPlacements = [
  { shardIndex: 0, holderId: idOf(5) },
  { shardIndex: 63, holderId: idOf(6) },
];
const goldenPacks = [
  { packId: idOf(7), shardIndex: 4 },
  { packId: idOf(8), shardIndex: allShards },
];
const vaultId = idOf(9);
const device = signKeyPair(idOf(10));
const stranger = signKeyPair(idOf(11));
const goldenTime = 1_767_225_600_000_000_000n;

function check<T>(body: Body<T>): void {
  void describe(`record ${body.name}`, () => {
    void it('comes back as it was written', () => {
      fc.assert(
        fc.property(body.any, (value) => {
          assert.deepEqual(body.decode(body.encode(value)), value);
        }),
      );
    });

    void it('is written as its golden vector', () => {
      const make = (): Uint8Array => body.encode(body.golden);
      assert.deepEqual(
        checkGolden('log-records.json', body.name, make, body.decode, body.encode),
        body.golden,
      );
    });
  });
  fuzzDecoder(`record ${body.name}`, [body.encode(body.golden)], canonical(body.decode, body.encode));
}

check({
  name: 'logOpened',
  encode: encodeLogOpened,
  decode: decodeLogOpened,
  any: fc.record(
    { role: oneOrTwo, openedNs: atNs, predecessors: fc.array(position, { maxLength: 64 }), reason: text },
    plain,
  ),
  golden: { role: 2, openedNs: goldenTime, predecessors: [goldenPosition], reason: 'first log' },
});

check({
  name: 'forget',
  encode: encodeForget,
  decode: decodeForget,
  any: fc.record({ snapshotIds: fc.array(id), atNs }, plain),
  golden: { snapshotIds: [idOf(1), idOf(2)], atNs: goldenTime },
});

check({
  name: 'setting',
  encode: encodeSetting,
  decode: decodeSetting,
  any: fc.record({ key: text, value: text, atNs }, plain),
  golden: { key: 'spread', value: '3/5', atNs: goldenTime },
});

check({
  name: 'holder',
  encode: encodeHolderRecord,
  decode: decodeHolderRecord,
  any: fc.record(
    {
      holderId: id,
      kind: oneOrTwo,
      state: oneOrTwo,
      name: text,
      household: text,
      quotaBytes: count,
      whole: fc.boolean(),
      pathHint: fc.uint8Array(),
      atNs,
      extensions,
    },
    plain,
  ),
  golden: {
    holderId: idOf(5),
    kind: 1,
    state: 2,
    name: 'blue disk',
    household: 'home',
    quotaBytes: 50e9,
    whole: true,
    pathHint: new Uint8Array([0x2f, 0x6d, 0xff]),
    atNs: goldenTime,
    extensions: [{ tag: 9, bytes: new Uint8Array([1]) }],
  },
});

check({
  name: 'index',
  encode: encodeIndexRecord,
  decode: decodeIndexRecord,
  any: fc.record({ added: fc.array(indexRef), removed: fc.array(id), covered: fc.array(id) }, plain),
  golden: { added: [goldenRef], removed: [idOf(1)], covered: [idOf(6)] },
});

check({
  name: 'checkpoint',
  encode: encodeCheckpoint,
  decode: decodeCheckpoint,
  any: fc.record({ predecessor: position, state: fc.array(indexRef), atNs }, plain),
  golden: { predecessor: goldenPosition, state: [goldenRef], atNs: goldenTime },
});

const address = signAddressRecord(
  vaultId,
  { deviceId: device.publicKey, counter: 5, sealed: new Uint8Array([1, 2, 3]) },
  device.secretKey,
);

check({
  name: 'addressRecord',
  encode: encodeAddressRecord,
  decode: decodeAddressRecord,
  any: fc.record(
    { deviceId: id, counter: count, sealed: fc.uint8Array({ maxLength: 4096 }), signature },
    plain,
  ),
  golden: address,
});

check({
  name: 'friend',
  encode: encodeFriendRecord,
  decode: decodeFriendRecord,
  any: fc.record(
    {
      identity: id,
      state: oneOrTwo,
      name: text,
      household: text,
      quotaGivenBytes: count,
      grants: fc.array(text, { maxLength: 64 }),
      card: fc.uint8Array(),
      atNs,
      extensions,
    },
    plain,
  ),
  golden: {
    identity: idOf(1),
    state: 1,
    name: 'Anna',
    household: 'Anna’s',
    quotaGivenBytes: 1e11,
    grants: ['store', 'cards'],
    card: new Uint8Array([1, 2]),
    atNs: goldenTime,
    extensions: [],
  },
});

check({
  name: 'pack',
  encode: encodePackRecord,
  decode: decodePackRecord,
  any: fc.record({ manifest: fc.uint8Array(), placements }, plain),
  golden: { manifest: new Uint8Array([1, 2, 3]), placements: goldenPlacements },
});

check({
  name: 'placement',
  encode: encodePlacementRecord,
  decode: decodePlacementRecord,
  any: fc.record({ packId: id, placements, atNs }, plain),
  golden: { packId: idOf(2), placements: goldenPlacements, atNs: goldenTime },
});

check({
  name: 'condemn',
  encode: encodeCondemn,
  decode: decodeCondemn,
  any: fc.record(
    {
      seq: count,
      packIds: fc.array(id),
      logsRead: fc.array(fc.record({ logKey: id, length: count }, plain)),
      atNs,
    },
    plain,
  ),
  golden: { seq: 7, packIds: [idOf(2)], logsRead: [{ logKey: idOf(3), length: 99 }], atNs: goldenTime },
});

check({
  name: 'acknowledge',
  encode: encodeAcknowledge,
  decode: decodeAcknowledge,
  any: fc.record({ logKey: id, index: count, deviceId: id, atNs }, plain),
  golden: { logKey: idOf(3), index: 41, deviceId: idOf(4), atNs: goldenTime },
});

check({
  name: 'release',
  encode: encodeRelease,
  decode: decodeRelease,
  any: fc.record({ releaseSeq: count, holderId: id, packs, atNs }, plain),
  golden: { releaseSeq: 8, holderId: idOf(5), packs: goldenPacks, atNs: goldenTime },
});

const lost = signLost(
  vaultId,
  { holderId: idOf(5), packs: goldenPacks, why: 'the disk died', atNs: goldenTime },
  device.secretKey,
);

check({
  name: 'lost',
  encode: encodeLost,
  decode: decodeLost,
  any: fc.record({ holderId: id, packs, why: text, atNs, signature }, plain),
  golden: lost,
});

void describe('records that carry a signature of their own', () => {
  const refused = (error: unknown): boolean => isKithError(error, 'not-authentic');

  void it('an address record holds for its device and vault', () => {
    verifyAddressRecord(vaultId, decodeAddressRecord(encodeAddressRecord(address)));
    assert.throws(() => verifyAddressRecord(idOf(8), address), refused);
    assert.throws(() => verifyAddressRecord(vaultId, { ...address, counter: 6 }), refused);
    assert.throws(() => verifyAddressRecord(vaultId, { ...address, deviceId: stranger.publicKey }), refused);
  });

  void it('a report of a loss holds for its device and vault', () => {
    verifyLost(vaultId, decodeLost(encodeLost(lost)), device.publicKey);
    assert.throws(() => verifyLost(vaultId, lost, stranger.publicKey), refused);
    assert.throws(() => verifyLost(idOf(8), lost, device.publicKey), refused);
    assert.throws(() => verifyLost(vaultId, { ...lost, packs: [] }, device.publicKey), refused);
  });
});

void describe('records that people could overfill', () => {
  const tooMuch = (error: unknown): boolean => isKithError(error, 'limit-exceeded');

  void it('are refused with what was too much', () => {
    assert.throws(() => encodeSetting({ key: 'k', value: 'x'.repeat(4097), atNs: 0n }), tooMuch);
    assert.throws(() => encodeSetting({ key: 'x'.repeat(256), value: '', atNs: 0n }), tooMuch);
    const snapshotIds = Array.from({ length: 4097 }, () => idOf(1));
    assert.throws(() => encodeForget({ snapshotIds, atNs: 0n }), tooMuch);
    const placements = Array.from({ length: 65 }, () => ({ shardIndex: 1, holderId: idOf(1) }));
    assert.throws(() => encodePlacementRecord({ packId: idOf(1), placements, atNs: 0n }), tooMuch);
  });

  void it('and shards that cannot be, by the writer and the reader', () => {
    const placement = { packId: idOf(1), placements: [{ shardIndex: 63, holderId: idOf(2) }], atNs: 0n };
    const bytes = encodePlacementRecord(placement);
    assert.equal(bytes[33], 63);
    bytes[33] = 64;
    assert.throws(
      () => decodePlacementRecord(bytes),
      (error) => isKithError(error, 'malformed'),
    );
    const beyond = [{ shardIndex: 64, holderId: idOf(2) }];
    assert.throws(() => encodePlacementRecord({ ...placement, placements: beyond }), RangeError);
    const packs = [{ packId: idOf(1), shardIndex: 64 }];
    assert.throws(() => encodeRelease({ releaseSeq: 1, holderId: idOf(1), packs, atNs: 0n }), RangeError);
  });
});
