import { setTimeout as wait } from 'node:timers/promises';
import type { Member } from '../cli/circle.ts';
import { startPair } from './cell.ts';
import type { Household } from './cell.ts';
import { befriend, seen, startIn } from './people.ts';
import { changeOuterAddress, port, setLine, sideA } from './places.ts';
import type { Kind } from './places.ts';

/** Pairs whose first is behind a router, by the way that they come together. */
export const outagePairs: readonly (readonly [way: string, a: Kind, b: Kind])[] = [
  ['direct', 'cone', 'open'],
  ['punched', 'cone', 'cone'],
  ['relay', 'symmetric', 'symmetric'],
];

/** How long a pair may take to be together again. */
const backMsMax = 120_000;

const lookMs = 250;

/** From one thing to the next: what was slow because of one is no measure of the next. */
const restMs = 15_000;

/** A question without an answer is given up then: a session has few at a time. */
const askMsMax = 2_500;

/** One thing that happened to a pair, and how long after its end they could speak again. */
export interface Outage {
  readonly way: string;
  readonly what: string;
  /** Seconds; undefined where it never came about. */
  readonly seconds: number | undefined;
}

interface Pair {
  readonly household: Household;
  readonly a: Member;
  readonly b: Member;
}

/** What happens, each after the pair is well again; resolves when it is over. */
const happenings: readonly (readonly [what: string, run: (pair: Pair) => Promise<void>])[] = [
  ['line cut for 3 s', (pair) => cutLine(pair, 3_000)],
  ['line cut for 15 s', (pair) => cutLine(pair, 15_000)],
  ['other outer address', changeAddress],
  ['moved to another port while the other slept', moveWhileAsleep],
];

async function cutLine({ household: { spaces } }: Pair, ms: number): Promise<void> {
  setLine(spaces, `${sideA.name}-router`, 'wan', false);
  await wait(ms);
  setLine(spaces, `${sideA.name}-router`, 'wan', true);
}

async function changeAddress({ household: { spaces } }: Pair): Promise<void> {
  changeOuterAddress(spaces, sideA);
  await Promise.resolve();
}

async function moveWhileAsleep({ household: { spaces }, a, b }: Pair): Promise<void> {
  process.kill(a.pid, 'SIGSTOP');
  await b.kill();
  await startIn(b, spaces, port + 1);
  await wait(5_000);
  process.kill(a.pid, 'SIGCONT');
}

/** Puts a pair together and has everything happen to it, one after the other. */
export async function runOutages(
  household: Household,
  [way, kindA, kindB]: (typeof outagePairs)[number],
  onOutage: (outage: Outage) => void,
): Promise<void> {
  const { a, b } = await startPair(household, { a: kindA, b: kindB, friend: true });
  await befriend(a, b);
  const pair = { household, a, b };
  if ((await backMs(pair)) === undefined) throw new Error(`${way}: the pair never met`);
  for (const [what, run] of happenings) {
    await wait(restMs);
    await run(pair);
    const ms = await backMs(pair);
    onOutage({ way, what, seconds: ms === undefined ? undefined : ms / 1000 });
    if (ms === undefined) return;
  }
}

/** Ms until a question over the session is answered. Nothing is dialled for it: the pair has to find together by itself. */
async function backMs({ a, b }: Pair): Promise<number | undefined> {
  const beganMs = performance.now();
  const answered = new Set<number>();
  const ask = async (): Promise<void> => {
    const askedMs = performance.now();
    const options = { sessionOnly: true, signal: AbortSignal.timeout(askMsMax) };
    const { steps } = await (await a.remote()).friendPing(b.name, options);
    const took = steps.find(({ ok }) => ok)?.ms;
    if (took !== undefined) answered.add(askedMs + took - beganMs);
  };
  while (answered.size === 0 && performance.now() - beganMs < backMsMax) {
    const [there, back] = await Promise.all([seen(a, b), seen(b, a)]);
    if (there.online && back.online) ask().catch(() => undefined);
    await wait(lookMs);
  }
  return answered.size === 0 ? undefined : Math.min(...answered);
}
