import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { aimsOf } from '../../bench/aims.ts';
import { parseBenchOptions, roundsOf } from '../../bench/bench-options.ts';
import type { CorpusResult, PeerRound, Round } from '../../bench/bench-results.ts';
import { alignedRows, corpusLines } from '../../bench/bench-table.ts';
import { rotated } from '../../bench/peers.ts';

function peerRound(seconds: readonly number[], given: Partial<PeerRound> = {}): PeerRound {
  const names = ['initial', 'unchanged', 'edited', 'restore', 'check'] as const;
  const figures = seconds.map((wall, i) => [
    names[i],
    { wallMs: wall * 1000, cpuMs: wall * 1500, peakBytes: 200e6 },
  ]);
  return {
    redundancy: 1,
    steps: Object.fromEntries(figures) as PeerRound['steps'],
    storedBytes: 100e6,
    addedBytes: 10e6,
    differences: 0,
    ...given,
  };
}

function round(peers: Round['peers'], diskAloneMs = 1000): Round {
  return { peers, order: ['kith', 'restic'], diskAloneMs, editedFiles: 3, editedBytes: 300 };
}

function result(name: string, ...rounds: Round[]): CorpusResult {
  return { name, origin: 'made up', files: 1000, bytes: 5e6, rounds };
}

const verdicts = (of: CorpusResult): Record<string, boolean> =>
  Object.fromEntries(aimsOf(of).map(({ what, met }) => [what, met]));

const restic = peerRound([10, 5, 5, 10, 10]);

void describe('the aims', () => {
  void it('are met at their edge and not beyond', () => {
    const met = peerRound([5, 2, 3, 6, 8], { redundancy: 1.5, storedBytes: 120e6, addedBytes: 6e6 });
    assert.deepEqual(verdicts(result('text', round({ kith: met, restic }))), {
      initial: true,
      unchanged: true,
      edited: true,
      restore: true,
      check: true,
      'stored, without parity': true,
      'most memory of any step': true,
    });
    const missed = peerRound([5.1, 2.1, 3.1, 6.1, 8.1], { redundancy: 1.5, storedBytes: 121e6 });
    const verdict = verdicts(result('text', round({ kith: missed, restic })));
    assert.deepEqual(
      Object.entries(verdict).filter(([, isMet]) => isMet),
      [['most memory of any step', true]],
    );
  });

  void it('let the first backup take 1.3 times what the disk takes alone', () => {
    const kith = peerRound([13]);
    assert.equal(verdicts(result('photos', round({ kith, restic }, 10_000)))['initial'], true);
    assert.equal(verdicts(result('photos', round({ kith, restic }, 9900)))['initial'], false);
  });

  void it('ask less of an unchanged backup where the other is quick', () => {
    const quick = peerRound([10, 3]);
    assert.equal(
      verdicts(result('photos', round({ kith: peerRound([5, 2.4]), restic: quick })))['unchanged'],
      true,
    );
    assert.equal(
      verdicts(result('photos', round({ kith: peerRound([5, 2.5]), restic: quick })))['unchanged'],
      false,
    );
  });

  void it('count what an edit adds to the big file, and the memory and bytes that are too many', () => {
    const kith = peerRound([1], { redundancy: 1.5, addedBytes: 6.1e6, lineSaidBytes: 1024 * 1024 + 1 });
    const steps = { initial: { wallMs: 1, peakBytes: 501e6 } };
    const verdict = verdicts(result('big', round({ kith: { ...kith, steps }, restic })));
    assert.equal(verdict['added by the edit, without parity'], false);
    assert.equal(verdict['most memory of any step'], false);
    assert.equal(verdict['stored for one changed line'], false);
    assert.equal('stored, without parity' in verdict, false);
  });

  void it('are medians of rounds, each round held against itself', () => {
    // The machine was five times slower in the second round: for both.
    const slow = round({ kith: peerRound([20]), restic: peerRound([50]) });
    const fast = round({ kith: peerRound([4]), restic });
    const odd = round({ kith: peerRound([9]), restic });
    const [initial] = aimsOf(result('photos', slow, odd, fast));
    assert.deepEqual([initial?.value, initial?.met], ['0.40', true]);
  });

  void it('that need restic are left out without it', () => {
    const kith = peerRound([5, 2, 3, 6, 8]);
    assert.deepEqual(Object.keys(verdicts(result('text', round({ kith })))), ['most memory of any step']);
    assert.deepEqual(aimsOf(result('text', round({ restic }))), []);
  });
});

void describe('the table', () => {
  void it('has columns as wide as their widest cell', () => {
    assert.deepEqual(
      alignedRows([
        ['a', '1', '22'],
        ['bbb', '333'],
      ]),
      ['a      1  22', 'bbb  333'],
    );
  });

  void it('says what was measured, and a dash for what was not', () => {
    const kith = peerRound([5, 2, 3, 6], { redundancy: 1.5 });
    const lines = corpusLines(result('text', round({ kith, restic })));
    assert.match(
      lines[0] ?? '',
      /^text: 1,000 files, 5\.00 MB \(made up\); 1 round; edited 3 files, 300 B new$/,
    );
    const row = (name: string): string[] =>
      (lines.find((line) => line.trimStart().startsWith(name)) ?? '').trim().split(/ {2,}/);
    assert.deepEqual(row('initial'), [
      'initial',
      '5.0 s',
      '7.5 s',
      '200 MB',
      '10 s',
      '15 s',
      '200 MB',
      '0.50',
    ]);
    assert.deepEqual(row('check'), ['check', '–', '–', '–', '10 s', '15 s', '200 MB', '–']);
    assert.deepEqual(row('disk alone'), ['disk alone', '1.0 s']);
    assert.deepEqual(row('without parity'), ['without parity', '66.7 MB', '100 MB']);
    assert.ok(!lines.join('\n').includes('borg'));
    assert.ok(!lines.join('\n').includes('NOT MET'), 'each aim that is told is met here');
  });
});

void describe('the order of programs', () => {
  void it('puts each of them first in turn', () => {
    const orders = [0, 1, 2, 3].map((number) => rotated(['a', 'b', 'c'], number).join(''));
    assert.deepEqual(orders, ['abc', 'bca', 'cab', 'abc']);
    assert.deepEqual(rotated([], 5), []);
  });
});

void describe('the options', () => {
  void it('have defaults, and paths relative to where the command was given', () => {
    const options = parseBenchOptions(['--text', 'src.tar', '--corpora', '/kept'], '/home/me');
    assert.deepEqual(options, {
      quick: false,
      corpora: ['text', 'photos', 'big', 'tiny'],
      peers: ['kith', 'restic', 'borg'],
      rounds: undefined,
      text: '/home/me/src.tar',
      corporaFolder: '/kept',
      save: undefined,
    });
    assert.equal(roundsOf('photos', options), 3);
    assert.equal(roundsOf('big', options), 1);
    assert.equal(roundsOf('big', { ...options, rounds: 5 }), 5);
  });

  void it('choose corpora and programs by name and refuse what they do not know', () => {
    const options = parseBenchOptions(['--corpus', 'tiny,text', '--peers', 'kith', '--quick'], '/');
    assert.deepEqual([options.corpora, options.peers, options.quick], [['text', 'tiny'], ['kith'], true]);
    assert.throws(
      () => parseBenchOptions(['--corpus', 'huge'], '/'),
      /text, photos, big and tiny, not "huge"/,
    );
    assert.throws(() => parseBenchOptions(['--rounds', '0'], '/'), /--rounds takes/);
    assert.throws(() => parseBenchOptions(['--slow'], '/'), /--slow/);
  });
});
