import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { leafBytes } from '../../lib/base/limits.ts';
import { contentIds } from '../../lib/format/content.ts';
import { Stages } from '../../lib/pipeline/stages.ts';
import { RestoreLanes } from '../../lib/vault/restore/restore-lanes.ts';
import type { RowSource } from '../../lib/workers/open-job.ts';
import { bigFileOf } from '../support/big-file.ts';
import { FakeTime } from '../support/fake-time.ts';
import { noise } from '../support/noise.ts';
import { VaultFixture } from '../support/vault-fixture.ts';

const mebi = 1024 * 1024;

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
