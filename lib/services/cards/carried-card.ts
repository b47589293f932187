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

/** Address records by themselves. KithError `limit-exceeded`. */
export function encodeAddresses(records: readonly AddressRecord[]): Uint8Array {
  const writer = new ByteWriter();
  writeList(writer, records, cardItemsMax, 'address records', (record) => {
    writeBlob(writer, encodeAddressRecord(record), recordBytesMax, 'address record');
  });
  return writer.finish();
}

/** Views, unverified. KithError `malformed`. */
export function decodeAddresses(bytes: Uint8Array): AddressRecord[] {
  const reader = new ByteReader(bytes, 'addresses');
  let last: Uint8Array | undefined;
  const records = readList(reader, cardItemsMax, 1, () => {
    const record = decodeAddressRecord(reader.blob(recordBytesMax));
    if (last !== undefined && Buffer.compare(last, record.deviceId) >= 0) {
      throw reader.fail("address records don't ascend");
    }
    last = record.deviceId;
    return record;
  });
  reader.end();
  return records;
}

/**
 * A card made ready to be carried: addresses sealed to the subject's contact key, `clear` where the asker is the subject, left out where
 * there is neither. A sealing costs some 0.2 ms.
 */
export function carryCard(card: Card, to: { readonly key: Uint8Array } | 'clear' | undefined): CarriedCard {
  const { addresses, ...rest } = canonicalCard(card);
  const bare = { ...rest, addresses: [], extensions: [] };
  if (to === undefined || addresses.length === 0) return { card: bare, addresses: { way: 'none' } };
  const records = encodeAddresses(addresses);
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

/**
 * The card that a carried one stands for, encoded: whole as far as `pairs` open it, and not verified yet: that is for who learns it. KithError
 * `not-authentic` for a card of another identity than the one that was asked about, and for addresses in clear unless `isOwn`;
 * `malformed` for what opens and can't be read, `limit-exceeded` for what doesn't fit a card.
 */
export function openCarriedCard(
  carried: CarriedCard,
  asked: { readonly identity: Uint8Array; readonly pairs: readonly BoxKeyPair[]; readonly isOwn: boolean },
): Uint8Array {
  const { card, addresses } = carried;
  if (!equalBytes(card.identity, asked.identity)) {
    throw new KithError('not-authentic', 'the card that was carried is of another identity');
  }
  if (addresses.way === 'clear' && !asked.isOwn) {
    throw new KithError('not-authentic', 'addresses of a friend were carried in clear');
  }
  return encodeCard({ ...card, addresses: recordsOf(addresses, asked.pairs) });
}

function recordsOf(
  addresses: CarriedCard['addresses'],
  pairs: readonly BoxKeyPair[],
): readonly AddressRecord[] {
  if (addresses.way === 'none') return [];
  if (addresses.way === 'clear') return decodeAddresses(addresses.records);
  const pair = pairs.find(({ publicKey }) => equalBytes(publicKey, addresses.key));
  // Of an epoch that we weren't given, or garbled by whoever gave us the key: as good as none.
  const opened = pair === undefined ? undefined : openBox(addresses.sealed, pair);
  return opened === undefined ? [] : decodeAddresses(opened);
}
