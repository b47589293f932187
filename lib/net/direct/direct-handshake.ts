import curve from 'noise-curve-ed';
import NoiseHandshake from 'noise-handshake';
import { ByteReader, ByteWriter, fileHead, readFileHead } from '../../base/codec.ts';
import { equalBytes, utf8 } from '../../base/bytes.ts';
import { KithError } from '../../base/errors.ts';
import { Hasher } from '../../crypto/hash.ts';
import { publicKeyBytes } from '../../crypto/sign.ts';
import type { KeyPair } from '../links/link.ts';

// The format is described in docs/net.md, "The direct handshake".

const magic = 'kithlink';
const version = 1;

/** Binds the handshake to this protocol: one made for another can't be replayed here, nor this one elsewhere. */
const prologue = utf8('kith/direct/1');

/** Ephemeral key, sealed static key, tag of an empty payload. */
const firstBytes = 32 + 48 + 16;

/** Ephemeral key, tag of an empty payload. */
const secondBytes = 32 + 16;

/** The part of the hello that is the same for everybody: what doesn't begin so isn't ours. */
export const helloHeadBytes: number = 8 + 2 + 2;

/** What the initiator sends first, head included. */
export const helloBytes: number = helloHeadBytes + firstBytes;

/** What the responder answers. */
export const answerBytes: number = 2 + secondBytes;

/** What the initiator sends last: it has understood the answer. */
export const confirmBytes = 32;

const confirmText = utf8('kith/direct/1 confirm');

/** A finished handshake, as NoiseSecretStream takes it; all fresh bytes. */
export interface FinishedHandshake {
  readonly tx: Uint8Array;
  readonly rx: Uint8Array;
  /** 64 bytes. */
  readonly hash: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly remotePublicKey: Uint8Array;
  /** The initiator's last word, 32 bytes: to be sent by it, to be awaited by the responder. */
  readonly confirm: Uint8Array;
}

/** A handshake that we began. */
export interface Greeting {
  /** To be sent first. */
  readonly hello: Uint8Array;
  /** Reads the answer (answerBytes); KithError `malformed` or `not-authentic` if it isn't one of the key that was dialled. */
  finish(answer: Uint8Array): FinishedHandshake;
}

/** A hello of somebody who has proved nothing but that it knows our key, and named its own. */
export interface ReceivedHello {
  readonly remoteKey: Uint8Array;
  /** Makes the answer (answerBytes). Who sent the hello is proved only when `confirm` has come. */
  answer(): { readonly answer: Uint8Array; readonly handshake: FinishedHandshake };
}

/** Noise names neither party before the keys agree: whatever it stumbles over means the same. */
function noiseStep<T>(what: string, step: () => T): T {
  try {
    return step();
  } catch (cause) {
    throw new KithError('not-authentic', `${what}: not made with the keys it should be`, { cause });
  }
}

function confirmOf(key: Uint8Array, hash: Uint8Array): Uint8Array {
  return Hasher.keyed(key).hash(confirmText, hash);
}

function finished(noise: NoiseHandshake, keyPair: KeyPair, initiator: boolean): FinishedHandshake {
  const { tx, rx, hash, rs } = noise;
  if (tx === null || rx === null || hash === null || rs === null) throw new Error('handshake not complete');
  return {
    tx: new Uint8Array(tx),
    rx: new Uint8Array(rx),
    hash: new Uint8Array(hash),
    publicKey: keyPair.publicKey,
    remotePublicKey: new Uint8Array(rs),
    confirm: confirmOf(initiator ? tx : rx, hash),
  };
}

/** Begins a handshake with whoever has the secret half of `remoteKey`. */
export function greet(keyPair: KeyPair, remoteKey: Uint8Array): Greeting {
  if (remoteKey.length !== publicKeyBytes) throw new RangeError(`a key of ${remoteKey.length} bytes`);
  const noise = new NoiseHandshake('IK', true, keyPair, { curve });
  const first = noiseStep('the key to dial', () => {
    noise.initialise(prologue, remoteKey);
    return noise.send();
  });
  const writer = new ByteWriter().bytes(fileHead(magic, version)).u16(first.length).bytes(first);
  return {
    hello: writer.finish(),
    finish: (answer) => {
      const reader = new ByteReader(answer, 'answer to our hello');
      if (reader.u16() !== secondBytes) throw reader.fail('wrong length');
      const second = reader.bytes(secondBytes).slice();
      reader.end();
      noiseStep('answer to our hello', () => noise.recv(second));
      return finished(noise, keyPair, true);
    },
  };
}

/** Checks the beginning of a hello (helloHeadBytes), so that junk is shown the door before the rest has come. */
export function checkHelloHead(head: Uint8Array): void {
  const reader = new ByteReader(head, 'hello');
  readFileHead(reader, magic, version);
  if (reader.u16() !== firstBytes) throw reader.fail('wrong length');
  reader.end();
}

/** Reads a hello (helloBytes). KithError `malformed`, `too-new` or `not-authentic`. Costs two curve operations. */
export function readHello(keyPair: KeyPair, hello: Uint8Array): ReceivedHello {
  const reader = new ByteReader(hello, 'hello');
  checkHelloHead(reader.bytes(helloHeadBytes));
  // A copy: the handshake zeroes what it has read.
  const first = reader.bytes(firstBytes).slice();
  reader.end();
  const noise = new NoiseHandshake('IK', false, keyPair, { curve });
  noise.initialise(prologue);
  noiseStep('hello', () => noise.recv(first));
  const remoteKey = noise.rs;
  if (remoteKey === null) throw new KithError('not-authentic', 'hello: no key');
  return {
    remoteKey: new Uint8Array(remoteKey),
    answer: () => {
      const second = noiseStep('answer', () => noise.send());
      const answer = new ByteWriter().u16(second.length).bytes(second).finish();
      return { answer, handshake: finished(noise, keyPair, false) };
    },
  };
}

/**
 * KithError `not-authentic` unless these are the initiator's last words. Only then is it known that the hello wasn't a
 * recording of somebody else's.
 */
export function checkConfirm(handshake: FinishedHandshake, confirm: Uint8Array): void {
  // Both sides of the comparison are hashes under a key that only the two ends have, used once: its time tells nothing.
  if (!equalBytes(handshake.confirm, confirm)) throw new KithError('not-authentic', 'hello: not confirmed');
}
