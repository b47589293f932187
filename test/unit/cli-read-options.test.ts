import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { commandLoaders } from '../../cli/command-loaders.ts';
import { allCommands } from '../../cli/commands/index.ts';
import { readOptions, SpecBook } from '../../cli/read-options.ts';

const specs = new SpecBook({
  all: { type: 'flag', alias: 'a', describe: '' },
  bare: { type: 'flag', alias: 'b', describe: '' },
  name: { type: 'text', alias: 'n', describe: '' },
  tag: { type: 'list', alias: 'label', describe: '' },
  wait: { type: 'text', describe: '', valueOptional: true },
});

describe('options of a command line', () => {
  it('are read in every spelling', () => {
    const line = readOptions(
      ['x', '-ab', '--name=v', '--tag', '1', '--label=2', '-', '-5', '--', '-a'],
      specs,
    );
    assert.deepEqual(line, {
      words: ['x', '-', '-5', '-a'],
      values: { all: true, bare: true, name: 'v', tag: ['1', '2'] },
      stop: undefined,
    });
    assert.deepEqual(readOptions(['-an', 'v'], specs).values, { all: true, name: 'v' });
    assert.deepEqual(readOptions(['-nv'], specs).values, { name: 'v' });
    assert.deepEqual(readOptions(['-n=v'], specs).values, { name: 'v' });
    assert.deepEqual(readOptions(['--all=false'], specs).values, { all: false });
    assert.deepEqual(readOptions(['--name', '-5', '--name='], specs).values, { name: ['-5', ''] });
  });

  it('take no option for their value, unless behind =', () => {
    assert.deepEqual(readOptions(['--name', '-a'], specs).stop, {
      why: 'no-value',
      option: '--name',
      name: 'name',
    });
    assert.equal(readOptions(['--name', '--', 'v'], specs).stop?.why, 'no-value');
    assert.deepEqual(readOptions(['--name=-a'], specs).values, { name: '-a' });
    assert.deepEqual(readOptions(['--wait', '-a'], specs).values, { wait: '', all: true });
    assert.deepEqual(readOptions(['--wait', '10m'], specs).values, { wait: '10m' });
  });

  it('end at the first that is unknown, with what came before', () => {
    const line = readOptions(['x', '--nope', 'y'], specs);
    assert.deepEqual(line.words, ['x']);
    assert.deepEqual(line.stop, { why: 'unknown', option: '--nope', name: 'nope' });
    assert.deepEqual(readOptions(['-az'], specs).stop, { why: 'unknown', option: '-z', name: 'z' });
    assert.equal(readOptions(['--a'], specs).stop?.why, 'unknown', 'a letter is a short option only');
    assert.equal(readOptions(['--constructor'], specs).stop?.why, 'unknown');
    assert.equal(readOptions(['--all=yes'], specs).stop?.why, 'too-much');
  });
});

describe('commands loaded by name', () => {
  it('are all commands, each under its own', async () => {
    const names = allCommands.map(({ name }) => name);
    assert.deepEqual(Object.keys(commandLoaders).sort(), [...names].sort());
    for (const [name, load] of Object.entries(commandLoaders)) assert.equal((await load()).name, name);
  });
});
