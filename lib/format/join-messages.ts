import { concatBytes, copyBytes, utf8 } from '../base/bytes.ts';
import { ByteReader, ByteWriter, fileHead, readFileHead } from '../base/codec.ts';
import { sign, signatureBytes, verifySignature } from '../crypto/sign.ts';
import { cardBytesMax } from './card.ts';
import { certificateBytesMax } from './certificate.ts';
import { nameTextBytesMax, readId, writeBlob, writeFixed, writeId, writeText } from './fields.ts';

/** What a new device and the one that links it say to each other (docs/formats/device-link.md). */

const helloMagic = 'kithjnhi';
const welcomeMagic = 'kithjnok';
const version = 1;

/** Bytes of a hello. */
export const joinHelloBytesMax = 1024;

/** Bytes of a welcome: the card is most of it. */
export const joinWelcomeBytesMax: number = cardBytesMax + certificateBytesMax + 4096;

/** The new device's public keys, and its word that it has the secret half. */
export interface JoinHello {
  readonly deviceId: Uint8Array;
  readonly boxKey: Uint8Array;
  /** What it is to be called by the identity's other devices. */
  readonly name: string;
  /** The device key over the magic, the link's handshake hash and all before it. */
  readonly signature: Uint8Array;
}

/** What the new device gets before key record and logs. */
export interface JoinWelcome {
  readonly certificate: Uint8Array;
  readonly blobIdKey: Uint8Array;
  readonly cutKey: Uint8Array;
  readonly doorstepSeed: Uint8Array;
  /** The identity's card as the other device knows it. */
  readonly card: Uint8Array;
}

function facts({ deviceId, boxKey, name }: Omit<JoinHello, 'signature'>): Uint8Array {
  const writer = new ByteWriter().bytes(fileHead(helloMagic, version));
  writeId(writer, deviceId);
  writeId(writer, boxKey);
  writeText(writer, name, nameTextBytesMax, 'device name');
  return writer.finish();
}

/** A hello for one link; the secret key is the device's, 64 bytes. */
export function encodeJoinHello(
  hello: Omit<JoinHello, 'signature'>,
  handshakeHash: Uint8Array,
  deviceSecretKey: Uint8Array,
): Uint8Array {
  const said = facts(hello);
  return concatBytes(said, sign(concatBytes(utf8(helloMagic), handshakeHash, said), deviceSecretKey));
}

/** Fresh bytes, unverified. KithError `malformed`, `too-new`. */
export function decodeJoinHello(bytes: Uint8Array): JoinHello {
  const reader = new ByteReader(bytes, 'hello of a new device');
  if (bytes.length > joinHelloBytesMax) throw reader.fail(`${bytes.length} bytes are too long`);
  readFileHead(reader, helloMagic, version);
  const hello = {
    deviceId: copyBytes(readId(reader)),
    boxKey: copyBytes(readId(reader)),
    name: reader.text(nameTextBytesMax),
    signature: copyBytes(reader.bytes(signatureBytes)),
  };
  reader.end();
  return hello;
}

/** True if the device named in the hello said it on this very link. */
export function verifyJoinHello(hello: JoinHello, handshakeHash: Uint8Array): boolean {
  const signed = concatBytes(utf8(helloMagic), handshakeHash, facts(hello));
  return verifySignature(signed, hello.signature, hello.deviceId);
}

export function encodeJoinWelcome(welcome: JoinWelcome): Uint8Array {
  const writer = new ByteWriter().bytes(fileHead(welcomeMagic, version));
  writeBlob(writer, welcome.certificate, certificateBytesMax, 'certificate');
  for (const key of [welcome.blobIdKey, welcome.cutKey, welcome.doorstepSeed]) writeFixed(writer, key, 32);
  writeBlob(writer, welcome.card, cardBytesMax, 'card');
  return writer.finish();
}

/** Fresh bytes, unverified. KithError `malformed`, `too-new`. */
export function decodeJoinWelcome(bytes: Uint8Array): JoinWelcome {
  const reader = new ByteReader(bytes, 'welcome of a new device');
  if (bytes.length > joinWelcomeBytesMax) throw reader.fail(`${bytes.length} bytes are too long`);
  readFileHead(reader, welcomeMagic, version);
  const welcome = {
    certificate: copyBytes(reader.blob(certificateBytesMax)),
    blobIdKey: copyBytes(reader.bytes(32)),
    cutKey: copyBytes(reader.bytes(32)),
    doorstepSeed: copyBytes(reader.bytes(32)),
    card: copyBytes(reader.blob(cardBytesMax)),
  };
  reader.end();
  return welcome;
}
