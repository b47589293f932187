import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { KithNode } from '../../lib/daemon/peer-node.ts';
import { initVault, Session, systemSurroundings, vaultOf } from '../../lib/vault/index.ts';
import type { Problem, Surroundings, VaultApi } from '../../lib/vault/index.ts';
import { tempFolder } from './temp-folder.ts';
import { tickingClock } from './vault-fixture.ts';
import { quickDisk } from './vault-fixture-disk.ts';
import { atEnd } from './at-end.ts';

/** Somebody with a home on this machine, who is up or not: all real, over TCP on loopback. */
export class InvitePerson {
  readonly name: string;
  readonly home: string;
  readonly clock: ReturnType<typeof tickingClock> = tickingClock();
  readonly problems: Problem[] = [];
  readonly notes: string[] = [];
  #port = 0;
  #up: { readonly session: Session; readonly node: KithNode; readonly vault: VaultApi } | undefined;

  private constructor(name: string, home: string) {
    this.name = name;
    this.home = home;
  }

  static async make(test: Pick<TestContext, 'after'>, name: string): Promise<InvitePerson> {
    const folder = await tempFolder(test);
    await mkdir(folder, { recursive: true });
    const person = new InvitePerson(name, join(folder, 'home'));
    await initVault({ home: person.home, name, surroundings: person.#surroundings });
    atEnd(test, () => person.down());
    return person;
  }

  get #surroundings(): Surroundings {
    return { ...systemSurroundings, disk: quickDisk, clock: this.clock };
  }

  get vault(): VaultApi {
    return this.#running.vault;
  }

  get session(): Session {
    return this.#running.session;
  }

  get #running(): { readonly session: Session; readonly node: KithNode; readonly vault: VaultApi } {
    if (this.#up === undefined) throw new Error(`${this.name} is down`);
    return this.#up;
  }

  /** Starts, on the port that it had before. */
  async up(): Promise<this> {
    let node: KithNode | undefined;
    const session = await Session.open({
      home: this.home,
      surroundings: this.#surroundings,
      onProblem: (problem) => this.problems.push(problem),
      network: async (opened) => {
        const listen = { host: '127.0.0.1', port: this.#port };
        const network = { listen, bootstrap: [], publicDht: false, dht: false, direct: true };
        node = await KithNode.make(opened, network, (_, event, text) => this.notes.push(`${event}: ${text}`));
        return node;
      },
    });
    if (node === undefined) throw new Error('no node');
    this.#up = { session, node, vault: vaultOf(session) };
    await node.start(() => undefined, new AbortController().signal);
    this.#port = Number(node.listening?.split(':').at(-1));
    return this;
  }

  async down(): Promise<void> {
    const running = this.#up;
    this.#up = undefined;
    await running?.node.close();
    await running?.vault.close();
  }
}
