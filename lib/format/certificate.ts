import { ByteReader, ByteWriter, fileHead, readFileHead } from '../base/codec.ts';
import { equalBytes } from '../base/bytes.ts';
import { KithError } from '../base/errors.ts';
import { sign, signatureBytes, verifySignature } from '../crypto/sign.ts';
import { readExtensions, writeExtensions } from './extensions.ts';
import type { Extension } from './extensions.ts';
import { nameTextBytesMax, readId, writeFixed, writeId, writeText } from './fields.ts';

const magic = 'kithcert';
const version = 1;
const knownExtensions: ReadonlySet<number> = new Set();

/** Bytes of an encoded certificate: some 300, with room for extensions. */
export const certificateBytesMax = 4096;

/** What an identity states of one of its devices (docs/formats/keys.md). All keys are public halves of 32 bytes. */
export interface CertificateFacts {
  /** The identity's public key. */
  readonly vaultId: Uint8Array;
  /** The device's Ed25519 key. */
  readonly deviceId: Uint8Array;
  /** The device's X25519 key, to which epochs are sealed. */
  readonly boxKey: Uint8Array;
  /** The X25519 key made from the phrase: every epoch is sealed to it too. */
  readonly recoveryKey: Uint8Array;
  /** The Ed25519 key with which a device of this identity knocks at friends. */
  readonly doorstepKey: Uint8Array;
  readonly createdNs: bigint;
  /** At most 255 bytes; readable by whoever holds the certificate. */
  readonly name: string;
  readonly extensions: readonly Extension[];
}

/** A certificate with its signature, which nobody has checked until verifyCertificate did. */
export interface Certificate extends CertificateFacts {
  readonly signature: Uint8Array;
}

function signedPart(facts: CertificateFacts): ByteWriter {
  const writer = new ByteWriter().bytes(fileHead(magic, version));
  writeId(writer, facts.vaultId);
  writeId(writer, facts.deviceId);
  writeId(writer, facts.boxKey);
  writeId(writer, facts.recoveryKey);
  writeId(writer, facts.doorstepKey);
  writer.i64(facts.createdNs);
  writeText(writer, facts.name, nameTextBytesMax, 'device name');
  writeExtensions(writer, facts.extensions);
  return writer;
}

/** Signs with the identity's secret key (64 bytes), which must belong to `facts.vaultId`. */
export function signCertificate(facts: CertificateFacts, identitySecretKey: Uint8Array): Certificate {
  return { ...facts, signature: sign(signedPart(facts).finish(), identitySecretKey) };
}

/** One way to write a certificate: decoding and encoding again gives the same bytes. */
export function encodeCertificate(certificate: Certificate): Uint8Array {
  const writer = signedPart(certificate);
  writeFixed(writer, certificate.signature, signatureBytes);
  if (writer.length > certificateBytesMax) {
    throw new KithError('limit-exceeded', `a certificate of ${writer.length} bytes is too long`);
  }
  return writer.finish();
}

/** Views into `bytes`, unverified. KithError `malformed` or `too-new`. */
export function decodeCertificate(bytes: Uint8Array): Certificate {
  const reader = new ByteReader(bytes, 'certificate');
  if (bytes.length > certificateBytesMax) throw reader.fail(`${bytes.length} bytes are too long`);
  readFileHead(reader, magic, version);
  const certificate = {
    vaultId: readId(reader),
    deviceId: readId(reader),
    boxKey: readId(reader),
    recoveryKey: readId(reader),
    doorstepKey: readId(reader),
    createdNs: reader.i64(),
    name: reader.text(nameTextBytesMax),
    extensions: readExtensions(reader, knownExtensions),
    signature: reader.bytes(signatureBytes),
  };
  reader.end();
  return certificate;
}

/** KithError `not-authentic` unless the identity signed it, and, where `vaultId` is given, is that very one. */
export function verifyCertificate(certificate: Certificate, vaultId?: Uint8Array): void {
  if (vaultId !== undefined && !equalBytes(vaultId, certificate.vaultId)) {
    throw new KithError('not-authentic', 'the certificate belongs to another identity');
  }
  if (!verifySignature(signedPart(certificate).finish(), certificate.signature, certificate.vaultId)) {
    throw new KithError('not-authentic', 'the certificate is not signed by its identity');
  }
}
