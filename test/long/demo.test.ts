import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { makeSampleFolder } from '../../bench/sample-folder.ts';
import { surveyFolder } from '../../bench/survey.ts';
import { removeTree } from '../../lib/source/remove-tree.ts';
import { FolderChain } from '../../lib/source/folder-chain.ts';
import { compareTrees } from '../../lib/source/compare.ts';
import { utf8 } from '../../lib/base/bytes.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { mainPath, type Ended } from '../cli/harness.ts';
import { describeFolder, makeSample } from '../cli/sample.ts';

const demoPath = join(dirname(dirname(mainPath)), 'bench', 'demo.js');

/** Runs the demo with a folder of its own for temporary files. `onText` gets all of stdout so far. */
async function runDemo(
  args: readonly string[],
  temp: string,
  onText: (text: string, interrupt: () => void) => void = () => undefined,
): Promise<Ended> {
  const env = { PATH: process.env['PATH'], TMPDIR: temp };
  const child = spawn(process.execPath, [demoPath, ...args], { stdio: ['ignore', 'pipe', 'pipe'], env });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    onText(stdout, () => child.kill('SIGINT'));
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  return { code, stdout, stderr };
}

/** Does something once, when a text has come. */
function once(text: string, work: (interrupt: () => void) => void): (all: string, stop: () => void) => void {
  let done = false;
  return (all, interrupt) => {
    if (done || !all.includes(text)) return;
    done = true;
    work(interrupt);
  };
}

describe('the demo', () => {
  it('tells the story of a small made-up folder and leaves nothing behind', async (t) => {
    const temp = await tempFolder(t);
    const ended = await runDemo(['--scale', '0.02', '--drives'], temp);
    assert.equal(ended.code, 0, ended.stdout + ended.stderr);
    assert.equal(ended.stderr, '');
    assert.match(ended.stdout, /✓ any 2 of the 6 disks may be lost/);
    assert.match(ended.stdout, /✓ the orange disk is dead/);
    assert.match(ended.stdout, /✓ nothing is on it but kith and the 24 words/);
    assert.match(ended.stdout, /✓ \d+ files, .*: every byte is the same/);
    assert.match(ended.stdout, /Everything came back, byte for byte\.\n$/);
    assert.doesNotMatch(ended.stdout, /✗|\b(packs?|shards?)\b/);
    assert.ok(ended.stdout.split('\n').every((line) => line.length <= 80 || !line.includes(' ')));
    assert.deepEqual(await readdir(temp), []);
  });

  for (const [transport, words] of [
    ['direct', 'over TCP'],
    ['dht', 'over UDP, found by key'],
  ] as const) {
    it(`tells the story of seven processes, ${words}, and leaves none behind`, async (t) => {
      const temp = await tempFolder(t);
      const ended = await runDemo(['--scale', '0.02', '--transport', transport], temp);
      assert.equal(ended.code, 0, ended.stdout + ended.stderr);
      assert.ok(ended.stdout.includes(`✓ all six are online, ${words}, encrypted end to end`));
      assert.match(ended.stdout, /✓ any 3 of the 6 friends may be lost/);
      const dead = [...ended.stdout.matchAll(/computer is dead \(process (\d+), SIGKILL\)/g)];
      assert.equal(dead.length, 3);
      assert.match(ended.stdout, /✓ nothing is on it but kith, the 24 words, and anna's card/);
      assert.match(ended.stdout, /✓ \d+ files, .*: every byte is the same/);
      assert.match(ended.stdout, /Everything came back, byte for byte\.\n$/);
      assert.doesNotMatch(ended.stdout, /✗|\b(packs?|shards?)\b/);
      assert.deepEqual(await readdir(temp), []);
    });
  }

  it('only reads a folder of the user, names what differs, and says when it was changed meanwhile', async (t) => {
    const temp = await tempFolder(t);
    const folder = join(await tempFolder(t), 'my restless things');
    await makeSample(folder);
    const diary = join(folder, 'private');
    const before = await describeFolder(folder);
    const ended = await runDemo(
      [folder],
      temp,
      once('Disaster', () => appendFileSync(diary, ', only mine')),
    );
    assert.equal(ended.code, 1, ended.stdout);
    assert.match(ended.stdout, /✓ what is left: the 24 words, a card, and anna, cleo and eva/);
    assert.match(ended.stdout, /✗ private: .*15 and 4 bytes/);
    assert.match(ended.stdout, /changed by something else while the demo ran/);
    // Its time and its size, and that it was changed.
    assert.equal(ended.stdout.match(/✗/g)?.length, 3, `nothing else differs:\n${ended.stdout}`);
    assert.match(ended.stderr, /not everything came back/);
    const after = await describeFolder(folder);
    assert.notEqual(after.get('/private'), before.get('/private'));
    after.delete('/private');
    before.delete('/private');
    assert.deepEqual(after, before);
    assert.deepEqual(await readdir(temp), []);
  });

  it('removes its folder when it is interrupted', async (t) => {
    const temp = await tempFolder(t);
    const ended = await runDemo(
      ['--scale', '0.02'],
      temp,
      once('$ kith backup', (interrupt) => interrupt()),
    );
    assert.equal(ended.code, 130, ended.stdout + ended.stderr);
    assert.match(ended.stderr, /interrupted/);
    assert.doesNotMatch(ended.stdout, /Disaster/);
    assert.deepEqual(await readdir(temp), []);
  });

  it('refuses what it cannot do, with status 2', async (t) => {
    const temp = await tempFolder(t);
    for (const args of [
      [join(temp, 'nowhere')],
      ['--scale', 'x'],
      ['--transport', 'pigeon'],
      ['a', 'b'],
      ['--fast'],
      [temp],
    ]) {
      const ended = await runDemo(args, temp);
      assert.equal(ended.code, 2, args.join(' '));
      assert.match(ended.stderr, /^demo: .*\n\nUsage: npm run demo/s);
    }
    assert.equal((await runDemo(['--help'], temp)).code, 0);
    assert.deepEqual(await readdir(temp), []);
  });
});

describe('the sample folder', () => {
  it('is the same every time', async (t) => {
    const folder = await tempFolder(t);
    const [one, two] = [join(folder, 'one'), join(folder, 'two')];
    try {
      await makeSampleFolder(one, { scale: 0.004 });
      await makeSampleFolder(two, { scale: 0.004 });
      const differences: string[] = [];
      for await (const difference of compareTrees(one, two)) differences.push(difference);
      assert.deepEqual(differences, []);
      const survey = await surveyFolder(one);
      assert.ok(survey.files > 30 && survey.others === 4 && survey.bytes > 900_000, JSON.stringify(survey));
      assert.equal(survey.mark, (await surveyFolder(one)).mark);
      appendFileSync(join(one, 'links and modes', 'private'), '!');
      assert.notEqual(survey.mark, (await surveyFolder(one)).mark);
    } finally {
      const chain = new FolderChain(utf8(folder));
      for (const name of ['one', 'two']) removeTree(chain, utf8(name));
      chain.close();
    }
  });
});
