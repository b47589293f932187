import { existsSync } from 'node:fs';
import { copyFile, mkdir, readFile, readdir, rename, rm, statfs } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { countOf, formatDuration, formatSize } from '../lib/base/units.ts';
import { defaultFreeFloor } from '../lib/custody/room-book.ts';
import { compareTrees } from '../lib/source/compare.ts';
import { mtimeGrainNs } from '../lib/source/native.ts';
import type { Screen } from './demo-screen.ts';
import { runKith, type KithEnded } from './run-kith.ts';
import { makeSampleFolder } from './sample-folder.ts';
import { surveyFolder, type Survey } from './survey.ts';

/** Names of the disks, each with its colour in the 256-colour table. */
const disks = { red: 160, orange: 208, yellow: 220, green: 70, blue: 33, violet: 99 } as const;
const diskNames = Object.keys(disks) as readonly (keyof typeof disks)[];
const diskThatHelps = 'red';
const disksThatDie = ['orange', 'blue'] as const;
const spread = { k: 3, n: 5 } as const;

/** Differences that are named; the others are counted. */
const differencesShown = 20;

/** Something that isn't as the demo promises. The message is for people. */
export class DemoFailure extends Error {}

/** What the demo is told. */
export interface StoryOptions {
  /** An empty folder for all of it, absolute and without symlinks. */
  readonly folder: string;
  /** A folder of the user's, which is only read; undefined for a made-up one. */
  readonly given: string | undefined;
  /** Size of the made-up one; 1 is about 256 MB. */
  readonly scale: number;
  readonly screen: Screen;
  readonly signal: AbortSignal;
}

interface Step {
  readonly name: string;
  readonly ms: number;
  readonly bytes: number | undefined;
}

/** The whole story, once. */
export class Story {
  readonly #options: StoryOptions;
  readonly #screen: Screen;
  readonly #steps: Step[] = [];
  readonly #source: string;
  readonly #computer: string;
  readonly #newComputer: string;
  #survey: Survey | undefined;
  #storedBytes = 0;
  #unreadable = false;

  constructor(options: StoryOptions) {
    const { folder, given, screen } = options;
    this.#options = options;
    this.#screen = screen;
    this.#computer = join(folder, 'computer');
    this.#newComputer = join(folder, 'new computer');
    this.#source = given ?? join(this.#computer, 'sample');
  }

  /** True if everything came back. DemoFailure where it could not be tried to the end. */
  async tell(): Promise<boolean> {
    await mkdir(this.#computer);
    await mkdir(join(this.#options.folder, 'disks'));
    await this.#folderWorthKeeping();
    await this.#disksAndWords();
    await this.#backup();
    await this.#whereEverythingIs();
    await this.#disaster();
    await this.#recover();
    await this.#restore();
    const differences = await this.#compare();
    this.#report(differences === 0);
    return differences === 0;
  }

  get #before(): Survey {
    if (this.#survey === undefined) throw new DemoFailure('the folder was not looked at');
    return this.#survey;
  }

  async #folderWorthKeeping(): Promise<void> {
    const { given, scale, signal, folder } = this.#options;
    const screen = this.#screen;
    screen.chapter('A folder worth keeping');
    if (given === undefined) {
      await checkRoom(folder, 256e6 * scale * 2);
      await this.#timed('made the sample folder', async () => {
        await makeSampleFolder(this.#source, {
          scale,
          signal,
          onProgress: (done, total) =>
            screen.live(`making it  ${formatSize(done)} of about ${formatSize(total)}`),
        });
        return (this.#survey = await surveyFolder(this.#source, signal)).bytes;
      });
      screen.say('Letters, photos, a film, copies, odd names, empty things, links, old dates: a sample.');
    } else {
      screen.live('looking at it');
      this.#survey = await surveyFolder(given, signal);
      screen.say(`${given}: it is only read, and nothing in it is changed.`);
    }
    const { files, folders, others, bytes } = this.#before;
    const rest = others === 0 ? '' : `, ${countOf(others, 'link or the like', 'links and the like')}`;
    screen.mark(
      true,
      `${countOf(files, 'file')} in ${countOf(folders, 'folder')}${rest}: ${formatSize(bytes)}`,
    );
    await checkRoom(folder, bytes);
  }

  async #disksAndWords(): Promise<void> {
    const screen = this.#screen;
    screen.chapter('Six disks, and 24 words');
    screen.command('kith init --phrase-out phrase.txt');
    await this.#kith(['init', '--name', 'you', '--phrase-out', 'phrase.txt'], { quiet: true });
    const words = (await readFile(join(this.#computer, 'phrase.txt'), 'utf8')).trim().split(/\s+/);
    screen.command('kith drive add ../disks/red');
    for (const [i, name] of diskNames.entries()) {
      screen.live(`disk ${i + 1} of ${diskNames.length}`);
      await this.#kith(['drive', 'add', `../disks/${name}`, '--name', name], { quiet: true });
    }
    screen.say(
      `… and ${diskNames.slice(1).join(', ')} in the same way: folders here, which stand for disks.`,
    );
    this.#check(words.length === 24, '24 words are what you keep on paper; they open everything again');
  }

  async #backup(): Promise<void> {
    const screen = this.#screen;
    const { given } = this.#options;
    screen.chapter('Backup: cut up, encrypted, spread');
    const path = given ?? 'sample';
    screen.command(`kith backup ${quoted(given === undefined ? path : `…/${basename(path)}`)} --spread 3/5`);
    const ended = await this.#kith(['backup', '--spread', `${spread.k}/${spread.n}`, '--', path], {
      allowed: [0, 3],
    });
    this.#steps.push({ name: 'backed up to six disks', ms: ended.ms, bytes: this.#before.bytes });
    this.#unreadable = ended.code === 3;
  }

  async #whereEverythingIs(): Promise<void> {
    const screen = this.#screen;
    screen.chapter('Where everything is now');
    const drives = await this.#json<{ name: string; used_bytes: number }[]>(['drive', 'list', '--json']);
    const where = await this.#json<{
      tolerates: number | null;
      packs: { shards: { holder_id: string | null; state: string }[] }[];
    }>(['where', 'latest', '--json']);
    this.#storedBytes = drives.reduce((sum, drive) => sum + drive.used_bytes, 0);
    const largest = Math.max(...drives.map((drive) => drive.used_bytes));
    const sorted = diskNames.flatMap((name) =>
      drives.filter((drive) => drive.name === name).map((drive) => ({ ...drive, name })),
    );
    screen.bars(
      sorted.map(({ name, used_bytes: bytes }) => ({
        name,
        size: formatSize(bytes),
        share: bytes / largest,
        colour: disks[name],
      })),
    );
    screen.gap();
    const onFive = where.packs.every(({ shards }) => {
      const held = shards.filter((shard) => shard.state === 'held' && shard.holder_id !== null);
      return new Set(held.map((shard) => shard.holder_id)).size === spread.n;
    });
    screen.say('Every part of the folder was made into five pieces; any three of them give it back.');
    this.#check(onFive && where.packs.length > 0, 'each piece lies on a disk of its own, encrypted');
    this.#check(where.tolerates === 2, 'any 2 of the 6 disks may be lost, and this computer too');
  }

  async #disaster(): Promise<void> {
    const { folder, given } = this.#options;
    const screen = this.#screen;
    screen.chapter('Disaster');
    await mkdir(this.#newComputer);
    await copyFile(join(this.#computer, 'phrase.txt'), join(this.#newComputer, 'phrase.txt'));
    for (const name of disksThatDie) {
      await rm(this.#disk(name), { recursive: true });
      this.#check(!existsSync(this.#disk(name)), `the ${name} disk is dead`);
    }
    if (given === undefined) await rename(this.#source, this.#aside);
    await rm(this.#computer, { recursive: true });
    this.#check(!existsSync(this.#computer), 'the computer is gone: its keys and all that kith knew');
    if (given === undefined) {
      this.#check(
        !existsSync(this.#source),
        'the folder itself is moved away, for the comparison at the end',
      );
    } else {
      screen.say('Your folder stays where it is, for the comparison at the end.');
    }
    const left = (await readdir(join(folder, 'disks'))).sort();
    const expected = diskNames.filter((name) => !disksThatDie.some((dead) => dead === name)).sort();
    this.#check(left.join() === expected.join(), `what is left: the 24 words, and ${list(expected)}`);
  }

  async #recover(): Promise<void> {
    const screen = this.#screen;
    screen.chapter('A bare computer');
    const found = await readdir(this.#newComputer);
    this.#check(found.join() === 'phrase.txt', 'nothing is on it but kith and the 24 words');
    const drive = `../disks/${diskThatHelps}`;
    screen.command(`kith recover --phrase-file phrase.txt --drive ${drive}`);
    const ended = await this.#kith(['recover', '--phrase-file', 'phrase.txt', '--drive', drive]);
    this.#steps.push({ name: 'recovered the identity', ms: ended.ms, bytes: undefined });
  }

  async #restore(): Promise<void> {
    const screen = this.#screen;
    screen.chapter('Restore');
    this.#check(!existsSync(join(this.#newComputer, 'back')), 'nothing of the folder is here yet');
    screen.command('kith restore latest --target back');
    const ended = await this.#kith(['restore', 'latest', '--target', 'back'], { allowed: [0, 1] });
    this.#steps.push({ name: 'restored from the disks left', ms: ended.ms, bytes: this.#before.bytes });
    if (ended.code !== 0) screen.mark(false, 'not everything could be restored');
  }

  /** The number of differences, each shown or counted. */
  async #compare(): Promise<number> {
    const { given, signal } = this.#options;
    const screen = this.#screen;
    const before = this.#before;
    screen.chapter('Comparison');
    const original = given ?? this.#aside;
    const grain = mtimeGrainNs();
    let count = 0;
    await this.#timed('compared', async () => {
      let bytes = 0;
      const onCompared = (some: number): void => {
        bytes += some;
        screen.live(`comparing  ${formatSize(bytes)} of ${formatSize(before.bytes)}`);
      };
      const back = join(this.#newComputer, 'back', this.#source);
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
    if (count > 0 && this.#unreadable) screen.say('Some of it could not be read for the backup (see above).');
    if (count > 0) return count;
    const { files, bytes } = before;
    screen.mark(true, `${countOf(files, 'file')}, ${formatSize(bytes)}: every byte is the same`);
    const owner = process.geteuid?.() === 0 ? ', owner' : '';
    const unit = grain === 1n ? 'nanosecond' : 'microsecond';
    screen.mark(true, `every name, type, mode${owner}, link target, and time to the ${unit}`);
    return 0;
  }

  #report(good: boolean): void {
    const screen = this.#screen;
    const { bytes } = this.#before;
    screen.chapter('In numbers');
    screen.rows(
      this.#steps.map(({ name, ms, bytes: moved }) => [
        name,
        formatDuration(ms),
        moved === undefined ? '' : `${formatSize((moved / Math.max(1, ms)) * 1000)}/s`,
      ]),
    );
    screen.gap();
    const times = bytes > 0 ? `, ${(this.#storedBytes / bytes).toFixed(2)} times the folder` : '';
    screen.say(`stored: ${formatSize(this.#storedBytes)} on six disks${times}`);
    screen.say('could be lost: any 2 of 6 disks; were lost: 2, and the computer');
    screen.gap();
    if (good) screen.title('Everything came back, byte for byte.');
  }

  #check(good: boolean, text: string): void {
    this.#screen.mark(good, text);
    if (!good) throw new DemoFailure(`this was expected, and is not so: ${text}`);
  }

  async #timed(name: string, work: () => Promise<number>): Promise<void> {
    const began = performance.now();
    const bytes = await work();
    this.#steps.push({ name, ms: performance.now() - began, bytes });
  }

  #disk(name: string): string {
    return join(this.#options.folder, 'disks', name);
  }

  get #aside(): string {
    return join(this.#options.folder, 'moved away');
  }

  /** Runs kith on the computer that there is now. */
  async #kith(
    args: readonly string[],
    options: { readonly quiet?: boolean; readonly allowed?: readonly number[] } = {},
  ): Promise<KithEnded> {
    const screen = this.#screen;
    const { signal } = this.#options;
    const cwd = existsSync(this.#computer) ? this.#computer : this.#newComputer;
    const onLine = options.quiet === true ? {} : { onLine: (line: string): void => screen.quote(line) };
    const ended = await runKith(args, { cwd, home: join(cwd, 'home'), signal, ...onLine });
    signal.throwIfAborted();
    if (!(options.allowed ?? [0]).includes(ended.code)) {
      if (options.quiet === true) process.stdout.write(ended.stdout);
      throw new DemoFailure(`kith ${args.join(' ')} ended with exit status ${ended.code}`);
    }
    return ended;
  }

  async #json<T>(args: readonly string[]): Promise<T> {
    return JSON.parse((await this.#kith(args, { quiet: true })).stdout) as T;
  }
}

/** Makes sure that drives made here will take their part of so many bytes, and that they can be restored beside it. */
async function checkRoom(folder: string, bytes: number): Promise<void> {
  const { bavail, blocks, bsize } = await statfs(folder);
  if (blocks === 0) return;
  const needed = bytes * (spread.n / spread.k) * 1.02 + bytes + 64e6 + defaultFreeFloor(blocks * bsize);
  if (bavail * bsize >= needed) return;
  throw new DemoFailure(
    `the disk of ${folder} has ${formatSize(bavail * bsize)} free; the demo needs ${formatSize(needed)}, some of which stays free. ` +
      'Set TMPDIR to a folder with more room.',
  );
}

function quoted(path: string): string {
  return /^[\w./…-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}

function list(names: readonly string[]): string {
  return `${names.slice(0, -1).join(', ')} and ${names.at(-1) ?? ''}`;
}
