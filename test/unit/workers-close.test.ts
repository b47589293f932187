import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WorkPool } from '../../lib/workers/pool.ts';

/** A thread that is ended while it loads native code takes the whole process along: this one, then. */
test('threads that are ended while they start leave the process as it is', async () => {
  const setup = { blobIdKey: new Uint8Array(32), known: [] };
  for (const turns of [0, 1, 4, 16, 64, 256]) {
    const pool = new WorkPool({ kind: 'open', threads: 2, setup: () => setup });
    for (let i = 0; i < turns; i++) {
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    await pool.close();
    await assert.rejects(pool.call({}), { code: 'interrupted' });
  }
});
