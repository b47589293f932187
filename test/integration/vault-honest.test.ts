import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { KithError } from '../../lib/base/errors.ts';
import type { Disk } from '../../lib/disk/disk.ts';
import { nodeDisk } from '../../lib/disk/node-disk.ts';
import { plainCoder, type ErasureCoder } from '../../lib/kernels/reed-solomon.ts';
import { backup } from '../../lib/vault/backup/backup.ts';
import { Session } from '../../lib/vault/session.ts';
import type { Problem } from '../../lib/vault/types.ts';
import { noise } from '../support/noise.ts';
import { forgedEntry, forgeSnapshot } from '../support/tree-forge.ts';
import { PartlyFullDisk } from '../support/vault-fixture-disk.ts';
import { failure, flipByte, item, VaultFixture } from '../support/vault-fixture.ts';
import { entryTypes } from '../../lib/format/tree.ts';

const spread = { k: 2, n: 3 };

for (const place of ['before', 'after'] as const) {
  test(`a bit that flips in a finished pack ${place} it is coded is found before anything is sent`, async (t) => {
    const fixture = await VaultFixture.create(t, { drives: 3, spread });
    // Behind the head of 64 bytes at most, where the first frame is.
    const flip = (bytes: Uint8Array | undefined): void => {
      if (bytes !== undefined) bytes[100] = (bytes[100] ?? 0) ^ 4;
    };
    const coder: ErasureCoder = {
      ...plainCoder,
      encodeInto: (k, data, rows, outputs) => {
        if (place === 'before') flip(data[0]);
        plainCoder.encodeInto(k, data, rows, outputs);
        if (place === 'after') flip(data[0]);
      },
      reconstruct: (...args) => plainCoder.reconstruct(...args),
    };
    const session = await Session.open({
      home: fixture.home,
      surroundings: { ...fixture.surroundings, coder },
    });
    try {
      const error = await failure(backup(session, { paths: [fixture.source], spread }));
      assert.equal(error.code, 'damaged');
      assert.match(error.message, /bad memory/);
    } finally {
      await session.close();
    }
    for (const drive of [0, 1, 2]) assert.deepEqual(await fixture.shardFiles(drive), []);
  });
}

test('a published snapshot with a blob that nobody has is never called restorable', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread });
  await fixture.backup();
  assert.equal((await fixture.status()).verdict, 'Safe');
  await forgeSnapshot(fixture, spread, async (forge) => {
    const hollow = forgedEntry('hollow', entryTypes.file, {
      size: 10,
      content: { level: 0, ids: [new Uint8Array(32).fill(7)] },
    });
    return { level: 0, ids: [await forge.tree([hollow])] };
  });
  const status = await fixture.status();
  assert.deepEqual(
    status.snapshots.map(({ restorable }) => restorable),
    [true, false],
  );
  assert.equal(status.verdict, 'Lost');
  // The same again in one session, where what was whole is remembered.
  await fixture.use(async (vault) => {
    for (let i = 0; i < 2; i++) {
      const { snapshots } = await vault.status();
      assert.deepEqual(
        snapshots.map(({ restorable }) => restorable),
        [true, false],
      );
    }
  });
});

test('a parent that can’t be read is told once, and everything is stored again', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread });
  for (let i = 0; i < 4; i++) await fixture.write(`folder-${i}/file`, noise(i, 1000));
  await fixture.backup();
  for (const drive of [0, 1, 2])
    for (const path of await fixture.shardFiles(drive)) await flipByte(path, 1000);
  const { summary, problems } = await fixture.backup();
  assert.equal(summary.state, 'complete');
  const told = problems.filter(({ item: name }) => name.startsWith('snapshot '));
  assert.equal(told.length, 1);
  assert.match(item(told, 0).message, /read from the source again/);
});

test('a catalog that got to no drive is told', async (t) => {
  let failing = false;
  const disk: Disk = {
    ...nodeDisk,
    rename: async (from, to) => {
      if (failing && to.includes('/drive-') && to.endsWith('.seg'))
        throw new KithError('io-error', 'injected');
      await nodeDisk.rename(from, to);
    },
  };
  const fixture = await VaultFixture.create(t, { drives: 2, spread: { k: 1, n: 2 }, disk });
  failing = true;
  const { summary, problems } = await fixture.backup();
  assert.equal(summary.state, 'complete');
  assert.ok(problems.some(({ item: name, code }) => name === 'catalog' && code === 'nobody-reached'));
});

test('a home that can’t put on record what was stored says so beside the error that came first', async (t) => {
  const faults = new PartlyFullDisk();
  const fixture = await VaultFixture.create(t, { drives: 2, spread: { k: 1, n: 2 }, disk: faults.disk });
  for (let i = 0; i < 30; i++) await fixture.write(`file-${i}`, noise(i, 300_000));
  Object.assign(fixture.surroundings, { packBytes: 1024 * 1024 });
  const abort = new AbortController();
  const problems: Problem[] = [];
  faults.onWrite = (path) => {
    if (!path.includes('/drive-')) return;
    faults.full.add(join(fixture.home, 'tmp'));
    faults.full.add(join(fixture.home, 'logs'));
  };
  let seen = 0;
  const error = await failure(
    fixture.use((vault) =>
      vault.backup({
        paths: [fixture.source],
        signal: abort.signal,
        onProgress: () => {
          if (++seen === 25) abort.abort();
        },
        onProblem: (problem) => void problems.push(problem),
      }),
    ),
  );
  assert.equal(error.code, 'interrupted');
  assert.deepEqual(
    problems.map(({ item: name, code }) => [name, code]),
    [['this computer', 'disk-full']],
  );
});
