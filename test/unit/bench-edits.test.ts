import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import * as fc from 'fast-check';
import { Dice, noise } from '../../bench/corpora.ts';
import { chosenFiles, editCorpus, editOneLine, spotsOf, withLineChanged } from '../../bench/edits.ts';
import { filesIn, folderBytes } from '../../bench/folder-bytes.ts';
import { sourceFileBytes, TextWriter } from '../../bench/text-writer.ts';

const folder = mkdtempSync(join(tmpdir(), 'kith-bench-edits-'));
after(() => rmSync(folder, { recursive: true }));

const lines = (text: Uint8Array): string[] => Buffer.from(text).toString('latin1').split('\n');

/** Two folders with the same files in them: what a corpus is, and its copy. */
function twice(name: string, files: Readonly<Record<string, Uint8Array>>): [original: string, copy: string] {
  const made = ['original', 'copy'].map((side) => {
    const at = join(folder, `${name} ${side}`);
    mkdirSync(join(at, 'inside'), { recursive: true });
    for (const [path, bytes] of Object.entries(files)) writeFileSync(join(at, path), bytes);
    return at;
  });
  return made as [string, string];
}

void describe('the plan of an edit', () => {
  void it('takes one file in a hundred, the same ones each time, in their order', () => {
    const paths = Array.from({ length: 1000 }, (_, i) => `file ${i}`);
    const chosen = chosenFiles(paths, 7);
    assert.equal(new Set(chosen).size, 10);
    assert.deepEqual(chosen, chosenFiles(paths, 7));
    assert.notDeepEqual(chosen, chosenFiles(paths, 8));
    assert.deepEqual(
      chosen,
      paths.filter((path) => chosen.includes(path)),
    );
    assert.deepEqual(chosenFiles(['only'], 7), ['only']);
    assert.deepEqual(chosenFiles([], 7), []);
  });

  void it('changes one line of a text and no other', () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[a-z]{0,9}$/), { minLength: 1 }), fc.nat(), (old, seed) => {
        const text = Buffer.from(old.join('\n'));
        const changed = withLineChanged(text, new Dice(seed), Buffer.from('NEW\n'));
        const now = lines(changed).filter((line) => line !== 'NEW');
        assert.equal(lines(changed).length - now.length, 1);
        // Of the old lines one is gone; a text that ended within its last line has got a line feed there.
        const left = [...now];
        const gone = old.filter((line) => {
          const at = left.indexOf(line);
          if (at >= 0) left.splice(at, 1);
          return at < 0;
        });
        assert.ok(gone.length <= 1, `gone: ${gone.join()}`);
      }),
    );
  });

  void it('spreads a hundredth of the bytes over a big file, in order and apart', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 32), fc.nat(), (bytes, seed) => {
        const spots = spotsOf(bytes, seed);
        assert.deepEqual(spots, spotsOf(bytes, seed));
        let end = 0;
        for (const { offset, dropped } of spots) {
          assert.ok(offset >= end);
          end = offset + dropped;
        }
        assert.ok(end <= bytes);
      }),
    );
    const spots = spotsOf(2 ** 32, 1);
    const added = spots.reduce((sum, spot) => sum + spot.added, 0);
    assert.ok(added > 0.009 * 2 ** 32 && added < 0.011 * 2 ** 32);
    assert.ok(spots.filter(({ dropped }) => dropped === 0).length > 10, 'some insert');
  });
});

void describe('an edit', () => {
  void it('of a big file does what its plan says', async () => {
    const bytes = noise(20_000_000, 1);
    const [original, copy] = twice('big', { 'film.bin': bytes });
    const { files, newBytes } = await editCorpus('big', original, copy);
    const spots = spotsOf(bytes.length, 44);
    assert.equal(files, 1);
    assert.equal(
      newBytes,
      spots.reduce((sum, spot) => sum + spot.added, 0),
    );
    const edited = readFileSync(join(copy, 'film.bin'));
    assert.equal(
      edited.length,
      spots.reduce((sum, spot) => sum + spot.added - spot.dropped, bytes.length),
    );
    let [from, to] = [0, 0];
    for (const { offset, dropped, added } of spots) {
      assert.ok(edited.subarray(to, to + offset - from).equals(bytes.subarray(from, offset)));
      to += offset - from;
      assert.ok(!edited.subarray(to, to + added).equals(bytes.subarray(offset, offset + added)));
      to += added;
      from = offset + dropped;
    }
    assert.ok(edited.subarray(to).equals(bytes.subarray(from)));
  });

  void it('of texts and photos changes the chosen files and leaves the original alone', async () => {
    for (const name of ['text', 'photos'] as const) {
      const contents = Object.fromEntries(
        Array.from({ length: 200 }, (_, i) => [`inside/${i}.txt`, new TextWriter(i).file(5000)]),
      );
      const [original, copy] = twice(name, contents);
      const { files } = await editCorpus(name, original, copy);
      const changed = filesIn(copy).filter(
        (path) => !readFileSync(join(copy, path)).equals(contents[path] ?? new Uint8Array()),
      );
      assert.equal(files, 2);
      assert.deepEqual(changed, chosenFiles(filesIn(original), 43));
      assert.equal(folderBytes(original), 200 * 5000);
      const one = editOneLine(copy);
      assert.notDeepEqual(readFileSync(join(copy, one)), readFileSync(join(original, one)));
    }
  });
});

void describe('written text', () => {
  void it('has the wanted length, is ASCII, and is the same for the same seed', () => {
    for (const bytes of [0, 1, 50, 100_000]) {
      const file = new TextWriter(5).file(bytes);
      assert.equal(file.length, bytes);
      assert.ok(file.every((byte) => byte > 0 && byte < 128));
      assert.deepEqual(file, new TextWriter(5).file(bytes));
    }
    assert.notDeepEqual(new TextWriter(5).file(100), new TextWriter(6).file(100));
  });

  void it('has sizes that grow from the smallest to the largest file of a source tree', () => {
    const sizes = Array.from({ length: 1001 }, (_, i) => sourceFileBytes(i / 1000));
    assert.deepEqual([sizes[0], sizes[500], sizes[1000]], [1, 3874, 23_944_620]);
    for (let i = 1; i < sizes.length; i++) assert.ok((sizes[i] ?? 0) >= (sizes[i - 1] ?? Infinity));
  });
});
