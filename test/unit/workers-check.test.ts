import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KithError } from '../../lib/base/errors.ts';
import type { CheckJob, CheckSetup } from '../../lib/workers/check-job.ts';
import { WorkPool } from '../../lib/workers/pool.ts';

test('a thread that checks packs says of a bad manifest what is wrong, and goes on', async (t) => {
  const setup: CheckSetup = { vaultId: new Uint8Array(32), blobIdKey: new Uint8Array(32) };
  const pool = new WorkPool({ kind: 'check', threads: 1, setup: () => setup });
  t.after(() => pool.close());
  const job: CheckJob = {
    pack: { manifest: new Uint8Array(200), copies: [], content: true },
    devices: new Set(),
    sealingKeys: [],
  };
  for (let i = 0; i < 2; i++) {
    await assert.rejects(pool.call(job), (error: KithError) => error.code === 'malformed');
  }
});
