import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { spareSession } from '../../lib/net/links/link-room.ts';
import type { Session } from '../../lib/net/sessions/session.ts';
import { noise } from '../support/noise.ts';

/** As much of a session as is looked at. */
function session(identity: number | undefined, busy: boolean): Session {
  const peer = identity === undefined ? undefined : { identity: noise(identity, 32) };
  return { peer, busy } as unknown as Session;
}

void describe('room for one more link', () => {
  void it('is made by the oldest idle session of who has most', () => {
    const oldest = session(2, true);
    const idle = session(2, false);
    const all = [
      session(1, false),
      session(1, false),
      oldest,
      idle,
      session(2, false),
      session(undefined, false),
    ];
    assert.equal(spareSession(all), idle);
  });

  void it('isn’t made by the only session of a friend, nor by one at work', () => {
    assert.equal(spareSession([session(1, false), session(2, false), session(undefined, false)]), undefined);
    assert.equal(spareSession([session(1, true), session(1, true)]), undefined);
    assert.equal(spareSession([]), undefined);
  });
});
