import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { concatBytes } from '../../lib/base/bytes.ts';
import { openVault, type BackupOptions, type BackupSummary, type Problem } from '../../lib/vault/index.ts';
import { noise } from '../support/noise.ts';
import { failure, VaultFixture } from '../support/vault-fixture.ts';

const spread = { k: 2, n: 3 };
const mebi = 1024 * 1024;
const large = 37 * mebi + 12_345;

/** Small files that share frames, some twice; files of their own frames; and one that several threads read. */
function files(): Record<string, Uint8Array | string> {
  const small = Array.from({ length: 400 }, (_, i): [string, string] => [
    `small/${i % 7}/f${i}`,
    `${i % 300} `.repeat((i % 300) * 3),
  ]);
  return {
    ...Object.fromEntries(small),
    empty: '',
    'middle/one': noise(1, 700_000),
    'middle/two': noise(2, 3_000_000),
    'middle/text': 'all work and no play '.repeat(200_000),
    'large/film': noise(3, large),
  };
}

/** Backs up on so many threads; 0: in this one. */
async function backupOn(
  fixture: VaultFixture,
  threads: number,
  options: Partial<BackupOptions> = {},
): Promise<{ summary: BackupSummary; problems: Problem[] }> {
  const problems: Problem[] = [];
  const vault = await openVault({
    home: fixture.home,
    surroundings: { ...fixture.surroundings, threads },
    network: fixture.friends,
  });
  try {
    const onProblem = (problem: Problem): void => void problems.push(problem);
    const paths = [fixture.source];
    return { summary: await vault.backup({ paths, spread, onProblem, ...options }), problems };
  } finally {
    await vault.close();
  }
}

test('threads store what one thread stores, after an interruption too; it is found again where it was moved in its file', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, files: files() });
  const controller = new AbortController();
  const error = await failure(
    backupOn(fixture, 2, {
      signal: controller.signal,
      onProgress: ({ phase, bytesDone }) => {
        if (phase === 'read' && bytesDone > 20 * mebi) controller.abort();
      },
    }),
  );
  assert.equal(error.code, 'interrupted');
  const first = await backupOn(fixture, 3);
  assert.equal(first.summary.state, 'complete');
  const alone = await backupOn(fixture, 0, { force: true });
  assert.deepEqual([...first.problems, ...alone.problems], []);
  assert.equal(alone.summary.filesNew, first.summary.filesNew);
  assert.equal(alone.summary.totalBytesProcessed, first.summary.totalBytesProcessed);
  // Trees of the folders above the source, whose times are not the test's, may be new.
  const { dataAdded } = alone.summary;
  assert.ok(dataAdded < 1000, `${dataAdded} bytes: no chunk is cut elsewhere, and none is stored twice`);
  const film = noise(3, large);
  await fixture.write(
    'large/film',
    concatBytes(noise(9, 1000), film.subarray(0, 20 * mebi), noise(8, 7), film.subarray(20 * mebi)),
  );
  const shifted = await backupOn(fixture, 2);
  assert.equal(shifted.summary.filesChanged, 1);
  assert.ok(shifted.summary.dataAdded < 9 * mebi, `${shifted.summary.dataAdded} bytes are new`);
  await fixture.restoresTo();
});

test('a large file that changes while threads read it is read anew, and stored as it is then', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, files: { 'large/film': noise(3, large) } });
  let changed = false;
  const { summary, problems } = await backupOn(fixture, 2, {
    onProgress: ({ phase }) => {
      if (phase !== 'read' || changed) return;
      changed = true;
      appendFileSync(join(fixture.source, 'large/film'), 'one more scene');
    },
  });
  assert.ok(changed);
  assert.deepEqual(problems, []);
  assert.equal(summary.totalBytesProcessed, large + 'one more scene'.length);
  await fixture.restoresTo();
});

test('packs of one small row, many more than there are slots: threads wait their turn and all ends', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, files: { 'large/film': noise(3, large) } });
  Object.assign(fixture.surroundings, { packBytes: 4 * mebi });
  const { summary } = await backupOn(fixture, 2, { spread: { k: 1, n: 2 } });
  assert.ok(summary.packsNew >= 9);
  await fixture.restoresTo();
});
