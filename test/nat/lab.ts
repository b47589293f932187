import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Household, runCell } from './cell.ts';
import type { Cell, Outcome } from './cell.ts';
import { faultOf } from './expected.ts';
import { sweep, whyNot } from './namespaces.ts';
import { runLinkOnly } from './link-only.ts';
import { outagePairs, runOutages } from './outages.ts';
import type { Outage } from './outages.ts';
import { Templates } from './people.ts';
import { kinds } from './places.ts';
import { matrixTable, outageTable, writeFigures } from './report.ts';

// `npm run test:nat [-- [--write] [WORD…]]`: pairs behind routers of all kinds, in network namespaces (docs/nat.md). A word, such as
// cone-symmetric, friend, alone or outages, runs only what has it in its name.

/** Pairs at a time: they wait more than they work. */
const pairsAtOnce = 4;

interface Job {
  readonly name: string;
  readonly run: (household: Household) => Promise<void>;
}

class Lab {
  readonly outcomes: Outcome[] = [];
  readonly outages: Outage[] = [];
  readonly faults: string[] = [];
  readonly #households = new Set<Household>();
  readonly #folder: string;
  readonly #templates: Templates;
  #stopping = false;

  constructor(folder: string) {
    this.#folder = folder;
    this.#templates = new Templates(join(folder, 'templates'));
  }

  /** Those with one of the words in their name, or all. The long ones come first. */
  async run(words: readonly string[]): Promise<void> {
    await this.#templates.make();
    const isWanted = ({ name }: Job): boolean =>
      words.length === 0 || words.some((word) => name.includes(word));
    const queue = [...this.#outageJobs(), this.#linkOnlyJob(), ...this.#cellJobs()].filter(isWanted);
    const work = async (): Promise<void> => {
      for (let job = queue.shift(); job !== undefined && !this.#stopping; job = queue.shift()) {
        await this.#runJob(job);
      }
    };
    await Promise.all(Array.from({ length: pairsAtOnce }, work));
  }

  /** Ends everything at once. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all([...this.#households].map((household) => household.end()));
  }

  async #runJob({ name, run }: Job): Promise<void> {
    const household = new Household(name, join(this.#folder, name), this.#templates);
    this.#households.add(household);
    try {
      await run(household);
    } catch (error) {
      if (!this.#stopping) this.#fault(name, error instanceof Error ? (error.stack ?? '') : String(error));
    } finally {
      await household.end();
      this.#households.delete(household);
    }
  }

  #fault(name: string, words: string): void {
    this.faults.push(`${name}: ${words}`);
    console.log(`${name}: ${words}`);
  }

  #outageJobs(): Job[] {
    return outagePairs.map((pair) => ({
      name: `outages-${pair[0]}`,
      run: (household) =>
        runOutages(household, pair, (outage) => {
          this.outages.push(outage);
          const { way, what, seconds } = outage;
          console.log(`${way}, ${what}: ${seconds === undefined ? 'never back' : `${seconds.toFixed(1)} s`}`);
          if (seconds === undefined) this.#fault(`outages-${way}`, `never back after: ${what}`);
        }),
    }));
  }

  #linkOnlyJob(): Job {
    return {
      name: 'link-only',
      run: async (household) => {
        const tookMs = await runLinkOnly(household);
        console.log(`link-only: found in the local network after ${Math.round(tookMs)} ms`);
      },
    };
  }

  #cellJobs(): Job[] {
    const cells: Cell[] = [];
    for (const [index, a] of kinds.entries()) {
      for (const b of kinds.slice(index)) for (const friend of [true, false]) cells.push({ a, b, friend });
    }
    return cells.map((cell) => {
      const name = `${cell.a}-${cell.b}-${cell.friend ? 'friend' : 'alone'}`;
      return {
        name,
        run: async (household) => {
          const outcome = await runCell(household, cell);
          this.outcomes.push(outcome);
          const ways = outcome.ways.map(({ via, ms }) => `${via} after ${ms} ms`).join(', ');
          console.log(`${name}: ${ways === '' ? 'never' : ways}`);
          const fault = faultOf(outcome);
          if (fault !== undefined) this.#fault(name, fault);
        },
      };
    });
  }
}

async function main(args: readonly string[]): Promise<number> {
  const why = whyNot();
  if (why !== undefined) {
    console.log(`Skipped: ${why}.`);
    return 0;
  }
  sweep();
  const folder = await mkdtemp(join(tmpdir(), 'kith-nat-'));
  const lab = new Lab(folder);
  const beganMs = performance.now();
  const interrupted = new Promise<number>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        void lab.stop().finally(() => resolve(130));
      });
    }
  });
  const words = args.filter((arg) => !arg.startsWith('--'));
  const ran = lab.run(words).then(() => undefined);
  try {
    const code = await Promise.race([ran, interrupted]);
    if (code !== undefined) return code;
    const figures = [
      'With a friend whom both reach, and who relays:',
      matrixTable(lab.outcomes, true),
      'Without:',
      matrixTable(lab.outcomes, false),
      'Until they could speak again:',
      outageTable(lab.outages),
    ].join('\n\n');
    console.log(`\n${figures}\n\n${((performance.now() - beganMs) / 1000).toFixed(0)} s`);
    if (args.includes('--write')) await writeFigures(join(process.cwd(), 'docs', 'nat.md'), figures);
    for (const fault of lab.faults) console.error(`wrong: ${fault}`);
    return lab.faults.length === 0 ? 0 : 1;
  } finally {
    await lab.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

process.exit(await main(process.argv.slice(2)));
