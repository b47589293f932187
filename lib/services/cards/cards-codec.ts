import { compareBytes } from '../../base/bytes.ts';
import { ByteReader, ByteWriter } from '../../base/codec.ts';
import { readList, writeBlob, writeFixed, writeList } from '../../format/fields.ts';
import { letterBytesMax } from '../../format/letter.ts';
import { readHeads, writeHeads, type SignedHead } from '../../format/signed-head.ts';
import { readCarriedCard, writeCarriedCard, type CarriedCard } from './carried-card.ts';
import { saltBytes, tagBytes } from './identity-tag.ts';

/** Bodies of the calls of `kith/cards` (docs/formats/cards-service.md). Every reader is bounded and ends with `malformed`. */

export const cardsServiceName = 'kith/cards';
export const cardsVersions: { readonly min: number; readonly max: number } = { min: 1, max: 1 };

/** Numbers of the methods; never used again for something else. */
export const cardsMethods = {
  show: 1,
  ask: 2,
  contact: 3,
  carried: 4,
  post: 5,
  deliver: 6,
  heads: 7,
} as const;

/** People that one question is about. */
export const askTagsMax = 64;

/** Bytes of a whole answer: half of what a reply may have. */
export const answerBytesMax: number = 256 * 1024;

/** A question: tags of identities, ascending. */
export interface AskedTags {
  readonly salt: Uint8Array;
  readonly tags: readonly Uint8Array[];
}

function whole<T>(bytes: Uint8Array, what: string, read: (reader: ByteReader) => T): T {
  const reader = new ByteReader(bytes, what);
  const value = read(reader);
  reader.end();
  return value;
}

export function encodeAsk({ salt, tags }: AskedTags): Uint8Array {
  const writer = new ByteWriter();
  writeFixed(writer, salt, saltBytes);
  writeList(writer, tags, askTagsMax, 'tags', (tag) => writeFixed(writer, tag, tagBytes));
  return writer.finish();
}

export function decodeAsk(bytes: Uint8Array): AskedTags {
  return whole(bytes, 'question', (reader) => {
    const salt = reader.bytes(saltBytes);
    let last: Uint8Array | undefined;
    const tags = readList(reader, askTagsMax, tagBytes, () => {
      const tag = reader.bytes(tagBytes);
      if (last !== undefined && compareBytes(last, tag) >= 0) throw reader.fail("tags don't ascend");
      last = tag;
      return tag;
    });
    if (tags.length === 0) throw reader.fail('asks for nobody');
    return { salt, tags };
  });
}

/** What is said of one of those who were asked about. */
export interface Answer {
  /** Place of the tag in the question. */
  readonly place: number;
  readonly carried: CarriedCard;
}

/** As many answers as there is room for, from the first on. */
export function encodeAnswers(answers: readonly Answer[]): Uint8Array {
  const parts: Uint8Array[] = [];
  let bytes = 2;
  for (const { place, carried } of answers) {
    const writer = new ByteWriter().u8(place);
    writeCarriedCard(writer, carried);
    if (bytes + writer.length > answerBytesMax) break;
    bytes += writer.length;
    parts.push(writer.finish());
  }
  const writer = new ByteWriter();
  writeList(writer, parts, askTagsMax, 'answers', (part) => writer.bytes(part));
  return writer.finish();
}

/** Answers to a question of so many tags. Views, unverified. KithError `malformed`, `too-new`. */
export function decodeAnswers(bytes: Uint8Array, tagCount: number): Answer[] {
  return whole(bytes, 'answers', (reader) => {
    if (bytes.length > answerBytesMax) throw reader.fail(`${bytes.length} bytes are too many`);
    let last = -1;
    return readList(reader, tagCount, 2, () => {
      const place = reader.u8();
      if (place <= last || place >= tagCount) throw reader.fail(`answer ${place} after ${last}`);
      last = place;
      return { place, carried: readCarriedCard(reader) };
    });
  });
}

/** What a carrier says by itself of somebody whom it was asked about before. */
export interface Carried {
  readonly salt: Uint8Array;
  readonly tag: Uint8Array;
  readonly carried: CarriedCard;
}

export function encodeCarried({ salt, tag, carried }: Carried): Uint8Array {
  const writer = new ByteWriter();
  writeFixed(writer, salt, saltBytes);
  writeFixed(writer, tag, tagBytes);
  writeCarriedCard(writer, carried);
  return writer.finish();
}

/** Views, unverified. KithError `malformed`, `too-new`. */
export function decodeCarried(bytes: Uint8Array): Carried {
  return whole(bytes, 'carried card', (reader) => ({
    salt: reader.bytes(saltBytes),
    tag: reader.bytes(tagBytes),
    carried: readCarriedCard(reader),
  }));
}

/** A sealed letter, and for whom it is. */
export interface Posted {
  readonly salt: Uint8Array;
  readonly tag: Uint8Array;
  readonly sealed: Uint8Array;
}

export function encodePosted({ salt, tag, sealed }: Posted): Uint8Array {
  const writer = new ByteWriter();
  writeFixed(writer, salt, saltBytes);
  writeFixed(writer, tag, tagBytes);
  writeBlob(writer, sealed, letterBytesMax, 'letter');
  return writer.finish();
}

export function decodePosted(bytes: Uint8Array): Posted {
  return whole(bytes, 'posted letter', (reader) => ({
    salt: reader.bytes(saltBytes),
    tag: reader.bytes(tagBytes),
    sealed: reader.blob(letterBytesMax),
  }));
}

export function encodeDelivered(sealed: Uint8Array): Uint8Array {
  const writer = new ByteWriter();
  writeBlob(writer, sealed, letterBytesMax, 'letter');
  return writer.finish();
}

export function decodeDelivered(bytes: Uint8Array): Uint8Array {
  return whole(bytes, 'letter', (reader) => reader.blob(letterBytesMax));
}

export function encodeHeads(heads: readonly SignedHead[]): Uint8Array {
  const writer = new ByteWriter();
  writeHeads(writer, heads);
  return writer.finish();
}

/** Views, unverified. KithError `malformed`. */
export function decodeHeads(bytes: Uint8Array): SignedHead[] {
  return whole(bytes, 'heads', readHeads);
}

export function encodeYes(yes: boolean): Uint8Array {
  return new Uint8Array([yes ? 1 : 0]);
}

export function decodeYes(bytes: Uint8Array): boolean {
  return whole(bytes, 'answer', (reader) => {
    const value = reader.u8();
    if (value > 1) throw reader.fail(`answer ${value}`);
    return value === 1;
  });
}
