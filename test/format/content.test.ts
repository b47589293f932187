import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { concatBytes, equalBytes, toHex, utf8 } from '../../lib/base/bytes.ts';
import { ByteReader, ByteWriter } from '../../lib/base/codec.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { blobKindOf, blobKinds, BlobNamer } from '../../lib/format/blob.ts';
import {
  ContentBuilder,
  contentIds,
  contentIdsMax,
  decodeList,
  encodeList,
  listIdsMax,
  readContent,
  writeContent,
} from '../../lib/format/content.ts';
import type { Content } from '../../lib/format/content.ts';
import { fuzzDecoder } from '../support/fuzz.ts';
import { checkGolden, goldenBytes } from '../support/golden.ts';
import { idOf, idsOf, randomIds } from './samples.ts';

const namer = new BlobNamer(idOf('blob id key'));

function isMalformed(error: unknown): boolean {
  return isKithError(error, 'malformed');
}

function encodeContent(content: Content): Uint8Array {
  const writer = new ByteWriter();
  writeContent(writer, content);
  return writer.finish();
}

function decodeContent(bytes: Uint8Array): Content {
  const reader = new ByteReader(bytes, 'content');
  const content = readContent(reader);
  reader.end();
  return content;
}

/** Lists in memory, by id. */
class ListShelf {
  readonly lists = new Map<string, Uint8Array>();

  readonly store = (bytes: Uint8Array): Uint8Array => {
    const id = namer.idOf(blobKinds.list, bytes);
    this.lists.set(toHex(id), bytes);
    return id;
  };

  readonly fetch = (id: Uint8Array): Promise<Uint8Array> => {
    const bytes = this.lists.get(toHex(id));
    assert.ok(bytes !== undefined, 'a list that was never stored');
    return Promise.resolve(bytes);
  };

  build(ids: readonly Uint8Array[]): Content {
    const builder = new ContentBuilder(this.store);
    for (const id of ids) builder.add(id);
    return builder.finish();
  }

  /** What walk gives, without a promise for each id: those are dear inside a test. */
  flatten(content: Content): readonly Uint8Array[] {
    if (content.level === 0) return content.ids;
    return content.ids.flatMap((id) => {
      const bytes = this.lists.get(toHex(id));
      assert.ok(bytes !== undefined, 'a list that was never stored');
      return this.flatten(decodeList(bytes, content.level - 1));
    });
  }

  async walk(content: Content): Promise<Uint8Array[]> {
    const ids: Uint8Array[] = [];
    for await (const id of contentIds(content, this.fetch)) ids.push(id);
    return ids;
  }
}

void describe('BlobNamer', () => {
  void it('gives the same bytes of another kind, or under another key, another id', () => {
    const bytes = utf8('the same bytes');
    const ids = Object.values(blobKinds).map((kind) => toHex(namer.idOf(kind, bytes)));
    ids.push(toHex(new BlobNamer(idOf('another key')).idOf(blobKinds.data, bytes)));
    assert.equal(new Set(ids).size, ids.length);
    const stored = goldenBytes('tree-content.json', 'blob id of a chunk', () =>
      namer.idOf(blobKinds.data, bytes),
    );
    assert.ok(equalBytes(namer.idOf(blobKinds.data, bytes), stored));
  });

  void it('knows its kinds and no others', () => {
    for (const kind of Object.values(blobKinds)) assert.equal(blobKindOf(kind), kind);
    for (const number of [0, 6, 255, 1.5]) assert.equal(blobKindOf(number), undefined);
  });
});

void describe('content and lists', () => {
  void it('round-trip', () => {
    const id = fc.uint8Array({ minLength: 32, maxLength: 32 });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 3 }), fc.array(id), (level, ids) => {
        assert.deepEqual(decodeContent(encodeContent({ level, ids })), { level, ids });
        if (ids.length > 0 && level < 3)
          assert.deepEqual(decodeList(encodeList({ level, ids }), level), { level, ids });
      }),
    );
  });

  void it('match their golden vectors', () => {
    const list = { level: 1, ids: idsOf('golden list', 3) };
    checkGolden(
      'tree-content.json',
      'list of level 1',
      () => encodeList(list),
      (bytes) => decodeList(bytes, 1),
      encodeList,
    );
    const content = { level: 3, ids: idsOf('golden content', 2) };
    checkGolden(
      'tree-content.json',
      'content of level 3',
      () => encodeContent(content),
      decodeContent,
      encodeContent,
    );
  });

  void it('keep their limits', () => {
    const full = { level: 0, ids: randomIds(3, contentIdsMax + 1) };
    assert.throws(() => encodeContent(full), RangeError);
    assert.throws(() => encodeContent({ level: 4, ids: [] }), RangeError);
    assert.throws(() => encodeList({ level: 3, ids: idsOf('a', 1) }), RangeError);
    assert.throws(() => encodeList({ level: 0, ids: [] }), RangeError);
    assert.throws(() => encodeList({ level: 0, ids: [new Uint8Array(31)] }), RangeError);
    const over = new ByteWriter()
      .u8(0)
      .varint(contentIdsMax + 1)
      .finish();
    assert.throws(() => decodeContent(concatBytes(over, ...full.ids)), isMalformed);
    assert.throws(() => decodeContent(new Uint8Array([4, 0])), isMalformed);
    const claim = new ByteWriter().bytes(utf8('L')).u8(1).u8(0).varint(listIdsMax).finish();
    assert.throws(() => decodeList(claim, 0), /items claimed/);
    assert.throws(() => decodeList(new Uint8Array([0x4c, 1, 0, 0]), 0), /empty/);
  });

  void it('refuse a list of the wrong level', () => {
    const bytes = encodeList({ level: 1, ids: idsOf('a', 1) });
    assert.throws(() => decodeList(bytes, 0), isMalformed);
    assert.throws(() => decodeList(bytes, 2), isMalformed);
  });
});

void describe('ContentBuilder', () => {
  void it('keeps few ids in the entry, and none for an empty file', async () => {
    const shelf = new ListShelf();
    assert.deepEqual(shelf.build([]), { level: 0, ids: [] });
    const ids = idsOf('few', 256);
    assert.deepEqual(shelf.build(ids), { level: 0, ids });
    assert.equal(shelf.lists.size, 0);
  });

  void it('takes any number of ids and gives them back in order', async () => {
    const all = randomIds(1, 100_000);
    for (const count of [257, 1023, 1024, 1025, 100_000]) {
      const shelf = new ListShelf();
      const ids = all.slice(0, count);
      const content = shelf.build(ids);
      assert.equal(content.level, 1);
      assert.ok(content.ids.length <= contentIdsMax);
      const found = await shelf.walk(content);
      assert.ok(equalBytes(concatBytes(...found), concatBytes(...ids)), `${count} ids`);
    }
  });

  void it('goes up a level where even lists are many', async () => {
    const shelf = new ListShelf();
    // Ids that end a list at once after the least length: 300 × 1024 of them make 300 lists, more than an entry keeps.
    const ender = new Uint8Array(32);
    const builder = new ContentBuilder(shelf.store);
    const count = 300 * 1024 + 5;
    for (let i = 0; i < count; i++) {
      ender[8] = i & 0xff;
      ender[9] = (i >> 8) & 0xff;
      ender[10] = i >> 16;
      builder.add(ender);
    }
    const content = builder.finish();
    assert.equal(content.level, 2);
    let walked = 0;
    for (const id of shelf.flatten(content)) {
      const number = (id[8] ?? 0) | ((id[9] ?? 0) << 8) | ((id[10] ?? 0) << 16);
      if (number !== walked) assert.fail(`id ${number} at place ${walked}`);
      walked++;
    }
    assert.equal(walked, count);
  });

  void it('ends a list at the limit where no id would end it', async () => {
    const shelf = new ListShelf();
    const id = new Uint8Array(32).fill(1);
    const builder = new ContentBuilder(shelf.store);
    for (let i = 0; i < listIdsMax + 1; i++) builder.add(id);
    const content = builder.finish();
    assert.equal(content.ids.length, 2);
    assert.equal((await shelf.walk(content)).length, listIdsMax + 1);
  });

  void it('changes at most two lists for a chunk that comes', async () => {
    const ids = randomIds(2, 50_000);
    const before = new ListShelf();
    before.build(ids);
    const after = new ListShelf();
    after.build([...ids.slice(0, 9000), idOf('new'), ...ids.slice(9000)]);
    const fresh = [...after.lists.keys()].filter((id) => !before.lists.has(id));
    assert.ok(before.lists.size > 8);
    assert.ok(fresh.length >= 1 && fresh.length <= 2, `${fresh.length} new lists`);
  });

  void it('is walked in order over three levels, and only as far as is asked', async () => {
    const shelf = new ListShelf();
    const ids = idsOf('deep', 27);
    let level = ids;
    for (let l = 0; l < 3; l++) {
      const lists: Uint8Array[] = [];
      for (let at = 0; at < level.length; at += 3) {
        lists.push(shelf.store(encodeList({ level: l, ids: level.slice(at, at + 3) })));
      }
      level = lists;
    }
    assert.deepEqual(await shelf.walk({ level: 3, ids: level }), ids);
    let fetched = 0;
    const counting = (id: Uint8Array): Promise<Uint8Array> => {
      fetched++;
      return shelf.fetch(id);
    };
    for await (const id of contentIds({ level: 3, ids: level }, counting)) {
      assert.deepEqual(id, ids[0]);
      break;
    }
    assert.equal(fetched, 3);
  });

  void it('does not go where levels lie', async () => {
    const shelf = new ListShelf();
    const leaf = shelf.store(encodeList({ level: 0, ids: idsOf('x', 2) }));
    await assert.rejects(shelf.walk({ level: 2, ids: [leaf] }), isMalformed);
    assert.equal((await shelf.walk({ level: 1, ids: [leaf, leaf] })).length, 4);
  });
});

fuzzDecoder('list', [encodeList({ level: 0, ids: idsOf('f', 4) })], (bytes) => decodeList(bytes, 0));
fuzzDecoder('content', [encodeContent({ level: 2, ids: idsOf('f', 4) })], decodeContent);
