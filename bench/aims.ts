import { formatDuration, formatSize } from '../lib/base/units.ts';
import { medianOver, type CorpusResult, type PeerRound, type Round, type Step } from './bench-results.ts';

/** One aim, and how it stands. Texts are for the reader. */
export interface AimResult {
  readonly what: string;
  readonly value: string;
  readonly aim: string;
  readonly met: boolean;
}

const initialShare = 0.5;
const diskAloneTimes = 1.3;
const unchangedShare = 0.4;
const unchangedShareOfQuick = 0.8;
/** Up to here another's unchanged backup is mostly its start. */
const quickMs = 3000;
const shares: Readonly<Partial<Record<Step, number>>> = { edited: 0.6, restore: 0.6, check: 0.8 };
/** Of restic's stored bytes, kith's without parity. */
const storedShares: Readonly<Record<string, number>> = { text: 0.8, tiny: 0.9 };
const addedShare = 0.4;
const peakBytesMax = 500e6;
const lineBytesMax = 1024 * 1024;

/**
 * What kith aims at with this corpus and can be told from these rounds. Times and bytes are held against restic's of the same round,
 * and the median of the rounds counts: aims that need restic are left out where it did not run.
 */
export function aimsOf(result: CorpusResult): AimResult[] {
  const { name, rounds } = result;
  return [
    initialAim(rounds),
    ...(['unchanged', 'edited', 'restore', 'check'] as const).map((step) => stepAim(step, rounds)),
    ratioAim('stored, without parity', rounds, (peer) => plain(peer, peer.storedBytes), storedShares[name]),
    name === 'big'
      ? ratioAim(
          'added by the edit, without parity',
          rounds,
          (peer) => plain(peer, peer.addedBytes),
          addedShare,
        )
      : undefined,
    mostAim(
      'most memory of any step',
      medianOver(rounds, ({ peers }) => peers.kith && peakOf(peers.kith)),
      peakBytesMax,
      formatSize,
    ),
    mostAim(
      'stored for one changed line',
      medianOver(rounds, ({ peers }) => peers.kith?.lineSaidBytes),
      lineBytesMax,
      formatSize,
    ),
  ].filter((aim) => aim !== undefined);
}

function initialAim(rounds: readonly Round[]): AimResult | undefined {
  const ratio = wallRatio('initial', rounds);
  const ofAllowed = medianOver(rounds, ({ peers, diskAloneMs }) => {
    const [kith, restic] = [peers.kith?.steps.initial, peers.restic?.steps.initial];
    if (kith === undefined || restic === undefined) return undefined;
    return kith.wallMs / Math.max(restic.wallMs * initialShare, diskAloneMs * diskAloneTimes);
  });
  const disk = medianOver(rounds, (round) => round.diskAloneMs);
  if (ratio === undefined || ofAllowed === undefined || disk === undefined) return undefined;
  const floor = formatDuration(disk * diskAloneTimes);
  return {
    what: 'initial',
    value: ratio.toFixed(2),
    aim: `${initialShare.toFixed(2)} of restic, or ${diskAloneTimes} × disk alone (${floor})`,
    met: ofAllowed <= 1,
  };
}

function stepAim(step: Step, rounds: readonly Round[]): AimResult | undefined {
  const ratio = wallRatio(step, rounds);
  const others = medianOver(rounds, ({ peers }) => peers.restic?.steps[step]?.wallMs);
  if (ratio === undefined || others === undefined) return undefined;
  const unchanged = others > quickMs ? unchangedShare : unchangedShareOfQuick;
  return aimAt(step, ratio, step === 'unchanged' ? unchanged : (shares[step] ?? 1));
}

function ratioAim(
  what: string,
  rounds: readonly Round[],
  pick: (peer: PeerRound) => number,
  most: number | undefined,
): AimResult | undefined {
  const ratio = medianOver(rounds, ({ peers: { kith, restic } }) =>
    kith === undefined || restic === undefined ? undefined : pick(kith) / pick(restic),
  );
  return ratio === undefined || most === undefined ? undefined : aimAt(what, ratio, most);
}

function aimAt(what: string, ratio: number, most: number): AimResult {
  return { what, value: ratio.toFixed(2), aim: `${most.toFixed(2)} of restic`, met: ratio <= most };
}

function mostAim(
  what: string,
  value: number | undefined,
  most: number,
  format: (value: number) => string,
): AimResult | undefined {
  return value === undefined
    ? undefined
    : { what, value: format(value), aim: format(most), met: value <= most };
}

/** kith's time of a step as a share of restic's, the median of the rounds. */
export function wallRatio(step: Step, rounds: readonly Round[]): number | undefined {
  return medianOver(rounds, ({ peers }) => {
    const [kith, restic] = [peers.kith?.steps[step], peers.restic?.steps[step]];
    return kith === undefined || restic === undefined ? undefined : kith.wallMs / restic.wallMs;
  });
}

function plain(peer: PeerRound, bytes: number): number {
  return bytes / peer.redundancy;
}

function peakOf(peer: PeerRound): number | undefined {
  const peaks = Object.values(peer.steps)
    .map(({ peakBytes }) => peakBytes)
    .filter((bytes) => bytes !== undefined);
  return peaks.length === 0 ? undefined : Math.max(...peaks);
}
