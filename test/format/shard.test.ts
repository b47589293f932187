import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { equalBytes, toHex, utf8 } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { classBytes, leafBytes } from '../../lib/base/limits.ts';
import { signKeyPair } from '../../lib/crypto/sign.ts';
import { decodeManifest, encodeManifest, packIdOf, verifyManifest } from '../../lib/format/manifest.ts';
import type { Manifest } from '../../lib/format/manifest.ts';
import {
  checkShardFile,
  checkShardPayload,
  decodeShardHead,
  encodeShardHead,
  parseShardFileName,
  shardFileBytes,
  shardFileLayout,
  shardFileName,
  shardHeadBytes,
} from '../../lib/format/shard-file.ts';
import { fuzzDecoder } from '../support/fuzz.ts';
import { checkGolden } from '../support/golden.ts';
import {
  deviceKeys,
  idOf,
  idsOf,
  sampleLeaves,
  sampleManifest,
  samplePayload,
  sampleShardHead,
} from './samples.ts';

const signed = encodeManifest(sampleManifest, deviceKeys.secretKey);

function isMalformed(error: unknown): boolean {
  return isKithError(error, 'malformed');
}

function isForged(error: unknown): boolean {
  return isKithError(error, 'not-authentic');
}

function isOurs(deviceId: Uint8Array, vaultId: Uint8Array): boolean {
  return equalBytes(deviceId, deviceKeys.publicKey) && equalBytes(vaultId, idOf('vault'));
}

void describe('manifest', () => {
  void it('round-trips for every spread', () => {
    const spread = fc.tuple(fc.integer({ min: 1, max: 32 }), fc.nat(32), fc.nat(32), fc.nat(3));
    fc.assert(
      fc.property(
        spread.filter(([k, m, spare]) => k + m + spare <= 64),
        ([k, m, spare, classNumber]) => {
          const roots = idsOf('r', k + m + spare);
          const packId = packIdOf(k, classNumber, roots);
          const unsigned = {
            ...sampleManifest,
            k,
            n: k + m,
            spare,
            class: classNumber,
            roots,
            packId,
            generation: 9,
          };
          const bytes = encodeManifest(unsigned, deviceKeys.secretKey);
          const { signature, ...rest } = verifyManifest(bytes, isOurs);
          assert.equal(signature.length, 64);
          assert.deepEqual(rest, unsigned);
        },
      ),
      { numRuns: 50 },
    );
  });

  void it('matches its golden vector', () => {
    checkGolden(
      'shard.json',
      'manifest',
      () => signed,
      decodeManifest,
      (manifest) => encodeManifest(manifest, deviceKeys.secretKey),
    );
  });

  void it('has a pack id that depends on k, class and the data roots, not on parity', () => {
    const roots = idsOf('r', 6);
    const id = toHex(packIdOf(3, 1, roots));
    assert.equal(id, toHex(packIdOf(3, 1, roots.slice(0, 3))));
    const others = [packIdOf(2, 1, roots), packIdOf(3, 2, roots), packIdOf(3, 1, roots.slice(1))];
    for (const other of others) assert.notEqual(toHex(other), id);
    assert.throws(() => packIdOf(7, 1, roots), RangeError);
  });

  void it('is refused where its pack id does not follow from its roots', () => {
    const forged: Omit<Manifest, 'signature'> = { ...sampleManifest, packId: idOf('another') };
    assert.throws(() => encodeManifest(forged, deviceKeys.secretKey), RangeError);
    const bytes = signed.slice();
    const rootsAt = 8 + 2 + 64 + 8 + 4;
    bytes[rootsAt] = (bytes[rootsAt] ?? 0) ^ 1;
    assert.throws(() => decodeManifest(bytes), /pack id/);
  });

  void it('is refused with numbers that cannot be', () => {
    const cases: Partial<Manifest>[] = [
      { k: 0 },
      { k: 33 },
      { n: 2 },
      { n: 63 },
      { class: 7 },
      { generation: 0 },
      { roots: [] },
    ];
    for (const change of cases) {
      assert.throws(() => encodeManifest({ ...sampleManifest, ...change }, deviceKeys.secretKey), RangeError);
    }
    for (const [at, value] of [
      [82, 0],
      [82, 33],
      [83, 2],
      [83, 63],
      [85, 4],
      [78, 0],
    ] as const) {
      const bytes = signed.slice();
      bytes[at] = value;
      assert.throws(() => decodeManifest(bytes), isMalformed, `byte ${at}`);
    }
  });

  void it('is trusted only with the signature of a device of its vault', () => {
    assert.deepEqual(verifyManifest(signed, isOurs), decodeManifest(signed));
    assert.throws(() => verifyManifest(signed, () => false), isForged);
    const stranger = signKeyPair(idOf('stranger'));
    const theirs = encodeManifest({ ...sampleManifest, signer: stranger.publicKey }, stranger.secretKey);
    assert.throws(() => verifyManifest(theirs, isOurs), isForged);
    assert.throws(() => encodeManifest(sampleManifest, stranger.secretKey), RangeError);
    const spareRootAt = 86 + 6 * 32;
    for (const at of [spareRootAt, 74, signed.length - 1]) {
      const bytes = signed.slice();
      bytes[at] = (bytes[at] ?? 0) ^ 0x80;
      assert.throws(() => verifyManifest(bytes, isOurs), isForged, `byte ${at}`);
    }
  });
});

void describe('shard file', () => {
  void it('has a head of 128 bytes that round-trips', () => {
    const bytes = encodeShardHead(sampleShardHead);
    assert.equal(bytes.length, shardHeadBytes);
    assert.deepEqual(decodeShardHead(bytes), sampleShardHead);
    const make = (): Uint8Array => encodeShardHead(sampleShardHead);
    checkGolden('shard.json', 'head', make, decodeShardHead, encodeShardHead);
  });

  void it('shows every flipped bit of its head', () => {
    const bytes = encodeShardHead(sampleShardHead);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const altered = bytes.slice();
      altered[bit >> 3] = (altered[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.throws(
        () => decodeShardHead(altered),
        (error) => isKithError(error, 'malformed', 'too-new'),
      );
    }
  });

  void it('refuses numbers that cannot be', () => {
    for (const change of [{ k: 0 }, { k: 33 }, { index: 64 }, { class: 7 }, { manifestBytes: 65537 }]) {
      assert.throws(() => encodeShardHead({ ...sampleShardHead, ...change }), RangeError);
    }
  });

  void it('is as long as its parts', () => {
    classBytes.forEach((payloadBytes, classNumber) => {
      const head = { class: classNumber, manifestBytes: 321 };
      const leavesAt = 128 + payloadBytes;
      const manifestAt = leavesAt + (payloadBytes / leafBytes) * 32;
      assert.deepEqual(shardFileLayout(head), {
        payloadAt: 128,
        leavesAt,
        manifestAt,
        total: manifestAt + 321,
      });
      assert.equal(shardFileBytes(head), manifestAt + 321);
    });
    assert.throws(() => shardFileLayout({ class: 7, manifestBytes: 1 }), RangeError);
  });

  void it('has a name that says pack and index', () => {
    const packId = idOf('pack');
    assert.equal(shardFileName(packId, 11), `${toHex(packId)}-0b.shard`);
    for (let index = 0; index < 64; index++) {
      assert.deepEqual(parseShardFileName(shardFileName(packId, index)), { packId, index });
    }
    const hex = toHex(packId);
    const strange = [
      '',
      `${hex}-40.shard`,
      `${hex}-ff.shard`,
      `${hex}-1.shard`,
      `${hex}-0B.shard`,
      `${hex}-01.shard.tmp`,
    ];
    strange.push(
      `${hex.toUpperCase()}-01.shard`,
      `${hex.slice(2)}-01.shard`,
      `x${hex}-01.shard`,
      `${hex}-01.shard\n`,
    );
    for (const name of strange) assert.equal(parseShardFileName(name), undefined, name);
  });

  void it('holds together, or says why not', () => {
    const manifest = decodeManifest(signed);
    const head = sampleShardHead;
    assert.equal(checkShardFile(head, sampleLeaves, manifest), undefined);
    const wrong: [typeof head, Uint8Array, RegExp][] = [
      [{ ...head, vaultId: idOf('x') }, sampleLeaves, /another vault/],
      [{ ...head, packId: idOf('x') }, sampleLeaves, /another pack/],
      [{ ...head, keyEpoch: 1 }, sampleLeaves, /key epoch/],
      [{ ...head, k: 2 }, sampleLeaves, /another k/],
      [{ ...head, class: 1 }, sampleLeaves, /class/],
      [{ ...head, index: 2 }, sampleLeaves, /signed root/],
      [{ ...head, index: 7 }, sampleLeaves, /not in the manifest/],
      [head, idOf('leaf'), /signed root/],
      [head, sampleLeaves.subarray(1), /number of leaf hashes/],
      [head, new Uint8Array(64), /number of leaf hashes/],
      [head, new Uint8Array(0), /number of leaf hashes/],
    ];
    for (const [badHead, leaves, why] of wrong)
      assert.match(checkShardFile(badHead, leaves, manifest) ?? 'fine', why);
  });

  void it('shows damage in its payload', () => {
    assert.ok(checkShardPayload(samplePayload, 0, sampleLeaves));
    const damaged = samplePayload.slice();
    damaged[leafBytes - 1] = (damaged[leafBytes - 1] ?? 0) ^ 1;
    assert.ok(!checkShardPayload(damaged, 0, sampleLeaves));
    assert.ok(!checkShardPayload(samplePayload, 1, sampleLeaves));
    assert.ok(!checkShardPayload(samplePayload.subarray(1), 0, sampleLeaves));
    assert.ok(!checkShardPayload(utf8(''), 0, sampleLeaves));
  });
});

fuzzDecoder('manifest', [signed], decodeManifest);
fuzzDecoder('shard head', [encodeShardHead(sampleShardHead)], decodeShardHead);
