import { countOf, formatDuration, formatSize } from '../lib/base/units.ts';
import { aimsOf, wallRatio } from './aims.ts';
import { medianOver, steps, type CorpusResult, type PeerRound, type Round } from './bench-results.ts';
import { peerNames, type PeerName } from './peer.ts';

const nothing = '–';

/** Rows of cells as lines, columns as wide as their widest cell: the first flush left, the rest flush right. */
export function alignedRows(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  }
  return rows.map((row) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}

/** All that there is to say of one corpus, line by line: a table of steps and stores, and the aims below it. */
export function corpusLines(result: CorpusResult): string[] {
  const { name, origin, files, bytes, rounds } = result;
  const names = peerNames.filter((peer) => rounds.some((round) => round.peers[peer] !== undefined));
  const edit = rounds[0];
  return [
    `${name}: ${countOf(files, 'file')}, ${formatSize(bytes)} (${origin}); ${countOf(rounds.length, 'round')}` +
      (edit === undefined
        ? ''
        : `; edited ${countOf(edit.editedFiles, 'file')}, ${formatSize(edit.editedBytes)} new`),
    ...alignedRows([
      [
        '',
        ...names.flatMap((peer) => [peer, 'cpu', 'memory']),
        ...(names.includes('restic') ? ['kith : restic'] : []),
      ],
      ...steps.map((step) => [
        step,
        ...names.flatMap((peer) => {
          const of = (pick: 'wallMs' | 'cpuMs' | 'peakBytes', format: (value: number) => string): string =>
            told(rounds, peer, (round) => round.steps[step]?.[pick], format);
          return [of('wallMs', formatDuration), of('cpuMs', formatDuration), of('peakBytes', formatSize)];
        }),
        ...(names.includes('restic') ? [wallRatio(step, rounds)?.toFixed(2) ?? nothing] : []),
      ]),
      ['disk alone', formatDuration(medianOver(rounds, (round) => round.diskAloneMs) ?? 0)],
      ...(
        [
          ['stored', (round) => round.storedBytes],
          ['without parity', (round) => round.storedBytes / round.redundancy],
          ['added by the edit', (round) => round.addedBytes],
          ['added by one line', (round) => round.lineAddedBytes],
        ] satisfies [string, (round: PeerRound) => number | undefined][]
      ).map(([title, pick]) => [
        title,
        ...names.flatMap((peer) => [told(rounds, peer, pick, formatSize), '', '']),
      ]),
    ]).map((line) => `  ${line}`),
    ...aimLines(result),
  ];
}

function aimLines(result: CorpusResult): string[] {
  const aims = aimsOf(result);
  if (aims.length === 0) return [];
  const rows = aims.map(({ what, value, aim, met }) => [
    what,
    value,
    `at most ${aim}`,
    met ? 'met' : 'NOT MET',
  ]);
  return ['  aims', ...alignedRows(rows).map((line) => `  ${line}`)];
}

function told(
  rounds: readonly Round[],
  peer: PeerName,
  pick: (round: PeerRound) => number | undefined,
  format: (value: number) => string,
): string {
  const value = medianOver(rounds, ({ peers }) => {
    const round = peers[peer];
    return round === undefined ? undefined : pick(round);
  });
  return value === undefined ? nothing : format(value);
}
