import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isKithError } from '../../lib/base/errors.ts';
import { writeDurably } from '../../lib/disk/write-durably.ts';
import { encodeCard } from '../../lib/format/card.ts';
import { OwnCardFile } from '../../lib/trust/own-card-file.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { SamplePerson } from '../support/sample-card.ts';

const ada = new SamplePerson('Ada');
const options = { home: '/home', tempFolder: '/home/tmp', identity: ada.identity };

async function madeDisk(): Promise<FaultDisk> {
  const disk = new FaultDisk();
  await disk.makeFolder('/home/tmp');
  return disk;
}

void describe('the own card in a home', () => {
  void it('grows by what other devices show, and is there at the next start', async () => {
    const disk = await madeDisk();
    const file = await OwnCardFile.open({ ...options, disk });
    assert.equal(file.card, undefined);
    await file.learn(encodeCard(ada.card(2)));
    assert.equal((await OwnCardFile.open({ ...options, disk })).card?.certificates.length, 2);
  });

  void it('is of nobody else', async () => {
    const file = await OwnCardFile.open({ ...options, disk: await madeDisk() });
    const foreign = encodeCard(new SamplePerson('Ben').card());
    await assert.rejects(file.learn(foreign), (error) => isKithError(error, 'not-authentic'));
    assert.equal(file.card, undefined);
  });

  void it('keeps no home from opening, whichever of its bits is another', async () => {
    const bytes = encodeCard(ada.card(1));
    for (let at = 0; at < bytes.length; at += 3) {
      const disk = await madeDisk();
      const damaged = bytes.slice();
      damaged[at] = (damaged[at] ?? 0) ^ 0x10;
      await writeDurably(disk, {
        tempFolder: '/home/tmp',
        path: '/home/own-card',
        parts: [damaged],
        mode: 0o600,
      });
      const file = await OwnCardFile.open({ ...options, disk });
      await file.learn(bytes);
      assert.equal(file.card?.certificates.length, 1);
    }
  });
});
