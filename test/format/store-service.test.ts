import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { concatBytes, toHex } from '../../lib/base/bytes.ts';
import { KithError, isKithError } from '../../lib/base/errors.ts';
import { signKeyPair } from '../../lib/crypto/sign.ts';
import { shardFileBytes } from '../../lib/format/shard-file.ts';
import type { HeldLog, InventoryEntry } from '../../lib/holders/holder.ts';
import {
  decodeEntries,
  decodeInventoryAsked,
  decodeInventoryPage,
  encodeEntries,
  encodeInventoryAsked,
  encodeInventoryPage,
  entriesFitting,
  folderDigest,
  signPageContent,
  type InventoryPage,
} from '../../lib/services/store/inventory-page.ts';
import {
  decodeAvailability,
  decodeFound,
  decodeLogCursor,
  decodeLogPage,
  decodeNumber,
  decodePut,
  decodeRange,
  decodeRef,
  decodeRefs,
  decodeRoom,
  decodeSegmentRef,
  decodeVerified,
  encodeAvailability,
  encodeFound,
  encodeLogCursor,
  encodeLogPage,
  encodeNumber,
  encodePut,
  encodeRange,
  encodeRef,
  encodeRefs,
  encodeRoom,
  encodeSegmentRef,
  encodeVerified,
  logPageOf,
} from '../../lib/services/store/store-codec.ts';
import { toldToFriend } from '../../lib/services/store/told-to-friend.ts';
import { canonical, fuzzDecoder } from '../support/fuzz.ts';
import { checkGolden } from '../support/golden.ts';
import { idOf } from './samples.ts';

const holder = signKeyPair(idOf('holder'));
const vaultId = idOf('vault');

/** A pack id in a folder. */
function idIn(folder: number, name: string): Uint8Array {
  return concatBytes(new Uint8Array([folder]), idOf(name).subarray(1));
}

const ref = { packId: idIn(7, 'pack'), index: 5 };
const segmentRef = { logKey: idOf('log'), firstIndex: 258 };
const wholeBytes = shardFileBytes({ class: 2, manifestBytes: 300 });
const byId = (a: InventoryEntry, b: InventoryEntry): number => Buffer.compare(a.packId, b.packId);
const entries: readonly InventoryEntry[] = [
  {
    packId: idIn(7, 'a'),
    index: 0,
    class: 2,
    fileBytes: wholeBytes,
    sinceMs: 1_767_225_600_000,
    damaged: undefined,
  },
  { packId: idIn(7, 'b'), index: 63, class: undefined, fileBytes: 12, sinceMs: 0, damaged: 'cut short' },
  { packId: idIn(7, 'c'), index: 1, class: undefined, fileBytes: 99, sinceMs: 5, damaged: undefined },
].sort(byId);
const encodedEntries = encodeEntries(entries);
const asked = {
  nonce: idOf('nonce'),
  from: 7,
  after: ref,
  known: [
    { firstByte: 7, digest: folderDigest(encodedEntries) },
    { firstByte: 255, digest: idOf('digest') },
  ],
};
const askedBytes = encodeInventoryAsked(asked);
const page: InventoryPage = {
  next: 200,
  sections: [
    { firstByte: 7, same: false, more: false, entries: encodedEntries },
    { firstByte: 9, same: true, more: false, entries: new Uint8Array(0) },
  ],
};
const signer = { vaultId, deviceId: holder.publicKey, deviceSecretKey: holder.secretKey };
const pageBytes = encodeInventoryPage(page, askedBytes, signer);
const isHolders = (deviceId: Uint8Array): boolean => toHex(deviceId) === toHex(holder.publicKey);
const logs: readonly HeldLog[] = [
  {
    logKey: idOf('log'),
    segments: [
      { firstIndex: 0, bytes: 400 },
      { firstIndex: 300, bytes: 5 },
    ],
  },
];
const put = {
  ...ref,
  k: 3,
  class: 2,
  keyEpoch: 4,
  reservation: 700,
  payloadBytes: 262144,
  leavesBytes: 128,
  manifestBytes: 300,
};

/** Reads all of an entries blob. */
function readEntries(bytes: Uint8Array): InventoryEntry[] {
  return [...decodeEntries(bytes, 7)];
}

function readPage(bytes: Uint8Array): InventoryPage {
  return decodeInventoryPage(bytes, askedBytes, vaultId, isHolders);
}

/** Reads a page, and its entries, that a lying holder has signed. */
function readSigned(content: Uint8Array): InventoryPage {
  const read = readPage(signPageContent(content, askedBytes, signer));
  for (const { firstByte, entries: some } of read.sections)
    for (const entry of decodeEntries(some, firstByte)) void entry;
  return read;
}

interface Body {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly decode: (bytes: Uint8Array) => unknown;
  readonly encode: (value: never) => Uint8Array;
}

const bodies: readonly Body[] = [
  { name: 'ref', bytes: encodeRef(ref), decode: decodeRef, encode: encodeRef },
  { name: 'refs', bytes: encodeRefs([ref, { ...ref, index: 6 }]), decode: decodeRefs, encode: encodeRefs },
  {
    name: 'available',
    bytes: encodeAvailability({ available: true }),
    decode: decodeAvailability,
    encode: encodeAvailability,
  },
  {
    name: 'away',
    bytes: encodeAvailability({ available: false, foreign: true, reason: 'gone' }),
    decode: decodeAvailability,
    encode: encodeAvailability,
  },
  {
    name: 'room',
    bytes: encodeRoom({ quotaBytes: 5_000_000_000, usedBytes: 70_000, reservedBytes: 1, freeBytes: 300 }),
    decode: decodeRoom,
    encode: encodeRoom,
  },
  {
    name: 'room without quota',
    bytes: encodeRoom({ quotaBytes: undefined, usedBytes: 0, reservedBytes: 0, freeBytes: 2 ** 53 - 1 }),
    decode: decodeRoom,
    encode: encodeRoom,
  },
  { name: 'number', bytes: encodeNumber(65_810), decode: decodeNumber, encode: encodeNumber },
  { name: 'put', bytes: encodePut(put), decode: decodePut, encode: encodePut },
  {
    name: 'range',
    bytes: encodeRange({ ...ref, firstLeaf: 3, leafCount: 61 }),
    decode: decodeRange,
    encode: encodeRange,
  },
  { name: 'found', bytes: encodeFound(4_260_000), decode: decodeFound, encode: encodeFound },
  { name: 'absent', bytes: encodeFound(undefined), decode: decodeFound, encode: encodeFound },
  { name: 'verified', bytes: encodeVerified('missing'), decode: decodeVerified, encode: encodeVerified },
  {
    name: 'segment',
    bytes: encodeSegmentRef(segmentRef),
    decode: decodeSegmentRef,
    encode: encodeSegmentRef,
  },
  {
    name: 'log page',
    bytes: encodeLogPage({ logs, more: true }),
    decode: decodeLogPage,
    encode: encodeLogPage,
  },
  { name: 'asked', bytes: askedBytes, decode: decodeInventoryAsked, encode: encodeInventoryAsked },
  { name: 'entries', bytes: encodedEntries, decode: readEntries, encode: encodeEntries },
  {
    name: 'page',
    bytes: pageBytes,
    decode: readPage,
    encode: (value: InventoryPage) => encodeInventoryPage(value, askedBytes, signer),
  },
];

void describe('bodies of kith/store', () => {
  for (const { name, bytes, decode, encode } of bodies) {
    void it(`${name} matches its golden vector`, () => {
      checkGolden('store-service.json', name, () => bytes, decode as (bytes: Uint8Array) => never, encode);
    });
  }

  void it('give back what was put in', () => {
    assert.deepEqual(decodePut(encodePut(put)), put);
    assert.deepEqual(readEntries(encodedEntries), entries);
    assert.deepEqual(decodeInventoryAsked(askedBytes), asked);
    assert.deepEqual(readPage(pageBytes), page);
    assert.deepEqual(decodeLogPage(encodeLogPage({ logs, more: false })), { logs, more: false });
    assert.equal(decodeLogCursor(encodeLogCursor(undefined)), undefined);
    assert.deepEqual(decodeLogCursor(encodeLogCursor(segmentRef)), segmentRef);
  });
});

void describe('inventory pages', () => {
  const refused = (bytes: Uint8Array, code: 'malformed' | 'not-authentic', of = readPage): void => {
    assert.throws(
      () => of(bytes),
      (error) => isKithError(error, code),
    );
  };

  void it('hold only as the answer to their question, for their vault, from a device of the holder', () => {
    refused(
      encodeInventoryPage(page, encodeInventoryAsked({ ...asked, nonce: idOf('old') }), signer),
      'not-authentic',
    );
    refused(
      encodeInventoryPage(page, encodeInventoryAsked({ ...asked, from: 8, after: undefined }), signer),
      'not-authentic',
    );
    refused(encodeInventoryPage(page, askedBytes, { ...signer, vaultId: idOf('other') }), 'not-authentic');
    const stranger = signKeyPair(idOf('stranger'));
    refused(
      encodeInventoryPage(page, askedBytes, {
        vaultId,
        deviceId: stranger.publicKey,
        deviceSecretKey: stranger.secretKey,
      }),
      'not-authentic',
    );
    for (let at = 0; at < pageBytes.length; at++) {
      const altered = pageBytes.slice();
      altered[at] = (altered[at] ?? 0) ^ 1;
      refused(altered, 'not-authentic');
    }
  });

  const some = { same: false, more: false, entries: encodedEntries };
  const none = new Uint8Array(0);
  const shapes: readonly (readonly [string, InventoryPage])[] = [
    [
      'folders out of order',
      {
        next: undefined,
        sections: [
          { ...some, firstByte: 8 },
          { ...some, firstByte: 7 },
        ],
      },
    ],
    [
      'a folder twice',
      {
        next: undefined,
        sections: [
          { ...some, firstByte: 7 },
          { ...some, firstByte: 7 },
        ],
      },
    ],
    ['entries of the same', { next: undefined, sections: [{ ...some, firstByte: 7, same: true }] }],
    ['the same and more', { next: 7, sections: [{ firstByte: 7, same: true, more: true, entries: none }] }],
    ['more of nothing', { next: 7, sections: [{ firstByte: 7, same: false, more: true, entries: none }] }],
    ['more, and an end', { next: undefined, sections: [{ ...some, firstByte: 7, more: true }] }],
    ['more, and another folder next', { next: 8, sections: [{ ...some, firstByte: 7, more: true }] }],
    [
      'more in the middle',
      {
        next: 8,
        sections: [
          { ...some, firstByte: 7, more: true },
          { ...some, firstByte: 8, more: true },
        ],
      },
    ],
    ['a folder again in the next page', { next: 7, sections: [{ ...some, firstByte: 7 }] }],
    ['back to the beginning', { next: 0, sections: [{ ...some, firstByte: 7 }] }],
  ];
  for (const [what, bad] of shapes) {
    void it(`are refused with ${what}, though signed`, () => {
      refused(encodeInventoryPage(bad, askedBytes, signer), 'malformed');
    });
  }

  const [a, b] = entries;
  assert.ok(a !== undefined && b !== undefined);
  const whole = entries.find((entry) => entry.class !== undefined);
  assert.ok(whole !== undefined);
  const lists: readonly (readonly [string, readonly InventoryEntry[]])[] = [
    ['of another folder', [{ ...a, packId: idIn(8, 'x') }]],
    ['out of order', [b, a]],
    ['twice', [a, a]],
    [
      'that are whole with a byte too few',
      [{ ...whole, fileBytes: shardFileBytes({ class: 2, manifestBytes: 0 }) - 1 }],
    ],
    [
      'that are whole with a byte too many',
      [{ ...whole, fileBytes: shardFileBytes({ class: 2, manifestBytes: 65537 }) }],
    ],
    ['of a class that is none', [{ ...whole, class: 7 }]],
  ];
  for (const [what, list] of lists) {
    void it(`refuse shards ${what}`, () => {
      refused(encodeEntries(list), 'malformed', readEntries as never);
    });
  }

  void it('go on after the shard that was told last', () => {
    assert.deepEqual([...decodeEntries(encodeEntries([b]), 7, a)], [b]);
    assert.throws(() => [...decodeEntries(encodeEntries([a, b]), 7, a)], /order/);
  });

  void it('have no control characters in their words', () => {
    const sly = [{ ...b, damaged: 'no\u001b[2Jthing\nhere\u202e' }];
    const [found] = readEntries(encodeEntries(sly));
    assert.equal(found?.damaged, 'no [2Jthing here');
    const blank = readEntries(encodeEntries([{ ...b, damaged: '\u202e' }]));
    assert.equal(blank[0]?.damaged, 'damaged', 'never whole by wiping its words');
  });

  void it('take as many entries as fit, in number and bytes', () => {
    const many = Array.from({ length: 500 }, (_, i): InventoryEntry => {
      const words = i % 3 === 0 ? 'x'.repeat(200) : undefined;
      return {
        packId: idIn(7, `${i}`),
        index: 0,
        class: undefined,
        fileBytes: i * 1000,
        sinceMs: i,
        damaged: words,
      };
    }).sort(byId);
    for (const [countMax, bytesMax] of [
      [500, 10_000],
      [10, 10_000],
      [500, 0],
      [0, 100],
      [500, 1_000_000],
      [500, 37],
    ] as const) {
      const { count, entries: bytes } = entriesFitting(many, countMax, bytesMax);
      assert.ok(bytes.length <= bytesMax && count <= countMax);
      assert.deepEqual(readEntries(bytes), many.slice(0, count));
    }
    assert.ok(entriesFitting(many, 500, 10_000).count > 50);
    assert.equal(entriesFitting(many, 500, 1_000_000).count, 500);
  });
});

void describe('pages of logs', () => {
  void it('tell all segments once, in order, whatever the sizes', () => {
    const held: HeldLog[] = [
      {
        logKey: idOf('x'),
        segments: Array.from({ length: 5000 }, (_, i) => ({ firstIndex: i * 2, bytes: 9 })),
      },
      { logKey: idOf('y'), segments: [] },
      { logKey: idOf('z'), segments: Array.from({ length: 4096 }, (_, i) => ({ firstIndex: i, bytes: 1 })) },
      ...Array.from({ length: 1500 }, (_, i) => ({
        logKey: idOf(`l${i}`),
        segments: [{ firstIndex: 0, bytes: 1 }],
      })),
    ];
    const told = new Set<string>();
    let after: { logKey: Uint8Array; firstIndex: number } | undefined;
    let pages = 0;
    for (; pages < 20; pages++) {
      const bytes = encodeLogPage(logPageOf(held, after));
      assert.ok(bytes.length <= 512 * 1024);
      const { logs: some, more } = decodeLogPage(bytes);
      for (const { logKey, segments } of some) {
        for (const { firstIndex } of segments) {
          const name = `${toHex(logKey)} ${firstIndex}`;
          assert.ok(!told.has(name));
          told.add(name);
          after = { logKey, firstIndex };
        }
      }
      if (!more) break;
    }
    assert.equal(told.size, 5000 + 4096 + 1500);
    assert.ok(pages > 1 && pages < 10);
  });
});

void describe('what a friend is told of an error', () => {
  void it('has no path in it', () => {
    const path = '/home/ben/secret';
    const errors = [
      new KithError('holder-unavailable', `no ${path}`, { details: { path, foreign: true } }),
      new KithError('disk-full', `writing ${path}`, { details: { path, system: 'ENOSPC' } }),
      new KithError('shard-damaged', `reading ${path}`, { details: { pack: 'ab', index: 3, holder: path } }),
      new KithError('limit-exceeded', `${path} has more than 9 bytes`),
    ];
    for (const error of errors) {
      const told = toldToFriend(error);
      assert.ok(isKithError(told, error.code));
      assert.ok(!`${told.message}${JSON.stringify(told.details)}`.includes('secret'));
    }
    const quota = new KithError('quota-exceeded', 'full', { details: { quotaBytes: 1 } });
    assert.equal(toldToFriend(quota), quota);
    const bug = new RangeError('x');
    assert.equal(toldToFriend(bug), bug);
  });
});

for (const { name, bytes, decode, encode } of bodies) {
  // Words in entries are cleaned, and a page is signed: neither encodes to the same again when it was altered.
  const isCanonical = name !== 'entries' && name !== 'page';
  fuzzDecoder(name, [bytes], isCanonical ? canonical(decode as never, encode) : decode, {
    // A list of entries has no count: it may end after any of them.
    prefixesValid: name === 'entries',
  });
}

fuzzDecoder('content of a page, signed', [pageBytes.subarray(96)], readSigned);
