import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toHex } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';
import {
  answerBytes,
  checkConfirm,
  confirmBytes,
  greet,
  helloBytes,
  readHello,
} from '../../lib/net/direct/direct-handshake.ts';
import { fuzzDecoder } from '../support/fuzz.ts';
import { newKeys } from '../support/net-fixture.ts';

const initiator = newKeys();
const responder = newKeys();

void describe('direct handshake', () => {
  void it('ends with the same secrets on both sides, each its own direction', () => {
    const greeting = greet(initiator, responder.publicKey);
    assert.equal(greeting.hello.length, helloBytes);
    const received = readHello(responder, greeting.hello);
    assert.equal(toHex(received.remoteKey), toHex(initiator.publicKey));
    const { answer, handshake: theirs } = received.answer();
    assert.equal(answer.length, answerBytes);
    const ours = greeting.finish(answer);
    assert.equal(toHex(ours.tx), toHex(theirs.rx));
    assert.equal(toHex(ours.rx), toHex(theirs.tx));
    assert.notEqual(toHex(ours.tx), toHex(ours.rx));
    assert.equal(toHex(ours.hash), toHex(theirs.hash));
    assert.equal(ours.confirm.length, confirmBytes);
    checkConfirm(theirs, ours.confirm);
    assert.equal(toHex(ours.remotePublicKey), toHex(responder.publicKey));
  });

  void it('answers the same hello differently each time, so that a recording confirms nothing', () => {
    const greeting = greet(initiator, responder.publicKey);
    const first = readHello(responder, greeting.hello).answer();
    const second = readHello(responder, greeting.hello).answer();
    const confirm = greeting.finish(first.answer).confirm;
    checkConfirm(first.handshake, confirm);
    assert.throws(
      () => checkConfirm(second.handshake, confirm),
      (error) => isKithError(error, 'not-authentic'),
    );
  });

  void it('is for one responder only', () => {
    const greeting = greet(initiator, newKeys().publicKey);
    assert.throws(
      () => readHello(responder, greeting.hello),
      (error) => isKithError(error, 'not-authentic'),
    );
  });

  void it('names a newer version', () => {
    const { hello } = greet(initiator, responder.publicKey);
    hello[8] = 2;
    assert.throws(
      () => readHello(responder, hello),
      (error) => isKithError(error, 'too-new'),
    );
  });

  void it('refuses to dial what is no key', () => {
    assert.throws(() => greet(initiator, new Uint8Array(31)), RangeError);
    assert.throws(
      () => greet(initiator, new Uint8Array(32)),
      (error) => isKithError(error, 'not-authentic'),
    );
  });
});

fuzzDecoder('hello', [greet(initiator, responder.publicKey).hello], (bytes) => readHello(responder, bytes));

const answered = readHello(responder, greet(initiator, responder.publicKey).hello).answer();
// Noise is a one-way street: an answer is read once, so each attempt has a handshake of its own.
fuzzDecoder('answer to a hello', [answered.answer], (bytes) => {
  const greeting = greet(initiator, responder.publicKey);
  const valid = toHex(bytes) === toHex(answered.answer);
  return greeting.finish(valid ? readHello(responder, greeting.hello).answer().answer : bytes);
});
