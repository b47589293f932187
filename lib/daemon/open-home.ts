import { openVault } from '../vault/index.ts';
import type { Session } from '../vault/session.ts';
import type { GivenRates } from '../base/rate.ts';
import { NetworkOnDemand, type NetworkNode } from './network-on-demand.ts';
import type { NetworkOptions, Note, OpenHome } from './home-port.ts';

/** Opens a home, and puts the network under its vault: friends are holders like disks. */
export const openHome: OpenHome = async ({
  home,
  passphrase,
  network,
  limits = {},
  onProblem,
  note = () => undefined,
}) => {
  const make = (session: Session, options?: NetworkOptions): Promise<NetworkNode> =>
    makeNode(session, options, note, limits);
  let node: NetworkNode | undefined;
  const vault = await openVault({
    home,
    ...(passphrase !== undefined && { passphrase }),
    onProblem,
    network: async (session) => {
      // A record that the device itself has signed keeps others from claiming its key.
      await session.ownAddress.publish(session.name, session.ownAddress.endpoints);
      node = network === undefined ? new NetworkOnDemand(session, make) : await make(session, network);
      return node;
    },
  });
  return { vault, node };
};

async function makeNode(
  session: Session,
  network: NetworkOptions | undefined,
  note: Note,
  limits: GivenRates,
): Promise<NetworkNode> {
  const { KithNode } = await import('./peer-node.ts');
  return await KithNode.make(session, network, note, limits);
}
