import { join } from 'node:path';
import { KithNode } from '../../lib/daemon/peer-node.ts';
import { encodeCard } from '../../lib/format/card.ts';
import { learnOwnCard, ownCardOf } from '../../lib/vault/friends/own-card.ts';
import { Session, vaultOf, type Problem, type VaultApi } from '../../lib/vault/index.ts';
import { poll } from './poll.ts';
import type { VaultFixture } from './vault-fixture.ts';
import { atEnd } from './at-end.ts';

/** A home as its daemon has it: listening on loopback, without a socket for commands and without a schedule. */
export interface RunningHome {
  readonly session: Session;
  readonly vault: VaultApi;
  readonly node: KithNode;
  readonly problems: Problem[];
  /** Events of the daemon's log. */
  readonly notes: readonly string[];
  close(): Promise<void>;
}

/** Opens a home of a fixture and listens on loopback. It is closed when the test ends, or before. */
export async function runHome(
  test: { after(work: () => Promise<void>): void },
  fixture: VaultFixture,
  home: string,
  options: {
    /** Behind a router that lets nobody in: what its card says leads nowhere. */
    readonly closed?: boolean;
  } = {},
): Promise<RunningHome> {
  const problems: Problem[] = [];
  const notes: string[] = [];
  let made: KithNode | undefined;
  const session = await Session.open({
    home: join(fixture.root, home),
    surroundings: fixture.surroundings,
    onProblem: (problem) => void problems.push(problem),
    network: async (opening) => {
      if (options.closed === true) closeAddress(opening);
      await opening.ownAddress.publish(opening.name, opening.ownAddress.endpoints);
      const network = {
        listen: { host: '127.0.0.1', port: 0 },
        bootstrap: [],
        publicDht: false,
        dht: false,
        direct: true,
      };
      made = await KithNode.make(opening, network, (_level, event) => void notes.push(event));
      return made;
    },
  });
  const node = made;
  if (node === undefined) throw new Error('no node was made');
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> =>
    (closed ??= (async () => {
      await node.close();
      await session.close();
    })());
  atEnd(test, close);
  await node.start(() => undefined, new AbortController().signal);
  return { session, vault: vaultOf(session), node, problems, notes, close };
}

/** Port 1 of loopback, where nothing listens. */
function closeAddress({ ownAddress }: Session): void {
  const publish = ownAddress.publish.bind(ownAddress);
  ownAddress.publish = async (name, endpoints) => {
    const nowhere = endpoints.slice(0, 1).map((each) => ({ ...each, host: '127.0.0.1', port: 1 }));
    return await publish(name, nowhere);
  };
}

/** Lets a home know where another of its identity can be met, as linking does. */
export async function tellAddress(home: RunningHome, of: RunningHome): Promise<void> {
  await learnOwnCard(home.session, encodeCard(ownCardOf(of.session)));
  home.node.refresh();
}

/** Waits for something that real sockets bring about, without keeping the processor from them; fails after a minute. */
export async function eventually(what: string, done: () => boolean | Promise<boolean>): Promise<void> {
  await poll(what, async () => await done());
}
