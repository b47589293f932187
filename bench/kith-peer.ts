import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { folderBytes } from './folder-bytes.ts';
import type { Ended, Launcher, StepFigures } from './launcher.ts';
import { mustSucceed, type BackedUp, type Peer } from './peer.ts';
import { kithMain } from './run-kith.ts';

const driveCount = 6;
const k = 4;
const n = 6;
/** Exit status of a command line that is not understood. */
const usageExit = 2;

/** kith by its command line, with six folders as drives, each in a process of its own. */
export class KithPeer implements Peer {
  readonly name = 'kith';
  readonly redundancy: number = n / k;
  /** The six folders. */
  readonly drives: readonly string[];
  readonly #launcher: Launcher;
  readonly #folder: string;

  constructor(launcher: Launcher, folder: string) {
    this.#launcher = launcher;
    this.#folder = folder;
    this.drives = Array.from({ length: driveCount }, (_, i) => join(folder, `drive ${i + 1}`));
  }

  async prepare(): Promise<void> {
    await mkdir(this.#folder);
    mustSucceed('kith init', await this.#run('init', '--name', 'bench', '--phrase-out', 'phrase.txt'));
    for (const drive of this.drives) {
      await mkdir(drive);
      mustSucceed('kith drive add', await this.#run('drive', 'add', drive));
    }
  }

  async backup(source: string): Promise<BackedUp> {
    const ended = mustSucceed(
      'kith backup',
      await this.#run('backup', source, '--spread', `${k}/${n}`, '--json', '--no-progress'),
    );
    const summary = JSON.parse(ended.stdout.trim().split('\n').at(-1) ?? '') as {
      readonly state: string;
      readonly data_stored: number;
    };
    if (summary.state !== 'complete') throw new Error(`kith's snapshot is ${summary.state}`);
    return { figures: ended.figures, saidStoredBytes: summary.data_stored };
  }

  async restore(target: string): Promise<StepFigures> {
    const ended = await this.#run('restore', 'latest', '--target', target, '--json', '--no-progress');
    return mustSucceed('kith restore', ended).figures;
  }

  async check(): Promise<StepFigures | undefined> {
    const ended = await this.#run('check', '--read-data', '--json', '--no-progress');
    return ended.code === usageExit ? undefined : mustSucceed('kith check', ended).figures;
  }

  storedBytes(): number {
    return folderBytes(...this.drives);
  }

  #run(...args: string[]): Promise<Ended> {
    return this.#launcher.run(process.execPath, [kithMain, ...args], {
      cwd: this.#folder,
      env: { KITH_HOME: join(this.#folder, 'home'), KITH_PASSPHRASE: '', KITH_PASSPHRASE_FILE: '' },
    });
  }
}
