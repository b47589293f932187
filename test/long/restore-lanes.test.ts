import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { leafBytes } from '../../lib/base/limits.ts';
import type { RowSource } from '../../lib/workers/open-job.ts';
import { bigFileOf, chunkGiver, chunkLanes } from '../support/big-file.ts';
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
    const counting = { openPack, shards: counted } as unknown as typeof reader;
    const lanes = chunkLanes(session, counting);
    const giver = chunkGiver(lanes, reader, content, { names, handle: file.fd });
    /** Gives so many bytes more while nothing is answered; what the lanes ask for meanwhile. */
    const asked = async (bytes: number): Promise<number> => {
      let openGate = (): void => undefined;
      gate = new Promise((resolve) => (openGate = resolve));
      const given = giver.until(giver.given + bytes);
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
      await giver.until(8 * mebi);
      await lanes.drain();
      const costly = await asked(20 * mebi);
      assert.ok(
        costly >= 8 * mebi && 2.5 * costly <= 32 * mebi,
        `${costly} bytes asked for, each four times`,
      );
      rowsEach = 1;
      await giver.until(giver.given + 24 * mebi);
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
