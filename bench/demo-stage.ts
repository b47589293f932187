import { existsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { countOf, formatDuration, formatSize } from '../lib/base/units.ts';
import { defaultFreeFloor } from '../lib/custody/room-book.ts';
import { compareTrees } from '../lib/source/compare.ts';
import { mtimeGrainNs } from '../lib/source/native.ts';
import type { Screen } from './demo-screen.ts';
import { runKith, type KithEnded } from './run-kith.ts';
import { makeSampleFolder } from './sample-folder.ts';
import { surveyFolder, type Survey } from './survey.ts';

/** Differences that are named; the others are counted. */
const differencesShown = 20;

/** Something that isn't as the demo promises. The message is for people. */
export class DemoFailure extends Error {}

/** What a demo is told. */
export interface StageOptions {
  /** An empty folder for all of it, absolute and without symlinks. */
  readonly folder: string;
  /** A folder of the user's, which is only read; undefined for a made-up one. */
  readonly given: string | undefined;
  /** Size of the made-up one; 1 is about 256 MB. */
  readonly scale: number;
  readonly screen: Screen;
  readonly signal: AbortSignal;
}

/** A computer of the story: a folder with kith's home in it. */
export interface Computer {
  readonly folder: string;
}

interface Step {
  readonly name: string;
  readonly ms: number;
  readonly bytes: number | undefined;
}

/** What every story of the demo needs: a source, kith as a process, checks that are shown, times, the comparison at the end. */
export class Stage {
  readonly options: StageOptions;
  readonly screen: Screen;
  readonly #steps: Step[] = [];
  #survey: Survey | undefined;
  /** True once kith said that some of the source could not be read. */
  unreadable = false;

  constructor(options: StageOptions) {
    this.options = options;
    this.screen = options.screen;
  }

  /** What the source was before the backup. */
  get before(): Survey {
    if (this.#survey === undefined) throw new DemoFailure('the folder was not looked at');
    return this.#survey;
  }

  /** The chapter in which the source is made, or looked at. `storedTimes` is how much of it the holders will keep. */
  async folderWorthKeeping(source: string, storedTimes: number): Promise<void> {
    const { given, scale, signal, folder } = this.options;
    const { screen } = this;
    screen.chapter('A folder worth keeping');
    if (given === undefined) {
      await checkRoom(folder, 256e6 * scale * 2, storedTimes);
      await this.timed('made the sample folder', async () => {
        await makeSampleFolder(source, {
          scale,
          signal,
          onProgress: (done, total) =>
            screen.live(`making it  ${formatSize(done)} of about ${formatSize(total)}`),
        });
        return (this.#survey = await surveyFolder(source, signal)).bytes;
      });
      screen.say('Letters, photos, a film, copies, odd names, empty things, links, old dates: a sample.');
    } else {
      screen.live('looking at it');
      this.#survey = await surveyFolder(given, signal);
      screen.say(`${given}: it is only read, and nothing in it is changed.`);
    }
    const { files, folders, others, bytes } = this.before;
    const rest = others === 0 ? '' : `, ${countOf(others, 'link or the like', 'links and the like')}`;
    screen.mark(
      true,
      `${countOf(files, 'file')} in ${countOf(folders, 'folder')}${rest}: ${formatSize(bytes)}`,
    );
    await checkRoom(folder, bytes, storedTimes);
  }

  /** The chapter in which what came back is compared with what there was. The number of differences, each shown or counted. */
  async compare(original: string, back: string): Promise<number> {
    const { given, signal } = this.options;
    const { screen, before } = this;
    screen.chapter('Comparison');
    const grain = mtimeGrainNs();
    let count = 0;
    await this.timed('compared', async () => {
      let bytes = 0;
      const onCompared = (some: number): void => {
        bytes += some;
        screen.live(`comparing  ${formatSize(bytes)} of ${formatSize(before.bytes)}`);
      };
      for await (const difference of compareTrees(original, back, {
        mtimeGrainNs: grain,
        onCompared,
        signal,
      })) {
        if (++count <= differencesShown) screen.mark(false, difference);
      }
      return bytes;
    });
    if (count > differencesShown)
      screen.say(`… and ${countOf(count - differencesShown, 'more difference')}.`);
    if (count > 0) screen.say('"Left" is the folder as it is now, "right" is what came back.');
    const changed = given !== undefined && (await surveyFolder(given, signal)).mark !== before.mark;
    if (changed) {
      screen.mark(
        false,
        'the folder was changed by something else while the demo ran; try it on one at rest',
      );
    }
    if (count > 0 && this.unreadable) screen.say('Some of it could not be read for the backup (see above).');
    if (count > 0) return count;
    const { files, bytes } = before;
    screen.mark(true, `${countOf(files, 'file')}, ${formatSize(bytes)}: every byte is the same`);
    const owner = process.geteuid?.() === 0 ? ', owner' : '';
    const unit = grain === 1n ? 'nanosecond' : 'microsecond';
    screen.mark(true, `every name, type, mode${owner}, link target, and time to the ${unit}`);
    return 0;
  }

  /** The last chapter: times and rates, then the lines given. */
  report(good: boolean, lines: readonly string[]): void {
    const { screen } = this;
    screen.chapter('In numbers');
    screen.rows(
      this.#steps.map(({ name, ms, bytes }) => [
        name,
        formatDuration(ms),
        bytes === undefined ? '' : `${formatSize((bytes / Math.max(1, ms)) * 1000)}/s`,
      ]),
    );
    screen.gap();
    for (const line of lines) screen.say(line);
    screen.gap();
    if (good) screen.title('Everything came back, byte for byte.');
  }

  /** `, 1.70 times the folder`, for the report. */
  timesTheFolder(storedBytes: number): string {
    const { bytes } = this.before;
    return bytes > 0 ? `, ${(storedBytes / bytes).toFixed(2)} times the folder` : '';
  }

  /** Shows whether something is as promised; ends the demo where it isn't. */
  check(good: boolean, text: string): void {
    this.screen.mark(good, text);
    if (!good) throw new DemoFailure(`this was expected, and is not so: ${text}`);
  }

  step(name: string, ms: number, bytes?: number): void {
    this.#steps.push({ name, ms, bytes });
  }

  async timed(name: string, work: () => Promise<number>): Promise<void> {
    const began = performance.now();
    const bytes = await work();
    this.step(name, performance.now() - began, bytes);
  }

  /** Runs kith on a computer. DemoFailure for an exit status that isn't allowed. */
  async kith(
    { folder: cwd }: Computer,
    args: readonly string[],
    options: { readonly quiet?: boolean; readonly allowed?: readonly number[] } = {},
  ): Promise<KithEnded> {
    const { signal } = this.options;
    if (!existsSync(cwd)) throw new DemoFailure(`there is no computer in ${cwd}`);
    const onLine = options.quiet === true ? {} : { onLine: (line: string): void => this.screen.quote(line) };
    const ended = await runKith(args, { cwd, home: homeOf({ folder: cwd }), signal, ...onLine });
    signal.throwIfAborted();
    if (!(options.allowed ?? [0]).includes(ended.code)) {
      if (options.quiet === true) process.stdout.write(ended.stdout);
      throw new DemoFailure(`kith ${args.join(' ')} ended with exit status ${ended.code}`);
    }
    return ended;
  }

  async json<T>(computer: Computer, args: readonly string[]): Promise<T> {
    return JSON.parse((await this.kith(computer, args, { quiet: true })).stdout) as T;
  }
}

/** Where kith's home is on a computer. */
export function homeOf({ folder }: Computer): string {
  return `${folder}/home`;
}

/** What `where --json` says, as far as the demo looks at it. */
export interface WhereJson {
  readonly tolerates: number | null;
  readonly packs: readonly {
    readonly shards: readonly { readonly holder_id: string | null; readonly state: string }[];
  }[];
}

/** True if each pack has `n` shards, each with a holder of its own. */
export function isSpread(where: WhereJson, n: number): boolean {
  return (
    where.packs.length > 0 &&
    where.packs.every(({ shards }) => {
      const held = shards.filter((shard) => shard.state === 'held' && shard.holder_id !== null);
      return new Set(held.map((shard) => shard.holder_id)).size === n;
    })
  );
}

/** Makes sure that holders made here will take their part of so many bytes, and that they can be restored beside it. */
async function checkRoom(folder: string, bytes: number, storedTimes: number): Promise<void> {
  const { bavail, blocks, bsize } = await statfs(folder);
  if (blocks === 0) return;
  const needed = bytes * storedTimes * 1.02 + bytes + 64e6 + defaultFreeFloor(blocks * bsize);
  if (bavail * bsize >= needed) return;
  throw new DemoFailure(
    `the disk of ${folder} has ${formatSize(bavail * bsize)} free; the demo needs ${formatSize(needed)}, some of which stays free. ` +
      'Set TMPDIR to a folder with more room.',
  );
}

/** A word of a command as one would type it. */
export function quoted(path: string): string {
  return /^[\w./…-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}

/** `red, green and blue`. */
export function listOf(names: readonly string[]): string {
  return names.length < 2 ? names.join() : `${names.slice(0, -1).join(', ')} and ${names.at(-1) ?? ''}`;
}
