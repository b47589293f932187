import { concatBytes } from '../../lib/base/bytes.ts';
import { KithError } from '../../lib/base/errors.ts';
import {
  bulkBytesMax,
  callBodyBytesMax,
  replyBodyBytesMax,
  type CallOptions,
  type CallReply,
  type IncomingCall,
  type OutgoingReply,
  type PeerInfo,
  type Service,
  type ServiceCaller,
  type ServiceHandler,
} from '../../lib/net/service.ts';
import { BrokenPeer } from '../../lib/net/broken-peer.ts';
import { abortError } from '../../lib/net/call-client.ts';
import { errorOf, failureOf } from '../../lib/net/wire-error.ts';

/** Where a call is: before it arrives, when its upload is asked for, when half of that has come, when its answer is ready. */
export type CallStage = 'call' | 'credit' | 'upload' | 'reply';

/** What becomes of it there: it goes on, the session ends, or nothing comes any more. */
export type CallFate = 'go' | 'cut' | 'silent';

export interface TracedCall {
  readonly method: number;
  readonly stage: CallStage;
}

/**
 * Caller and server of one service without a network: bytes are copied, limits kept, errors told as on the wire. A session can be
 * cut or fall silent at any stage of a call, and answers can be changed on their way.
 */
export class CallPair implements ServiceCaller {
  readonly #service: Service;
  readonly #peer: PeerInfo;
  #handler: ServiceHandler | undefined;
  /** Calls under way in the session. */
  readonly #calls = new Set<AbortController>();
  /** Asked at each stage; may wait. */
  fate: (call: TracedCall) => CallFate | Promise<CallFate> = () => 'go';
  /** Changes an answer: a friend that lies. */
  lie: (method: number, reply: CallReply, body: Uint8Array) => CallReply | Promise<CallReply> = (_, reply) =>
    reply;
  /** Answers in the server's place where it gives something: a friend that makes everything up. */
  instead: (method: number, body: Uint8Array) => CallReply | undefined = () => undefined;
  readonly trace: TracedCall[] = [];
  /** Bulk bytes asked for and not answered yet, now and at most. */
  inFlightBytes = 0;
  inFlightBytesMax = 0;

  constructor(service: Service, peer: PeerInfo) {
    this.#service = service;
    this.#peer = peer;
    this.open();
  }

  get connected(): boolean {
    return this.#handler !== undefined;
  }

  /** A new session; false if the service isn't granted. */
  open(): boolean {
    this.cut();
    this.#handler = this.#service.accept(this.#peer, this.#service.versions.max);
    return this.connected;
  }

  /** Ends the session, as when a process dies or a line breaks. */
  cut(): void {
    const handler = this.#handler;
    this.#handler = undefined;
    for (const call of this.#calls) call.abort(new KithError('holder-unavailable', 'the session ended'));
    handler?.closed();
  }

  async call(method: number, body: Uint8Array, options: CallOptions = {}): Promise<CallReply> {
    const { signal, upload = [], downloadBytesMax = 0 } = options;
    const bulk = concatBytes(...upload);
    if (body.length > callBodyBytesMax || Math.max(bulk.length, downloadBytesMax) > bulkBytesMax) {
      throw new KithError('limit-exceeded', 'more than a call may have');
    }
    if (signal?.aborted === true) throw abortError(signal);
    const handler = this.#handler;
    if (handler === undefined) throw new KithError('holder-unavailable', 'there is no session');
    const cancel = new AbortController();
    const ended = cancel.signal;
    const onAbort = (): void => cancel.abort(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#calls.add(cancel);
    this.inFlightBytes += bulk.length;
    this.inFlightBytesMax = Math.max(this.inFlightBytesMax, this.inFlightBytes);
    const given = new Promise<never>((_, reject) => {
      ended.addEventListener('abort', () => reject(abortError(ended)), { once: true });
    });
    const stage = async (name: CallStage): Promise<void> => {
      const traced = { method, stage: name };
      this.trace.push(traced);
      const fate = await this.fate(traced);
      if (fate === 'cut') this.cut();
      // The caller's patience with a silent friend ends in no time here; the serving side hears of it by its signal.
      if (fate === 'silent') cancel.abort(new KithError('holder-unavailable', 'the other side fell silent'));
      if (ended.aborted) throw abortError(ended);
    };
    const serving = (async (): Promise<CallReply> => {
      await stage('call');
      const madeUp = this.instead(method, body.slice());
      if (madeUp !== undefined) return madeUp;
      const call: IncomingCall = {
        method,
        body: body.slice(),
        uploadBytes: bulk.length,
        downloadBytesMax,
        signal: ended,
        receive: async () => {
          await stage('credit');
          await stage('upload');
          return bulk.slice();
        },
      };
      const reply = await handler.handle(call).catch((error: unknown) => {
        throw errorOf(failureOf(1, error instanceof BrokenPeer ? error.cause : error));
      });
      await stage('reply');
      return await this.lie(method, received(reply, downloadBytesMax), body);
    })();
    try {
      return await Promise.race([serving, given]);
    } finally {
      this.#calls.delete(cancel);
      signal?.removeEventListener('abort', onAbort);
      given.catch(() => undefined);
      serving.catch(() => undefined);
      this.inFlightBytes -= bulk.length;
    }
  }
}

function received({ body, download = [] }: OutgoingReply, downloadBytesMax: number): CallReply {
  const bytes = concatBytes(...download);
  if (body.length > replyBodyBytesMax || bytes.length > downloadBytesMax) {
    throw new Error(`an answer of ${body.length} and ${bytes.length} bytes: the server's mistake`);
  }
  return { body: body.slice(), download: bytes };
}
