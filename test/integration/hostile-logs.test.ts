import assert from 'node:assert/strict';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';
import { toHex } from '../../lib/base/bytes.ts';
import { ByteWriter } from '../../lib/base/codec.ts';
import { signKeyPair } from '../../lib/crypto/sign.ts';
import { attestLog, encodeSegment } from '../../lib/format/segment.ts';
import { failure, filesBelow, flipByte, item, VaultFixture } from '../support/vault-fixture.ts';

const spread = { k: 1, n: 2 };

/** Puts a log of this device with one record onto a drive: of a kind that no kith of today knows, with these flags. */
async function plantRecord(fixture: VaultFixture, flags: number): Promise<void> {
  await fixture.session(async ({ device }) => {
    const append = signKeyPair(new Uint8Array(32).fill(flags + 1));
    const { vaultId, deviceId, deviceSecretKey } = device;
    const head = {
      vaultId,
      deviceId,
      logKey: append.publicKey,
      role: 1 as const,
      firstIndex: 0,
      previous: new Uint8Array(32),
      attestation: attestLog(vaultId, deviceId, append.publicKey, 1, deviceSecretKey),
    };
    const record = new ByteWriter().u16(61).u8(flags).u8(1).u32(0).blob(new Uint8Array(48)).finish();
    const folder = join(fixture.drive(1), 'logs', fixture.id, toHex(append.publicKey));
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, '0000000000000000.seg'), encodeSegment(head, [record], append.secretKey));
  });
}

test('a record of a newer kith that may be skipped is skipped, and carried on', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, spread });
  await plantRecord(fixture, 1);
  assert.equal((await fixture.backup()).summary.state, 'complete');
  await fixture.restoresTo();
  assert.equal(
    (await filesBelow(join(fixture.drive(0), 'logs'))).length,
    (await filesBelow(join(fixture.drive(1), 'logs'))).length,
  );
});

test('a record of a newer kith that must not be ignored stops everything, at once and later', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, spread });
  await plantRecord(fixture, 2);
  for (let i = 0; i < 2; i++) {
    const error = await failure(fixture.backup());
    assert.equal(error.code, 'too-new');
    assert.match(error.message, /Update kith/);
  }
});

test('logs that a drive garbled, cut or mixed up do no harm, and are mended there', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, spread });
  await fixture.backup({ tags: ['first'] });
  await fixture.backup({ tags: ['second'] });
  const logs = await filesBelow(join(fixture.drive(0), 'logs'));
  const originals = await Promise.all(logs.map((path) => readFile(path)));
  const harms: Readonly<Record<string, () => Promise<void>>> = {
    'every segment garbled': async () => {
      for (const path of logs) await flipByte(path, 200);
    },
    'every segment cut': async () => {
      for (const path of logs) await writeFile(path, (await readFile(path)).subarray(0, 100));
    },
    'every segment empty': async () => {
      for (const path of logs) await writeFile(path, '');
    },
    'a segment under the name of another': async () => {
      await writeFile(item(logs, 0), await readFile(item(logs, -1)));
    },
    'a log under the name of another': async () => {
      const folders = [...new Set(logs.map((path) => dirname(path)))];
      await rm(item(folders, 0), { recursive: true });
      await cp(item(folders, 1), item(folders, 0), { recursive: true });
    },
    'all gone': () => rm(join(fixture.drive(0), 'logs'), { recursive: true }),
  };
  for (const [what, harm] of Object.entries(harms)) {
    await harm();
    await fixture.repair();
    for (const [i, path] of logs.entries()) {
      const now = await readFile(path);
      const original = item(originals, i);
      assert.ok(now.equals(original), `${what}: ${basename(path)}`);
    }
    assert.deepEqual(
      (await fixture.snapshots()).map(({ tags }) => tags[0]),
      ['first', 'second'],
      what,
    );
  }
  await rm(fixture.home, { recursive: true });
  await fixture.unplug(1);
  assert.equal((await fixture.recover('home', [0])).summary.snapshots, 2);
  await fixture.restoresTo();
});

test('a recovery passes over what a drive garbled, and takes it from the other', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, spread });
  await fixture.backup({ tags: ['first'] });
  await fixture.backup({ tags: ['second'] });
  await rm(fixture.home, { recursive: true });
  for (const path of await filesBelow(join(fixture.drive(0), 'logs'))) await flipByte(path, 150);
  const { summary } = await fixture.recover('home', [0, 1]);
  assert.equal(summary.snapshots, 2);
  await fixture.restoresTo();
});
