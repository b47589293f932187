import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync, watch } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { Launcher, parseTook } from '../../bench/launcher.ts';

const folder = mkdtempSync(join(tmpdir(), 'kith-bench-launcher-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const node = process.execPath;

void describe('a launched command', () => {
  void it('says how it ended, what it said and what it complained of', async () => {
    const launcher = new Launcher(folder);
    const script = `console.log(process.env.WORD); console.error('no'); process.exitCode = 7`;
    const ended = await launcher.run(node, ['-e', script], { cwd: folder, env: { WORD: 'yes' } });
    assert.deepEqual([ended.code, ended.stdout, ended.complaint], [7, 'yes\n', 'no']);
    assert.deepEqual(readdirSync(folder), []);
  });

  void it('is charged its own memory and not that of the bench', async (t) => {
    const launcher = new Launcher(folder);
    if (!launcher.measuresAll) {
      t.skip('GNU time is not installed');
      return;
    }
    const own = Buffer.alloc(300e6, 1);
    const small = await launcher.run('true', [], { cwd: folder });
    const large = await launcher.run(node, ['-e', 'Buffer.alloc(200e6, 1)'], { cwd: folder });
    assert.ok((small.figures.peakBytes ?? Infinity) < own.length / 4);
    assert.ok((large.figures.peakBytes ?? 0) > 200e6);
    assert.ok((large.figures.cpuMs ?? 0) > 0);
  });

  void it('ends with all that it started when the signal fires', async () => {
    const controller = new AbortController();
    const launcher = new Launcher(folder, controller.signal);
    const sign = join(folder, 'started');
    const watcher = watch(folder, () => {
      if (existsSync(sign)) controller.abort(new Error('enough'));
    });
    const script = `require('node:fs').writeFileSync('started', ''); setInterval(() => {}, 1000)`;
    try {
      // The shell waits for a child that holds its pipes: the promise can only settle when that has ended too.
      const running = launcher.run('sh', ['-c', '"$0" -e "$1"; true', node, script], { cwd: folder });
      await assert.rejects(running, /enough/);
    } finally {
      watcher.close();
    }
    await assert.rejects(launcher.run('true', [], { cwd: folder }), /enough/);
  });
});

void describe('what GNU time writes', () => {
  void it('is read from its last line', () => {
    assert.deepEqual(parseTook('1.25 0.75 2048\n'), { cpuMs: 2000, peakBytes: 2048 * 1024 });
    assert.deepEqual(parseTook('Command terminated by signal 9\n0.00 0.01 10\n'), {
      cpuMs: 10,
      peakBytes: 10_240,
    });
    assert.throws(() => parseTook(''), /GNU time/);
    assert.throws(() => parseTook('1 2'), /GNU time/);
  });
});
