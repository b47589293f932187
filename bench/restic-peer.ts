import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { folderBytes } from './folder-bytes.ts';
import type { Ended, Launcher, StepFigures } from './launcher.ts';
import { mustSucceed, type BackedUp, type Peer } from './peer.ts';

/** restic as it comes, with a local repository and a cache of its own. */
export class ResticPeer implements Peer {
  readonly name = 'restic';
  readonly redundancy = 1;
  readonly #launcher: Launcher;
  readonly #folder: string;

  constructor(launcher: Launcher, folder: string) {
    this.#launcher = launcher;
    this.#folder = folder;
  }

  async prepare(): Promise<void> {
    await mkdir(this.#folder);
    await this.#run('init');
  }

  async backup(source: string): Promise<BackedUp> {
    return { figures: (await this.#run('backup', source)).figures };
  }

  async restore(target: string): Promise<StepFigures> {
    return (await this.#run('restore', 'latest', '--target', target)).figures;
  }

  async check(): Promise<StepFigures> {
    return (await this.#run('check', '--read-data')).figures;
  }

  storedBytes(): number {
    return folderBytes(this.#repository);
  }

  get #repository(): string {
    return join(this.#folder, 'repository');
  }

  async #run(command: string, ...args: string[]): Promise<Ended> {
    const common = ['--repo', this.#repository, '--cache-dir', join(this.#folder, 'cache'), '--quiet'];
    const ended = await this.#launcher.run('restic', [command, ...common, ...args], {
      cwd: this.#folder,
      env: { RESTIC_PASSWORD: 'bench' },
    });
    return mustSucceed(`restic ${command}`, ended);
  }
}
