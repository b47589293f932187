import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '../../lib/base/bytes.ts';
import { CatalogState } from '../../lib/catalog/catalog-state.ts';
import { encodeHolderRecord, encodeSetting, holderStateNumbers } from '../../lib/format/catalog-records.ts';
import { encodeFriendRecord, friendStateNumbers } from '../../lib/format/friend-records.ts';
import { encodePackRecord, encodePlacementRecord, type Placement } from '../../lib/format/ledger-records.ts';
import { encodeInviteRecord, inviteStateNumbers } from '../../lib/format/invite-records.ts';
import { recordKinds } from '../../lib/format/log-kinds.ts';
import { decodeManifest, encodeManifest, packIdOf, viewManifest } from '../../lib/format/manifest.ts';
import { Seeded } from '../support/seeded.ts';
import { sampleVault } from '../support/sample-pack.ts';

const vault = sampleVault(1);
const { vaultId, device } = vault;
const authority = { vaultId, isDevice: (id: Uint8Array): boolean => vault.isDevice(id, vaultId) };
const seeded = new Seeded(5);
const roots = Array.from({ length: 8 }, () => seeded.bytes(32));
const holders = Array.from({ length: 3 }, () => seeded.bytes(32));
const packId = packIdOf(2, 0, roots);

function manifestOf(generation: number, own: readonly Uint8Array[], signer = device): Uint8Array {
  const n = own.length - 1;
  const unsigned = { vaultId, packId, keyEpoch: 0, generation, k: 2, n, spare: 1, class: 0, roots: own };
  return encodeManifest({ ...unsigned, signer: signer.publicKey }, signer.secretKey);
}

function apply(state: CatalogState, manifest: Uint8Array, placements: readonly Placement[] = []): void {
  state.apply(recordKinds.pack, encodePackRecord({ manifest, placements }));
}

const first = manifestOf(1, roots.slice(0, 4));
const longer = manifestOf(2, roots.slice(0, 6));
const other = manifestOf(3, [...roots.slice(0, 3), ...roots.slice(5, 8)]);

/** An invite that this device made, another each time. */
function inviteOf() {
  return {
    inviteId: seeded.bytes(32),
    deviceId: device.publicKey,
    madeMs: 1,
    expiresMs: 2,
    quotaBytes: 3,
    name: '',
    usedBy: new Uint8Array(32),
    extensions: [],
  };
}

test('a higher generation counts if it only lengthens the list of roots, in whichever order they come', () => {
  for (const order of [
    [first, longer],
    [longer, first],
    [first, longer, first],
  ]) {
    const state = new CatalogState(authority);
    for (const manifest of order) apply(state, manifest);
    assert.deepEqual(state.pack(packId)?.manifestBytes, longer);
  }
});

test('roots that were signed once are not replaced by a higher generation, in whichever order they come', () => {
  for (const [known, next] of [
    [longer, other],
    [other, longer],
  ] as const) {
    const state = new CatalogState(authority);
    apply(state, known);
    assert.throws(() => apply(state, next), { code: 'malformed' });
    assert.deepEqual(state.pack(packId)?.manifestBytes, longer);
  }
});

test('a manifest that would replace another must be signed by a device of the vault', () => {
  const stranger = sampleVault(2).device;
  const state = new CatalogState(authority);
  apply(state, first);
  assert.throws(() => apply(state, manifestOf(2, roots.slice(0, 6), stranger)), { code: 'not-authentic' });
  const forged = longer.slice();
  forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
  assert.throws(() => apply(state, forged), { code: 'not-authentic' });
  assert.deepEqual(state.pack(packId)?.manifestBytes, first);
});

test('a pack is given as it was put in, with its hints added and replaced', () => {
  const [a, b, c] = holders as [Uint8Array, Uint8Array, Uint8Array];
  const state = new CatalogState(authority);
  apply(state, first, [
    { shardIndex: 0, holderId: a },
    { shardIndex: 2, holderId: b },
  ]);
  apply(state, first, [{ shardIndex: 0, holderId: b }]);
  const hints = (): unknown =>
    new Map([...(state.pack(packId)?.hints ?? [])].map(([i, ids]) => [i, [...ids]]));
  assert.deepEqual(
    hints(),
    new Map([
      [0, [toHex(a), toHex(b)]],
      [2, [toHex(b)]],
    ]),
  );
  const moved = encodePlacementRecord({ packId, placements: [{ shardIndex: 0, holderId: c }], atNs: 1n });
  state.apply(recordKinds.placement, moved);
  assert.deepEqual(
    hints(),
    new Map([
      [2, [toHex(b)]],
      [0, [toHex(c)]],
    ]),
  );
  const [pack] = [...state.packs()];
  assert.ok(pack !== undefined);
  assert.deepEqual({ ...pack }.manifest.roots, roots.slice(0, 4), 'a copy by spreading has it as well');
  assert.equal(state.pack(packIdOf(2, 1, roots)), undefined);
});

test('many packs share their memory and are told apart', () => {
  const state = new CatalogState(authority);
  const made: { packId: Uint8Array; manifest: Uint8Array }[] = [];
  for (let i = 0; i < 3000; i++) {
    const own = [seeded.bytes(32), ...roots.slice(0, 1 + (i % 5))];
    const id = packIdOf(1, 0, own);
    const unsigned = {
      vaultId,
      packId: id,
      keyEpoch: i,
      generation: 1,
      k: 1,
      n: own.length,
      spare: 0,
      class: 0,
    };
    const manifest = encodeManifest({ ...unsigned, roots: own, signer: device.publicKey }, device.secretKey);
    apply(state, manifest);
    made.push({ packId: id, manifest });
  }
  assert.equal([...state.packs()].length, made.length);
  for (const { packId: id, manifest } of made) {
    assert.deepEqual(state.pack(id)?.manifest, decodeManifest(manifest));
  }
});

test('the view of a manifest is what decoding gives', () => {
  for (const manifest of [first, longer, other])
    assert.deepEqual(viewManifest(manifest), decodeManifest(manifest));
});

test('of two settings or holders of one time the same counts in either order', () => {
  const holder = (name: string): Uint8Array =>
    encodeHolderRecord({
      holderId: holders[0] ?? new Uint8Array(32),
      kind: 1,
      state: holderStateNumbers.active,
      name,
      household: '',
      quotaBytes: 0,
      whole: false,
      pathHint: new Uint8Array(0),
      atNs: 7n,
      extensions: [],
    });
  const setting = (value: string): Uint8Array => encodeSetting({ key: 'spread', value, atNs: 7n });
  for (const order of [
    ['a', 'b'],
    ['b', 'a'],
  ]) {
    const state = new CatalogState(authority);
    for (const text of order) {
      state.apply(recordKinds.setting, setting(text));
      state.apply(recordKinds.holder, holder(text));
    }
    assert.equal(state.setting('spread'), 'b');
    assert.equal(state.holders()[0]?.name, 'b');
  }
});

test('a time to write is later than what is known, and never more than fits', () => {
  const state = new CatalogState(authority);
  assert.equal(state.settingTimeNs('spread', 5n), 5n);
  for (const [at, expected] of [
    [4n, 5n],
    [5n, 6n],
    [900n, 901n],
    [2n ** 63n - 1n, 2n ** 63n - 1n],
  ] as const) {
    state.apply(recordKinds.setting, encodeSetting({ key: 'spread', value: '1/2', atNs: at }));
    assert.equal(state.settingTimeNs('spread', 5n), expected);
  }
});

test('what is said of friends, holders, invites and settings has a revision, and each friend has its own', () => {
  const state = new CatalogState(authority);
  const [anna, ben] = [seeded.bytes(32), seeded.bytes(32)];
  const friend = (identity: Uint8Array, name: string, atNs: bigint): Uint8Array =>
    encodeFriendRecord({
      identity,
      state: friendStateNumbers.active,
      name,
      household: '',
      quotaGivenBytes: 1,
      grants: ['store'],
      card: new Uint8Array(0),
      atNs,
      extensions: [],
    });
  const invite = inviteOf();
  const open = encodeInviteRecord({ ...invite, state: inviteStateNumbers.open, atNs: 1n });
  /** Ids of the friends that a record changed; undefined where it changed nothing at all. */
  const changes = (kind: number, body: Uint8Array): readonly string[] | undefined => {
    const { revision } = state;
    state.apply(kind, body);
    const changed = [...(state.friendsSince(revision) ?? ['any'])];
    if (state.revision > revision) return changed;
    assert.deepEqual(changed, []);
    return undefined;
  };
  assert.deepEqual(changes(recordKinds.friend, friend(anna, 'anna', 5n)), [toHex(anna)]);
  assert.deepEqual(changes(recordKinds.friend, friend(ben, 'ben', 5n)), [toHex(ben)]);
  assert.deepEqual(changes(recordKinds.friend, friend(anna, 'anne', 6n)), [toHex(anna)]);
  // Again, or later than what counts already; but who was added first may be another one now.
  assert.equal(changes(recordKinds.friend, friend(anna, 'anne', 6n)), undefined);
  assert.equal(changes(recordKinds.friend, friend(anna, 'annie', 5n)), undefined);
  assert.deepEqual(changes(recordKinds.friend, friend(ben, 'benno', 4n)), [toHex(ben)]);
  assert.deepEqual(
    state.friends().map(({ name }) => name),
    ['ben', 'anne'],
  );
  const setting = (value: string, atNs: bigint): Uint8Array => encodeSetting({ key: 'spread', value, atNs });
  assert.deepEqual(changes(recordKinds.setting, setting('1/2', 1n)), []);
  assert.equal(changes(recordKinds.setting, setting('1/2', 2n)), undefined);
  assert.deepEqual(changes(recordKinds.setting, setting('2/3', 3n)), []);
  assert.deepEqual(changes(recordKinds.invite, open), []);
  assert.equal(changes(recordKinds.invite, open), undefined);
  const holder = encodeHolderRecord({
    holderId: holders[0] ?? new Uint8Array(32),
    kind: 1,
    state: holderStateNumbers.active,
    name: 'disk',
    household: '',
    quotaBytes: 0,
    whole: false,
    pathHint: new Uint8Array(0),
    atNs: 7n,
    extensions: [],
  });
  assert.deepEqual(changes(recordKinds.holder, holder), []);
  assert.equal(changes(recordKinds.holder, holder), undefined);
  const { revision } = state;
  const fresh = new CatalogState(authority);
  fresh.apply(recordKinds.friend, friend(ben, 'ben', 5n));
  state.become(fresh);
  assert.ok(state.revision > revision);
  assert.equal(state.friendsSince(revision), undefined, 'it may be anybody, and somebody who is gone');
  assert.deepEqual([...(state.friendsSince(state.revision) ?? ['any'])], []);
});

test('a state that becomes another one says nothing that only it said, of invites either', () => {
  const invite = { ...inviteOf(), atNs: 1n };
  const open = encodeInviteRecord({ ...invite, state: inviteStateNumbers.open });
  const used = encodeInviteRecord({ ...invite, state: inviteStateNumbers.used, usedBy: seeded.bytes(32) });
  const [state, fresh] = [new CatalogState(authority), new CatalogState(authority)];
  state.apply(recordKinds.invite, open);
  state.apply(recordKinds.invite, used);
  fresh.apply(recordKinds.invite, open);
  assert.equal(state.invite(invite.inviteId)?.state, inviteStateNumbers.used);
  state.become(fresh);
  assert.equal(state.invite(invite.inviteId)?.state, inviteStateNumbers.open);
});
