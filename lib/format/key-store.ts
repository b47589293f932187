import { ByteReader, ByteWriter, fileHead, readFileHead } from '../base/codec.ts';
import { KithError } from '../base/errors.ts';
import { certificateBytesMax } from './certificate.ts';
import { decodeEpochKeys, encodeEpochKeys } from './epoch-keys.ts';
import type { EpochKeys } from './epoch-keys.ts';
import { readExtensions, writeExtensions } from './extensions.ts';
import type { Extension } from './extensions.ts';
import {
  readId,
  readList,
  readU64Number,
  writeBlob,
  writeFixed,
  writeId,
  writeList,
  writeU64Number,
} from './fields.ts';

const magic = 'kithstor';
const version = 1;
const plainVersion = 1;
const saltBytes = 16;
const sealedBytesMax = 1024 * 1024;
const epochCountMax = 4096;
const epochBytesMax = 512;
const knownExtensions: ReadonlySet<number> = new Set();

/** Tags of the fields behind the fixed part. */
export const keyStoreTags = { doorstepSeed: 1 } as const;

/** Bytes of a whole key store file. */
export const keyStoreBytesMax: number = sealedBytesMax + 256;

/** How the key store's own key is made. */
export const keyStoreKdfs = { none: 0, argon2id: 1 } as const;

/** The part of a key store before what is sealed; it is the additional data of the seal. */
export interface KeyStoreHead {
  readonly kdf: (typeof keyStoreKdfs)[keyof typeof keyStoreKdfs];
  /** Argon2id's costs; 0 without a passphrase. */
  readonly operations: number;
  readonly memoryBytes: number;
  /** 16 bytes; zeros without a passphrase. */
  readonly salt: Uint8Array;
}

/** What a device keeps (docs/formats/keys.md). */
export interface KeyStoreContent {
  readonly vaultId: Uint8Array;
  /** Seed of the device's Ed25519 pair. */
  readonly deviceSeed: Uint8Array;
  /** Seed of the device's X25519 pair. */
  readonly boxSeed: Uint8Array;
  readonly blobIdKey: Uint8Array;
  readonly cutKey: Uint8Array;
  /** An encoded certificate. */
  readonly certificate: Uint8Array;
  readonly epochs: readonly EpochKeys[];
  readonly extensions: readonly Extension[];
}

/** The head's bytes. */
export function encodeKeyStoreHead(head: KeyStoreHead): Uint8Array {
  const writer = new ByteWriter().bytes(fileHead(magic, version)).u8(head.kdf).u32(head.operations);
  writeU64Number(writer, head.memoryBytes);
  writeFixed(writer, head.salt, saltBytes);
  return writer.finish();
}

/** The whole file. */
export function encodeKeyStore(head: KeyStoreHead, sealed: Uint8Array): Uint8Array {
  const writer = new ByteWriter().bytes(encodeKeyStoreHead(head));
  writeBlob(writer, sealed, sealedBytesMax, 'key store');
  return writer.finish();
}

/** Views into `bytes`. KithError `malformed` or `too-new`; nothing is authentic before `sealed` has been opened. */
export function decodeKeyStore(bytes: Uint8Array): { head: KeyStoreHead; sealed: Uint8Array } {
  const reader = new ByteReader(bytes, 'key store');
  readFileHead(reader, magic, version);
  const kdf = reader.u8();
  if (kdf !== keyStoreKdfs.none && kdf !== keyStoreKdfs.argon2id) {
    throw new KithError(
      'too-new',
      `the key store uses key derivation ${kdf}, unknown to this kith. Update kith.`,
    );
  }
  const head: KeyStoreHead = {
    kdf,
    operations: reader.u32(),
    memoryBytes: readU64Number(reader),
    salt: reader.bytes(saltBytes),
  };
  const sealed = reader.blob(sealedBytesMax);
  reader.end();
  return { head, sealed };
}

/** The secret plaintext; wipe it when it is sealed. */
export function encodeKeyStoreContent(content: KeyStoreContent): Uint8Array {
  const writer = new ByteWriter().u16(plainVersion);
  const { vaultId, deviceSeed, boxSeed, blobIdKey, cutKey } = content;
  for (const key of [vaultId, deviceSeed, boxSeed, blobIdKey, cutKey]) writeId(writer, key);
  writeBlob(writer, content.certificate, certificateBytesMax, 'certificate');
  writeList(writer, content.epochs, epochCountMax, 'epochs', (epoch) =>
    writer.blob(encodeEpochKeys(vaultId, epoch)),
  );
  writeExtensions(writer, content.extensions);
  return writer.finish();
}

/** Copies, so that `bytes` can be wiped. KithError `malformed`, `too-new` or `not-authentic`. */
export function decodeKeyStoreContent(bytes: Uint8Array): KeyStoreContent {
  const reader = new ByteReader(bytes, 'key store content');
  const found = reader.u16();
  if (found === 0) throw reader.fail('version 0');
  if (found > plainVersion)
    throw new KithError('too-new', 'the key store is from a newer kith. Update kith.');
  const vaultId = readId(reader).slice();
  const content = {
    vaultId,
    deviceSeed: readId(reader).slice(),
    boxSeed: readId(reader).slice(),
    blobIdKey: readId(reader).slice(),
    cutKey: readId(reader).slice(),
    certificate: reader.blob(certificateBytesMax).slice(),
    epochs: readList(reader, epochCountMax, 1, () => decodeEpochKeys(reader.blob(epochBytesMax), vaultId)),
    extensions: readExtensions(reader, knownExtensions).map(({ tag, bytes }) => ({
      tag,
      bytes: bytes.slice(),
    })),
  };
  reader.end();
  return content;
}
