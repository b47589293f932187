import assert from 'node:assert/strict';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { concatBytes, utf8 } from '../../lib/base/bytes.ts';
import { KithError } from '../../lib/base/errors.ts';
import { blobKinds, BlobNamer } from '../../lib/format/blob.ts';
import { readBackFlaw } from '../../lib/vault/restore/restore-verify.ts';
import { noise } from '../support/noise.ts';
import { tempFolder } from '../support/temp-folder.ts';

test('a file that reads back is told from one that differs, ends early, or can’t be read', async (t) => {
  const folder = await tempFolder(t);
  const namer = new BlobNamer(new Uint8Array(32));
  const chunks = [noise(1, 5000), noise(2, 3000)];
  const ids = chunks.map((chunk) => namer.idOf(blobKinds.data, chunk));
  const lengths = new Map(ids.map((id, i) => [id, chunks[i]?.length ?? 0]));
  const reader = {
    list: () => Promise.reject(new KithError('internal', 'no list was asked for')),
    placeOf: (id: Uint8Array) => {
      const length = lengths.get(id) ?? 0;
      const packId = new Uint8Array(32);
      return { packId, length, offset: 0, sealedLength: 0, plainBytes: length, offsetInFrame: 0, ordinal: 0 };
    },
  };
  const flawOf = (path: string) => readBackFlaw(utf8(path), { level: 0, ids }, reader, namer);
  const path = join(folder, 'file');
  const whole = concatBytes(...chunks);
  await writeFile(path, whole);
  assert.equal(await flawOf(path), undefined);

  const altered = new Uint8Array(whole);
  altered[6000] = (altered[6000] ?? 0) ^ 1;
  for (const bytes of [altered, whole.subarray(0, 7999), whole.subarray(0, 5000), new Uint8Array(0)]) {
    await writeFile(path, bytes);
    assert.equal((await flawOf(path))?.code, 'damaged', `${bytes.length} bytes`);
  }

  const missing = await flawOf(join(folder, 'missing'));
  assert.deepEqual(missing, { message: 'could not be read back: it is no longer there', code: 'io-error' });
  await mkdir(join(folder, 'folder'));
  assert.equal((await flawOf(join(folder, 'folder')))?.code, 'io-error');
  await writeFile(path, whole);
  await assert.rejects(readBackFlaw(utf8(path), { level: 1, ids }, reader, namer), { code: 'internal' });
  await symlink(path, join(folder, 'link'));
  assert.equal((await flawOf(join(folder, 'link')))?.code, 'io-error');
});
