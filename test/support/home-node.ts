import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { openHome } from '../../lib/daemon/open-home.ts';
import type { NetworkOptions, PeerNode } from '../../lib/daemon/home-port.ts';
import { initVault } from '../../lib/vault/index.ts';
import type { VaultApi } from '../../lib/vault/types.ts';
import { atEnd } from './at-end.ts';

/** A real home with its node in this process, as a daemon has it, without the daemon. */
export interface HomeNode {
  readonly vault: VaultApi;
  readonly node: PeerNode;
  /** Resolves when the friend is online: at once if it is. */
  online(id: string): Promise<void>;
  close(): Promise<void>;
}

export const loopback: NetworkOptions = {
  listen: { host: '127.0.0.1', port: 0 },
  bootstrap: [],
  publicDht: false,
  dht: false,
  direct: true,
};

/** A new identity in a folder. */
export async function makeHome(
  folder: string,
  name: string,
  onPhrase: (phrase: string) => void = () => undefined,
  lan: 'on' | 'off' = 'on',
): Promise<string> {
  const home = join(folder, name);
  await mkdir(home, { recursive: true, mode: 0o700 });
  // They listen on loopback, and look there for each other.
  await writeFile(join(home, 'kith.toml'), `"net.lan" = "${lan}"\n`);
  await initVault({ home, name, onPhrase: ({ phrase }) => Promise.resolve(onPhrase(phrase)) });
  return home;
}

/** Opens a home; it listens and dials once `start` is called, or works by itself as a command. It is closed at the end of the test. */
export async function openHomeNode(
  test: TestContext,
  home: string,
  network: NetworkOptions | 'by-itself' = loopback,
): Promise<HomeNode & { start(): Promise<void> }> {
  const { vault, node } = await openHome({
    home,
    passphrase: undefined,
    network: network === 'by-itself' ? undefined : network,
    onProblem: () => undefined,
  });
  if (node === undefined) throw new Error('a home without a node');
  const here = new Set<string>();
  const waiting: { readonly id: string; readonly resolve: () => void }[] = [];
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= node.close().then(() => vault.close());
    return closing;
  };
  atEnd(test, close);
  return {
    vault,
    node,
    start: () =>
      node.start((id, online) => {
        if (online) here.add(id);
        else here.delete(id);
        for (const { resolve } of waiting.filter((each) => here.has(each.id))) resolve();
      }, new AbortController().signal),
    online: (id) =>
      here.has(id) ? Promise.resolve() : new Promise((resolve) => waiting.push({ id, resolve })),
    close,
  };
}
