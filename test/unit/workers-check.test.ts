import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KithError } from '../../lib/base/errors.ts';
import type { CheckJob, CheckSetup } from '../../lib/workers/check-job.ts';
import { WorkPool } from '../../lib/workers/pool.ts';
import { atEnd } from '../support/at-end.ts';

test('a thread that checks packs says of a bad manifest what is wrong, and goes on', async (t) => {
  const setup: CheckSetup = { vaultId: new Uint8Array(32), blobIdKey: new Uint8Array(32) };
  const pool = new WorkPool({ kind: 'check', threads: 1, setup: () => setup });
  atEnd(t, () => pool.close());
  const job: CheckJob = {
    pack: { manifest: new Uint8Array(200), copies: [], content: true },
    devices: new Set(),
    sealingKeys: [],
  };
  for (let i = 0; i < 2; i++) {
    await assert.rejects(pool.call(job), (error: KithError) => error.code === 'malformed');
  }
});

test('a pool goes on with the threads that came up, and says why where none did', async (t) => {
  const setup: CheckSetup = { vaultId: new Uint8Array(32), blobIdKey: new Uint8Array(32) };
  const job: CheckJob = {
    pack: { manifest: new Uint8Array(200), copies: [], content: true },
    devices: new Set(),
    sealingKeys: [],
  };
  // Without a setup a thread throws at its start.
  const some = new WorkPool({
    kind: 'check',
    threads: 3,
    setup: (number) => (number === 1 ? setup : undefined),
  });
  atEnd(t, () => some.close());
  const jobs = [1, 2, 3].map(() => some.call(job));
  for (const each of jobs) await assert.rejects(each, (error: KithError) => error.code === 'malformed');
  assert.equal(await some.started(), undefined);
  assert.equal(some.threads.length, 1);

  const none = new WorkPool({ kind: 'check', threads: 2, setup: () => undefined });
  atEnd(t, () => none.close());
  const said = (error: KithError): boolean =>
    error.code === 'failed' && error.message.startsWith('no worker thread could be started (');
  await assert.rejects(none.call(job), said);
  const why = await none.started();
  assert.ok(why !== undefined && said(why));
  assert.equal(none.threads.length, 0);

  // What can't be sent to a thread is an error of its start as well.
  const unsent = new WorkPool({ kind: 'check', threads: 2, setup: () => () => undefined });
  atEnd(t, () => unsent.close());
  await assert.rejects(unsent.call(job), said);
});

test('a pool that is closed while its threads start gives up its jobs', async () => {
  const setup: CheckSetup = { vaultId: new Uint8Array(32), blobIdKey: new Uint8Array(32) };
  const pool = new WorkPool({ kind: 'check', threads: 1, setup: () => setup });
  const isInterrupted = (error: KithError): boolean => error.code === 'interrupted';
  const given = [assert.rejects(pool.started(), isInterrupted), assert.rejects(pool.call({}), isInterrupted)];
  await pool.close();
  await Promise.all(given);
});
