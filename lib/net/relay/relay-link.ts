import { KithError } from '../../base/errors.ts';
import { boundedStream } from '../links/bounded-stream.ts';
import {
  answerBytes,
  checkConfirm,
  checkHelloHead,
  confirmBytes,
  greet,
  helloBytes,
  helloHeadBytes,
  readHello,
} from '../direct/direct-handshake.ts';
import type { FinishedHandshake } from '../direct/direct-handshake.ts';
import type { Admits, DialTarget, KeyPair, Link } from '../links/link.ts';
import { relayEnd } from './relay-codec.ts';
import type { RelayPipe } from './relay-pipe.ts';
import { readExactly } from '../links/socket-bytes.ts';
import { keepAliveMs, streamLink } from '../links/stream-link.ts';

/** What the end of a pipe means, in words; `relay` names who relays. */
export function endWords(reason: number, relay: string): string {
  if (reason === relayEnd.notHere) return `${relay} has no connection to it, or it does not let us in`;
  if (reason === relayEnd.budgetUsed) {
    return `${relay} relays no more today: what it gives for relaying is used up (relay.budget there)`;
  }
  if (reason === relayEnd.busy) return `${relay} relays too many connections now`;
  if (reason === relayEnd.stopped) return `${relay} went away, or no longer relays`;
  return `the connection through ${relay} ended`;
}

/** The handshake of the direct transport over a pipe; the pipe belongs to the link from then on. */
export async function greetOver(
  pipe: RelayPipe,
  target: DialTarget,
  relay: string,
  signal: AbortSignal,
): Promise<Link> {
  const greeting = greet(target.keyPair, target.remoteKey);
  pipe.write(greeting.hello);
  const handshake = greeting.finish(await readExactly(pipe, answerBytes, signal));
  pipe.write(handshake.confirm);
  return await linkOver(true, pipe, handshake, relay);
}

/** The other side of it: nothing is answered to a key that isn't admitted. */
export async function welcomeOver(
  pipe: RelayPipe,
  keyPair: KeyPair,
  admits: Admits,
  relay: string,
  signal: AbortSignal,
): Promise<Link> {
  const hello = new Uint8Array(helloBytes);
  hello.set(await readExactly(pipe, helloHeadBytes, signal));
  checkHelloHead(hello.subarray(0, helloHeadBytes));
  hello.set(await readExactly(pipe, helloBytes - helloHeadBytes, signal), helloHeadBytes);
  const received = readHello(keyPair, hello);
  if (!admits(received.remoteKey)) throw new KithError('peer-refused', 'a key that is not admitted');
  const { answer, handshake } = received.answer();
  pipe.write(answer);
  checkConfirm(handshake, await readExactly(pipe, confirmBytes, signal));
  return await linkOver(false, pipe, handshake, relay);
}

async function linkOver(
  isInitiator: boolean,
  pipe: RelayPipe,
  handshake: FinishedHandshake,
  relay: string,
): Promise<Link> {
  const stream = boundedStream(isInitiator, pipe, { handshake, keepAlive: keepAliveMs });
  const link = streamLink(stream, 'relay', `through ${relay}`);
  if (!(await stream.opened)) throw new KithError('peer-unreachable', 'it went away in the handshake');
  return {
    ...link,
    endedBecause: () => (pipe.endReason === undefined ? undefined : endWords(pipe.endReason, relay)),
  };
}
