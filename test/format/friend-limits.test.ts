import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isKithError } from '../../lib/base/errors.ts';
import {
  decodeFriendLimits,
  encodeFriendLimits,
  limitsOfFriend,
  withFriendLimits,
} from '../../lib/format/friend-limits.ts';
import { friendLimits } from '../../lib/daemon/friend-limits.ts';
import { canonical, fuzzDecoder } from '../support/fuzz.ts';
import { checkGolden } from '../support/golden.ts';
import { noise } from '../support/noise.ts';

const sample = { uploadLimit: 2_000_000, downloadLimit: undefined };
const other = { tag: 9, bytes: new Uint8Array([1]) };

void describe('limits of a friend', () => {
  void it('are as their golden vector', () => {
    const read = checkGolden(
      'log-records.json',
      'limits of a friend',
      () => encodeFriendLimits(sample),
      decodeFriendLimits,
      encodeFriendLimits,
    );
    assert.deepEqual(read, sample);
  });

  void it('stand in their place among the other fields, and go when there are none', () => {
    const first = { tag: 1, bytes: new Uint8Array([2]) };
    const set = withFriendLimits([first, other], sample);
    assert.deepEqual(
      set.map(({ tag }) => tag),
      [1, 4, 9],
    );
    assert.deepEqual(limitsOfFriend(set), sample);
    const free = { uploadLimit: undefined, downloadLimit: undefined };
    assert.deepEqual(withFriendLimits(set, free), [first, other]);
    assert.deepEqual(limitsOfFriend([other]), free);
  });

  void it('that can’t be read are none for the network', () => {
    const record = { state: 1, name: '', household: '', quotaGivenBytes: 0, grants: [], atNs: 0n } as const;
    const limits = friendLimits([
      {
        ...record,
        identity: noise(1, 32),
        card: new Uint8Array(0),
        extensions: withFriendLimits([], sample),
      },
      {
        ...record,
        identity: noise(2, 32),
        card: new Uint8Array(0),
        extensions: [{ tag: 4, bytes: noise(3, 3) }],
      },
    ]);
    assert.deepEqual([...limits.values()], [{ upload: 2_000_000 }]);
  });

  void it('need both numbers', () => {
    assert.throws(
      () => decodeFriendLimits(new Uint8Array([1])),
      (error) => isKithError(error, 'malformed'),
    );
  });
});

fuzzDecoder(
  'limits of a friend',
  [encodeFriendLimits(sample), encodeFriendLimits({ uploadLimit: 1, downloadLimit: 300 })],
  canonical(decodeFriendLimits, encodeFriendLimits),
);
