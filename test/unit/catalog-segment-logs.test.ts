import assert from 'node:assert/strict';
import { test } from 'node:test';
import { displayText, toHex } from '../../lib/base/bytes.ts';
import type { CarriedRecord } from '../../lib/catalog/log-carrier.ts';
import { SegmentLogs } from '../../lib/catalog/segment-logs.ts';
import {
  attestLog,
  decodeSegment,
  encodeSegment,
  segmentFileName,
  segmentHash,
} from '../../lib/format/segment.ts';
import { signKeyPair } from '../../lib/crypto/sign.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { sampleLog, sampleVault, type SampleLog, type SampleVault } from '../support/sample-pack.ts';

const vault = sampleVault(1);

interface Opened {
  readonly logs: SegmentLogs;
  readonly records: string[];
  readonly problems: string[];
}

async function openLogs(disk: FaultDisk, owner: SampleVault = vault): Promise<Opened> {
  const records: string[] = [];
  const problems: string[] = [];
  const logs = await SegmentLogs.open({
    disk,
    folder: '/logs',
    tempFolder: '/tmp',
    authority: { vaultId: owner.vaultId, isDevice: (id) => owner.isDevice(id, owner.vaultId) },
    onProblem: ({ message }) => void problems.push(message),
    onRecord: (record) => void records.push(displayText(record.bytes)),
  });
  return { logs, records, problems };
}

/** A disk with a log on it; `change` may give other bytes, or none, for a segment. */
async function diskWith(
  log: SampleLog,
  change: (bytes: Uint8Array, number: number) => Uint8Array | undefined = (bytes) => bytes,
): Promise<FaultDisk> {
  const disk = new FaultDisk();
  await disk.makeFolder(`/logs/${toHex(log.logKey)}`);
  await disk.makeFolder('/tmp');
  for (const [number, { firstIndex, bytes }] of log.segments.entries()) {
    const changed = change(bytes, number);
    if (changed !== undefined)
      disk.poke(`/logs/${toHex(log.logKey)}/${segmentFileName(firstIndex)}`, changed);
  }
  return disk;
}

const log = sampleLog(vault, 4);

test('a whole log is read in order', async () => {
  const { logs, records, problems } = await openLogs(await diskWith(log));
  assert.equal(records.length, 8);
  assert.deepEqual(
    records.filter((_, i) => i % 2 === 0),
    ['record 0', 'record 2', 'record 4', 'record 6'],
  );
  assert.deepEqual(problems, []);
  const [head] = logs.heads();
  assert.equal(head?.length, 8);
  assert.deepEqual(head.hash, segmentHash(log.segments[3]?.bytes ?? new Uint8Array(0)));
});

test('a log ends before a segment in which any byte is another', async () => {
  const bytes = log.segments[2]?.bytes ?? new Uint8Array(0);
  for (let at = 0; at < bytes.length; at += 7) {
    const disk = await diskWith(log, (original, number) => {
      if (number !== 2) return original;
      const changed = original.slice();
      changed[at] = (changed[at] ?? 0) ^ 0x10;
      return changed;
    });
    const { logs, records, problems } = await openLogs(disk);
    assert.equal(records.length, 4, `byte ${at}`);
    assert.equal(logs.length(log.logKey), 4);
    assert.equal(problems.length, 1);
    assert.match(problems[0] ?? '', /^ends at record 4/);
  }
});

test('a log ends before a segment that is cut, empty, missing or another one', async () => {
  const changes: readonly ((bytes: Uint8Array) => Uint8Array | undefined)[] = [
    (bytes) => bytes.subarray(0, bytes.length - 1),
    () => new Uint8Array(0),
    () => undefined,
    () => log.segments[0]?.bytes,
    () => log.segments[3]?.bytes,
    () => sampleLog(vault, 4, 9).segments[1]?.bytes,
    () => sampleLog(vault, 4, 1, 'other').segments[1]?.bytes,
  ];
  for (const change of changes) {
    const disk = await diskWith(log, (bytes, number) => (number === 1 ? change(bytes) : bytes));
    const { logs, records, problems } = await openLogs(disk);
    if (logs.length(log.logKey) !== 4) {
      assert.equal(records.length, 2);
      assert.equal(problems.length, 1);
      continue;
    }
    // Another branch's second segment continues this first one if the first ones are alike: then it is what counts.
    assert.equal(problems.length, 1, 'and what followed the original does not follow it');
  }
});

test('logs of another vault, or by a device that nobody certified, are no logs', async () => {
  const stranger = sampleVault(2);
  for (const theirs of [sampleLog(stranger, 2)]) {
    const { logs, records, problems } = await openLogs(await diskWith(theirs));
    assert.deepEqual(records, []);
    assert.deepEqual(logs.heads(), []);
    assert.match(problems[0] ?? '', /another vault/);
  }
  const device = signKeyPair(new Uint8Array(32).fill(77));
  const append = signKeyPair(new Uint8Array(32).fill(78));
  const head = {
    vaultId: vault.vaultId,
    deviceId: device.publicKey,
    logKey: append.publicKey,
    role: 1 as const,
    firstIndex: 0,
    previous: new Uint8Array(32),
    attestation: attestLog(vault.vaultId, device.publicKey, append.publicKey, 1, device.secretKey),
  };
  const bytes = encodeSegment(head, [new Uint8Array(40)], append.secretKey);
  const disk = await diskWith({ logKey: append.publicKey, segments: [{ firstIndex: 0, bytes }] });
  const { logs, problems } = await openLogs(disk);
  assert.deepEqual(logs.heads(), []);
  assert.match(problems[0] ?? '', /unknown device/);
  const { logs: empty } = await openLogs(new FaultDisk());
  await assert.rejects(
    empty.put(bytes, () => assert.fail('not to be read')),
    { code: 'not-authentic' },
  );
});

test('a segment is taken once, in its turn, and only if it continues the log', async () => {
  const disk = new FaultDisk();
  await disk.makeFolder('/tmp');
  const { logs } = await openLogs(disk);
  const taken: CarriedRecord[] = [];
  const put = (number: number, from: SampleLog = log): Promise<boolean> =>
    logs.put(from.segments[number]?.bytes ?? new Uint8Array(0), (record) => void taken.push(record));
  await assert.rejects(put(1), { code: 'malformed' });
  assert.equal(await put(0), true);
  assert.equal(await put(0), false);
  await assert.rejects(put(2), { code: 'malformed' });
  assert.equal(await put(1), true);
  assert.deepEqual(
    taken.map(({ index }) => index),
    [0, 1, 2, 3],
  );
  const fork = sampleLog(vault, 4, 1, 'fork');
  assert.deepEqual(fork.logKey, log.logKey);
  await assert.rejects(put(1, fork), { code: 'log-forked' });
  await assert.rejects(put(2, fork), { code: 'malformed' });
  assert.equal(logs.length(log.logKey), 4);
  const { records } = await openLogs(disk);
  assert.equal(records.length, 4, 'what was taken is on the disk');
});

test('a segment that could not be written is not counted', async () => {
  const disk = new FaultDisk();
  await disk.makeFolder('/tmp');
  const { logs } = await openLogs(disk);
  const first = log.segments[0]?.bytes ?? new Uint8Array(0);
  disk.failAt(disk.steps + 1, 'ENOSPC', { always: true });
  await assert.rejects(
    logs.put(first, () => assert.fail('not durable')),
    { code: 'disk-full' },
  );
  assert.equal(logs.length(log.logKey), 0);
  disk.heal();
  assert.equal(await logs.put(first, () => undefined), true);
});

test('an append that fails leaves the log as it was, and the next one continues it', async () => {
  const disk = new FaultDisk();
  await disk.makeFolder('/tmp');
  const { logs } = await openLogs(disk);
  const append = signKeyPair(new Uint8Array(32).fill(5));
  const { vaultId, device } = vault;
  const own = {
    logKey: append.publicKey,
    deviceId: device.publicKey,
    role: 1 as const,
    attestation: attestLog(vaultId, device.publicKey, append.publicKey, 1, device.secretKey),
    appendSecretKey: append.secretKey,
  };
  const record = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
  await logs.append(own, [record('a'), record('b')]);
  disk.failAt(disk.steps + 1, 'ENOSPC', { always: true });
  await assert.rejects(logs.append(own, [record('lost')]), { code: 'disk-full' });
  disk.heal();
  await logs.append(own, [record('c')]);
  assert.equal(logs.length(own.logKey), 3);
  const { records, problems } = await openLogs(disk);
  assert.deepEqual(records, ['a', 'b', 'c']);
  assert.deepEqual(problems, []);
});

test('a segment that changed on the disk since it was read is not handed on', async () => {
  const disk = await diskWith(log);
  const { logs } = await openLogs(disk);
  const [first] = logs.segments(log.logKey);
  assert.ok(first !== undefined);
  const path = `/logs/${toHex(log.logKey)}/${segmentFileName(0)}`;
  assert.equal(decodeSegment(await logs.segmentBytes(log.logKey, first)).records.length, 2);
  disk.poke(path, sampleLog(vault, 1, 1, 'fork').segments[0]?.bytes ?? new Uint8Array(0));
  await assert.rejects(logs.segmentBytes(log.logKey, first), { code: 'damaged' });
});

test('what else lies among the logs is left alone', async () => {
  const disk = await diskWith(log);
  await disk.makeFolder('/logs/holiday');
  disk.poke(`/logs/${toHex(log.logKey)}/notes.txt`, new Uint8Array([1]));
  disk.poke('/logs/photo.jpg', new Uint8Array([1]));
  const { records, problems } = await openLogs(disk);
  assert.equal(records.length, 8);
  assert.deepEqual(problems, []);
});
