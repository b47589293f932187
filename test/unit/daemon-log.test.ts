import assert from 'node:assert/strict';
import { appendFile, chmod, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { systemClock } from '../../lib/base/clock.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { hostPortText, parseHostPort } from '../../lib/daemon/host-port.ts';
import { logPaths, openLog, parseLogLine } from '../../lib/daemon/log-file.ts';
import { followLog, readLog } from '../../lib/daemon/read-log.ts';
import { tempFolder } from '../support/temp-folder.ts';

describe('the log of the daemon', () => {
  it('is for its owner alone, one JSON object a line, and only as much as was asked for', async (test) => {
    const home = await tempFolder(test);
    const [path] = logPaths(home);
    await writeFile(path, '');
    await chmod(path, 0o644);
    const log = openLog(home, systemClock, 'info');
    log('debug', 'x', 'a file name');
    log('info', 'ready', 'two\nlines');
    log('error', 'y', 'x'.repeat(100_000));
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
    assert.equal(lines.length, 2);
    assert.equal(parseLogLine(lines[0] ?? '')?.text, 'two\nlines');
    assert.ok((lines[1] ?? '').length < 5000);
  });

  it('keeps one old file and not more', async (test) => {
    const home = await tempFolder(test);
    const [path, old] = logPaths(home);
    const log = openLog(home, systemClock, 'debug', 2000);
    for (let index = 0; index < 200; index++) log('info', 'count', String(index));
    assert.ok((await stat(path)).size < 2200);
    assert.ok((await stat(old)).size < 2200);
    const entries = await readLog(home, 20);
    assert.deepEqual(
      entries.map(({ text }) => text),
      Array.from({ length: 20 }, (_, index) => String(180 + index)),
    );
  });

  it('loses lines rather than end the process', async (test) => {
    const log = openLog(join(await tempFolder(test), 'not', 'there'), systemClock, 'info');
    log('info', 'x', 'y');
  });

  it('is read also where the process printed something by itself', async (test) => {
    const home = await tempFolder(test);
    assert.deepEqual(await readLog(home, 10), []);
    const log = openLog(home, systemClock, 'info');
    log('info', 'a', 'before');
    await appendFile(logPaths(home)[0], 'FATAL ERROR: heap\n{"time":1}\n\xff\n');
    log('info', 'a', 'after');
    const texts = (await readLog(home, 10)).map(({ text }) => text);
    assert.deepEqual(texts, ['before', 'FATAL ERROR: heap', '{"time":1}', '\xff', 'after']);
  });

  it('is followed across a change of files', async (test) => {
    const home = await tempFolder(test);
    const log = openLog(home, systemClock, 'info', 300);
    log('info', 'x', 'old');
    const controller = new AbortController();
    let written = 0;
    const seen: string[] = [];
    // A line is written whenever the follower rests.
    const rest = (): Promise<void> => {
      log('info', 'x', `${written++} ü`);
      return Promise.resolve();
    };
    for await (const { text } of followLog(home, controller.signal, rest)) {
      seen.push(text);
      if (seen.length === 20) controller.abort();
    }
    assert.deepEqual(
      seen,
      Array.from({ length: 20 }, (_, index) => `${index} ü`),
    );
  });
});

describe('HOST:PORT', () => {
  it('is read and written', () => {
    for (const text of ['127.0.0.1:0', '[::1]:65535', 'home.example.org:49737', '0.0.0.0:1']) {
      assert.equal(hostPortText(parseHostPort(text)), text);
    }
  });

  it('is refused where it is something else', () => {
    for (const text of [
      '',
      '80',
      ':80',
      'a:',
      'a:b',
      '::1:80',
      '[::1]',
      '[x]:1',
      'a:65536',
      'a b:1',
      'http://a:1',
      'a:-1',
    ]) {
      assert.throws(
        () => parseHostPort(text),
        (error) => isKithError(error, 'usage'),
        text,
      );
    }
  });
});
