import assert from 'node:assert/strict';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { leafBytes } from '../../lib/base/limits.ts';
import { contentIds, type Content } from '../../lib/format/content.ts';
import { Stages } from '../../lib/pipeline/stages.ts';
import type { BlobReader } from '../../lib/vault/blob-reader.ts';
import { prepareRead } from '../../lib/vault/prepare.ts';
import { RestoreLanes } from '../../lib/vault/restore-lanes.ts';
import type { Session } from '../../lib/vault/session.ts';
import { resolveSnapshot } from '../../lib/vault/snapshots.ts';
import { namesOf, TreeReader } from '../../lib/vault/tree-reader.ts';
import type { RowSource } from '../../lib/workers/open-job.ts';
import { FakeTime } from '../support/fake-time.ts';
import { noise } from '../support/noise.ts';
import { VaultFixture } from '../support/vault-fixture.ts';

const mebi = 1024 * 1024;

/** The file `big` of the latest snapshot, and what reads it. */
async function bigFileOf(
  fixture: VaultFixture,
  session: Session,
): Promise<{
  readonly reader: BlobReader;
  readonly names: readonly Uint8Array[];
  readonly content: Content;
}> {
  const { reader } = await prepareRead(session, () => undefined);
  const { found } = await resolveSnapshot(session, 'latest');
  const names = namesOf(`${fixture.source}/big`);
  const entry = await new TreeReader(reader).at(found.snapshot.root, names);
  assert.ok(entry?.content !== undefined);
  return { reader, names, content: entry.content };
}

test('what is in flight stays within its bounds, however much is restored, and is all given up at the end', async (t) => {
  const big = noise(5, 56 * mebi);
  const fixture = await VaultFixture.create(t, { drives: 2, spread: { k: 1, n: 2 }, files: { big } });
  await fixture.backup();
  await fixture.session(async (session) => {
    const { reader, names, content } = await bigFileOf(fixture, session);
    const out = join(fixture.root, 'out');
    const file = await open(out, 'w');
    let written = 0;
    const lanes = new RestoreLanes({
      reader,
      setup: { blobIdKey: session.device.blobIdKey, known: [] },
      threads: 2,
      atOnce: true,
      spanLeavesMax: 64,
      stages: new Stages(),
      signal: undefined,
      listener: {
        onNoThreads: (why) => assert.fail(why),
        onFile: () => Promise.reject(new Error('no file was given')),
        onChunk: ({ blob }, end) => {
          assert.equal(end, undefined);
          written += blob.place.length;
          return Promise.resolve();
        },
      },
    });
    try {
      let offset = 0;
      for await (const blobId of contentIds(content, reader.list)) {
        const place = reader.placeOf(blobId);
        const manifest = place === undefined ? undefined : reader.manifestOf(place.packId);
        assert.ok(place !== undefined && manifest !== undefined);
        await lanes.addChunk({
          file: { names, handle: file.fd },
          offset,
          blob: { blobId, place, manifest },
        });
        offset += place.length;
      }
      await lanes.drain();
    } finally {
      await lanes.close();
      await file.close();
    }
    assert.equal(written, big.length);
    assert.ok(lanes.bytesPeak > 8 * mebi, 'several batches were on their way');
    assert.ok(lanes.bytesPeak <= 32 * mebi, `${lanes.bytesPeak} bytes in flight`);
    assert.deepEqual(new Uint8Array(await readFile(out)), big);
  });
});

test('ranges that had to be made of others count for what they are, and no longer than that', async (t) => {
  const big = noise(6, 80 * mebi);
  const fixture = await VaultFixture.create(t, { drives: 2, spread: { k: 1, n: 2 }, files: { big } });
  await fixture.backup();
  await fixture.session(async (session) => {
    const { reader, names, content } = await bigFileOf(fixture, session);
    const file = await open(join(fixture.root, 'out'), 'w');
    /** How many rows each range is made of: as if the same had come from so many friends. */
    let rowsEach = 1;
    let gate: Promise<void> | undefined;
    let waitingBytes = 0;
    const { shards } = reader;
    const rows = async (...range: Parameters<typeof shards.gather>): Promise<readonly RowSource[]> => {
      const bytes = range[3] * leafBytes;
      waitingBytes += bytes;
      await gate;
      waitingBytes -= bytes;
      const [row] = await shards.gather(...range);
      assert.ok(row !== undefined);
      return Array.from({ length: rowsEach }, () => row);
    };
    const counted = { gather: rows, gatherVerified: shards.gatherVerified.bind(shards) };
    const openPack = reader.openPack.bind(reader);
    const lanes = new RestoreLanes({
      reader: { openPack, shards: counted } as unknown as typeof reader,
      setup: { blobIdKey: session.device.blobIdKey, known: [] },
      threads: 2,
      atOnce: true,
      spanLeavesMax: 64,
      stages: new Stages(),
      signal: undefined,
      listener: {
        onNoThreads: (why) => assert.fail(why),
        onFile: () => Promise.reject(new Error('no file was given')),
        onChunk: (_, end) => Promise.resolve(assert.equal(end, undefined)),
      },
    });
    const chunks = contentIds(content, reader.list);
    let offset = 0;
    const give = async (untilBytes: number): Promise<void> => {
      while (offset < untilBytes) {
        const next = await chunks.next();
        if (next.done === true) break;
        const blobId = next.value;
        const place = reader.placeOf(blobId);
        const manifest = place === undefined ? undefined : reader.manifestOf(place.packId);
        assert.ok(place !== undefined && manifest !== undefined);
        const blob = { blobId, place, manifest };
        await lanes.addChunk({ file: { names, handle: file.fd }, offset, blob });
        offset += place.length;
      }
    };
    /** Gives so many bytes more while nothing is answered; what the lanes ask for meanwhile. */
    const asked = async (bytes: number): Promise<number> => {
      let openGate = (): void => undefined;
      gate = new Promise((resolve) => (openGate = resolve));
      const given = give(offset + bytes);
      await new FakeTime().settle();
      const found = waitingBytes;
      gate = undefined;
      openGate();
      await given;
      await lanes.drain();
      return found;
    };
    try {
      rowsEach = 4;
      await give(8 * mebi);
      await lanes.drain();
      const costly = await asked(20 * mebi);
      assert.ok(
        costly >= 8 * mebi && 2.5 * costly <= 32 * mebi,
        `${costly} bytes asked for, each four times`,
      );
      rowsEach = 1;
      await give(offset + 24 * mebi);
      await lanes.drain();
      const cheap = await asked(24 * mebi);
      assert.ok(cheap >= 16 * mebi, `${cheap} bytes asked for, as if each were still made of four`);
      assert.ok(cheap <= 32 * mebi);
    } finally {
      await lanes.close();
      await file.close();
    }
  });
});
