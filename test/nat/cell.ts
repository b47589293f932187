import { setTimeout as wait } from 'node:timers/promises';
import type { Member } from '../cli/circle.ts';
import { Namespaces } from './namespaces.ts';
import { announce, befriend, grant, seen, startIn } from './people.ts';
import type { Templates } from './people.ts';
import { buildPair, outerAddress, port, sideA, sideB } from './places.ts';
import type { Kind } from './places.ts';

/** Two ways of being connected, and whether there is a friend whom both reach. */
export interface Cell {
  readonly a: Kind;
  readonly b: Kind;
  readonly friend: boolean;
}

/** One way that was in use, and when it began, ms after both had each other's card. */
export interface Way {
  readonly via: string;
  readonly ms: number;
}

/** What became of a pair. */
export interface Outcome {
  readonly cell: Cell;
  /** The ways in the order in which they were in use; none where the two never met. */
  readonly ways: readonly Way[];
  /** What `friend ping` says where they never met. */
  readonly words: readonly string[];
}

/** How long a pair may take to meet at all, and a relayed one to find a better way. */
const meetMsMax = 30_000;
const upgradeMsMax = 20_000;

const lookMs = 50;

/** The friends of a cell while it runs: ended, whatever happens. */
export class Household {
  readonly spaces: Namespaces;
  readonly members: Member[] = [];
  readonly #folder: string;
  readonly #templates: Templates;

  constructor(label: string, folder: string, templates: Templates) {
    this.spaces = new Namespaces(label);
    this.#folder = folder;
    this.#templates = templates;
  }

  async start(name: 'a' | 'b' | 'f', kind: Kind | 'link-only' = 'open'): Promise<Member> {
    const member = await this.#templates.member(name, this.#folder);
    this.members.push(member);
    const side = name === 'a' ? sideA : sideB;
    if (kind === 'forwarded') await announce(member, `${outerAddress(side.number)}:${port}`);
    if (kind === 'link-only') await member.up([], { listen: null, through: this.spaces.through(name) });
    else await startIn(member, this.spaces);
    return member;
  }

  /** At once: nobody needs to take leave here. */
  async end(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()));
    this.spaces.remove();
  }
}

/** Two who know each other; with a friend, who relays for both, they know it already and are connected to it. */
export async function startPair(
  household: Household,
  cell: Cell,
): Promise<{ a: Member; b: Member; f: Member | undefined }> {
  buildPair(household.spaces, cell.a, cell.b, cell.friend);
  const [a, b, f] = await Promise.all([
    household.start('a', cell.a),
    household.start('b', cell.b),
    cell.friend ? household.start('f') : undefined,
  ]);
  if (f !== undefined) {
    for (const member of [a, b]) await befriend(f, member);
    await grant(f, [a, b], 'relay');
    await f.sees('a', 'b');
  }
  return { a, b, f };
}

/** Puts two together and looks how they meet. */
export async function runCell(household: Household, cell: Cell): Promise<Outcome> {
  const { a, b } = await startPair(household, cell);
  await befriend(a, b);
  const beganMs = performance.now();
  const ways = await watchWays(a, b, beganMs);
  return { cell, ways, words: ways.length > 0 ? [] : await pingWords(a, b) };
}

async function watchWays(a: Member, b: Member, beganMs: number): Promise<Way[]> {
  const ways: Way[] = [];
  let endMs = beganMs + meetMsMax;
  while (performance.now() < endMs) {
    const [there, back] = await Promise.all([seen(a, b), seen(b, a)]);
    const via = there.online && back.online && there.via === back.via ? there.via : null;
    if (via !== null && ways.at(-1)?.via !== via) {
      ways.push({ via, ms: Math.round(performance.now() - beganMs) });
      if (via !== 'relay') return ways;
      endMs = performance.now() + upgradeMsMax;
    }
    // Where there is no friend nothing changes any more once every way was tried a few times.
    if (ways.length === 0 && performance.now() - beganMs > meetMsMax / 2 && there.reason !== null) break;
    await wait(lookMs);
  }
  return ways;
}

async function pingWords(a: Member, b: Member): Promise<string[]> {
  const { steps } = await (await a.remote()).friendPing(b.name);
  return steps.map(({ way, message }) => `${way}: ${message ?? 'ok'}`);
}
