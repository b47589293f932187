import { equalBytes } from '../../base/bytes.ts';
import { ByteReader, ByteWriter } from '../../base/codec.ts';
import { KithError } from '../../base/errors.ts';
import { openBox, sealBox, sealedBoxExtraBytes, type BoxKeyPair } from '../../crypto/sign.ts';
import {
  canonicalCard,
  cardBytesMax,
  cardItemsMax,
  decodeCard,
  encodeCard,
  type Card,
} from '../../format/card.ts';
import { readId, readList, writeBlob, writeId, writeList } from '../../format/fields.ts';
import { decodeAddressRecord, encodeAddressRecord, type AddressRecord } from '../../format/friend-records.ts';
import { readHeads, verifyHead, writeHeads, type SignedHead } from '../../format/signed-head.ts';

/** A body of at most 4096 bytes, and what stands around it. */
const recordBytesMax = 4352;

/** Numbers of the ways in which addresses follow. */
const ways = { none: 0, sealed: 1, clear: 2 } as const;

/** A card as a friend of the subject tells it to others (docs/formats/cards-service.md). Nothing of it is verified. */
export interface CarriedCard {
  /** Without addresses and extensions. */
  readonly card: Card;
  readonly addresses:
    | { readonly way: 'none' }
    | { readonly way: 'sealed'; readonly key: Uint8Array; readonly sealed: Uint8Array }
    | { readonly way: 'clear'; readonly records: Uint8Array };
}

/** What only friends of the subject are to see of it. */
export interface Whereabouts {
  /** Ascending by device. */
  readonly records: readonly AddressRecord[];
  readonly heads: readonly SignedHead[];
}

/** KithError `limit-exceeded`. */
export function encodeWhereabouts({ records, heads }: Whereabouts): Uint8Array {
  const writer = new ByteWriter();
  writeList(writer, records, cardItemsMax, 'address records', (record) => {
    writeBlob(writer, encodeAddressRecord(record), recordBytesMax, 'address record');
  });
  writeHeads(writer, heads);
  return writer.finish();
}

/** Views, unverified. KithError `malformed`. */
export function decodeWhereabouts(bytes: Uint8Array): Whereabouts {
  const reader = new ByteReader(bytes, 'whereabouts');
  let last: Uint8Array | undefined;
  const records = readList(reader, cardItemsMax, 1, () => {
    const record = decodeAddressRecord(reader.blob(recordBytesMax));
    if (last !== undefined && Buffer.compare(last, record.deviceId) >= 0) {
      throw reader.fail("address records don't ascend");
    }
    last = record.deviceId;
    return record;
  });
  const heads = readHeads(reader);
  reader.end();
  return { records, heads };
}

/**
 * A card made ready to be carried: addresses sealed to the subject's contact key, `clear` where the asker is the subject, left out where
 * there is neither. A sealing costs some 0.2 ms.
 */
export function carryCard(
  card: Card,
  to: { readonly key: Uint8Array } | 'clear' | undefined,
  heads: readonly SignedHead[] = [],
): CarriedCard {
  const { addresses, ...rest } = canonicalCard(card);
  const bare = { ...rest, addresses: [], extensions: [] };
  if (to === undefined || addresses.length + heads.length === 0)
    return { card: bare, addresses: { way: 'none' } };
  const records = encodeWhereabouts({ records: addresses, heads });
  if (to === 'clear') return { card: bare, addresses: { way: 'clear', records } };
  return { card: bare, addresses: { way: 'sealed', key: to.key, sealed: sealBox(records, to.key) } };
}

export function writeCarriedCard(writer: ByteWriter, { card, addresses }: CarriedCard): void {
  writeBlob(writer, encodeCard(card), cardBytesMax, 'card');
  writer.u8(ways[addresses.way]);
  if (addresses.way === 'sealed') {
    writeId(writer, addresses.key);
    writeBlob(writer, addresses.sealed, cardBytesMax + sealedBoxExtraBytes, 'sealed addresses');
  }
  if (addresses.way === 'clear') writeBlob(writer, addresses.records, cardBytesMax, 'addresses');
}

/** Views into the reader's input. KithError `malformed`, `too-new`. */
export function readCarriedCard(reader: ByteReader): CarriedCard {
  const card = decodeCard(reader.blob(cardBytesMax));
  if (card.addresses.length > 0 || card.extensions.length > 0) {
    throw reader.fail('a carried card with addresses or extensions in clear');
  }
  const way = reader.u8();
  if (way === ways.none) return { card, addresses: { way: 'none' } };
  if (way === ways.clear) return { card, addresses: { way: 'clear', records: reader.blob(cardBytesMax) } };
  if (way !== ways.sealed) throw reader.fail(`way ${way} of giving addresses`);
  const key = readId(reader);
  return { card, addresses: { way: 'sealed', key, sealed: reader.blob(cardBytesMax + sealedBoxExtraBytes) } };
}

/** A carried card as far as it could be opened. */
export interface OpenedCard {
  /** Encoded, and not verified: that is for who learns it. */
  readonly card: Uint8Array;
  /** Each signed by the device that it names; whose device that is has to be looked at. */
  readonly heads: readonly SignedHead[];
}

/**
 * What a carried card stands for, whole as far as `pairs` open it. KithError `not-authentic` for a card of another identity than the one that
 * was asked about, for addresses in clear unless `isOwn`, and for heads that their devices didn't sign; `malformed` for what
 * opens and can't be read, `limit-exceeded` for what doesn't fit a card.
 */
export function openCarriedCard(
  carried: CarriedCard,
  asked: { readonly identity: Uint8Array; readonly pairs: readonly BoxKeyPair[]; readonly isOwn: boolean },
): OpenedCard {
  const { card, addresses } = carried;
  if (!equalBytes(card.identity, asked.identity)) {
    throw new KithError('not-authentic', 'the card that was carried is of another identity');
  }
  if (addresses.way === 'clear' && !asked.isOwn) {
    throw new KithError('not-authentic', 'addresses of a friend were carried in clear');
  }
  const { records, heads } = whereaboutsOf(addresses, asked.pairs);
  for (const head of heads) verifyHead(asked.identity, head);
  return { card: encodeCard({ ...card, addresses: records }), heads };
}

const nowhere: Whereabouts = { records: [], heads: [] };

function whereaboutsOf(addresses: CarriedCard['addresses'], pairs: readonly BoxKeyPair[]): Whereabouts {
  if (addresses.way === 'none') return nowhere;
  if (addresses.way === 'clear') return decodeWhereabouts(addresses.records);
  const pair = pairs.find(({ publicKey }) => equalBytes(publicKey, addresses.key));
  // Of an epoch that we weren't given, or garbled by whoever gave us the key: as good as none.
  const opened = pair === undefined ? undefined : openBox(addresses.sealed, pair);
  return opened === undefined ? nowhere : decodeWhereabouts(opened);
}
