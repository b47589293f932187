import { nodeDisk } from '../../lib/disk/node-disk.ts';
import type { Disk } from '../../lib/disk/disk.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { FriendPair } from '../support/friend-pair.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { holderContract, type HolderToMake, type HolderUnderTest } from './holder-contract.ts';

async function makeFriend(disk: Disk, home: string, options: HolderToMake): Promise<HolderUnderTest> {
  const pairs: FriendPair[] = [];
  const open = async (): Promise<FriendPair> => {
    const pair = await FriendPair.open({ disk, home, ...options });
    pairs.push(pair);
    return pair;
  };
  const { holder } = await open();
  const cleanup = async (): Promise<void> => {
    for (const pair of pairs) await pair.close();
  };
  // A restart at the friend's: another process on the same home.
  return { holder, reopen: async () => (await open()).holder, cleanup };
}

holderContract(
  'friend over the network, on the real disk',
  async (options) => {
    const { path, remove } = await makeTempFolder();
    const made = await makeFriend(nodeDisk, path, options);
    return {
      ...made,
      cleanup: async () => {
        await made.cleanup();
        await remove();
      },
    };
  },
  { deletes: false, quotas: true },
);

holderContract(
  'friend over the network, on the fault disk',
  (options) => makeFriend(new FaultDisk(), '/home', options),
  { deletes: false, quotas: true },
);
