import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { equalBytes, fromHex } from '../../lib/base/bytes.ts';
import type { Letters } from '../../lib/daemon/letters.ts';
import { KithNode } from '../../lib/daemon/peer-node.ts';
import { contactPairs, storedContactKeys } from '../../lib/trust/contact.ts';
import { initVault, openVault } from '../../lib/vault/index.ts';
import type { Session } from '../../lib/vault/session.ts';
import type { Problem, VaultApi } from '../../lib/vault/types.ts';
import { poll } from './poll.ts';
import { makeTempFolder } from './temp-folder.ts';
import { atEnd } from './at-end.ts';

/** One person with a home, whose daemon's network can be started and stopped in this process: all real, over TCP on loopback. */
export class LiveFriend {
  readonly name: string;
  readonly id: string;
  readonly phrase: string;
  readonly home: string;
  readonly problems: Problem[] = [];
  readonly online: Set<string> = new Set();
  #opened: { readonly vault: VaultApi; readonly node: KithNode; readonly session: Session } | undefined;
  readonly #exchanges = new Set<Promise<void>>();

  constructor(name: string, made: { readonly id: string; readonly phrase: string }, home: string) {
    this.name = name;
    this.id = made.id;
    this.phrase = made.phrase;
    this.home = home;
  }

  get #up(): { readonly vault: VaultApi; readonly node: KithNode; readonly session: Session } {
    assert.ok(this.#opened !== undefined, `${this.name} is down`);
    return this.#opened;
  }

  get identity(): Uint8Array {
    return fromHex(this.id) ?? new Uint8Array(0);
  }

  get vault(): VaultApi {
    return this.#up.vault;
  }

  get node(): KithNode {
    return this.#up.node;
  }

  get session(): Session {
    return this.#up.session;
  }

  get letters(): Letters {
    return this.#up.node.letters;
  }

  /** On a fresh port. Whoever comes is asked for logs at once, as the daemon does a little later. */
  async up(): Promise<void> {
    const network = {
      listen: { host: '127.0.0.1', port: 0 },
      bootstrap: [],
      publicDht: false,
      direct: true,
      dht: false,
    };
    let made: { readonly node: KithNode; readonly session: Session } | undefined;
    const vault = await openVault({
      home: this.home,
      onProblem: (problem) => this.problems.push(problem),
      network: async (session) => {
        const kithNode = await KithNode.make(session, network, () => undefined);
        made = { node: kithNode, session };
        return kithNode;
      },
    });
    assert.ok(made !== undefined);
    const { node, session } = made;
    this.#opened = { vault, node, session };
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

  /** The contact keys' secret halves that the catalog has of a friend. */
  async secretsOf(friend: LiveFriend): Promise<number> {
    await Promise.resolve();
    const record = this.#up.session.state.friend(friend.identity);
    return contactPairs(storedContactKeys(record?.extensions ?? [])).length;
  }

  /** Resolves when so many friends' contact keys are in the catalog. */
  async hasContactsOf(count: number): Promise<void> {
    await poll(`${this.name} has the contact keys of ${count} friends`, () =>
      Promise.resolve(
        this.#up.session.state.friends().filter(({ extensions }) => storedContactKeys(extensions).length > 0)
          .length >= count,
      ),
    );
  }

  /** Resolves when it was told how long a friend's logs are now. */
  async hasHeadsOf(friend: LiveFriend): Promise<void> {
    const { session } = friend.#up;
    const own = session.logs.heads().filter(({ logKey }) => session.logs.isCurrent(logKey));
    await poll(`${this.name} knows how long the logs of ${friend.name} are`, () => {
      const told = this.#up.node.headsOf(friend.identity);
      return Promise.resolve(
        own.every(({ logKey, length }) =>
          told.some(({ position }) => position.length === length && equalBytes(position.logKey, logKey)),
        ),
      );
    });
  }

  /** Says in the card that it can be met at one more address. */
  async addAddress(host: string, port: number): Promise<void> {
    const { session, node } = this.#up;
    const endpoints = [...session.ownAddress.endpoints, { host, port, direct: true, dht: false }];
    await session.ownAddress.publish(session.name, endpoints);
    node.ownCardChanged();
  }

  async sees(...friends: readonly LiveFriend[]): Promise<void> {
    await poll(`${this.name} sees ${friends.map(({ name }) => name).join(' and ')}`, () =>
      Promise.resolve(friends.every(({ id }) => this.online.has(id))),
    );
  }
}

/** People who are up and have added each other; all are closed when the test ends. */
export async function liveCircle(
  test: TestContext,
  names: readonly string[],
  options: {
    /** Pairs who have not added each other. */
    readonly apart?: readonly (readonly [string, string])[];
  } = {},
): Promise<LiveFriend[]> {
  const { apart = [] } = options;
  const { path: folder, remove } = await makeTempFolder();
  const people: LiveFriend[] = [];
  atEnd(test, async () => {
    await Promise.all(people.map((one) => one.down()));
    await remove();
  });
  for (const name of names) {
    const home = join(folder, name);
    const friend = new LiveFriend(name, await initVault({ home, name }), home);
    people.push(friend);
    await friend.up();
  }
  const friendsOf = (one: LiveFriend): LiveFriend[] =>
    people.filter(
      (other) => other !== one && !apart.some((pair) => pair.includes(one.name) && pair.includes(other.name)),
    );
  for (const one of people) {
    for (const other of friendsOf(one)) await one.vault.friendAdd(await other.vault.card());
  }
  await Promise.all(people.map((one) => one.sees(...friendsOf(one))));
  return people;
}
