import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toHex, utf8 } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';
import {
  LetterBox,
  letterDaysMax,
  lettersForAddresseeMax,
  lettersMax,
  lettersOfSenderMax,
} from '../../lib/custody/letter-box.ts';
import { CrashError, FaultDisk } from '../support/fault-disk.ts';
import { Seeded } from '../support/seeded.ts';

const dayNs = 86_400_000_000_000n;

/** An identity that follows from a number. */
function person(number: number): Uint8Array {
  return new Seeded(number).bytes(32);
}

const anna = person(1);
const ben = person(2);

class Home {
  disk = new FaultDisk();
  nowNs = 100n * dayNs;

  static async make(): Promise<Home> {
    const home = new Home();
    await home.disk.makeFolder('/home/tmp');
    return home;
  }

  /** Another process. */
  box(): LetterBox {
    return new LetterBox({ disk: this.disk, home: '/home', nowNs: () => this.nowNs });
  }

  async files(): Promise<string[]> {
    return ((await this.disk.list('/home/letters')) ?? []).map(({ name }) => name);
  }
}

const texts = (letters: readonly Uint8Array[]): string[] => letters.map(toHex).sort();

describe('the box of letters', () => {
  it('keeps a letter once, over restarts, until it is let go', async () => {
    const home = await Home.make();
    const letter = utf8('sealed');
    assert.equal(await home.box().keep(anna, ben, letter), true);
    assert.equal(await home.box().keep(anna, ben, letter), true);
    assert.equal(await home.box().keep(anna, ben, utf8('another')), true);
    assert.deepEqual(texts(await home.box().lettersFor(ben)), texts([letter, utf8('another')]));
    assert.deepEqual(await home.box().lettersFor(anna), []);
    await home.box().letGo(ben, letter);
    await home.box().letGo(ben, letter);
    assert.deepEqual(texts(await home.box().lettersFor(ben)), texts([utf8('another')]));
    assert.equal((await home.files()).length, 1);
  });

  it('has room for so many of one sender, for one addressee, and in all', async () => {
    const home = await Home.make();
    const box = home.box();
    for (let i = 0; i < lettersOfSenderMax; i++) {
      assert.equal(await box.keep(anna, person(100 + i), utf8(`${i}`)), true);
    }
    assert.equal(await box.keep(anna, ben, utf8('more')), false);
    for (let i = 0; i < lettersForAddresseeMax; i++) {
      assert.equal(await box.keep(person(200 + i), ben, utf8(`${i}`)), true);
    }
    assert.equal(await box.keep(person(999), ben, utf8('more')), false);
    for (let i = lettersOfSenderMax + lettersForAddresseeMax; i < lettersMax; i++) {
      assert.equal(await box.keep(person(1000 + i), person(2000 + i), utf8(`${i}`)), true);
    }
    assert.equal(await box.keep(person(5), person(6), utf8('more')), false);
    assert.equal(await home.box().keep(person(5), person(6), utf8('more')), false, 'after a restart as well');
    await box.letGo(ben, utf8('0'));
    assert.equal(await box.keep(person(5), person(6), utf8('more')), true);
  });

  it('lets go what has waited too long', async () => {
    const home = await Home.make();
    const box = home.box();
    await box.keep(anna, ben, utf8('old'));
    home.nowNs += BigInt(letterDaysMax) * dayNs;
    await box.keep(anna, ben, utf8('new'));
    assert.equal((await box.lettersFor(ben)).length, 2);
    home.nowNs += 1n;
    assert.deepEqual(texts(await box.lettersFor(ben)), texts([utf8('new')]));
    assert.equal((await home.files()).length, 1);
    home.nowNs -= 50n * dayNs;
    assert.equal((await box.lettersFor(ben)).length, 1, 'a clock that goes back loses nothing');
  });

  it('removes what is no letter, and leaves what is not its own', async () => {
    const home = await Home.make();
    await home.box().keep(anna, ben, utf8('sound'));
    const [sound = ''] = await home.files();
    const bytes = (await home.disk.readWhole(`/home/letters/${sound}`, 1 << 20)) ?? new Uint8Array(0);
    const put = (name: string, content: Uint8Array): Promise<void> =>
      home.disk.write(`/home/letters/${name}`, [content], { sync: true });
    await put(`${'ab'.repeat(16)}.letter`, bytes);
    await put(`${'cd'.repeat(16)}.letter`, bytes.subarray(0, 40));
    await put(`${'ef'.repeat(16)}.letter`, new Uint8Array(1 << 16));
    await put('notes.txt', utf8('mine'));
    assert.deepEqual(texts(await home.box().lettersFor(ben)), texts([utf8('sound')]));
    assert.deepEqual((await home.files()).sort(), [sound, 'notes.txt'].sort());
  });

  it('says that it keeps nothing where the disk is full, and takes it later', async () => {
    const home = await Home.make();
    const steps = home.disk.trace.length;
    for (let step = 1; step <= 6; step++) home.disk.failAt(steps + step, 'ENOSPC');
    const box = home.box();
    for (let i = 0; i < 3; i++) {
      await box
        .keep(anna, ben, utf8('x'))
        .catch((error: unknown) => assert.ok(isKithError(error, 'disk-full')));
    }
    home.disk.heal();
    assert.equal(await box.keep(anna, ben, utf8('x')), true);
    assert.deepEqual(texts(await home.box().lettersFor(ben)), texts([utf8('x')]));
  });

  it('has a letter whole or not at all after a crash, and for good once it said so', async () => {
    for (let step = 1; step < 40; step++) {
      const home = await Home.make();
      home.disk.crashAt(home.disk.trace.length + step);
      let kept = false;
      try {
        kept = await home.box().keep(anna, ben, utf8('precious'));
      } catch (error) {
        assert.ok(error instanceof CrashError);
      }
      home.disk = home.disk.afterCrash('lose-unsynced');
      const found = texts(await home.box().lettersFor(ben));
      assert.ok(found.length === 0 || found[0] === toHex(utf8('precious')));
      if (!kept) continue;
      assert.equal(found.length, 1);
      return;
    }
    assert.fail('it never came to its end');
  });
});
