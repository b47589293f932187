import { countOf, listOf } from '../base/units.ts';

/** What a verdict is made from. */
export interface VaultFacts {
  readonly driveCount: number;
  readonly awayNames: readonly string[];
  /** Published snapshots. */
  readonly snapshotCount: number;
  readonly pendingCount: number;
  readonly notRestorableNow: number;
  readonly lost: number;
  /** Households that may be lost with every pack still restorable; null when one isn't now. */
  readonly tolerates: number | null;
  /** What the policy of the packs asks (n − k); null without packs. */
  readonly wanted: number | null;
  readonly shardsMissing: number;
}

/** A verdict in words. `sentence` goes behind it: "Safe: any 2 …". */
export interface VerdictInWords {
  readonly verdict: 'Safe' | 'Thin' | 'At risk' | 'Waiting' | 'Lost';
  readonly sentence: string;
  readonly reasons: readonly string[];
  readonly nextStep: string | null;
}

/** What to do about holders that are away. */
function reconnect(names: readonly string[]): string {
  return `connect ${listOf(names, 'and')}; for one that is gone for good: kith drive remove NAME, then kith repair`;
}

/** The verdict on a vault (docs/guide/cli.md, "status"). Pure; the worst that applies. */
export function verdictOf(facts: VaultFacts): VerdictInWords {
  const reasons: string[] = [];
  if (facts.awayNames.length > 0) {
    reasons.push(
      `${listOf(facts.awayNames, 'and')} ${facts.awayNames.length === 1 ? 'is' : 'are'} not connected.`,
    );
  }
  if (facts.shardsMissing > 0) {
    reasons.push(
      `${countOf(facts.shardsMissing, 'part')} of your backup ${facts.shardsMissing === 1 ? 'has' : 'have'} no place now.`,
    );
  }
  if (facts.pendingCount > 0) {
    reasons.push(
      `${countOf(facts.pendingCount, 'snapshot')} ${facts.pendingCount === 1 ? 'waits' : 'wait'} for disks and ${facts.pendingCount === 1 ? 'is' : 'are'} not safe yet.`,
    );
  }
  if (facts.lost > 0) {
    return {
      verdict: 'Lost',
      sentence: `parts of ${countOf(facts.lost, 'snapshot')} can’t be brought back by any disk that kith knows of.`,
      reasons,
      nextStep: 'kith backup PATH (what is still on this computer is stored again)',
    };
  }
  if (facts.snapshotCount === 0) return nothingYet(facts, reasons);
  if (facts.notRestorableNow > 0 || facts.tolerates === null) {
    return {
      verdict: 'At risk',
      sentence: 'not everything can be restored with the disks that are here now.',
      reasons,
      nextStep: facts.awayNames.length > 0 ? reconnect(facts.awayNames) : 'kith repair',
    };
  }
  const repair =
    facts.shardsMissing > 0 ? 'kith repair' : facts.awayNames.length > 0 ? reconnect(facts.awayNames) : null;
  if (facts.tolerates === 0) {
    const only = facts.wanted === 0;
    return {
      verdict: 'At risk',
      sentence: 'everything can be restored now, but the loss of one more disk may lose it.',
      reasons,
      nextStep:
        repair ??
        (only
          ? 'kith drive add PATH, then kith backup PATH: with two disks or more what was kept once is stored again'
          : 'kith repair'),
    };
  }
  const sentence = `everything can be restored, and any ${countOf(facts.tolerates, 'disk')} may be lost.`;
  if (facts.wanted !== null && facts.tolerates < facts.wanted)
    return { verdict: 'Thin', sentence, reasons, nextStep: repair };
  if (facts.pendingCount > 0) {
    return {
      verdict: 'Waiting',
      sentence: 'the newest backup is not safe yet; what was backed up before can be restored.',
      reasons,
      nextStep: 'kith drive add PATH, or connect a disk, then kith repair',
    };
  }
  return { verdict: 'Safe', sentence, reasons, nextStep: facts.shardsMissing > 0 ? 'kith repair' : null };
}

function nothingYet(facts: VaultFacts, reasons: readonly string[]): VerdictInWords {
  if (facts.pendingCount > 0) {
    return {
      verdict: 'Waiting',
      sentence: 'your backup is still only on this computer.',
      reasons,
      nextStep: 'kith drive add PATH, or connect a disk, then kith repair',
    };
  }
  return {
    verdict: 'Waiting',
    sentence: 'nothing is backed up yet.',
    reasons,
    nextStep: facts.driveCount === 0 ? 'kith drive add PATH' : 'kith backup PATH',
  };
}
