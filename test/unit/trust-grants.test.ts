import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isKithError } from '../../lib/base/errors.ts';
import { changeGrants, grantOfService, grantsAllow, grantsOfNewFriend } from '../../lib/trust/grants.ts';

const usage = (error: unknown): boolean => isKithError(error, 'usage');

void describe('grants', () => {
  void it('deny by default', () => {
    assert.equal(grantsAllow([], 'kith/store'), false);
    assert.equal(grantsAllow(['cards'], 'kith/store'), false);
    assert.equal(grantsAllow(['store'], 'kith/store'), true);
    for (const service of ['', 'store/', 'kith/', 'kith/stor', 'kith/store/x', 'other/store', 'KITH/store']) {
      assert.equal(grantsAllow(['store', 'cards'], service), false, service);
    }
  });

  void it('of somebody else’s services have the whole name', () => {
    assert.equal(grantOfService('acme/chess'), 'acme/chess');
    assert.equal(grantsAllow(['acme/chess'], 'acme/chess'), true);
  });

  void it('of a new friend are store and cards', () => {
    assert.ok(grantsAllow(grantsOfNewFriend, 'kith/store') && grantsAllow(grantsOfNewFriend, 'kith/cards'));
    assert.equal(grantsAllow(grantsOfNewFriend, 'kith/custody'), false);
  });

  void it('change by name', () => {
    assert.deepEqual(changeGrants([], { allow: ['store', 'cards', 'store'] }), ['cards', 'store']);
    assert.deepEqual(changeGrants(['cards', 'store'], { deny: ['store'] }), ['cards']);
    assert.deepEqual(changeGrants(['cards'], { allow: ['store'], deny: ['cards'] }), ['store']);
    assert.deepEqual(changeGrants(['acme/chess'], {}), ['acme/chess'], 'what a newer kith granted stays');
  });

  void it('refuse a slip of the pen rather than do nothing', () => {
    assert.throws(() => changeGrants([], { allow: ['stroe'] }), usage);
    assert.throws(() => changeGrants(['store'], { deny: ['stroe'] }), usage);
    assert.throws(() => changeGrants([], { allow: ['store'], deny: ['store'] }), usage);
    assert.throws(() => changeGrants([], { allow: [''] }), usage);
  });
});
