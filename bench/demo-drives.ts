import { existsSync } from 'node:fs';
import { copyFile, mkdir, readFile, readdir, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { formatSize } from '../lib/base/units.ts';
import { isSpread, listOf, quoted, type Computer, type Stage, type WhereJson } from './demo-stage.ts';

/** Names of the disks, each with its colour in the 256-colour table. */
const disks = { red: 160, orange: 208, yellow: 220, green: 70, blue: 33, violet: 99 } as const;
const diskNames = Object.keys(disks) as readonly (keyof typeof disks)[];
const diskThatHelps = 'red';
const disksThatDie = ['orange', 'blue'] as const;
const spread = { k: 3, n: 5 } as const;

/** One person with six disks. Two of them die, and the computer. */
export class DrivesStory {
  readonly #stage: Stage;
  readonly #computer: Computer;
  readonly #newComputer: Computer;
  readonly #source: string;
  #storedBytes = 0;

  constructor(stage: Stage) {
    const { folder, given } = stage.options;
    this.#stage = stage;
    this.#computer = { folder: join(folder, 'computer') };
    this.#newComputer = { folder: join(folder, 'new computer') };
    this.#source = given ?? join(this.#computer.folder, 'sample');
  }

  /** True if everything came back. DemoFailure where it could not be tried to the end. */
  async tell(): Promise<boolean> {
    await mkdir(this.#computer.folder);
    await mkdir(join(this.#stage.options.folder, 'disks'));
    await this.#stage.folderWorthKeeping(this.#source, spread.n / spread.k);
    await this.#disksAndWords();
    await this.#backup();
    await this.#whereEverythingIs();
    await this.#disaster();
    await this.#recover();
    await this.#restore();
    const { given } = this.#stage.options;
    const back = join(this.#newComputer.folder, 'back', this.#source);
    const differences = await this.#stage.compare(given ?? this.#aside, back);
    this.#stage.report(differences === 0, [
      `stored: ${formatSize(this.#storedBytes)} on six disks${this.#stage.timesTheFolder(this.#storedBytes)}`,
      'could be lost: any 2 of 6 disks; were lost: 2, and the computer',
    ]);
    return differences === 0;
  }

  async #disksAndWords(): Promise<void> {
    const stage = this.#stage;
    const { screen } = stage;
    screen.chapter('Six disks, and 24 words');
    screen.command('kith init --phrase-out phrase.txt');
    const computer = this.#computer;
    await stage.kith(computer, ['init', '--name', 'you', '--phrase-out', 'phrase.txt'], { quiet: true });
    const words = (await readFile(join(computer.folder, 'phrase.txt'), 'utf8')).trim().split(/\s+/);
    screen.command('kith drive add ../disks/red');
    for (const [i, name] of diskNames.entries()) {
      screen.live(`disk ${i + 1} of ${diskNames.length}`);
      await stage.kith(computer, ['drive', 'add', `../disks/${name}`, '--name', name], { quiet: true });
    }
    screen.say(
      `… and ${diskNames.slice(1).join(', ')} in the same way: folders here, which stand for disks.`,
    );
    stage.check(words.length === 24, '24 words are what you keep on paper; they open everything again');
  }

  async #backup(): Promise<void> {
    const stage = this.#stage;
    const { given } = stage.options;
    stage.screen.chapter('Backup: cut up, encrypted, spread');
    const path = given ?? 'sample';
    stage.screen.command(
      `kith backup ${quoted(given === undefined ? path : `…/${basename(path)}`)} --spread 3/5`,
    );
    const ended = await stage.kith(
      this.#computer,
      ['backup', '--spread', `${spread.k}/${spread.n}`, '--', path],
      { allowed: [0, 3] },
    );
    stage.step('backed up to six disks', ended.ms, stage.before.bytes);
    stage.unreadable = ended.code === 3;
  }

  async #whereEverythingIs(): Promise<void> {
    const stage = this.#stage;
    const { screen } = stage;
    screen.chapter('Where everything is now');
    const drives = await stage.json<{ name: string; used_bytes: number }[]>(this.#computer, [
      'drive',
      'list',
      '--json',
    ]);
    const where = await stage.json<WhereJson>(this.#computer, ['where', 'latest', '--json']);
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
    screen.say('Every part of the folder was made into five pieces; any three of them give it back.');
    stage.check(isSpread(where, spread.n), 'each piece lies on a disk of its own, encrypted');
    stage.check(where.tolerates === 2, 'any 2 of the 6 disks may be lost, and this computer too');
  }

  async #disaster(): Promise<void> {
    const stage = this.#stage;
    const { screen } = stage;
    const { folder, given } = stage.options;
    const old = this.#computer.folder;
    screen.chapter('Disaster');
    await mkdir(this.#newComputer.folder);
    await copyFile(join(old, 'phrase.txt'), join(this.#newComputer.folder, 'phrase.txt'));
    for (const name of disksThatDie) {
      await rm(this.#disk(name), { recursive: true });
      stage.check(!existsSync(this.#disk(name)), `the ${name} disk is dead`);
    }
    if (given === undefined) await rename(this.#source, this.#aside);
    await rm(old, { recursive: true });
    stage.check(!existsSync(old), 'the computer is gone: its keys and all that kith knew');
    if (given === undefined) {
      stage.check(
        !existsSync(this.#source),
        'the folder itself is moved away, for the comparison at the end',
      );
    } else {
      screen.say('Your folder stays where it is, for the comparison at the end.');
    }
    const left = (await readdir(join(folder, 'disks'))).sort();
    const expected = diskNames.filter((name) => !disksThatDie.some((dead) => dead === name)).sort();
    stage.check(left.join() === expected.join(), `what is left: the 24 words, and ${listOf(expected)}`);
  }

  async #recover(): Promise<void> {
    const stage = this.#stage;
    stage.screen.chapter('A bare computer');
    const found = await readdir(this.#newComputer.folder);
    stage.check(found.join() === 'phrase.txt', 'nothing is on it but kith and the 24 words');
    const drive = `../disks/${diskThatHelps}`;
    stage.screen.command(`kith recover --phrase-file phrase.txt --drive ${drive}`);
    const ended = await stage.kith(this.#newComputer, [
      'recover',
      '--phrase-file',
      'phrase.txt',
      '--drive',
      drive,
    ]);
    stage.step('recovered the identity', ended.ms);
  }

  async #restore(): Promise<void> {
    const stage = this.#stage;
    stage.screen.chapter('Restore');
    stage.check(!existsSync(join(this.#newComputer.folder, 'back')), 'nothing of the folder is here yet');
    stage.screen.command('kith restore latest --target back');
    const ended = await stage.kith(this.#newComputer, ['restore', 'latest', '--target', 'back'], {
      allowed: [0, 1],
    });
    stage.step('restored from the disks left', ended.ms, stage.before.bytes);
    if (ended.code !== 0) stage.screen.mark(false, 'not everything could be restored');
  }

  #disk(name: string): string {
    return join(this.#stage.options.folder, 'disks', name);
  }

  get #aside(): string {
    return join(this.#stage.options.folder, 'moved away');
  }
}
