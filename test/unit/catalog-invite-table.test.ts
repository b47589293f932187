import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { toHex } from '../../lib/base/bytes.ts';
import { InviteTable } from '../../lib/catalog/invite-table.ts';
import {
  encodeInviteRecord,
  inviteStateNumbers,
  type InviteRecord,
} from '../../lib/format/invite-records.ts';

const idOf = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);

function record(facts: Partial<InviteRecord> = {}): InviteRecord {
  return {
    inviteId: idOf(1),
    deviceId: idOf(2),
    state: inviteStateNumbers.open,
    madeMs: 5,
    expiresMs: 10,
    quotaBytes: 1,
    name: '',
    usedBy: idOf(0),
    atNs: 5n,
    extensions: [],
    ...facts,
  };
}

test('an invite that was used stays used by who used it first, in whatever order records are read', () => {
  const records = [
    record(),
    record({ state: inviteStateNumbers.withdrawn, atNs: 99n }),
    record({ state: inviteStateNumbers.used, usedBy: idOf(7), atNs: 20n }),
    record({ state: inviteStateNumbers.used, usedBy: idOf(8), atNs: 21n }),
    record({ atNs: 1000n }),
  ];
  fc.assert(
    fc.property(fc.shuffledSubarray(records, { minLength: records.length }), (shuffled) => {
      const table = new InviteTable();
      for (const each of shuffled) table.apply(encodeInviteRecord(each));
      assert.equal(table.all().length, 1);
      const known = table.get(idOf(1));
      assert.equal(known?.state, inviteStateNumbers.used);
      assert.equal(toHex(known.usedBy), toHex(idOf(7)));
    }),
  );
});

test('invites are listed by when they were made', () => {
  const table = new InviteTable();
  for (const [fill, madeMs] of [
    [3, 9],
    [1, 4],
    [2, 6],
  ] as const) {
    table.apply(encodeInviteRecord(record({ inviteId: idOf(fill), madeMs })));
  }
  assert.deepEqual(
    table.all().map(({ inviteId }) => inviteId[0]),
    [1, 2, 3],
  );
  assert.equal(table.get(idOf(9)), undefined);
});
