import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RoomBook } from '../../lib/custody/room-book.ts';
import { SegmentStore } from '../../lib/custody/segment-store.ts';
import { StoreFolder } from '../../lib/custody/store-folder.ts';
import { rejectsWith } from '../contract/holder-contract.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { sampleLog, sampleVault } from '../support/sample-pack.ts';

const vault = sampleVault();

function openStore(disk: FaultDisk): SegmentStore {
  const folder = new StoreFolder({
    disk,
    folder: '/store',
    holder: { id: '00', name: 'friend' },
    guard: () => Promise.resolve(),
  });
  const book: RoomBook = new RoomBook(
    { name: 'friend', measure: () => store.measure(), disk: () => Promise.resolve(undefined) },
    { quotaBytes: undefined, freeFloorBytes: 0 },
  );
  const store: SegmentStore = new SegmentStore(folder, book, vault.vaultId, vault.isDevice, {
    segments: 5,
    logs: 2,
  });
  return store;
}

test('tiny segments and empty logs are counted as well as bytes', async () => {
  const disk = new FaultDisk();
  await disk.makeFolder('/store');
  let store = openStore(disk);
  const logs = [1, 2, 3].map((seed) => sampleLog(vault, 4, seed));
  const [first, second, third] = logs;
  assert.ok(first !== undefined && second !== undefined && third !== undefined);
  const put = (log: typeof first, at: number): Promise<void> => {
    const segment = log.segments[at];
    assert.ok(segment !== undefined);
    return store.put(log.logKey, segment.firstIndex, segment.bytes);
  };
  await put(first, 0);
  await put(second, 0);
  await assert.rejects(put(third, 0), rejectsWith('limit-exceeded'));
  await put(first, 0);
  store = openStore(disk);
  await assert.rejects(put(third, 0), rejectsWith('limit-exceeded'));
  for (const at of [1, 2, 3]) await put(first, at);
  await assert.rejects(put(second, 1), rejectsWith('limit-exceeded'));
  await put(first, 3);
  assert.equal(
    (await store.list()).reduce((sum, { segments }) => sum + segments.length, 0),
    5,
  );
});
