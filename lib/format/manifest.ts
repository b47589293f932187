import { copyBytes, equalBytes } from '../base/bytes.ts';
import { ByteReader, ByteWriter, fileHead, readFileHead } from '../base/codec.ts';
import { KithError } from '../base/errors.ts';
import { classBytes, rowCountMax } from '../base/limits.ts';
import { hashBytes, hashIn } from '../crypto/hash.ts';
import { sign, signatureBytes, verifySignature } from '../crypto/sign.ts';
import { copyId } from './blob.ts';
import { readExtensions, writeExtensions } from './extensions.ts';
import { dataShardsMax } from './pack-head.ts';
import { writeId } from './fields.ts';

const magic = 'kithmani';
const version = 1;
const noExtensions: ReadonlySet<number> = new Set();

/** Magic, version, two ids, epoch and generation, four numbers: what stands before the roots. */
const manifestHeadBytes = 10 + 2 * hashBytes + 12;

/** Bytes of a manifest at most: 64 roots and room for fields to come. */
export const manifestBytesMax: number = 64 * 1024;

/** What the owner signs about one pack (docs/formats/pack.md). */
export interface Manifest {
  readonly vaultId: Uint8Array;
  readonly packId: Uint8Array;
  readonly keyEpoch: number;
  /** Revision of the list of roots, from 1; a higher one only lengthens it. */
  readonly generation: number;
  readonly k: number;
  readonly n: number;
  /** Rows n … n + spare − 1 are signed, but not stored. */
  readonly spare: number;
  /** Number of the size class. */
  readonly class: number;
  /** One for each of the n + spare rows. */
  readonly roots: readonly Uint8Array[];
  /** A device's public signing key. */
  readonly signer: Uint8Array;
  readonly signature: Uint8Array;
}

/** Id of a pack: it follows from the roots of its k data shards; further roots are left aside. */
export function packIdOf(k: number, classNumber: number, roots: readonly Uint8Array[]): Uint8Array {
  if (roots.length < k) throw new RangeError(`${roots.length} roots for ${k} data shards`);
  return hashIn('packId', new Uint8Array([k, classNumber]), ...roots.slice(0, k));
}

/** Signs a manifest. `signer` must be the public half of the 64-byte secret key. RangeError for impossible numbers. */
export function encodeManifest(
  unsigned: Omit<Manifest, 'signature'>,
  deviceSecretKey: Uint8Array,
): Uint8Array {
  const flaw = flawOf(unsigned);
  if (flaw !== undefined) throw new RangeError(`manifest: ${flaw}`);
  const { k, n, spare, roots, signer } = unsigned;
  const writer = new ByteWriter().bytes(fileHead(magic, version));
  writeId(writer, unsigned.vaultId);
  writeId(writer, unsigned.packId);
  writer.u32(unsigned.keyEpoch).u32(unsigned.generation).u8(k).u8(n).u8(spare).u8(unsigned.class);
  for (const root of roots) writeId(writer, root);
  writeExtensions(writer, []);
  writeId(writer, signer);
  const signature = sign(writer.finish(), deviceSecretKey);
  const bytes = writer.bytes(signature).finish();
  if (!signatureHolds(bytes, signer)) throw new RangeError('manifest: signer and secret key are no pair');
  return bytes;
}

/**
 * Reads a manifest and checks all but the signature: numbers, and that the PackId follows from the roots. What it
 * holds are copies. Who trusts it calls verifyManifest.
 */
export function decodeManifest(bytes: Uint8Array): Manifest {
  const manifest = readFields(bytes);
  const flaw = flawOf(manifest);
  if (flaw !== undefined) throw new ByteReader(bytes, 'manifest').fail(flaw);
  return manifest;
}

/**
 * The fields of a manifest that decodeManifest took once, as views into its bytes: quick, for those who keep the bytes of very many and
 * read them again and again. Nothing is checked anew.
 */
export function viewManifest(bytes: Uint8Array): Manifest {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const idAt = (offset: number): Uint8Array => bytes.subarray(offset, offset + hashBytes);
  const numbersAt = manifestHeadBytes - 12;
  const n = view.getUint8(numbersAt + 9);
  const spare = view.getUint8(numbersAt + 10);
  const roots: Uint8Array[] = [];
  for (let row = 0; row < n + spare; row++) roots.push(idAt(manifestHeadBytes + row * hashBytes));
  const signatureAt = bytes.length - signatureBytes;
  return {
    vaultId: idAt(numbersAt - 2 * hashBytes),
    packId: idAt(numbersAt - hashBytes),
    keyEpoch: view.getUint32(numbersAt, true),
    generation: view.getUint32(numbersAt + 4, true),
    k: view.getUint8(numbersAt + 8),
    n,
    spare,
    class: view.getUint8(numbersAt + 11),
    roots,
    signer: idAt(signatureAt - hashBytes),
    signature: bytes.subarray(signatureAt),
  };
}

function readFields(bytes: Uint8Array): Manifest {
  const reader = new ByteReader(bytes, 'manifest');
  if (bytes.length > manifestBytesMax) throw reader.fail(`${bytes.length} bytes are too many`);
  readFileHead(reader, magic, version);
  const vaultId = copyId(reader);
  const packId = copyId(reader);
  const keyEpoch = reader.u32();
  const generation = reader.u32();
  const k = reader.u8();
  const n = reader.u8();
  const spare = reader.u8();
  const classNumber = reader.u8();
  const numbersFlaw = numbersFlawOf({ k, n, spare, class: classNumber, generation });
  if (numbersFlaw !== undefined) throw reader.fail(numbersFlaw);
  const roots: Uint8Array[] = [];
  for (let row = 0; row < n + spare; row++) roots.push(copyId(reader));
  readExtensions(reader, noExtensions);
  const signer = copyId(reader);
  const signature = copyBytes(reader.bytes(signatureBytes));
  reader.end();
  return {
    vaultId,
    packId,
    keyEpoch,
    generation,
    k,
    n,
    spare,
    class: classNumber,
    roots,
    signer,
    signature,
  };
}

/**
 * Decodes a manifest and checks who signed it: `isDevice` says whether a signing key is certified for a vault, and not
 * revoked. KithError `not-authentic` otherwise.
 */
export function verifyManifest(
  bytes: Uint8Array,
  isDevice: (deviceId: Uint8Array, vaultId: Uint8Array) => boolean,
): Manifest {
  const manifest = decodeManifest(bytes);
  if (!isDevice(manifest.signer, manifest.vaultId)) {
    throw new KithError('not-authentic', "manifest signed by a device that its vault doesn't know");
  }
  if (!signatureHolds(bytes, manifest.signer)) {
    throw new KithError('not-authentic', "manifest whose signature doesn't hold");
  }
  return manifest;
}

function signatureHolds(bytes: Uint8Array, signer: Uint8Array): boolean {
  const signedBytes = bytes.length - signatureBytes;
  return verifySignature(bytes.subarray(0, signedBytes), bytes.subarray(signedBytes), signer);
}

function numbersFlawOf(
  numbers: Pick<Manifest, 'k' | 'n' | 'spare' | 'class' | 'generation'>,
): string | undefined {
  const { k, n, spare } = numbers;
  if (k < 1 || k > dataShardsMax || n < k || n + spare > rowCountMax) return `k ${k}, n ${n}, spare ${spare}`;
  if (classBytes[numbers.class] === undefined) return `class ${numbers.class}`;
  return numbers.generation < 1 ? 'generation 0' : undefined;
}

function flawOf(manifest: Omit<Manifest, 'signature'>): string | undefined {
  const { k, n, spare, roots, packId } = manifest;
  const numbersFlaw = numbersFlawOf(manifest);
  if (numbersFlaw !== undefined) return numbersFlaw;
  if (roots.length !== n + spare) return `${roots.length} roots for ${n} + ${spare} rows`;
  if (roots.some((root) => root.length !== hashBytes)) return 'root of wrong length';
  return equalBytes(packId, packIdOf(k, manifest.class, roots))
    ? undefined
    : "pack id doesn't follow from the roots";
}
