import assert from 'node:assert/strict';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { bigFileOf, chunkGiver, chunkLanes } from '../support/big-file.ts';
import { noise } from '../support/noise.ts';
import { VaultFixture } from '../support/vault-fixture.ts';

const mebi = 1024 * 1024;

// Ranges that are made of others: test/long/restore-lanes.test.ts.
test('what is in flight stays within its bounds, however much is restored, and is all given up at the end', async (t) => {
  const big = noise(5, 40 * mebi);
  const fixture = await VaultFixture.create(t, { drives: 2, spread: { k: 1, n: 2 }, files: { big } });
  await fixture.backup();
  await fixture.session(async (session) => {
    const { reader, names, content } = await bigFileOf(fixture, session);
    const out = join(fixture.root, 'out');
    const file = await open(out, 'w');
    let written = 0;
    const lanes = chunkLanes(session, reader, (count) => (written += count));
    try {
      await chunkGiver(lanes, reader, content, { names, handle: file.fd }).until(Infinity);
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
