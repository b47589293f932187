import { openVault } from '../vault/index.ts';
import type { OpenHome } from './home-port.ts';

/** Opens a home with the disks of this computer; there is no network under it yet. */
export const openHome: OpenHome = async ({ home, passphrase, onProblem }) => {
  const vault = await openVault({
    home,
    ...(passphrase !== undefined && { passphrase }),
    onProblem,
  });
  return { vault, node: undefined };
};
