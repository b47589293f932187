import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toHex } from '../../lib/base/bytes.ts';
import {
  answersGapMs,
  cardInAnswer,
  decodeKnock,
  encodeKnock,
  knockBytes,
  LanDoorsteps,
  makeKnock,
} from '../../lib/net/lan/lan-knock.ts';
import { FakeTimers } from '../support/fake-timers.ts';
import { canonical, fuzzDecoder } from '../support/fuzz.ts';
import { checkGolden } from '../support/golden.ts';
import { keyPairOf } from '../support/net-peers.ts';
import { Seeded } from '../support/seeded.ts';

const doorstep = keyPairOf(7);
const hour = 495_000;
const address = '192.168.7.20';
const card = new Seeded(3).bytes(900);

function sampleKnock(from = doorstep): Uint8Array {
  return makeKnock(from, new Seeded(9).bytes(16), hour, address);
}

function doorsteps(timers = new FakeTimers(), nowHour = hour): LanDoorsteps {
  return new LanDoorsteps({
    doorsteps: () => [keyPairOf(1).publicKey, doorstep.publicKey],
    card: () => card,
    timers,
    nowMs: () => nowHour * 3_600_000,
  });
}

void describe('the knock of a recovery', () => {
  void it('is written as ever', () => {
    checkGolden('beacon.json', 'knock', () => sampleKnock(), decodeKnock, encodeKnock);
    assert.equal(sampleKnock().length, knockBytes);
  });

  void it('is answered by friends with a card that only the phrase opens', () => {
    const answer = doorsteps().answerTo(sampleKnock(), address);
    assert.ok(answer !== undefined);
    assert.equal(toHex(cardInAnswer(answer, doorstep) ?? new Uint8Array()), toHex(card));
    assert.equal(cardInAnswer(answer, keyPairOf(1)), undefined);
    for (let at = 0; at < answer.length; at += 37) {
      const altered = answer.slice();
      altered[at] = (altered[at] ?? 0) ^ 1;
      assert.equal(cardInAnswer(altered, doorstep), undefined, `byte ${at}`);
    }
    for (const length of [0, 1, 48, 49])
      assert.equal(cardInAnswer(answer.subarray(0, length), doorstep), undefined);
  });

  void it('is nobody’s from another address, another day, or by another key', () => {
    const knock = sampleKnock();
    assert.equal(doorsteps().answerTo(knock, '192.168.7.21'), undefined);
    assert.equal(doorsteps(new FakeTimers(), hour + 26).answerTo(knock, address), undefined);
    assert.equal(doorsteps().answerTo(sampleKnock(keyPairOf(5)), address), undefined);
    // Who has the card knows the key, and can't sign with it.
    const forged = { ...decodeKnock(knock), signature: decodeKnock(sampleKnock(keyPairOf(5))).signature };
    assert.equal(doorsteps().answerTo(encodeKnock(forged), address), undefined);
    for (let at = 0; at < knock.length; at++) {
      const altered = knock.slice();
      altered[at] = (altered[at] ?? 0) ^ 0x10;
      assert.equal(doorsteps().answerTo(altered, address), undefined, `byte ${at}`);
    }
  });

  void it('is answered once a second', () => {
    const timers = new FakeTimers();
    const friend = doorsteps(timers);
    assert.ok(friend.answerTo(sampleKnock(), address) !== undefined);
    assert.equal(friend.answerTo(sampleKnock(), address), undefined);
    timers.advance(answersGapMs);
    assert.ok(friend.answerTo(sampleKnock(), address) !== undefined);
  });
});

fuzzDecoder('a knock', [sampleKnock()], canonical(decodeKnock, encodeKnock));
