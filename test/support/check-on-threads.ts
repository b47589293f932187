import assert from 'node:assert/strict';
import { copyFile, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { shardHeadBytes } from '../../lib/format/shard-file.ts';
import type { CheckOptions, CheckSummary, Problem } from '../../lib/vault/index.ts';
import { noise } from './noise.ts';
import { flipByte, item, VaultFixture } from './vault-fixture.ts';

export const spread: { readonly k: number; readonly n: number } = { k: 2, n: 3 };

/** A vault of several packs: chunks of their own frames, text in shared ones, tiny files. */
export async function several(
  t: TestContext,
  { friends = [], drives = 4 }: { readonly friends?: readonly string[]; readonly drives?: number } = {},
): Promise<VaultFixture> {
  const text = (i: number): string =>
    Array.from({ length: 4000 }, (_, line) => `${line * i} lines`).join('\n');
  const files = {
    ...Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`noise/${i}`, noise(i + 1, 250_000)])),
    ...Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`text/${i}`, text(i + 1)])),
    ...Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`tiny/${i}`, `${i}`])),
  };
  const fixture = await VaultFixture.create(t, { drives, friends, spread, files });
  // It is the check that is on threads here.
  Object.assign(fixture.surroundings, { packBytes: 512 * 1024, threads: 0 });
  await fixture.backup();
  return fixture;
}

export interface Found {
  readonly summary: Omit<CheckSummary, 'durationMs'>;
  readonly problems: readonly string[];
  /** What is in the damage book afterwards. */
  readonly book: readonly string[];
}

/** A check with all bytes, on so many threads; 0: in this one. What an earlier one found is forgotten first. */
export async function checkOn(
  fixture: VaultFixture,
  threads: number,
  options: CheckOptions = {},
): Promise<Found> {
  const bookPath = join(fixture.home, 'damaged');
  await rm(bookPath, { force: true });
  const { disk } = fixture.surroundings;
  const intoShared: boolean[] = [];
  const problems: Problem[] = [];
  Object.assign(fixture.surroundings, {
    threads,
    disk: {
      ...disk,
      readWhole: (path: string, bytesMax: number, into?: Uint8Array) => {
        if (into !== undefined) intoShared.push(into.buffer instanceof SharedArrayBuffer);
        return disk.readWhole(path, bytesMax, into);
      },
    },
  });
  try {
    const onProblem = (problem: Problem): void => void problems.push(problem);
    const { durationMs: _, ...summary } = await fixture.use((vault) =>
      vault.check({ readData: true, onProblem, ...options }),
    );
    // Else this would hold one thread's findings against themselves.
    assert.ok(intoShared.every((shared) => shared === threads > 0));
    const book = await readFile(bookPath, 'utf8').catch(() => '');
    // Packs end in any order.
    const words = problems.map(({ item: name, message, code }) => `${name}: ${message} (${code})`).sort();
    return { summary, problems: words, book: book.split('\n').sort() };
  } finally {
    Object.assign(fixture.surroundings, { disk });
  }
}

/** Checks here and on threads, and returns what both found. */
export async function sameOnBoth(fixture: VaultFixture, options: CheckOptions = {}): Promise<Found> {
  const here = await checkOn(fixture, 0, options);
  assert.deepEqual(await checkOn(fixture, 2, options), here);
  return here;
}

/** What damage may take of a shard, by a path of it and one of another pack. */
type Spoil = (path: string, other: string) => Promise<void>;

/** Damages, each with what it took. */
export const spoils: Readonly<Record<string, Spoil>> = {
  'a byte of the payload': (path) => flipByte(path, shardHeadBytes + 60_017),
  'a byte of the manifest': (path) => flipByte(path, -100),
  'a byte of the head': (path) => flipByte(path, 20),
  'the end of the file': (path) => truncate(path, 100_000),
  'the file, by that of another pack': (path, other) => copyFile(other, path),
  'the file, by a longer one': (path) => writeFile(path, noise(77, 3_000_000)),
};

/** Damages a shard on each of two drives of a vault on as many as a pack has shards, checks, and puts them back. */
export async function sameWhereSpoiled(fixture: VaultFixture, spoil: Spoil): Promise<void> {
  const sound = new Map<string, Uint8Array>();
  for (const drive of [0, 1]) {
    const paths = await fixture.shardFiles(drive);
    const path = item(paths, drive);
    sound.set(path, await readFile(path));
    await spoil(path, item(paths, drive + 1));
  }
  const { summary, problems, book } = await sameOnBoth(fixture);
  assert.equal(summary.shardsDamaged, 2);
  assert.equal(problems.filter((words) => /part \d of pack .* is damaged/.test(words)).length, 2);
  assert.ok(book.length >= 2);
  for (const [path, bytes] of sound) await writeFile(path, bytes);
}
