import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { TextWriter } from '../../bench/text-writer.ts';

const benchMain = fileURLToPath(new URL('../../bench/bench.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'kith-bench-test-'));
after(() => rmSync(folder, { recursive: true }));

void describe('npm run bench', () => {
  void it('takes a folder through every step, restores it whole and leaves nothing behind', () => {
    const texts = join(folder, 'texts');
    const room = join(folder, 'room');
    mkdirSync(join(texts, 'inside'), { recursive: true });
    mkdirSync(room);
    const writer = new TextWriter(1);
    for (let i = 0; i < 40; i++) writeFileSync(join(texts, 'inside', `${i}.txt`), writer.file(200 * i));
    const args = [benchMain, '--corpus', 'text', '--text', texts, '--peers', 'kith'];
    const env = { ...process.env, TMPDIR: room };
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { env, encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^text: 40 files, 156 kB/);
    for (const step of ['initial', 'unchanged', 'edited', 'restore']) {
      assert.match(stdout, new RegExp(`^  ${step} +[\\d.]+ (?:s|min)`, 'm'));
    }
    assert.match(stdout, /^ {2}stored for one changed line /m);
    assert.deepEqual(readdirSync(room), []);
    assert.deepEqual(readdirSync(texts), ['inside']);
  });
});
