import type { Ended, StepFigures } from './launcher.ts';

export const peerNames = ['kith', 'restic', 'borg'] as const;
export type PeerName = (typeof peerNames)[number];

/** What a backup took, and what it says itself that it stored. */
export interface BackedUp {
  readonly figures: StepFigures;
  /** Bytes by its own account, copies and parity included. */
  readonly saidStoredBytes?: number;
}

/** One backup program with a store of its own in a folder of its own. Paths are absolute. Steps reject where they fail. */
export interface Peer {
  readonly name: PeerName;
  /** Bytes in the store for each byte that would restore it: above 1 where losses are to be survived. */
  readonly redundancy: number;
  /** Makes the empty store. Not timed. */
  prepare(): Promise<void>;
  backup(source: string): Promise<BackedUp>;
  /** Restores the newest snapshot into a folder that exists and is empty: the source then lies below it under its whole path. */
  restore(target: string): Promise<StepFigures>;
  /** Reads and checks every stored byte; undefined where the program has no such command. */
  check(): Promise<StepFigures | undefined>;
  /** Bytes of all the files of the store, caches left out. */
  storedBytes(): number;
}

/** Rejects where a command failed, with what it complained of. */
export function mustSucceed(what: string, ended: Ended): Ended {
  if (ended.code !== 0) throw new Error(`${what} ended with exit status ${ended.code}: ${ended.complaint}`);
  return ended;
}
