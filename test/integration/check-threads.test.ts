import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { describe, it, test } from 'node:test';
import { utf8 } from '../../lib/base/bytes.ts';
import { leafBytes } from '../../lib/base/limits.ts';
import { blobKinds } from '../../lib/format/blob.ts';
import { shardHeadBytes } from '../../lib/format/shard-file.ts';
import { entryTypes } from '../../lib/format/tree.ts';
import type { Progress } from '../../lib/vault/index.ts';
import {
  checkOn,
  sameOnBoth,
  sameWhereSpoiled,
  several,
  spoils,
  spread,
} from '../support/check-on-threads.ts';
import { forgedEntry, forgeSnapshot } from '../support/tree-forge.ts';
import { failure, flipByte, item, type VaultFixture } from '../support/vault-fixture.ts';

// Every kind of damage: test/long/check-threads.test.ts.

void describe('threads find what one thread finds', () => {
  void it('in one vault, whatever it has come to', async (t) => {
    // As many as a pack has shards: each has one of every pack.
    const fixture = await several(t, { drives: spread.n });
    await t.test('nothing in a sound vault, of which they read everything', () => sound(fixture));
    await t.test('Ctrl-C ends a check in the middle', () => stopped(fixture));
    const what = 'a byte of the payload';
    const spoil = spoils[what] ?? assert.fail(what);
    await t.test(`where damage took ${what}`, () => sameWhereSpoiled(fixture, spoil));
    // Last: the vault is another one from here on.
    await t.test('where all is as it was signed, and a blob is not what its name says', () =>
      forged(fixture),
    );
  });
});

async function sound(fixture: VaultFixture): Promise<void> {
  const steps: Progress[] = [];
  const { summary, problems } = await sameOnBoth(fixture, { onProgress: (step) => void steps.push(step) });
  assert.deepEqual(problems, []);
  // Of two checks: the threads' is the last.
  const last = item(
    steps.filter(({ bytesTotal }) => bytesTotal !== undefined),
    -1,
  );
  assert.ok((last.bytesTotal ?? 0) > 0);
  assert.equal(last.bytesDone, last.bytesTotal);
  assert.ok(summary.packs >= 3);
  assert.equal(summary.shardsRead, 3 * summary.packs);
  assert.equal(summary.blobsRead, summary.blobs);
  const part = await sameOnBoth(fixture, { readPart: '2/3' });
  assert.ok(part.summary.packsRead < summary.packs);
}

async function stopped(fixture: VaultFixture): Promise<void> {
  const stop = new AbortController();
  const error = await failure(
    checkOn(fixture, 2, {
      signal: stop.signal,
      onProgress: ({ bytesDone }) => {
        if (bytesDone > 0) stop.abort();
      },
    }),
  );
  assert.equal(error.code, 'interrupted');
}

async function forged(fixture: VaultFixture): Promise<void> {
  await forgeSnapshot(fixture, spread, async (forge) => {
    const named = new Uint8Array(32).fill(7);
    const body = utf8('not what it is called');
    await forge.plainFrame({ kind: blobKinds.data, blobId: named, body });
    const content = { level: 0, ids: [named] };
    const file = forgedEntry('file', entryTypes.file, { size: body.length, content });
    return { level: 0, ids: [await forge.tree([file])] };
  });
  const { summary } = await sameOnBoth(fixture);
  assert.equal(summary.shardsDamaged, 0);
  assert.equal(summary.blobsDamaged, 1);
  assert.equal(summary.snapshotsAffected.length, 1);
}

test('threads find what one thread finds where a drive is away, shards are gone and every shard has a bad leaf', async (t) => {
  const fixture = await several(t);
  await fixture.unplug(3);
  for (const drive of [0, 1, 2]) {
    const paths = await fixture.shardFiles(drive);
    await flipByte(item(paths, 0), shardHeadBytes + leafBytes + 7);
    if (drive === 0) await rm(item(paths, -1));
  }
  const { summary, problems } = await sameOnBoth(fixture);
  assert.deepEqual(summary.away, ['drive-3']);
  assert.equal(problems.filter((words) => /part \d of pack .* is damaged/.test(words)).length, 3);
});

test('threads find what one thread finds at friends, of whom one lies', async (t) => {
  const fixture = await several(t, { drives: 1, friends: ['anna', 'ben', 'cleo'] });
  fixture.friend('anna').holder.lie = (range) => {
    range.bytes[5] = (range.bytes[5] ?? 0) ^ 1;
    return range;
  };
  const { summary, problems } = await sameOnBoth(fixture);
  assert.ok(summary.shardsDamaged > 0);
  assert.deepEqual(summary.snapshotsAffected, []);
  assert.ok(problems.every((words) => words.startsWith('anna: ')));
});
