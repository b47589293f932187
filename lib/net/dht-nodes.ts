import { isIPv6 } from 'node:net';
import type HyperDHT from 'hyperdht';
import type { HostPort } from 'hyperdht';
import { anyHost, knownHost, openDhtNode } from './dht-node.ts';
import type { DhtNodeOptions } from './dht-node.ts';
import { isBehindRouter } from './address-class.ts';
import { isPublicEntry } from './public-entries.ts';

/** Entries that are asked first. A search asks all of them while it knows nobody nearer. */
const entryCountMax = 64;

/** To punch a hole, two peers ask three endpoints how they look from outside: with fewer it never works (measured). */
const extraNodeCount = 2;

/** What may be asked: an IPv4 address, or a name, without hyperdht's `address@name`. */
function usable({ host, port }: HostPort): boolean {
  if (host === '' || host.includes('@') || isIPv6(host)) return false;
  return Number.isInteger(port) && port > 0 && port < 65536;
}

function sameNode(a: HostPort, b: HostPort): boolean {
  return a.host === b.host && a.port === b.port;
}

/** Each once, our own choice first, and no more than are asked. */
function entryList(
  fixed: readonly HostPort[],
  named: readonly HostPort[],
  { publicDht = false }: DhtNodesOptions,
): HostPort[] {
  const list: HostPort[] = [];
  const allowed = named.filter((entry) => usable(entry) && (publicDht || !isPublicEntry(entry.host)));
  for (const { host, port } of [...fixed, ...allowed]) {
    if (list.length >= entryCountMax) break;
    if (!list.some((node) => sameNode(node, { host, port }))) list.push({ host, port });
  }
  return list;
}

/** How the nodes of one device begin. */
export interface DhtNodesOptions extends DhtNodeOptions {
  /** Entries that others named, in their cards, say. */
  readonly entries?: readonly HostPort[];
}

/** The nodes that one device runs: one, or three where it is an entry for others. */
export class DhtNodes {
  /** The one on the given port: all connections are its. */
  readonly main: HyperDHT;
  readonly #options: DhtNodesOptions;
  readonly #extra: HyperDHT[] = [];
  /** Of each node: entries that stay, whatever others are named. */
  readonly #fixed = new Map<HyperDHT, readonly HostPort[]>();

  private constructor(main: HyperDHT, options: DhtNodesOptions) {
    this.main = main;
    this.#options = options;
  }

  static async open(options: DhtNodesOptions): Promise<DhtNodes> {
    const fixed = options.bootstrap.filter(usable);
    const bootstrap = entryList(fixed, options.entries ?? [], options);
    // Connections are the main node's: it has to know of the router. Those beside it serve neighbours in the same network.
    const routed = isBehindRouter(knownHost(options));
    const main = await openDhtNode({ ...options, bootstrap, routed });
    const nodes = new DhtNodes(main, options);
    nodes.#fixed.set(main, fixed);
    try {
      // A router passes one port on: those beside it would be of no use outside.
      const hasExtra = options.entry && options.publicDht !== true && options.announceHost === undefined;
      for (let i = 0; i < (hasExtra ? extraNodeCount : 0); i++) {
        const host = options.host === anyHost ? knownHost(options) : options.host;
        const own = { host, port: main.io.serverSocket.address().port };
        const dht = await openDhtNode({ ...options, port: 0, bootstrap: [own, ...bootstrap] });
        nodes.#extra.push(dht);
        nodes.#fixed.set(dht, [own, ...fixed]);
        // Named at once to whoever asks, not only when it has found its place.
        main.addNode({ host, port: dht.io.serverSocket.address().port });
      }
    } catch (error) {
      await nodes.close();
      throw error;
    }
    return nodes;
  }

  get all(): readonly HyperDHT[] {
    return [this.main, ...this.#extra];
  }

  /** The entries that others name now, in the place of those that they named before. True if any of them is new. */
  setEntries(entries: readonly HostPort[]): boolean {
    let hasNew = false;
    for (const dht of this.all) {
      const list = entryList(this.#fixed.get(dht) ?? [], entries, this.#options);
      const before = dht.bootstrapNodes.splice(0, Number.POSITIVE_INFINITY, ...list);
      hasNew ||= list.some((entry) => !before.some((known) => sameNode(known, entry)));
    }
    return hasNew;
  }

  /** True where nobody's card is to lead us. */
  refuses(host: string): boolean {
    return this.#options.publicDht !== true && isPublicEntry(host);
  }

  /** True while we know too few others to learn from them how we look from outside. */
  get lonely(): boolean {
    return this.main.toArray().length <= extraNodeCount;
  }

  /** Whom searches begin with: entries of our own choice, then those that others named. */
  get entries(): readonly HostPort[] {
    return this.main.bootstrapNodes.map(({ host, port }) => ({ host, port }));
  }

  /** Whom they know, each once: other devices' nodes that have answered. */
  neighbours(): HostPort[] {
    const own = knownHost(this.#options);
    const ownPorts = new Set(this.all.map((dht) => dht.io.serverSocket.address().port));
    const found = new Map<string, HostPort>();
    for (const node of this.all.flatMap((dht) => dht.toArray())) {
      if (node.host === own && ownPorts.has(node.port)) continue;
      found.set(`${node.host}:${node.port}`, { host: node.host, port: node.port });
    }
    return [...found.values()];
  }

  /** Looks for the neighbours anew. */
  refresh(): void {
    for (const dht of this.all) dht.refresh();
  }

  async close(): Promise<void> {
    await Promise.all(this.all.map((dht) => dht.destroy({ force: true })));
  }
}
