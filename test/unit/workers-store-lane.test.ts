import assert from 'node:assert/strict';
import { renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { equalBytes, textOf, utf8 } from '../../lib/base/bytes.ts';
import { blobKinds } from '../../lib/format/blob.ts';
import { localAccounts } from '../../lib/source/accounts.ts';
import { ReadAhead, type AskAhead } from '../../lib/source/read-ahead.ts';
import { lookAgain } from '../../lib/source/walk-tree.ts';
import type { StoreLane } from '../../lib/workers/store-lane.ts';
import type { FileToStore, StoredFile } from '../../lib/workers/store-messages.ts';
import { noise } from '../support/noise.ts';
import { laneNamer, storeLane } from '../support/store-lane.ts';
import { tempFolder } from '../support/temp-folder.ts';

const fileCount = 60;

/** A lane whose clock goes on by so many milliseconds each time it is asked. */
function makeLane(stepMs: number, ask: AskAhead): StoreLane {
  let now = 0;
  return storeLane({ ahead: new ReadAhead(ask), now: () => (now += stepMs) });
}

function contentOf(i: number): Uint8Array {
  return noise(i, 100 + i * 2000);
}

/** Files as a walk sees them. */
async function makeFiles(t: TestContext): Promise<{ folder: string; files: FileToStore[] }> {
  const folder = await tempFolder(t);
  const files = Array.from({ length: fileCount }, (_, i): FileToStore => {
    const path = join(folder, `f${i}`);
    writeFileSync(path, contentOf(i));
    return { path: utf8(path), ...lookAgain(utf8(path), utf8(`f${i}`), localAccounts()) };
  });
  return { folder, files };
}

async function storeAll(lane: StoreLane, files: readonly FileToStore[]): Promise<StoredFile[]> {
  const results: StoredFile[] = [];
  for (const [at, file] of files.entries()) {
    lane.lookAhead(files, at);
    results.push(await lane.file(file));
  }
  return results;
}

function isStoredAs(result: StoredFile | undefined, content: Uint8Array): boolean {
  return result?.outcome === 'stored' && equalBytes(result.ids, laneNamer.idOf(blobKinds.data, content));
}

// A file is opened in one step and read in the next.
for (const [speed, stepMs] of [
  ['fast', 0.04],
  ['slow', 1],
] as const) {
  test(`a lane whose reads are ${speed} stores each file as the walk saw it`, async (t) => {
    const { files } = await makeFiles(t);
    const asked: string[] = [];
    const lane = makeLane(stepMs, (path) => void asked.push(textOf(path) ?? ''));
    const results = await storeAll(lane, files);
    for (const [i, result] of results.entries()) {
      assert.ok(isStoredAs(result, contentOf(i)), `f${i}`);
      assert.ok(result.outcome === 'stored' && result.entry === undefined && !result.changed);
    }
    // Five slow reads, and those that follow are asked for.
    const wanted = speed === 'fast' ? [] : files.slice(5).map(({ path }) => textOf(path));
    assert.deepEqual(asked, wanted);
  });
}

test('what becomes of a file after it was asked for is seen when it is read', async (t) => {
  const { folder, files } = await makeFiles(t);
  const at = (i: number): string => join(folder, `f${i}`);
  const deeds: Readonly<Record<string, () => void>> = {
    [at(10)]: () => writeFileSync(at(10), noise(500, 3000)),
    [at(20)]: () => {
      writeFileSync(join(folder, 'new'), noise(600, 4000));
      renameSync(join(folder, 'new'), at(20));
    },
    [at(30)]: () => {
      rmSync(at(30));
      symlinkSync('f31', at(30));
    },
    [at(40)]: () => rmSync(at(40)),
  };
  let done = 0;
  const lane = makeLane(1, (path) => {
    const deed = deeds[textOf(path) ?? ''];
    if (deed === undefined) return;
    deed();
    done++;
  });
  const results = await storeAll(lane, files);
  assert.equal(done, 4);
  assert.ok(isStoredAs(results[10], noise(500, 3000)));
  assert.ok(results[10]?.outcome === 'stored' && results[10].entry?.size === 3000);
  assert.ok(isStoredAs(results[20], noise(600, 4000)));
  assert.ok(results[20]?.outcome === 'stored' && results[20].entry?.size === 4000);
  assert.equal(results[30]?.outcome, 'replaced');
  assert.equal(results[40]?.outcome, 'unreadable');
  for (const [i, result] of results.entries())
    if (![10, 20, 30, 40].includes(i)) assert.ok(isStoredAs(result, contentOf(i)), `f${i}`);
});
