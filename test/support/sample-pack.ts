import { concatBytes, equalBytes, utf8 } from '../../lib/base/bytes.ts';
import { classBytes, leafBytes } from '../../lib/base/limits.ts';
import { leafHashes, merkleRoot } from '../../lib/crypto/merkle.ts';
import { boxKeyPair, signKeyPair, type SignKeyPair } from '../../lib/crypto/sign.ts';
import { signCertificate, type Certificate } from '../../lib/format/certificate.ts';
import { encodeKeyRecord, signKeyRecord, type Envelope } from '../../lib/format/key-record.ts';
import { encodeManifest, packIdOf } from '../../lib/format/manifest.ts';
import { attestLog, encodeSegment, segmentHash } from '../../lib/format/segment.ts';
import { shardFileBytes } from '../../lib/format/shard-file.ts';
import type { ShardToPut } from '../../lib/holders/holder.ts';
import { Seeded } from './seeded.ts';

/** An identity with one certified device, all from a seed. */
export interface SampleVault {
  readonly vaultId: Uint8Array;
  readonly identity: SignKeyPair;
  readonly device: SignKeyPair;
  readonly certificate: Certificate;
  readonly isDevice: (deviceId: Uint8Array, vaultId: Uint8Array) => boolean;
}

/** A coded pack with a signed manifest. Parity shards are random bytes: holders don't check the code. */
export interface SamplePack {
  readonly packId: Uint8Array;
  readonly manifest: Uint8Array;
  readonly roots: readonly Uint8Array[];
  readonly shards: readonly ShardToPut[];
  /** Bytes of one shard's file. */
  readonly fileBytes: number;
}

export function sampleVault(seed = 1): SampleVault {
  const seeded = new Seeded(seed);
  const identity = signKeyPair(seeded.bytes(32));
  const device = signKeyPair(seeded.bytes(32));
  const vaultId = identity.publicKey;
  return {
    vaultId,
    identity,
    device,
    certificate: sampleCertificate(identity, device, seeded),
    isDevice: (deviceId, vault) => equalBytes(deviceId, device.publicKey) && equalBytes(vault, vaultId),
  };
}

function sampleCertificate(identity: SignKeyPair, device: SignKeyPair, seeded: Seeded): Certificate {
  const facts = {
    vaultId: identity.publicKey,
    deviceId: device.publicKey,
    boxKey: boxKeyPair(seeded.bytes(32)).publicKey,
    recoveryKey: boxKeyPair(seeded.bytes(32)).publicKey,
    doorstepKey: signKeyPair(seeded.bytes(32)).publicKey,
    createdNs: 0n,
    name: 'sample',
    extensions: [],
  };
  return signCertificate(facts, identity.secretKey);
}

export interface SamplePackOptions {
  readonly seed?: number;
  readonly k?: number;
  readonly n?: number;
  readonly spare?: number;
  readonly class?: number;
  readonly generation?: number;
}

export function samplePack(vault: SampleVault, options: SamplePackOptions = {}): SamplePack {
  const { seed = 1, k = 2, n = 3, spare = 1, class: classNumber = 0, generation = 1 } = options;
  // The base is random, the rest of a large payload repeats it with the leaf's number: enough to tell leaves apart.
  const payloads = Array.from({ length: n + spare }, (_, index) =>
    samplePayload(new Seeded(seed * 64 + index), classBytes[classNumber] ?? 0),
  );
  const leaves = payloads.map((payload) => leafHashes(payload, leafBytes));
  const roots = leaves.map((hashes) => merkleRoot(hashes));
  const packId = packIdOf(k, classNumber, roots);
  const keyEpoch = 0;
  const manifest = encodeManifest(
    {
      vaultId: vault.vaultId,
      packId,
      keyEpoch,
      generation,
      k,
      n,
      spare,
      class: classNumber,
      roots,
      signer: vault.device.publicKey,
    },
    vault.device.secretKey,
  );
  const shards = payloads.flatMap((payload, index) => {
    const hashes = leaves[index];
    return hashes === undefined
      ? []
      : [{ packId, index, k, class: classNumber, keyEpoch, payload, leaves: hashes, manifest }];
  });
  const fileBytes = shardFileBytes({ class: classNumber, manifestBytes: manifest.length });
  return { packId, manifest, roots, shards, fileBytes };
}

function samplePayload(seeded: Seeded, bytes: number): Uint8Array {
  const base = seeded.bytes(1024);
  const payload = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += base.length) payload.set(base, at);
  for (let at = 0, leaf = 0; at < bytes; at += leafBytes, leaf++) payload[at] = leaf;
  return payload;
}

/** The shard of a sample pack with this index. */
export function sampleShard(pack: SamplePack, index: number): ShardToPut {
  const shard = pack.shards[index];
  if (shard === undefined) throw new Error(`the sample pack has no shard ${index}`);
  return shard;
}

/** An authentic key record with one certificate and these envelopes. */
export function sampleKeyRecord(vault: SampleVault, epochs: readonly number[], revision = 1): Uint8Array {
  const envelopes = epochs.map((epoch): Envelope => {
    const boxes = [
      { recipient: new Uint8Array(32).fill(epoch), sealed: utf8(`sealed keys of epoch ${epoch}`) },
    ];
    return { keyEpoch: epoch, epochId: new Uint8Array(32).fill(epoch), boxes };
  });
  const content = { vaultId: vault.vaultId, revision, certificates: [vault.certificate], envelopes };
  return encodeKeyRecord(signKeyRecord(content, vault.device.publicKey, vault.device.secretKey));
}

export interface SampleLog {
  readonly logKey: Uint8Array;
  readonly segments: readonly { readonly firstIndex: number; readonly bytes: Uint8Array }[];
}

/** An authentic log of `count` segments with two records each. */
export function sampleLog(vault: SampleVault, count: number, seed = 1, text = 'record'): SampleLog {
  const append = signKeyPair(new Seeded(seed + 1000).bytes(32));
  const { vaultId, device } = vault;
  const attestation = attestLog(vaultId, device.publicKey, append.publicKey, 1, device.secretKey);
  const segments: { firstIndex: number; bytes: Uint8Array }[] = [];
  let previous: Uint8Array = new Uint8Array(32);
  for (let i = 0; i < count; i++) {
    const firstIndex = i * 2;
    const head = {
      vaultId,
      deviceId: device.publicKey,
      logKey: append.publicKey,
      role: 1 as const,
      firstIndex,
      previous,
      attestation,
    };
    const records = [utf8(`${text} ${firstIndex}`), concatBytes(utf8(text), new Uint8Array(i))];
    const bytes = encodeSegment(head, records, append.secretKey);
    segments.push({ firstIndex, bytes });
    previous = segmentHash(bytes);
  }
  return { logKey: append.publicKey, segments };
}
