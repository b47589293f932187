import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { PeerNode } from '../../lib/daemon/home-port.ts';
import { openHome } from '../../lib/daemon/open-home.ts';
import { initVault } from '../../lib/vault/index.ts';
import type { Problem, VaultApi } from '../../lib/vault/types.ts';
import { poll } from './poll.ts';
import { tempFolder } from './temp-folder.ts';

/** One person with a home, whose daemon's network can be started and stopped in this process: all real, over TCP on loopback. */
export class LiveFriend {
  readonly name: string;
  readonly id: string;
  readonly home: string;
  readonly problems: Problem[] = [];
  readonly online: Set<string> = new Set();
  #opened: { readonly vault: VaultApi; readonly node: PeerNode } | undefined;
  readonly #exchanges = new Set<Promise<void>>();

  constructor(name: string, id: string, home: string) {
    this.name = name;
    this.id = id;
    this.home = home;
  }

  get vault(): VaultApi {
    assert.ok(this.#opened !== undefined, `${this.name} is down`);
    return this.#opened.vault;
  }

  get node(): PeerNode {
    assert.ok(this.#opened !== undefined, `${this.name} is down`);
    return this.#opened.node;
  }

  /** On a fresh port. Whoever comes is asked for logs at once, as the daemon does a little later. */
  async up(): Promise<void> {
    const { vault, node } = await openHome({
      home: this.home,
      passphrase: undefined,
      network: {
        listen: { host: '127.0.0.1', port: 0 },
        bootstrap: [],
        publicDht: false,
        direct: true,
        dht: false,
      },
      onProblem: (problem) => this.problems.push(problem),
    });
    assert.ok(node !== undefined);
    this.#opened = { vault, node };
    await node.start((id, isOnline) => {
      if (!isOnline) {
        this.online.delete(id);
        return;
      }
      this.online.add(id);
      const exchange = node.exchangeWith(id, new AbortController().signal).catch(() => undefined);
      this.#exchanges.add(exchange);
      void exchange.finally(() => this.#exchanges.delete(exchange));
    }, new AbortController().signal);
  }

  /** Harmless when repeated. */
  async down(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    this.online.clear();
    await opened?.node.close();
    await Promise.all(this.#exchanges);
    await opened?.vault.close();
  }

  async sees(...friends: readonly LiveFriend[]): Promise<void> {
    await poll(`${this.name} sees ${friends.map(({ name }) => name).join(' and ')}`, () =>
      Promise.resolve(friends.every(({ id }) => this.online.has(id))),
    );
  }
}

/** People who are up and have added each other; all are closed when the test ends. */
export async function liveCircle(test: TestContext, names: readonly string[]): Promise<LiveFriend[]> {
  const folder = await tempFolder(test);
  const people: LiveFriend[] = [];
  for (const name of names) {
    const home = join(folder, name);
    const { id } = await initVault({ home, name });
    const friend = new LiveFriend(name, id, home);
    test.after(() => friend.down());
    await friend.up();
    people.push(friend);
  }
  for (const one of people) {
    for (const other of people) if (other !== one) await one.vault.friendAdd(await other.vault.card());
  }
  await Promise.all(people.map((one) => one.sees(...people.filter((other) => other !== one))));
  return people;
}
