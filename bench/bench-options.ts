import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { listOf } from '../lib/base/units.ts';
import { corpusNames, type CorpusName } from './corpora-made.ts';
import { peerNames, type PeerName } from './peer.ts';

export const usage: string = `npm run bench -- [OPTIONS]
  --quick             small folders, one round: a few minutes
  --corpus LIST       some of ${corpusNames.join(',')}
  --peers LIST        some of ${peerNames.join(',')} (those installed)
  --rounds N          rounds (default: 3 for photos, 1 for the rest)
  --text DIR|TAR      a folder or tar archive in place of our own text
  --corpora DIR       keep the folders that are made there, and use those that are there already
  --save NAME         write bench/results/NAME.json
  --stages            where a backup's time goes, in kith's own stages (see docs/bench.md)`;

export interface BenchOptions {
  readonly quick: boolean;
  readonly corpora: readonly CorpusName[];
  readonly peers: readonly PeerName[];
  /** Undefined for the default of each corpus. */
  readonly rounds: number | undefined;
  readonly text: string | undefined;
  readonly corporaFolder: string | undefined;
  readonly save: string | undefined;
}

/** Options from the command line; paths relative to `cwd`. Throws an Error that names what is wrong. */
export function parseBenchOptions(args: readonly string[], cwd: string): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      corpus: { type: 'string' },
      peers: { type: 'string' },
      rounds: { type: 'string' },
      text: { type: 'string' },
      corpora: { type: 'string' },
      save: { type: 'string' },
    },
  });
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds >= 1 && rounds <= 100)) {
    throw new Error('--rounds takes a number from 1 to 100');
  }
  const path = (given: string | undefined): string | undefined =>
    given === undefined ? undefined : resolve(cwd, given);
  return {
    quick: values.quick,
    corpora: someOf('--corpus', corpusNames, values.corpus),
    peers: someOf('--peers', peerNames, values.peers),
    rounds,
    text: path(values.text),
    corporaFolder: path(values.corpora),
    save: values.save,
  };
}

/** Rounds of a corpus: the wanted ones, else as many as its length allows. */
export function roundsOf(name: CorpusName, { rounds, quick }: BenchOptions): number {
  return rounds ?? (name === 'photos' && !quick ? 3 : 1);
}

function someOf<T extends string>(
  option: string,
  all: readonly T[],
  given: string | undefined,
): readonly T[] {
  if (given === undefined) return all;
  const wanted = given.split(',').map((name) => name.trim());
  const unknown = wanted.find((name) => !all.some((one) => one === name));
  if (unknown !== undefined)
    throw new Error(`${option} takes some of ${listOf(all, 'and')}, not "${unknown}"`);
  return all.filter((name) => wanted.includes(name));
}
