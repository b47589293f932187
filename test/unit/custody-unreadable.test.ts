import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex, utf8 } from '../../lib/base/bytes.ts';
import { segmentFileName } from '../../lib/format/segment.ts';
import type { DriveHolder } from '../../lib/holders/drive.ts';
import { rejectsWith } from '../contract/holder-contract.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { sampleDrive } from '../support/sample-drive.ts';
import { sampleKeyRecord, sampleLog, sampleVault } from '../support/sample-pack.ts';

const vault = sampleVault();
const log = sampleLog(vault, 1);
const segment = log.segments[0]?.bytes ?? new Uint8Array(0);
const keys = sampleKeyRecord(vault, [1]);
const vaultHex = toHex(vault.vaultId);

const files = [
  {
    what: 'log segment',
    path: `/drive/logs/${vaultHex}/${toHex(log.logKey)}/${segmentFileName(0)}`,
    put: (drive: DriveHolder) => drive.logs.putSegment(log.logKey, 0, segment),
    get: (drive: DriveHolder) => drive.logs.getSegment(log.logKey, 0),
    bytes: segment,
  },
  {
    what: 'key record',
    path: `/drive/keys/${vaultHex}.keys`,
    put: (drive: DriveHolder) => drive.putKeyRecord(keys),
    get: (drive: DriveHolder) => drive.getKeyRecord(),
    bytes: keys,
  },
] as const;

/** A drive whose file is garbled, so that it shows whether a put replaced it. */
async function garbled(file: (typeof files)[number]): Promise<{ disk: FaultDisk; drive: DriveHolder }> {
  const disk = new FaultDisk();
  const drive = await sampleDrive(disk, '/drive', vault);
  await file.put(drive);
  assert.deepEqual(disk.peek(file.path), file.bytes);
  disk.poke(file.path, utf8('garbled'));
  return { disk, drive };
}

for (const file of files) {
  void test(`a ${file.what} on a bad spot of the disk is replaced by a put`, async () => {
    for (const code of ['EIO', 'EBADMSG', 'EUCLEAN']) {
      for (const soundLooks of [0, 1]) {
        const { disk, drive } = await garbled(file);
        // The first look asks what is there, the second reads it: either may be what fails.
        let looks = 0;
        disk.failReads(code, (path) => path === file.path && ++looks > soundLooks);
        await file.put(drive);
        assert.ok(looks > soundLooks, 'the fault was met');
        disk.heal();
        assert.deepEqual(disk.peek(file.path), file.bytes);
        assert.deepEqual(await file.get(drive), file.bytes);
      }
    }
  });

  void test(`a ${file.what} that may not be read is not replaced`, async () => {
    const { disk, drive } = await garbled(file);
    disk.failReads('EACCES', (path) => path === file.path);
    await assert.rejects(file.put(drive), rejectsWith('io-error'));
    assert.deepEqual(disk.peek(file.path), utf8('garbled'));
  });
}
