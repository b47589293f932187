import type { StepFigures } from './launcher.ts';
import type { PeerName } from './peer.ts';

export const steps = ['initial', 'unchanged', 'edited', 'restore', 'check'] as const;
export type Step = (typeof steps)[number];

/** What one program did with one corpus in one round. */
export interface PeerRound {
  readonly redundancy: number;
  /** A step that the program does not have is absent. */
  readonly steps: Readonly<Partial<Record<Step, StepFigures>>>;
  /** Bytes of the store after the first backup. */
  readonly storedBytes: number;
  /** Bytes by which the store grew with the edited backup. */
  readonly addedBytes: number;
  /** The same after one line of one file was changed; text only. */
  readonly lineAddedBytes?: number;
  /** What kith says that it stored of that. */
  readonly lineSaidBytes?: number;
  /** How many things came back other than they were; names, bytes and metadata. */
  readonly differences: number;
}

export interface Round {
  readonly peers: Readonly<Partial<Record<PeerName, PeerRound>>>;
  /** Who came first in each step, and who then. */
  readonly order: readonly PeerName[];
  /** The bytes that kith stored at first, written as whole synced files and nothing else. */
  readonly diskAloneMs: number;
  /** What the edit came to. */
  readonly editedFiles: number;
  readonly editedBytes: number;
}

export interface CorpusResult {
  readonly name: string;
  readonly origin: string;
  readonly files: number;
  readonly bytes: number;
  readonly rounds: readonly Round[];
}

export function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
}

/** The median over the rounds of what can be told of each of them; undefined where it can be of none. */
export function medianOver(
  rounds: readonly Round[],
  pick: (round: Round) => number | undefined,
): number | undefined {
  const values = rounds.map(pick).filter((value) => value !== undefined);
  return values.length === 0 ? undefined : median(values);
}
