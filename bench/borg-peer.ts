import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { folderBytes } from './folder-bytes.ts';
import type { Ended, Launcher, StepFigures } from './launcher.ts';
import { mustSucceed, type BackedUp, type Peer } from './peer.ts';

/** borg with BLAKE2b and zstd at its fastest level, a local repository, and its caches and keys in a folder of its own. */
export class BorgPeer implements Peer {
  readonly name = 'borg';
  readonly redundancy = 1;
  readonly #launcher: Launcher;
  readonly #folder: string;
  #archives = 0;

  constructor(launcher: Launcher, folder: string) {
    this.#launcher = launcher;
    this.#folder = folder;
  }

  async prepare(): Promise<void> {
    await mkdir(this.#folder);
    await this.#run(this.#folder, 'init', '-e', 'repokey-blake2', this.#repository);
  }

  async backup(source: string): Promise<BackedUp> {
    this.#archives++;
    const args = ['--compression', 'zstd,1', this.#archive, source];
    return { figures: (await this.#run(this.#folder, 'create', ...args)).figures };
  }

  async restore(target: string): Promise<StepFigures> {
    return (await this.#run(target, 'extract', this.#archive)).figures;
  }

  async check(): Promise<StepFigures> {
    return (await this.#run(this.#folder, 'check', '--verify-data', this.#repository)).figures;
  }

  storedBytes(): number {
    return folderBytes(this.#repository);
  }

  get #repository(): string {
    return join(this.#folder, 'repository');
  }

  get #archive(): string {
    return `${this.#repository}::${this.#archives}`;
  }

  async #run(cwd: string, command: string, ...args: string[]): Promise<Ended> {
    const ended = await this.#launcher.run('borg', [command, ...args], {
      cwd,
      env: { BORG_PASSPHRASE: 'bench', BORG_BASE_DIR: join(this.#folder, 'base') },
    });
    return mustSucceed(`borg ${command}`, ended);
  }
}
