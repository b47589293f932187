import { concatBytes, equalBytes, utf8 } from '../../base/bytes.ts';
import { ByteReader, ByteWriter } from '../../base/codec.ts';
import { isKithError, KithError } from '../../base/errors.ts';
import { hashIn } from '../../crypto/hash.ts';
import { boxKeyOfSignKey, boxPairOfSignPair } from '../../crypto/pair-secret.ts';
import {
  openBox,
  sealBox,
  sealedBoxExtraBytes,
  sign,
  verifySignature,
  wipeKeyPair,
} from '../../crypto/sign.ts';
import { bareAddress } from './lan-places.ts';
import { LanBudget } from './lan-budget.ts';
import type { KeyPair } from '../links/link.ts';
import type { Timers } from '../timers.ts';

/** The knock of a recovery in the local network, and its answer (docs/formats/beacon.md). */

const knockVersion = 2;
const answerVersion = 3;
const saltBytes = 16;
const tagBytes = 16;

export const knockBytes: number = 1 + saltBytes + 4 + tagBytes + 64;

/** A card of one device has a kilobyte. */
export const answerBytesMax = 8192;

/** Between two answers, whoever knocks: a recovery asks three times. */
export const answersGapMs = 1_000;

const hoursApartMax = 24;

export interface Knock {
  readonly salt: Uint8Array;
  /** Hours since 1970. */
  readonly hour: number;
  readonly tag: Uint8Array;
  readonly signature: Uint8Array;
}

/** A zone behind `%` is left out: it is the reader's name for its interface, or the sender's. */
function contextOf(salt: Uint8Array, hour: number, address: string): Uint8Array {
  return new ByteWriter()
    .bytes(salt)
    .u32(hour)
    .bytes(utf8(bareAddress(address)))
    .finish();
}

function tagOf(doorstepKey: Uint8Array, context: Uint8Array): Uint8Array {
  return hashIn('lanDoorstep', doorstepKey, context).slice(0, tagBytes);
}

function signedBytes(context: Uint8Array): Uint8Array {
  return concatBytes(utf8('kithknck'), context);
}

/** A fresh array of `knockBytes`. The salt has 16 random bytes; `address` is where it is sent from. */
export function makeKnock(doorstep: KeyPair, salt: Uint8Array, hour: number, address: string): Uint8Array {
  const context = contextOf(salt, hour, address);
  const tag = tagOf(doorstep.publicKey, context);
  return encodeKnock({ salt, hour, tag, signature: sign(signedBytes(context), doorstep.secretKey) });
}

export function encodeKnock({ salt, hour, tag, signature }: Knock): Uint8Array {
  return new ByteWriter().u8(knockVersion).bytes(salt).u32(hour).bytes(tag).bytes(signature).finish();
}

/** Views into `bytes`. KithError `malformed`, `too-new`. */
export function decodeKnock(bytes: Uint8Array): Knock {
  const reader = new ByteReader(bytes, 'knock');
  const version = reader.u8();
  if (version > knockVersion) throw new KithError('too-new', `a knock of version ${version}`);
  if (version < knockVersion) throw reader.fail('not a knock');
  const salt = reader.bytes(saltBytes);
  const hour = reader.u32();
  const tag = reader.bytes(tagBytes);
  const signature = reader.bytes(64);
  reader.end();
  return { salt, hour, tag, signature };
}

/** The card in an answer, not verified; undefined where it isn't for this doorstep. */
export function cardInAnswer(answer: Uint8Array, doorstep: KeyPair): Uint8Array | undefined {
  const sealed = answer.subarray(1);
  if (answer[0] !== answerVersion || answer.length > answerBytesMax) return undefined;
  if (sealed.length < sealedBoxExtraBytes) return undefined;
  const pair = boxPairOfSignPair(doorstep);
  if (pair === undefined) return undefined;
  try {
    return openBox(sealed, pair);
  } finally {
    wipeKeyPair(pair);
  }
}

export interface LanDoorstepsOptions {
  /** Doorstep keys of friends. */
  readonly doorsteps: () => readonly Uint8Array[];
  /** What is given to whoever knocks with one of them. */
  readonly card: () => Uint8Array;
  readonly timers: Timers;
  /** Wall clock, ms since 1970. */
  readonly nowMs: () => number;
}

/** Answers the knocks of friends who recover. */
export class LanDoorsteps {
  readonly #options: LanDoorstepsOptions;
  readonly #budget = new LanBudget();
  #answeredMs = Number.NEGATIVE_INFINITY;

  constructor(options: LanDoorstepsOptions) {
    this.#options = options;
  }

  /** The answer to a packet; undefined for one that is no friend's knock, and where there were too many. */
  answerTo(bytes: Uint8Array, address: string): Uint8Array | undefined {
    const { doorsteps, card, timers, nowMs } = this.#options;
    const keys = doorsteps();
    const atMs = timers.nowMs();
    if (keys.length === 0 || !this.#budget.take(address, keys.length, atMs)) return undefined;
    const knock = readKnock(bytes);
    if (knock === undefined || Math.abs(knock.hour - nowMs() / 3_600_000) > hoursApartMax) return undefined;
    const context = contextOf(knock.salt, knock.hour, address);
    const key = keys.find((each) => equalBytes(tagOf(each, context), knock.tag));
    if (key === undefined || !verifySignature(signedBytes(context), knock.signature, key)) return undefined;
    if (atMs - this.#answeredMs < answersGapMs) return undefined;
    const boxKey = boxKeyOfSignKey(key);
    if (boxKey === undefined) return undefined;
    this.#answeredMs = atMs;
    const answer = concatBytes(new Uint8Array([answerVersion]), sealBox(card(), boxKey));
    return answer.length > answerBytesMax ? undefined : answer;
  }
}

function readKnock(bytes: Uint8Array): Knock | undefined {
  try {
    return decodeKnock(bytes);
  } catch (error) {
    if (isKithError(error)) return undefined;
    throw error;
  }
}
