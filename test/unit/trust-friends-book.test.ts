import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { equalBytes, toHex } from '../../lib/base/bytes.ts';
import { isKithError, KithError } from '../../lib/base/errors.ts';
import { cardBytesMax, decodeCard, encodeCard } from '../../lib/format/card.ts';
import type { Card } from '../../lib/format/card.ts';
import type { KeyPair } from '../../lib/net/links/link.ts';
import { devicesOf, endpointsOf } from '../../lib/trust/card.ts';
import { FriendsBook, friendCountMax } from '../../lib/trust/friends-book.ts';
import type { BookRecord } from '../../lib/trust/friends-book.ts';
import { endpointOf, SamplePerson } from '../support/sample-card.ts';

const me = new SamplePerson('me');
const ada = new SamplePerson('Ada');
const ben = new SamplePerson('Ben');
const mallory = new SamplePerson('Mallory');

const adaHex = toHex(ada.identity);

function recordOf(
  person: SamplePerson,
  card: Card = person.card(),
  parts: Partial<BookRecord> = {},
): BookRecord {
  return { identity: person.identity, state: 1, grants: ['store'], card: encodeCard(card), ...parts };
}

/** A book of mine, with a clock that is set by hand, that notes what it gives to be stored. */
class Book {
  readonly learned: { identityHex: string; card: Uint8Array }[] = [];
  nowMs = 0;
  ownCard: () => Uint8Array = () => encodeCard(me.card(2));
  invites: readonly Uint8Array[] = [];
  oneTime: (record: BookRecord) => KeyPair | undefined = () => undefined;
  readonly book: FriendsBook;

  constructor(...records: BookRecord[]) {
    this.book = new FriendsBook({
      identity: me.identity,
      deviceId: me.device(1).publicKey,
      ownCard: () => this.ownCard(),
      onLearned: (identityHex, card) => this.learned.push({ identityHex, card }),
      clock: { monotonicMs: () => this.nowMs },
      invites: {
        admitted: () => this.invites,
        oneTimeOf: (record) => this.oneTime(record),
        welcome: (_, __, card) => Promise.resolve(card.slice(0, 32)),
      },
    });
    this.book.replace(records);
  }

  async learn(person: SamplePerson, device: number, card: Card | Uint8Array): Promise<boolean> {
    const bytes = card instanceof Uint8Array ? card : encodeCard(card);
    return await this.book.learn(person.identity, person.device(device).publicKey, bytes);
  }

  kindOf(key: Uint8Array): string | undefined {
    const admission = this.book.admit(key);
    if (admission === undefined) return undefined;
    if (admission.kind === 'invite') return `invite ${toHex(admission.inviteId)}`;
    const identities = admission.kind === 'device' ? [admission.identity] : admission.identities;
    return `${admission.kind} of ${identities.map(toHex).join(' or ')}`;
  }
}

const deviceOf = (person: SamplePerson): string => `device of ${toHex(person.identity)}`;
const doorstepOf = (...people: SamplePerson[]): string =>
  `doorstep of ${people.map(({ identity }) => toHex(identity)).join(' or ')}`;

void describe('the friends book admits', () => {
  void it('devices and doorsteps of active friends, and nobody else', () => {
    const book = new Book(recordOf(ada, ada.card(2)));
    const [first, second] = [ada.device(1).publicKey, ada.device(2).publicKey];
    assert.deepEqual(book.book.admit(first), { kind: 'device', identity: ada.identity, deviceId: first });
    assert.equal(book.kindOf(second), deviceOf(ada));
    assert.deepEqual(book.book.admit(ada.doorstep.publicKey), {
      kind: 'doorstep',
      identities: [ada.identity],
    });
    const strangers = [
      ada.device(3).publicKey,
      ada.identity,
      ben.device(1).publicKey,
      ben.doorstep.publicKey,
      new Uint8Array(32),
      new Uint8Array(0),
      first.slice(1),
    ];
    for (const key of strangers) assert.equal(book.book.admit(key), undefined);
  });

  void it('nobody when it is empty, nor a removed friend, nor one that was', () => {
    assert.equal(new Book().book.admit(ada.device(1).publicKey), undefined);
    assert.equal(
      new Book(recordOf(ada, ada.card(), { state: 2 })).kindOf(ada.device(1).publicKey),
      undefined,
    );
    const book = new Book(recordOf(ada), recordOf(ben));
    book.book.replace([recordOf(ada, ada.card(), { state: 2 }), recordOf(ben)]);
    assert.equal(book.kindOf(ada.device(1).publicKey), undefined);
    assert.equal(book.kindOf(ada.doorstep.publicKey), undefined);
    assert.deepEqual(book.book.grants(adaHex), []);
    assert.equal(book.kindOf(ben.device(1).publicKey), deviceOf(ben));
    book.book.replace([]);
    assert.equal(book.kindOf(ben.device(1).publicKey), undefined);
    assert.deepEqual(book.book.wanted(), []);
  });

  void it('no revoked device; its owner’s doorstep stays', () => {
    const book = new Book(recordOf(ada, ada.card(2, { revocations: [ada.revocation(1)] })));
    assert.equal(book.kindOf(ada.device(1).publicKey), undefined);
    assert.equal(book.kindOf(ada.device(2).publicKey), deviceOf(ada));
    assert.equal(book.kindOf(ada.doorstep.publicKey), doorstepOf(ada));
  });

  void it('whoever has an invite of ours, and no friend who calls its key a device of theirs', () => {
    const oneTime = new SamplePerson('an invite').keys.publicKey;
    const claims = mallory.card(0, { certificates: [mallory.certificate(1, { deviceId: oneTime })] });
    const book = new Book(recordOf(mallory, claims));
    assert.equal(book.kindOf(oneTime), deviceOf(mallory));
    book.invites = [oneTime];
    book.book.replace([recordOf(mallory, claims)]);
    assert.equal(book.kindOf(oneTime), `invite ${toHex(oneTime)}`);
    assert.equal(book.kindOf(ada.device(1).publicKey), undefined);
    book.invites = [];
    book.book.replace([]);
    assert.equal(book.kindOf(oneTime), undefined);
  });

  void it('by the pair of a pending invite whom to dial with it, until it is done with', () => {
    const { keys } = new SamplePerson('an invite');
    const book = new Book(recordOf(ada), recordOf(ben));
    book.oneTime = (record) => (equalBytes(record.identity, ada.identity) ? keys : undefined);
    book.book.replace([recordOf(ada), recordOf(ben)]);
    assert.deepEqual(
      book.book.wanted().map(({ oneTime }) => oneTime),
      [keys, undefined],
    );
    book.oneTime = () => undefined;
    book.book.replace([recordOf(ada), recordOf(ben)]);
    assert.ok(book.book.wanted().every((peer) => !('oneTime' in peer)));
  });

  void it('none of our own keys, whoever certifies them', () => {
    const claims = mallory.card(0, {
      certificates: [
        mallory.certificate(1),
        mallory.certificate(2, { deviceId: me.device(1).publicKey }),
        mallory.certificate(3, { deviceId: me.device(2).publicKey }),
        mallory.certificate(4, { doorstepKey: me.device(2).publicKey }),
      ],
    });
    const book = new Book(recordOf(mallory, claims), recordOf(me));
    for (const key of [me.device(1).publicKey, me.device(2).publicKey, me.doorstep.publicKey]) {
      assert.equal(book.kindOf(key), undefined);
    }
    assert.equal(book.kindOf(mallory.device(1).publicKey), deviceOf(mallory));
  });

  void it('none of our own keys while our own card can’t be had either', () => {
    const claims = mallory.card(0, {
      certificates: [
        mallory.certificate(2, { deviceId: me.device(1).publicKey }),
        mallory.certificate(3, { deviceId: me.device(2).publicKey }),
      ],
    });
    const book = new Book(recordOf(ada));
    book.ownCard = () => {
      throw new KithError('limit-exceeded', 'a card that is too long');
    };
    book.book.replace([recordOf(mallory, claims), recordOf(ben)]);
    for (const index of [1, 2]) assert.equal(book.kindOf(me.device(index).publicKey), undefined);
    assert.equal(book.kindOf(ben.device(1).publicKey), deviceOf(ben));
  });

  void it('the same as before where nothing of it has changed, without making everybody look anew', () => {
    const records = [recordOf(ada), recordOf(ben)];
    const book = new Book(...records);
    let { revision } = book.book;
    const replaced = (...after: BookRecord[]): boolean => {
      book.book.replace(after);
      const changed = book.book.revision !== revision;
      ({ revision } = book.book);
      return changed;
    };
    const again = (): BookRecord[] => records.map((record) => ({ ...record, grants: [...record.grants] }));
    assert.equal(replaced(...again()), false);
    assert.equal(replaced(...again().toReversed()), true);
    assert.equal(replaced(...again()), true);
    assert.equal(replaced(recordOf(ada), recordOf(ben, ben.card(), { grants: [] })), true);
    assert.deepEqual(book.book.grants(toHex(ben.identity)), []);
    assert.equal(replaced(recordOf(ada), recordOf(ben, ben.card(2))), true);
    assert.equal(book.kindOf(ben.device(2).publicKey), deviceOf(ben));
    assert.equal(replaced(recordOf(ada)), true);
    assert.equal(book.kindOf(ben.device(1).publicKey), undefined);
    // Our own card counts as well: a key in it is ours.
    book.ownCard = () => encodeCard(me.card(3));
    assert.equal(replaced(recordOf(ada)), true);
  });

  void it('a device for the identity that it signed its address for, whoever else certifies it', () => {
    const stolen = mallory.card(0, {
      certificates: [
        mallory.certificate(1),
        mallory.certificate(2, { deviceId: ada.device(1).publicKey }),
        mallory.certificate(3, { doorstepKey: ada.device(1).publicKey }),
      ],
    });
    for (const records of [
      [recordOf(mallory, stolen), recordOf(ada)],
      [recordOf(ada), recordOf(mallory, stolen)],
    ]) {
      const book = new Book(...records);
      assert.equal(book.kindOf(ada.device(1).publicKey), deviceOf(ada));
      const wanted = book.book
        .wanted()
        .filter(({ deviceId }) => toHex(deviceId) === toHex(ada.device(1).publicKey));
      assert.deepEqual(
        wanted.map(({ identity }) => toHex(identity)),
        [adaHex],
      );
    }
  });

  void it('at a doorstep that several name, whoever of them shows a card', async () => {
    const { publicKey: doorstepKey } = ada.doorstep;
    const squatter = mallory.card(0, { certificates: [mallory.certificate(1, { doorstepKey })] });
    const book = new Book(recordOf(mallory, squatter), recordOf(ada));
    assert.equal(book.kindOf(doorstepKey), doorstepOf(mallory, ada));
    assert.equal(await book.learn(ada, 2, ada.card(2)), true);
    assert.ok(book.book.owns(ada.identity, ada.device(2).publicKey));
    assert.equal(book.book.owns(mallory.identity, ada.device(2).publicKey), false);
    book.book.replace([recordOf(ada)]);
    assert.equal(book.kindOf(doorstepKey), doorstepOf(ada));
  });

  void it('at a doorstep that another calls his device, and a device that another calls his doorstep', () => {
    const deviceToo = mallory.card(0, {
      certificates: [mallory.certificate(1, { deviceId: ada.doorstep.publicKey })],
    });
    const doorstepToo = mallory.card(0, {
      certificates: [mallory.certificate(1, { doorstepKey: ada.device(1).publicKey })],
    });
    const bare = recordOf(ada, ada.card(1, { addresses: [] }));
    for (const claims of [deviceToo, doorstepToo]) {
      const key = claims === deviceToo ? ada.doorstep.publicKey : ada.device(1).publicKey;
      const [first, second] = claims === deviceToo ? [mallory, ada] : [ada, mallory];
      assert.equal(new Book(recordOf(mallory, claims), bare).kindOf(key), doorstepOf(first, second));
      assert.equal(new Book(bare, recordOf(mallory, claims)).kindOf(key), doorstepOf(first, second));
    }
    const both = new Book(
      recordOf(
        ada,
        ada.card(1, { certificates: [ada.certificate(1, { doorstepKey: ada.device(1).publicKey })] }),
      ),
    );
    assert.equal(both.kindOf(ada.device(1).publicKey), deviceOf(ada));
  });

  void it('and the first friend’s where no device has signed', () => {
    const stolen = mallory.card(0, {
      certificates: [mallory.certificate(2, { deviceId: ada.device(1).publicKey })],
    });
    const bare = ada.card(1, { addresses: [] });
    assert.equal(
      new Book(recordOf(ada, bare), recordOf(mallory, stolen)).kindOf(ada.device(1).publicKey),
      deviceOf(ada),
    );
  });

  void it('nobody of a record whose card is damaged, another’s or forged, and goes on with the others', () => {
    const forged = ada.card(1, { certificates: [{ ...ada.certificate(1), name: 'x' }] });
    const cards = [
      new Uint8Array(0),
      encodeCard(ada.card()).slice(1),
      encodeCard(mallory.card()),
      encodeCard(forged),
    ];
    for (const card of cards) {
      const book = new Book(recordOf(ada, ada.card(), { card }), recordOf(ben));
      for (const key of [ada.device(1), mallory.device(1), ada.doorstep, mallory.doorstep]) {
        assert.equal(book.kindOf(key.publicKey), undefined);
      }
      assert.equal(book.kindOf(ben.device(1).publicKey), deviceOf(ben));
      assert.equal(book.book.cardOf(adaHex), undefined);
      assert.ok(book.book.allows(adaHex, 'kith/store'));
    }
  });
});

void describe('the friends book says', () => {
  void it('whom to look for and where, a friend’s newest record first', () => {
    const card = ada.card(3, {
      addresses: [ada.address(1, 4), ada.address(2, 6)],
      revocations: [],
    });
    const book = new Book(
      recordOf(ada, card),
      recordOf(ben, ben.card(1, { revocations: [ben.revocation(1)] })),
    );
    assert.deepEqual(book.book.wanted(), [
      { identity: ada.identity, deviceId: ada.device(2).publicKey, endpoints: [endpointOf(1006)] },
      { identity: ada.identity, deviceId: ada.device(1).publicKey, endpoints: [endpointOf(1004)] },
      { identity: ada.identity, deviceId: ada.device(3).publicKey, endpoints: [] },
    ]);
    assert.deepEqual(book.book.ownCard(), encodeCard(me.card(2)));
  });

  void it('what each may use, and nothing for those it doesn’t know', () => {
    const book = new Book(
      recordOf(ada, ada.card(), { grants: ['store', 'cards'] }),
      recordOf(ben, ben.card(), { grants: [] }),
    );
    assert.deepEqual(book.book.grants(adaHex), ['store', 'cards']);
    assert.ok(book.book.allows(adaHex, 'kith/store'));
    assert.equal(book.book.allows(adaHex, 'kith/relay'), false);
    assert.equal(book.book.allows(toHex(ben.identity), 'kith/store'), false);
    assert.equal(book.book.allows(toHex(mallory.identity), 'kith/store'), false);
    book.book.replace([recordOf(ada, ada.card(), { grants: ['cards'] })]);
    assert.equal(book.book.allows(adaHex, 'kith/store'), false, 'a grant that was taken back');
  });

  void it('has room for as many friends as people have, not more', () => {
    const strangers = Array.from({ length: friendCountMax + 1 }, (_, i) =>
      recordOf(ada, ada.card(), { identity: new Uint8Array(new Uint32Array(8).fill(i).buffer) }),
    );
    const book = new Book(recordOf(ben));
    assert.throws(
      () => book.book.replace(strangers),
      (error) => isKithError(error, 'limit-exceeded'),
    );
    assert.equal(book.kindOf(ben.device(1).publicKey), deviceOf(ben), 'nothing changed');
    book.book.replace(strangers.slice(1));
  });
});

void describe('the friends book learns', () => {
  void it('a new device that knocked at the doorstep, for good', async () => {
    const book = new Book(recordOf(ada));
    assert.equal(await book.learn(ada, 2, ada.card(2)), true);
    assert.equal(book.kindOf(ada.device(2).publicKey), deviceOf(ada));
    assert.deepEqual(
      book.learned.map(({ identityHex }) => identityHex),
      [adaHex],
    );
    const stored = decodeCard(book.learned[0]?.card ?? new Uint8Array());
    assert.equal(devicesOf(stored).length, 2);
    assert.deepEqual(book.book.identityOf(encodeCard(ada.card(2))), ada.identity);
    assert.equal(await book.learn(ada, 2, ada.card(2)), true);
    assert.equal(await book.learn(ada, 1, ada.card(1)), true, 'an older card takes nothing away');
    assert.equal(book.learned.length, 1, 'what is no news is not stored');
  });

  void it('newer addresses, and is not set back by older ones', async () => {
    const book = new Book(recordOf(ada));
    const at = (counter: number): Card => ada.card(1, { addresses: [ada.address(1, counter)] });
    await book.learn(ada, 1, at(5));
    await book.learn(ada, 1, at(3));
    assert.deepEqual(book.book.wanted()[0]?.endpoints, [endpointOf(1005)]);
    assert.equal(book.learned.length, 1);
  });

  void it('a revocation from anybody of that identity, also from the device itself', async () => {
    const book = new Book(recordOf(ada, ada.card(2)));
    assert.equal(await book.learn(ada, 1, ada.card(2, { revocations: [ada.revocation(1)] })), false);
    assert.equal(book.kindOf(ada.device(1).publicKey), undefined);
    assert.equal(
      await book.learn(ada, 1, ada.card(2)),
      false,
      'a card without it brings the device back to nobody',
    );
  });

  void it('nothing of a stranger with somebody’s valid card', async () => {
    const book = new Book(recordOf(ada));
    assert.equal(
      await book.learn(mallory, 1, ada.card()).catch((error: unknown) => isKithError(error)),
      false,
    );
    const asAda = book.book.learn(ada.identity, mallory.device(1).publicKey, encodeCard(ada.card()));
    assert.equal(await asAda, false);
    assert.equal(book.kindOf(mallory.device(1).publicKey), undefined);
    assert.equal(book.learned.length, 0);
  });

  void it('nothing from hostile cards', async () => {
    const book = new Book(recordOf(ada), recordOf(ben));
    const before = book.book.cardOf(adaHex);
    const refused = async (
      card: Card | Uint8Array,
      ...codes: Parameters<typeof isKithError>[1][]
    ): Promise<void> => {
      await assert.rejects(book.learn(ada, 1, card), (error) => isKithError(error, ...codes));
    };
    await refused(ben.card(), 'not-authentic');
    await refused({ ...ben.card(), identity: ada.identity }, 'not-authentic');
    await refused(ada.card(1, { revocations: [ben.revocation(1)] }), 'not-authentic');
    await refused(
      ada.card(1, { certificates: [ada.certificate(1), mallory.certificate(1)] }),
      'not-authentic',
    );
    await refused(ada.card(1, { addresses: [{ ...ada.address(1, 1), counter: 9 }] }), 'not-authentic');
    await refused(new Uint8Array(0), 'malformed');
    await refused(new Uint8Array(cardBytesMax + 1), 'malformed');
    await refused(encodeCard(ada.card(2)).slice(0, -1), 'malformed');
    assert.deepEqual(book.book.cardOf(adaHex), before);
    assert.equal(book.learned.length, 0);
    assert.equal(book.kindOf(ada.device(1).publicKey), deviceOf(ada));
  });

  void it('nothing anew of a card that says only what is known, whatever its older parts are', async () => {
    const book = new Book(recordOf(ada, ada.card(2, { addresses: [ada.address(1, 5), ada.address(2, 5)] })));
    const { revision } = book.book;
    // A record that doesn't count is not looked at: that its signature is none shows that none was checked.
    const older = ada.card(1, { addresses: [{ ...ada.address(1, 3), counter: 4 }] });
    assert.equal(await book.learn(ada, 1, older), true);
    assert.equal(book.book.revision, revision);
    assert.equal(book.learned.length, 0);
    const newer = ada.card(1, { addresses: [{ ...ada.address(1, 3), counter: 6 }] });
    await assert.rejects(book.learn(ada, 1, newer), (error) => isKithError(error, 'not-authentic'));
  });

  void it('and remembers devices that a card no longer names, or revokes, not those of others', async () => {
    const book = new Book(recordOf(ada, ada.card(1)), recordOf(ben));
    const many = Array.from({ length: 64 }, (_, i) => ada.certificate(i + 2));
    await book.learn(ada, 2, ada.card(0, { certificates: many, revocations: [ada.revocation(3)] }));
    const named = decodeCard(book.book.cardOf(adaHex) ?? new Uint8Array()).certificates;
    assert.ok(!named.some(({ deviceId }) => toHex(deviceId) === toHex(ada.device(1).publicKey)));
    for (const index of [1, 2, 3, 65]) {
      assert.ok(book.book.isDeviceOf(adaHex, ada.device(index).publicKey), `device ${index}`);
    }
    assert.equal(book.book.isDeviceOf(adaHex, ada.device(66).publicKey), false);
    assert.equal(book.book.isDeviceOf(adaHex, ben.device(1).publicKey), false);
    assert.equal(book.book.isDeviceOf(toHex(mallory.identity), ada.device(1).publicKey), false);
    for (let first = 100; first < 1200; first += 60) {
      const certificates = Array.from({ length: 60 }, (_, i) => ada.certificate(first + i));
      await book.learn(ada, first, ada.card(0, { certificates, revocations: [] }));
    }
    assert.equal(book.book.isDeviceOf(adaHex, ada.device(1).publicKey), false, 'not without end');
    assert.ok(book.book.isDeviceOf(adaHex, ada.device(1150).publicKey));
    book.book.replace([]);
    assert.equal(book.book.isDeviceOf(adaHex, ada.device(1150).publicKey), false);
  });

  void it('nothing of one that is no friend any more', async () => {
    const book = new Book(recordOf(ada));
    book.book.replace([]);
    assert.equal(await book.learn(ada, 1, ada.card(2)), false);
    assert.equal(book.kindOf(ada.device(2).publicKey), undefined);
  });

  void it('what it learned outlasts a record that was written before, but not a removal', async () => {
    const book = new Book(recordOf(ada));
    await book.learn(ada, 2, ada.card(2));
    book.book.replace([recordOf(ada, ada.card(1, { addresses: [ada.address(1, 7)] }))]);
    assert.equal(book.kindOf(ada.device(2).publicKey), deviceOf(ada));
    assert.deepEqual(
      endpointsOf(decodeCard(book.book.cardOf(adaHex) ?? new Uint8Array()), ada.device(1).publicKey),
      [endpointOf(1007)],
    );
    book.book.replace([]);
    book.book.replace([recordOf(ada)]);
    assert.equal(book.kindOf(ada.device(2).publicKey), undefined);
  });

  void it('its own copy: bytes that change later change nothing', async () => {
    const bytes = encodeCard(ada.card(2));
    const book = new Book(recordOf(ada));
    await book.learn(ada, 2, bytes);
    bytes.fill(0);
    book.book.cardOf(adaHex)?.fill(0);
    assert.equal(book.kindOf(ada.device(2).publicKey), deviceOf(ada));
    assert.deepEqual(book.book.cardOf(adaHex), encodeCard(ada.card(2)));
  });

  void it('as often as it is shown, but stores only so often what devices alone sign', async () => {
    const book = new Book(recordOf(ada));
    for (let counter = 2; counter < 1000; counter++) {
      await book.learn(ada, 1, ada.card(1, { addresses: [ada.address(1, counter)] }));
    }
    assert.deepEqual(book.book.wanted()[0]?.endpoints, [endpointOf(1999)]);
    assert.equal(book.learned.length, 16);
    assert.equal(await book.learn(ada, 1, ada.card(1, { revocations: [ada.revocation(1)] })), false);
    assert.equal(book.learned.length, 17, 'a revocation still is stored');
    for (let index = 2; index < 40; index++) {
      await book.learn(ada, 1, ada.card(index, { addresses: [], revocations: [ada.revocation(1)] }));
    }
    const { revision } = book.book;
    const stored = book.learned.length;
    await book.learn(ada, 1, ada.card(1, { revocations: [ada.revocation(2)] }));
    assert.equal(book.learned.length, stored, 'nothing more is stored for now');
    assert.equal(book.kindOf(ada.device(2).publicKey), undefined, 'but it counts');
    assert.notEqual(book.book.revision, revision);

    const quiet = new Book(recordOf(ada));
    for (let counter = 2; counter < 50; counter++) {
      await quiet.learn(ada, 1, ada.card(1, { addresses: [ada.address(1, counter)] }));
    }
    quiet.nowMs = 15 * 60 * 1000;
    const last = ada.card(1, { addresses: [ada.address(1, 49)] });
    await quiet.learn(ada, 1, last);
    assert.equal(quiet.learned.length, 17, 'what was held back is stored when its time has come');
    assert.deepEqual(quiet.learned.at(-1)?.card, encodeCard(last));
  });
});

void describe('our own other devices', () => {
  function ownBook(count: number, learned: Uint8Array[] = [], ...records: BookRecord[]): FriendsBook {
    const book = new FriendsBook({
      identity: me.identity,
      deviceId: me.device(1).publicKey,
      ownCard: () => encodeCard(me.card(count)),
      onLearnedOwn: (card) => learned.push(card),
      onLearned: () => undefined,
      clock: { monotonicMs: () => 0 },
    });
    book.replace(records);
    return book;
  }

  void it('are admitted and looked for, and this one is not', () => {
    const book = ownBook(2);
    assert.equal(book.admit(me.device(1).publicKey), undefined);
    const second = me.device(2).publicKey;
    assert.deepEqual(book.admit(second), { kind: 'device', identity: me.identity, deviceId: second });
    assert.deepEqual(book.admit(me.doorstep.publicKey), { kind: 'doorstep', identities: [me.identity] });
    assert.deepEqual(
      book.wanted().map(({ deviceId, endpoints }) => [deviceId, endpoints.length]),
      [[second, 1]],
    );
    assert.equal(book.admit(me.device(3).publicKey), undefined);
  });

  void it('are learned with their addresses, and stored once', async () => {
    const learned: Uint8Array[] = [];
    const book = ownBook(1, learned);
    const third = me.device(3).publicKey;
    assert.equal(await book.learn(me.identity, third, encodeCard(me.card(3))), true);
    assert.equal(await book.learn(me.identity, third, encodeCard(me.card(3))), true);
    assert.equal(learned.length, 1);
    assert.ok(book.owns(me.identity, third));
    book.replace([]);
    assert.ok(book.owns(me.identity, third), 'what was learned stays while the store of it is behind');
    const forged = { ...me.card(4), certificates: [...mallory.card(4).certificates] };
    await assert.rejects(book.learn(me.identity, me.device(4).publicKey, encodeCard(forged)));
  });

  void it('are nobody once they are revoked, whoever still claims them', async () => {
    const claims = mallory.card(0, {
      certificates: [mallory.certificate(1), mallory.certificate(2, { deviceId: me.device(2).publicKey })],
    });
    const book = ownBook(2, [], recordOf(mallory, claims));
    const second = me.device(2).publicKey;
    assert.ok(book.owns(me.identity, second));
    const shown = me.card(3, { revocations: [me.revocation(2)] });
    assert.equal(await book.learn(me.identity, me.device(3).publicKey, encodeCard(shown)), true);
    assert.equal(book.admit(second), undefined);
    assert.ok(!book.owns(me.identity, second) && !book.owns(mallory.identity, second));
  });

  void it('trusted lengths of a friend’s revoked device are those of its card', async () => {
    const book = new Book(recordOf(ada, ada.card(2)));
    const [first] = [ada.device(1).publicKey];
    const [log] = ada.revocation(1).logs;
    assert.ok(log !== undefined);
    assert.equal(book.book.trustedLength(adaHex, first, log.logKey), Number.POSITIVE_INFINITY);
    await book.learn(ada, 2, ada.card(2, { revocations: [ada.revocation(1)] }));
    assert.equal(book.book.trustedLength(adaHex, first, log.logKey), 7);
    assert.equal(book.book.trustedLength(adaHex, first, new Uint8Array(32)), 0);
    assert.equal(
      book.book.trustedLength(adaHex, ada.device(2).publicKey, log.logKey),
      Number.POSITIVE_INFINITY,
    );
  });
});
