import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { equalBytes, toHex, utf8 } from '../../lib/base/bytes.ts';
import { isKithError, KithError } from '../../lib/base/errors.ts';
import { openBox, sealBox } from '../../lib/crypto/sign.ts';
import { LetterBox } from '../../lib/custody/letter-box.ts';
import { Letters } from '../../lib/daemon/letters.ts';
import { decodeCard, encodeCard, type Card } from '../../lib/format/card.ts';
import { encodeLetter, letterKinds } from '../../lib/format/letter.ts';
import type { CardsCaller } from '../../lib/services/cards/cards-caller.ts';
import { ownCard } from '../../lib/trust/card.ts';
import { contactPairOf } from '../../lib/trust/contact.ts';
import { createIdentity, type DeviceKeys } from '../../lib/trust/identity.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { Seeded } from '../support/seeded.ts';

/** Somebody with a device and a box; who is called reaches the others directly. */
class Person {
  readonly device: DeviceKeys;
  readonly card: Card;
  readonly letters: Letters;
  readonly box: LetterBox;
  readonly friends = new Map<string, Person>();
  readonly heard: string[] = [];
  carriers: Person[] = [];
  knowsContact = true;

  private constructor(number: number, disk: FaultDisk) {
    const seeded = new Seeded(number);
    const made = createIdentity({ random: (count) => seeded.bytes(count), nowNs: () => 5n });
    this.device = made.device;
    const { vaultId: identity, certificate } = made.device;
    this.card = decodeCard(
      encodeCard(ownCard({ identity, certificate, keyRecord: made.keyRecord, address: undefined })),
    );
    this.box = new LetterBox({ disk, home: '/home', nowNs: () => 5n });
    this.letters = new Letters({
      device: () => this.device,
      box: this.box,
      carriers: () => this.carriers.map((carrier) => this.callerTo(carrier)),
      contactKeyOf: (of) => {
        const friend = this.friends.get(toHex(of));
        const epoch = this.knowsContact ? friend?.device.epochs.at(-1) : undefined;
        return epoch === undefined ? undefined : contactPairOf(epoch).publicKey;
      },
      cardOf: (of) => this.friends.get(toHex(of))?.card,
    });
  }

  static async make(number: number): Promise<Person> {
    const disk = new FaultDisk();
    await disk.makeFolder('/home/tmp');
    return new Person(number, disk);
  }

  /** The half of a session that letters need. */
  callerTo(other: Person): CardsCaller {
    const half = {
      post: (addressee: Uint8Array, sealed: Uint8Array) => {
        const known = [other, ...other.friends.values()].find(({ device }) =>
          equalBytes(device.vaultId, addressee),
        );
        return other.letters.onPosted(this.device.vaultId, known?.device.vaultId, sealed);
      },
      deliver: (sealed: Uint8Array) => other.letters.onDelivered(sealed),
    };
    return half as unknown as CardsCaller;
  }

  hear(kind: number, answer: () => boolean = () => true): void {
    this.letters.on(kind, (bytes) => {
      this.heard.push(toHex(bytes));
      return Promise.resolve(answer());
    });
  }
}

const text = utf8('accepted');

async function circle(): Promise<{ anna: Person; ben: Person; cleo: Person }> {
  const [anna, ben, cleo] = [await Person.make(1), await Person.make(2), await Person.make(3)];
  for (const one of [anna, ben, cleo]) {
    for (const other of [anna, ben, cleo])
      if (other !== one) one.friends.set(toHex(other.device.vaultId), other);
  }
  anna.carriers = [cleo];
  return { anna, ben, cleo };
}

describe('letters by way of a friend', () => {
  for (const knowsContact of [true, false]) {
    it(`come to their addressee, sealed to ${knowsContact ? 'the contact key' : 'the devices on the card'}`, async () => {
      const { anna, ben, cleo } = await circle();
      anna.knowsContact = knowsContact;
      ben.hear(letterKinds.acceptance);
      assert.equal(await anna.letters.send(ben.device.vaultId, letterKinds.acceptance, text), 1);
      const [kept] = await cleo.box.lettersFor(ben.device.vaultId);
      assert.ok(kept !== undefined);
      assert.equal(await cleo.letters.onDelivered(kept), false, 'the carrier cannot open it');
      await cleo.letters.handOver(ben.device.vaultId, cleo.callerTo(ben));
      assert.deepEqual(ben.heard, [toHex(text)]);
      assert.deepEqual(await cleo.box.lettersFor(ben.device.vaultId), []);
      await cleo.letters.handOver(ben.device.vaultId, cleo.callerTo(ben));
      assert.equal(await ben.letters.onDelivered(kept), true);
      assert.equal(ben.heard.length, 1, 'the same from another carrier is not heard again');
    });
  }

  it('for one device are sealed to it, and not to a contact key that all its friends have', async () => {
    const { anna, ben, cleo } = await circle();
    const { vaultId, deviceId, epochs, boxKeys } = ben.device;
    const isIt = (each: Uint8Array): boolean => equalBytes(each, deviceId);
    assert.equal(await anna.letters.send(vaultId, letterKinds.welcome, text, isIt), 1);
    const [kept] = await cleo.box.lettersFor(vaultId);
    assert.ok(kept !== undefined && openBox(kept, boxKeys) !== undefined);
    for (const epoch of epochs) assert.equal(openBox(kept, contactPairOf(epoch)), undefined);
    assert.equal(await anna.letters.send(vaultId, letterKinds.welcome, text, () => false), 0);
  });

  it('are given to two friends at most, and to one who is asked for himself at once', async () => {
    const { anna, ben } = await circle();
    const others = await Promise.all([10, 11, 12].map((number) => Person.make(number)));
    for (const other of others) other.friends.set(toHex(ben.device.vaultId), ben);
    const ignorant = await Person.make(20);
    anna.carriers = [ignorant, ...others];
    assert.equal(await anna.letters.send(ben.device.vaultId, 1, text), 2);
    assert.equal((await others[2]?.box.lettersFor(ben.device.vaultId))?.length, 0);
    ben.hear(1);
    anna.carriers = [ben];
    assert.equal(await anna.letters.send(ben.device.vaultId, 1, text), 1);
    assert.equal(ben.heard.length, 1);
  });

  it('wait while nobody can do what they say', async () => {
    const { anna, ben, cleo } = await circle();
    await anna.letters.send(ben.device.vaultId, 1, text);
    const waiting = async (): Promise<number> => (await cleo.box.lettersFor(ben.device.vaultId)).length;
    const handOver = (): Promise<void> => cleo.letters.handOver(ben.device.vaultId, cleo.callerTo(ben));
    await handOver();
    assert.equal(await waiting(), 1, 'an older kith');
    ben.hear(1, () => false);
    await handOver();
    assert.equal(await waiting(), 1, 'not now');
    ben.letters.on(1, () => Promise.reject(new KithError('disk-full', 'x')));
    await handOver();
    assert.equal(await waiting(), 1, 'its disk was full');
    ben.hear(1);
    await handOver();
    assert.equal(await waiting(), 0);
  });

  it('that open and are none, or are for somebody else, are let go unheard', async () => {
    const { ben, cleo } = await circle();
    ben.hear(1);
    const key = ben.device.boxKeys.publicKey;
    const foreign = encodeLetter({ kind: 1, addressee: cleo.device.vaultId, bytes: text });
    for (const plain of [utf8('junk'), foreign]) {
      assert.equal(await ben.letters.onDelivered(sealBox(plain, key)), true);
    }
    const newer = encodeLetter({ kind: 1, addressee: ben.device.vaultId, bytes: text });
    newer[8] = 2;
    assert.equal(await ben.letters.onDelivered(sealBox(newer, key)), false, 'a newer kith may read it');
    assert.deepEqual(ben.heard, []);
  });

  it('need a card, or a contact key', async () => {
    const { anna } = await circle();
    await assert.rejects(anna.letters.send(new Uint8Array(32), 1, text), (error) =>
      isKithError(error, 'friend-unknown'),
    );
    await assert.rejects(anna.letters.send(new Uint8Array(32), 1, new Uint8Array(8000)), (error) =>
      isKithError(error, 'limit-exceeded'),
    );
  });
});
