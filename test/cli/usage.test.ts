import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { allCommands } from '../../cli/commands/index.ts';
import { parseLine } from '../../cli/parse.ts';
import { nearestWord, typingDistance } from '../../cli/suggest.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { exitErrorOf, runKith } from './harness.ts';

async function usageOf(...argv: string[]): Promise<string> {
  try {
    await parseLine(argv);
  } catch (error) {
    assert.ok(isKithError(error, 'usage'), String(error));
    return error.message;
  }
  return 'accepted';
}

describe('reading the command line', () => {
  it('gives options and words to the command', async () => {
    const { command, args } = await parseLine([
      'backup',
      '--exclude',
      '*.o',
      '/a',
      '--exclude=b',
      '/c',
      '-x',
      '--tag',
      't',
      '--json',
    ]);
    assert.equal(command.name, 'backup');
    assert.deepEqual(args.list('path'), ['/a', '/c']);
    assert.deepEqual(args.list('exclude'), ['*.o', 'b']);
    assert.deepEqual(args.list('tag'), ['t']);
    assert.equal(args.flag('one-file-system'), true);
    assert.equal(args.flag('json'), true);
    assert.equal(args.flag('force'), false);
    assert.equal(args.text('spread'), undefined);
  });

  it('keeps ids that look like numbers as they are', async () => {
    for (const id of ['0012', '1e5', '0x10', '12345678901234567890']) {
      assert.equal((await parseLine(['ls', id])).args.required('snapshot'), id);
      assert.equal((await parseLine(['config', 'set', 'k', id])).args.required('value'), id);
    }
  });

  it('takes everything after -- as words', async () => {
    const { args } = await parseLine(['backup', '--force', '--', '--json', '-x', '/a']);
    assert.deepEqual(args.list('path'), ['--json', '-x', '/a']);
    assert.equal(args.flag('json'), false);
    assert.match(await usageOf('ls', '--', 'a', '--b'), /"--b" is one word too many/);
  });

  it('knows disk as drive', async () => {
    assert.equal((await parseLine(['disk', 'add', 'p', '--give', '5GB'])).args.size('quota'), 5e9);
    assert.equal((await parseLine(['disk', 'list'])).command.name, 'drive list');
  });

  it('says what is wrong and what was probably meant', async () => {
    assert.match(await usageOf('bakup', '/a'), /Unknown command "bakup"\. Did you mean kith backup\?/);
    assert.match(await usageOf('drive', 'ad'), /Did you mean kith drive add\?/);
    assert.match(await usageOf('drive'), /add, list, remove/);
    assert.match(
      await usageOf('backup', '/a', '--exlude', 'b'),
      /Unknown option --exlude\. Did you mean --exclude\?/,
    );
    assert.match(await usageOf('status', '--jsno'), /Did you mean --json\?/);
    assert.match(await usageOf('status', '-z'), /Unknown option -z/);
    assert.match(await usageOf('backup'), /backup needs PATH/);
    assert.match(await usageOf('restore', 'latest'), /needs --target DIR/);
    assert.match(await usageOf('restore', 'latest', '--target'), /--target needs a value/);
    assert.match(await usageOf('restore', 'l', '--target', 'a', '--target', 'b'), /more than once/);
    assert.match(
      await usageOf('restore', 'l', '--target', 'a', '--overwrite', 'maybe'),
      /one of always, if-changed/,
    );
    assert.match(await usageOf('ls', 'a', 'b'), /"b" is one word too many/);
    assert.match(await usageOf('watch', '/a'), /Unknown command "watch"/);
    assert.match(await usageOf('ls', ''), /empty/);
  });

  it('takes another word for no slip of a command, and says how to see what is a setting', async () => {
    assert.equal(
      await usageOf('limits'),
      'Unknown command "limits". limits.upload, limits.download and limits.schedule are settings: ' +
        'kith config get limits.upload; kith config set limits.upload VALUE',
    );
    assert.match(await usageOf('config', 'net.lan'), /net\.lan is a setting: kith config get net\.lan/);
    assert.equal(await usageOf('merits'), 'Unknown command "merits".');
    assert.match(await usageOf('inti'), /Did you mean kith init\?/);
  });

  it('measures typing slips', () => {
    assert.equal(typingDistance('status', 'sattus'), 1);
    assert.equal(typingDistance('kitten', 'sitting'), 3);
    assert.equal(nearestWord('snapshot', ['backup', 'snapshots']), 'snapshots');
    assert.equal(nearestWord('zzzz', ['backup', 'snapshots']), undefined);
  });
});

describe('kith without a vault', () => {
  let folder = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kith-usage-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('shows help with examples for every command, and the version', async () => {
    const main = await runKith(['--help']);
    assert.equal(main.code, 0);
    for (const command of allCommands) {
      assert.match(main.stdout, new RegExp(`kith ${command.name} `));
      assert.ok(command.examples.length > 0);
    }
    const backup = await runKith(['backup', '--help']);
    assert.equal(backup.code, 0);
    assert.match(backup.stdout, /--exclude-if-present[\s\S]*Examples:\n {2}kith backup/);
    assert.match((await runKith(['disk', '--help'])).stdout, /kith drive remove/);
    assert.equal((await runKith([])).stdout, main.stdout);
    assert.match((await runKith(['--version'])).stdout, /^\d+\.\d+\.\d+\n$/);
  });

  it('ends with 2 and a hint for a wrong line', async () => {
    const wrong = await runKith(['restore', 'latest']);
    assert.equal(wrong.code, 2);
    assert.equal(wrong.stdout, '');
    assert.match(wrong.stderr, /^kith: restore needs --target DIR\.\nRun "kith restore --help"/);
    const json = await runKith(['bakup', '--json']);
    assert.equal(json.code, 2);
    assert.equal(json.stdout, '');
    const error = exitErrorOf(json);
    assert.equal(error['code'], 2);
    assert.match(String(error['message']), /bakup/);
  });

  it('refuses bad values before it looks for a vault', async () => {
    const env = { KITH_HOME: join(folder, 'none') };
    assert.equal((await runKith(['backup', folder, '--spread', '3-5'], { env })).code, 2);
    assert.equal((await runKith(['backup', folder, '--exclude-larger-than', 'big'], { env })).code, 2);
    assert.equal((await runKith(['drive', 'add', folder, '--quota', '5XB'], { env })).code, 2);
    assert.equal((await runKith(['recover', '--phrase-file', join(folder, 'none')], { env })).code, 2);
    const card = await runKith(['recover', '--phrase-file', 'x', '--card', 'y'], { env });
    assert.equal(card.code, 2);
    assert.match(card.stderr, /no line kith:card:/);
    await writeFile(join(folder, 'blank'), '\n');
    assert.equal((await runKith(['status', '--passphrase-file', join(folder, 'blank')], { env })).code, 2);
  });

  it('ends with 10 where there is no vault, and names the next command', async () => {
    const env = { KITH_HOME: join(folder, 'none') };
    const ended = await runKith(['status'], { env });
    assert.equal(ended.code, 10);
    assert.match(ended.stderr, /kith init/);
    const json = await runKith(['backup', folder, '--json'], { env });
    assert.equal(json.code, 10);
    assert.equal(exitErrorOf(json)['error'], 'vault-missing');
  });

  it('prints completion that a shell accepts', async () => {
    const script = await runKith(['completion', 'bash']);
    assert.equal(script.code, 0);
    const file = join(folder, 'completion.bash');
    await writeFile(file, script.stdout);
    const ask = `source "$1"; COMP_WORDS=(kith disk re); COMP_CWORD=2; _kith; echo "\${COMPREPLY[*]}"
      COMP_WORDS=(kith restore latest --ta); COMP_CWORD=3; _kith; echo "\${COMPREPLY[*]}"`;
    const bash = spawnSync('bash', ['-c', ask, 'bash', file], { encoding: 'utf8' });
    if (bash.error === undefined) assert.equal(bash.stdout, 'remove\n--target\n');
    assert.match((await runKith(['completion', 'fish'])).stdout, /complete -c kith .* -a backup/);
    assert.equal((await runKith(['completion', 'ksh'])).code, 2);
    assert.match(await readFile(file, 'utf8'), /complete -o default -F _kith kith/);
  });
});
