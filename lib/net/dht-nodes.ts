import { isIPv6 } from 'node:net';
import type HyperDHT from 'hyperdht';
import type { HostPort } from 'hyperdht';
import { anyHost, knownHost, openDhtNode } from './dht-node.ts';
import type { DhtNodeOptions } from './dht-node.ts';

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

/** The nodes that one device runs: one, or three where it is an entry for others. */
export class DhtNodes {
  /** The one on the given port: all connections are its. */
  readonly main: HyperDHT;
  readonly #extra: readonly HyperDHT[];

  private constructor(main: HyperDHT, extra: readonly HyperDHT[]) {
    this.main = main;
    this.#extra = extra;
  }

  static async open(options: DhtNodeOptions): Promise<DhtNodes> {
    const bootstrap = options.bootstrap.filter(usable).slice(0, entryCountMax);
    const main = await openDhtNode({ ...options, bootstrap });
    const extra: HyperDHT[] = [];
    try {
      for (let i = 0; options.entry && i < extraNodeCount; i++) {
        const host = options.host === anyHost ? knownHost(options) : options.host;
        const own = { host, port: main.io.serverSocket.address().port };
        const dht = await openDhtNode({ ...options, port: 0, bootstrap: [own, ...bootstrap] });
        extra.push(dht);
        // Named at once to whoever asks, not only when it has found its place.
        main.addNode({ host, port: dht.io.serverSocket.address().port });
      }
    } catch (error) {
      await new DhtNodes(main, extra).close();
      throw error;
    }
    return new DhtNodes(main, extra);
  }

  get all(): readonly HyperDHT[] {
    return [this.main, ...this.#extra];
  }

  /** Further entries, asked from now on. */
  addEntries(entries: readonly HostPort[]): void {
    for (const dht of this.all) {
      for (const { host, port } of entries.filter(usable)) {
        const known = dht.bootstrapNodes;
        if (known.length >= entryCountMax) break;
        if (!known.some((node) => sameNode(node, { host, port }))) known.push({ host, port });
      }
    }
  }

  /** True while we know too few others to learn from them how we look from outside. */
  get lonely(): boolean {
    return this.main.toArray().length <= extraNodeCount;
  }

  /** Looks for the neighbours anew. */
  refresh(): void {
    for (const dht of this.all) dht.refresh();
  }

  async close(): Promise<void> {
    await Promise.all(this.all.map((dht) => dht.destroy({ force: true })));
  }
}
