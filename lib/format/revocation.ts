import { equalBytes } from '../base/bytes.ts';
import { ByteReader, ByteWriter, fileHead, readFileHead } from '../base/codec.ts';
import { KithError } from '../base/errors.ts';
import { sign, signatureBytes, verifySignature } from '../crypto/sign.ts';
import { readExtensions, writeExtensions } from './extensions.ts';
import type { Extension } from './extensions.ts';
import { readId, readList, readU64Number, writeFixed, writeId, writeList, writeU64Number } from './fields.ts';

const magic = 'kithrevo';
const version = 1;
/** Logs that one names. A device opens two, and two more each time its home was put back or damaged. */
export const revokedLogCountMax = 64;

/** Bytes of an encoded one: 64 logs of 40 bytes, with room for extensions. */
export const revocationBytesMax = 4096;
const knownExtensions: ReadonlySet<number> = new Set();

/** The identity's word that a device is trusted no more (docs/formats/keys.md). */
export interface RevocationFacts {
  readonly vaultId: Uint8Array;
  readonly deviceId: Uint8Array;
  readonly createdNs: bigint;
  /** How many records of each of its logs still count. */
  readonly logs: readonly { readonly logKey: Uint8Array; readonly trustedLength: number }[];
  readonly extensions: readonly Extension[];
}

/** A revocation with its signature, which nobody has checked until verifyRevocation did. */
export interface Revocation extends RevocationFacts {
  readonly signature: Uint8Array;
}

function signedPart(facts: RevocationFacts): ByteWriter {
  const writer = new ByteWriter().bytes(fileHead(magic, version));
  writeId(writer, facts.vaultId);
  writeId(writer, facts.deviceId);
  writer.i64(facts.createdNs);
  writeList(writer, facts.logs, revokedLogCountMax, 'logs of a device', ({ logKey, trustedLength }) => {
    writeId(writer, logKey);
    writeU64Number(writer, trustedLength);
  });
  writeExtensions(writer, facts.extensions);
  return writer;
}

/** Signs with the identity's secret key (64 bytes). */
export function signRevocation(facts: RevocationFacts, identitySecretKey: Uint8Array): Revocation {
  return { ...facts, signature: sign(signedPart(facts).finish(), identitySecretKey) };
}

/** One way to write a revocation: decoding and encoding again gives the same bytes. */
export function encodeRevocation(revocation: Revocation): Uint8Array {
  const writer = signedPart(revocation);
  writeFixed(writer, revocation.signature, signatureBytes);
  return writer.finish();
}

/** Views into `bytes`, unverified. KithError `malformed` or `too-new`. */
export function decodeRevocation(bytes: Uint8Array): Revocation {
  const reader = new ByteReader(bytes, 'revocation');
  readFileHead(reader, magic, version);
  const revocation = {
    vaultId: readId(reader),
    deviceId: readId(reader),
    createdNs: reader.i64(),
    logs: readList(reader, revokedLogCountMax, 40, () => ({
      logKey: readId(reader),
      trustedLength: readU64Number(reader),
    })),
    extensions: readExtensions(reader, knownExtensions),
    signature: reader.bytes(signatureBytes),
  };
  reader.end();
  return revocation;
}

/** KithError `not-authentic` unless this identity signed it. */
export function verifyRevocation(revocation: Revocation, vaultId: Uint8Array): void {
  if (!equalBytes(vaultId, revocation.vaultId)) {
    throw new KithError('not-authentic', 'the revocation belongs to another identity');
  }
  if (!verifySignature(signedPart(revocation).finish(), revocation.signature, vaultId)) {
    throw new KithError('not-authentic', 'the revocation is not signed by its identity');
  }
}
