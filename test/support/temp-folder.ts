import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { atEnd } from './at-end.ts';

/** A new folder on the real disk that is removed, with all that is in it, when the test ends. */
export async function tempFolder(test: Pick<TestContext, 'after'>): Promise<string> {
  const { path, remove } = await makeTempFolder();
  atEnd(test, remove);
  return path;
}

/** The same where there is no test context: the caller calls `remove`. */
export async function makeTempFolder(): Promise<{ path: string; remove: () => Promise<void> }> {
  const path = await realpath(await mkdtemp(join(tmpdir(), 'kith-test-')));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}
