import { nodeDisk } from '../../lib/disk/node-disk.ts';
import type { Disk } from '../../lib/disk/disk.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { FaultHolder } from '../support/fault-holder.ts';
import { sampleDrive } from '../support/sample-drive.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { holderContract, type HolderToMake, type HolderUnderTest } from './holder-contract.ts';

async function makeDrive(disk: Disk, folder: string, options: HolderToMake): Promise<HolderUnderTest> {
  const open = () => sampleDrive(disk, folder, options.vault, options);
  return { holder: await open(), reopen: open, cleanup: async () => undefined };
}

holderContract('drive on the real disk', async (options) => {
  const { path, remove } = await makeTempFolder();
  return { ...(await makeDrive(nodeDisk, path, options)), cleanup: remove };
});

holderContract('drive on the fault disk', (options) => makeDrive(new FaultDisk(), '/drive', options));

holderContract('drive behind a fault holder that does nothing', async (options) => {
  const made = await makeDrive(new FaultDisk(), '/drive', options);
  return {
    ...made,
    holder: new FaultHolder(made.holder),
    reopen: async () => new FaultHolder(await made.reopen()),
  };
});
