import { openVault } from '../vault/index.ts';
import { KithNode } from './peer-node.ts';
import type { OpenHome } from './home-port.ts';

/** Opens a home, and puts the network under its vault: friends are holders like disks. */
export const openHome: OpenHome = async ({ home, passphrase, network, onProblem }) => {
  let node: KithNode | undefined;
  const vault = await openVault({
    home,
    ...(passphrase !== undefined && { passphrase }),
    onProblem,
    network: async (session) => {
      node = await KithNode.make(session, network);
      return node;
    },
  });
  return { vault, node };
};
