import assert from 'node:assert/strict';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { contentIds } from '../../lib/format/content.ts';
import { Stages } from '../../lib/pipeline/stages.ts';
import { RestoreLanes } from '../../lib/vault/restore/restore-lanes.ts';
import { bigFileOf } from '../support/big-file.ts';
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
