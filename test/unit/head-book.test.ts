import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isKithError } from '../../lib/base/errors.ts';
import { HeadBook } from '../../lib/custody/head-book.ts';
import { headsMax, signHead, type SignedHead } from '../../lib/format/signed-head.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { SamplePerson } from '../support/sample-card.ts';
import { Seeded } from '../support/seeded.ts';

const ada = new SamplePerson('Ada');
const ben = new SamplePerson('Ben');

function head(person: SamplePerson, log: number, length: number): SignedHead {
  const { publicKey: deviceId, secretKey } = person.device(1);
  const position = { logKey: new Seeded(log).bytes(32), length, hash: new Seeded(length).bytes(32) };
  return signHead(person.identity, { deviceId, position }, secretKey);
}

async function home(): Promise<FaultDisk> {
  const disk = new FaultDisk();
  await disk.makeFolder('/home/tmp');
  return disk;
}

const lengths = (book: HeadBook, person: SamplePerson): number[] =>
  book.of(person.identity).map(({ position }) => position.length);
const everybody = (): boolean => true;

describe('how long friends say that their logs are', () => {
  it('is the longest of each log, whoever told it last', async () => {
    const book = new HeadBook({ disk: await home(), home: '/home' });
    book.take(ada.identity, [head(ada, 1, 5), head(ada, 2, 3)]);
    book.take(ada.identity, [head(ada, 1, 4), head(ada, 2, 9)]);
    assert.deepEqual(lengths(book, ada), [5, 9]);
    assert.deepEqual(lengths(book, ben), []);
    for (let log = 10; log < 10 + headsMax; log++) book.take(ada.identity, [head(ada, log, log)]);
    assert.equal(lengths(book, ada).length, headsMax);
    assert.ok(!lengths(book, ada).includes(5), 'the oldest go');
  });

  it('is there after a restart, but for those who are no friends any more', async () => {
    const disk = await home();
    const book = new HeadBook({ disk, home: '/home' });
    book.take(ada.identity, [head(ada, 1, 5)]);
    book.take(ben.identity, [head(ben, 1, 6)]);
    await book.save((owner) => Buffer.compare(owner, ben.identity) !== 0);
    const steps = disk.trace.length;
    await book.save(everybody);
    assert.equal(disk.trace.length, steps, 'nothing new, nothing written');
    const again = new HeadBook({ disk: disk.afterCrash('lose-unsynced'), home: '/home' });
    again.take(ada.identity, [head(ada, 1, 4)]);
    await again.load();
    assert.deepEqual([lengths(again, ada), lengths(again, ben)], [[5], []]);
  });

  it('is forgotten where the file is damaged, and kept for later where it cannot be written', async () => {
    const disk = await home();
    await disk.write('/home/heads', [new Uint8Array(50)], { sync: true });
    const book = new HeadBook({ disk, home: '/home' });
    await book.load();
    book.take(ada.identity, [head(ada, 1, 5)]);
    disk.failAt(disk.trace.length + 1, 'ENOSPC');
    await assert.rejects(book.save(everybody), (error) => isKithError(error, 'disk-full'));
    await book.save(everybody);
    const again = new HeadBook({ disk, home: '/home' });
    await again.load();
    assert.deepEqual(lengths(again, ada), [5]);
  });
});
