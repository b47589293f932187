import { countOf, listOf } from '../base/units.ts';
import { allHolders, holderNoun, type HolderCounts, type NamedHolder } from './words.ts';

/** A holder that can't be used now. */
export interface AwayHolder extends NamedHolder {
  /** True for a friend who is online and keeps nothing for us: asking them to come online would be of no use. */
  readonly withoutRoom?: boolean;
}

/** What a verdict is made from. */
export interface VaultFacts extends HolderCounts {
  readonly away: readonly AwayHolder[];
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
  /** The published snapshots that fare worst, in words, where others fare better; the oldest first. */
  readonly weakest: readonly string[];
  /** How many losses the spread in force would allow what is stored now. */
  readonly inForce: number;
}

/** A verdict in words. `sentence` goes behind it: "Safe: any 2 …". */
export interface VerdictInWords {
  readonly verdict: 'Safe' | 'Thin' | 'At risk' | 'Waiting' | 'Lost';
  readonly sentence: string;
  readonly reasons: readonly string[];
  readonly nextStep: string | null;
}

function namesOf(away: readonly AwayHolder[], kind: NamedHolder['kind'], withoutRoom = false): string[] {
  return away
    .filter((holder) => holder.kind === kind && (holder.withoutRoom === true) === withoutRoom)
    .map(({ name }) => name);
}

/** What to do about holders that are away. */
function reconnect(away: readonly AwayHolder[]): string {
  const drives = namesOf(away, 'drive');
  const friends = namesOf(away, 'friend');
  const steps: string[] = [];
  if (drives.length > 0) steps.push(`connect ${listOf(drives, 'and')}`);
  if (friends.length > 0) {
    steps.push(`ask ${listOf(friends, 'and')} to run kith up (kith friend ping NAME says more)`);
  }
  const roomless = namesOf(away, 'friend', true);
  if (roomless.length > 0) {
    steps.push(`ask ${listOf(roomless, 'and')} for room: they type kith friend set NAME --allow store`);
  }
  const remove = [
    ...(drives.length > 0 ? ['kith drive remove NAME'] : []),
    ...(friends.length + roomless.length > 0 ? ['kith friend remove NAME'] : []),
  ];
  return `${steps.join('; ')}; for one that is gone for good: ${listOf(remove, 'or')}, then kith repair`;
}

/** More places to put a backup. */
function addHolders(facts: VaultFacts): string {
  return facts.drives > 0 && facts.friends === 0
    ? 'kith drive add PATH, or kith invite (a friend)'
    : 'kith invite (a friend), or kith drive add PATH';
}

/** Snapshots that a sentence names; of more it says how many. */
const namedMax = 3;

/** `snapshot 3f9a1c22 of 2026-11-22`, `the snapshots …, … and 4 more`. */
function snapshotsNamed(names: readonly string[]): string {
  if (names.length === 1) return `snapshot ${names[0] ?? ''}`;
  const more = names.length - namedMax;
  return `the snapshots ${listOf([...names.slice(0, namedMax), ...(more > 0 ? [`${more} more`] : [])], 'and')}`;
}

/** What helps where all that a backup asks for is in its place, and the loss of that place loses it. */
function secondPlace(facts: VaultFacts): string {
  const elsewhere = `${addHolders(facts)}, under another roof (--household HOME says under which), then kith backup PATH`;
  if (facts.wanted !== 0) return elsewhere;
  if (facts.drives + facts.friends > 1 && facts.inForce === 0)
    return 'kith config set spread auto, then kith repair: it puts a second copy elsewhere';
  return `${addHolders(facts)}, then kith repair: it puts a second copy there`;
}

function awayReasons(away: readonly AwayHolder[]): string[] {
  const drives = namesOf(away, 'drive');
  const friends = namesOf(away, 'friend');
  const roomless = namesOf(away, 'friend', true);
  const are = (names: readonly string[]): string =>
    `${listOf(names, 'and')} ${names.length === 1 ? 'is' : 'are'}`;
  return [
    ...(drives.length > 0 ? [`${are(drives)} not connected.`] : []),
    ...(friends.length > 0 ? [`${are(friends)} not online.`] : []),
    ...(roomless.length > 0
      ? [`${are(roomless)} online, and ${roomless.length === 1 ? 'gives' : 'give'} no room here.`]
      : []),
  ];
}

function reasonsOf(facts: VaultFacts): string[] {
  const reasons = awayReasons(facts.away);
  if (facts.shardsMissing > 0) {
    reasons.push(
      `${countOf(facts.shardsMissing, 'part')} of your backup ${facts.shardsMissing === 1 ? 'has' : 'have'} no place now.`,
    );
  }
  if (facts.pendingCount > 0) {
    const one = facts.pendingCount === 1;
    reasons.push(
      `${countOf(facts.pendingCount, 'snapshot')} ${one ? 'waits' : 'wait'} for ${allHolders(facts)} and ${one ? 'is' : 'are'} not safe yet.`,
    );
  }
  return reasons;
}

/** The verdict on a vault (docs/guide/cli.md, "status"). Pure; the worst that applies. */
export function verdictOf(facts: VaultFacts): VerdictInWords {
  const reasons = reasonsOf(facts);
  const noun = holderNoun(facts);
  if (facts.lost > 0) {
    return {
      verdict: 'Lost',
      sentence: `parts of ${countOf(facts.lost, 'snapshot')} can’t be brought back by any ${noun.one} that kith knows of.`,
      reasons,
      nextStep:
        'kith check (it names what is lost), then kith backup PATH (what is still on this computer is stored again)',
    };
  }
  if (facts.snapshotCount === 0) return nothingYet(facts, reasons);
  if (facts.notRestorableNow > 0 || facts.tolerates === null) {
    const now = facts.friends === 0 ? 'that are here now' : 'that can be reached now';
    const what = facts.weakest.length === 0 ? 'not everything' : `all but ${snapshotsNamed(facts.weakest)}`;
    return {
      verdict: 'At risk',
      sentence: `${what} can be restored with the ${allHolders(facts)} ${now}.`,
      reasons,
      nextStep: facts.away.length > 0 ? reconnect(facts.away) : 'kith repair',
    };
  }
  const repair =
    facts.shardsMissing > 0 ? 'kith repair' : facts.away.length > 0 ? reconnect(facts.away) : null;
  if (facts.tolerates === 0) {
    const it = facts.weakest.length === 0 ? 'it' : snapshotsNamed(facts.weakest);
    return {
      verdict: 'At risk',
      sentence: `everything can be restored now, but the loss of one more ${noun.one} may lose ${it}.`,
      reasons,
      nextStep: repair ?? secondPlace(facts),
    };
  }
  const lost = countOf(facts.tolerates, noun.one, noun.many);
  const sentence = `everything can be restored, and any ${lost} may be lost.`;
  const weakest = facts.weakest.length === 0 ? [] : [`Least safe: ${snapshotsNamed(facts.weakest)}.`];
  if (facts.wanted !== null && facts.tolerates < facts.wanted)
    return { verdict: 'Thin', sentence, reasons: [...reasons, ...weakest], nextStep: repair };
  if (facts.pendingCount > 0) {
    return {
      verdict: 'Waiting',
      sentence: 'the newest backup is not safe yet; what was backed up before can be restored.',
      reasons,
      nextStep: forRoom(facts),
    };
  }
  return { verdict: 'Safe', sentence, reasons, nextStep: facts.shardsMissing > 0 ? 'kith repair' : null };
}

/** What makes room for what waits. */
function forRoom(facts: VaultFacts): string {
  const back = facts.drives === 0 && facts.friends > 0 ? 'wait for friends' : 'connect a disk';
  return `${addHolders(facts)}, or ${back}, then kith repair`;
}

function nothingYet(facts: VaultFacts, reasons: readonly string[]): VerdictInWords {
  if (facts.pendingCount > 0) {
    return {
      verdict: 'Waiting',
      sentence: 'your backup is still only on this computer.',
      reasons,
      nextStep: forRoom(facts),
    };
  }
  const nobody = facts.drives + facts.friends === 0;
  return {
    verdict: 'Waiting',
    sentence: 'nothing is backed up yet.',
    reasons,
    nextStep: nobody ? addHolders(facts) : 'kith backup PATH',
  };
}
