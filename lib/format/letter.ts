import { ByteReader, ByteWriter, fileHead, readFileHead } from '../base/codec.ts';
import { hashIn } from '../crypto/hash.ts';
import { readId, writeBlob, writeId } from './fields.ts';

/** Bytes of a sealed letter: an invite's acceptance with a small card, several times over. */
export const letterBytesMax: number = 8 * 1024;

/** Bytes of what a kind says: the rest is the head and the seal. */
export const letterTextBytesMax: number = 7 * 1024;

/** Bytes of a letter's file: the letter and what stands around it. */
export const letterFileBytesMax: number = letterBytesMax + 256;

/** Numbers of what a letter can be about; never used again for something else. */
export const letterKinds = { acceptance: 1, welcome: 2 } as const;

const magic = 'kithlett';
const fileMagic = 'kithpost';
const version = 1;

/** What is sealed in a letter (docs/formats/cards-service.md). It doesn't prove who wrote it. */
export interface Letter {
  readonly kind: number;
  readonly addressee: Uint8Array;
  readonly bytes: Uint8Array;
}

/** KithError `limit-exceeded` for more than letterTextBytesMax. */
export function encodeLetter({ kind, addressee, bytes }: Letter): Uint8Array {
  const writer = new ByteWriter().bytes(fileHead(magic, version)).u16(kind);
  writeId(writer, addressee);
  writeBlob(writer, bytes, letterTextBytesMax, 'letter');
  return writer.finish();
}

/** Views. KithError `malformed`, `too-new`. */
export function decodeLetter(plain: Uint8Array): Letter {
  const reader = new ByteReader(plain, 'letter');
  readFileHead(reader, magic, version);
  const letter = { kind: reader.u16(), addressee: readId(reader), bytes: reader.blob(letterTextBytesMax) };
  reader.end();
  return letter;
}

/** A letter as it waits at a carrier. */
export interface KeptLetter {
  /** Who brought it. */
  readonly sender: Uint8Array;
  readonly addressee: Uint8Array;
  readonly receivedNs: bigint;
  readonly sealed: Uint8Array;
}

export function encodeKeptLetter({ sender, addressee, receivedNs, sealed }: KeptLetter): Uint8Array {
  const writer = new ByteWriter().bytes(fileHead(fileMagic, version));
  writeId(writer, sender);
  writeId(writer, addressee);
  writer.i64(receivedNs);
  writeBlob(writer, sealed, letterBytesMax, 'letter');
  return writer.finish();
}

/** Views. KithError `malformed`, `too-new`. */
export function decodeKeptLetter(bytes: Uint8Array): KeptLetter {
  const reader = new ByteReader(bytes, 'kept letter');
  readFileHead(reader, fileMagic, version);
  const letter = {
    sender: readId(reader),
    addressee: readId(reader),
    receivedNs: reader.i64(),
    sealed: reader.blob(letterBytesMax),
  };
  reader.end();
  return letter;
}

/** The name by which one letter is kept once: 16 bytes. */
export function letterNameOf(addressee: Uint8Array, sealed: Uint8Array): Uint8Array {
  return hashIn('letter', addressee, sealed).slice(0, 16);
}
