import { setMaxListeners } from 'node:events';
import { KithError } from '../../base/errors.ts';
import type { AnswerStream } from './bulk-pace.ts';
import { BulkInbox, BulkOutbox, bytesOf } from './bulk.ts';
import { freeFlow } from './call-flow.ts';
import type { CallFlow } from './call-flow.ts';
import {
  callCountMax,
  callKind,
  decodeCallId,
  decodeCredit,
  decodeData,
  decodeFailure,
  decodeReply,
  encodeCall,
  encodeCallId,
  encodeDataParts,
  encodePace,
} from './call-codec.ts';
import { freeMessage } from '../links/free-message.ts';
import type { SendGate } from './send-gate.ts';
import { bulkBytesMax, callBodyBytesMax } from '../service.ts';
import type { CallOptions, CallReply } from '../service.ts';
import type { Timers } from '../timers.ts';
import { errorOf } from './wire-error.ts';

/** How long nothing of a call may move. */
export const silenceMsDefault = 30_000;

/** So many times as long at most, if other calls of the channel move. */
const silencePatience = 4;

/** How long the other side may say that it still works on a call of which nothing else moves: a slow disk, a long check. */
export const aliveMsMax = 120_000;

/** How long the final message of a cancelled call may take, whatever else comes. A handler may have to end its work. */
export const cancelMsMax = 120_000;

/** How long a call may wait for one of the others to end: as long as those may stand still until the session is over. */
export const queueMsMax: number = aliveMsMax + cancelMsMax;

/** How long a call may take at all: its largest upload or download at a few kilobytes a second. */
export const callMsMax: number = 60 * 60_000;

/** What both halves of a call channel need of the session. */
export interface CallWiring {
  /** Writes one message, given in parts, at once; false when the stream wants no more for now. */
  readonly send: (kind: number, ...parts: Uint8Array[]) => boolean;
  readonly gate: SendGate;
  /** The stream as its answers share it. */
  readonly answers: AnswerStream;
  readonly timers: Timers;
  /** How fast bulk may go; without it as fast as it can. */
  readonly flow?: CallFlow;
  /** The other side broke the protocol, or has fallen silent: the session is over. */
  readonly onBroken: (error: unknown) => void;
}

/** The error of a call that its signal ended. */
export function abortError(signal: AbortSignal): Error {
  const reason: unknown = signal.reason;
  if (reason instanceof KithError) return reason;
  return new KithError('interrupted', 'interrupted; run the same command again to go on', { cause: reason });
}

/** A call whose final message hasn't come. */
interface OpenCall {
  readonly id: number;
  readonly outbox: BulkOutbox;
  readonly downloadBytesMax: number;
  readonly silenceMsMax: number;
  /** The caller has its answer, or has given up; what still comes is only counted. */
  settled: boolean;
  reply: { readonly body: Uint8Array; readonly inbox: BulkInbox } | undefined;
  /** False while it waits for its turn on the stream: then the other side can't know of it. */
  sent: boolean;
  /** When its message went out. */
  sentAtMs: number;
  /** When a byte of it came or went last. */
  movedAtMs: number;
  /** When the other side last said that it works on it. */
  aliveAtMs: number;
  /** When its cancel went out. */
  cancelledAtMs: number | undefined;
  /** Our own limit holds it back: the other side isn't silent. */
  held: boolean;
  /** The download comes as far as we say. */
  paced: boolean;
  callOffSilence: () => void;
  readonly settle: (reply: CallReply | undefined, error: unknown) => void;
}

/** A call that has no number yet. */
interface WaitingCall {
  readonly begin: () => void;
  readonly fail: (error: KithError) => void;
  callOffDeadline: () => void;
}

/**
 * The calling half of a service channel (docs/formats/wire.md): numbers calls, sends uploads as credit comes, gathers
 * downloads, gives up what has fallen silent.
 */
export class CallClient {
  readonly #wiring: CallWiring;
  readonly #flow: CallFlow;
  readonly #open = new Map<number, OpenCall>();
  /** Calls that wait for one of the others to end. */
  readonly #queue: WaitingCall[] = [];
  #lastId = 0;
  /** When anything came on this channel last. */
  #heardAtMs = Number.NEGATIVE_INFINITY;
  #ended: KithError | undefined;

  constructor(wiring: CallWiring) {
    this.#wiring = wiring;
    this.#flow = wiring.flow ?? freeFlow;
  }

  /** What to do with each kind of message. */
  readonly kinds: readonly ((bytes: Uint8Array) => void)[] = [
    () => this.#unexpected('a call on a channel for its own answers'),
    (bytes) => this.#onReply(bytes),
    (bytes) => this.#onFailure(bytes),
    (bytes) => this.#onData(bytes),
    (bytes) => this.#onCredit(bytes),
    () => this.#unexpected('a cancel'),
    (bytes) => this.#onAlive(this.#known(decodeCallId(bytes))),
    () => this.#unexpected('a pace'),
  ];

  /** Calls under way, those that were given up included. */
  get openCount(): number {
    return this.#open.size;
  }

  async call(method: number, body: Uint8Array, options: CallOptions): Promise<CallReply> {
    checkSizes(body, options);
    const { signal } = options;
    if (signal?.aborted === true) throw abortError(signal);
    // One signal ends many calls at once: Node would take that for a leak, and say so on stderr.
    if (signal !== undefined) setMaxListeners(0, signal);
    if (this.#ended !== undefined) throw this.#ended;
    return await new Promise<CallReply>((resolve, reject) => {
      const onAbort = (): void => {
        this.#unqueue(waiting);
        if (signal === undefined) return;
        if (call === undefined) reject(abortError(signal));
        else this.#giveUp(call, abortError(signal));
      };
      const settle = (reply: CallReply | undefined, error: unknown): void => {
        signal?.removeEventListener('abort', onAbort);
        if (reply === undefined) reject(error);
        else resolve(reply);
      };
      let call: OpenCall | undefined;
      const waiting: WaitingCall = {
        begin: () => {
          waiting.callOffDeadline();
          call = this.#begin(method, body, options, settle);
        },
        fail: (error) => {
          waiting.callOffDeadline();
          settle(undefined, error);
        },
        callOffDeadline: this.#wiring.timers.after(queueMsMax, () => {
          this.#unqueue(waiting);
          waiting.fail(new KithError('holder-unavailable', 'the other side is busy with too many calls'));
        }),
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#queue.push(waiting);
      this.#beginNext();
    });
  }

  /** The channel is closed: every call fails with `error`. */
  end(error: KithError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    for (const call of this.#open.values()) {
      call.outbox.stop();
      call.callOffSilence();
      this.#settle(call, undefined, error);
    }
    this.#open.clear();
    for (const waiting of this.#queue.splice(0)) waiting.fail(error);
  }

  #unqueue(waiting: WaitingCall): void {
    waiting.callOffDeadline();
    const at = this.#queue.indexOf(waiting);
    if (at >= 0) this.#queue.splice(at, 1);
  }

  #beginNext(): void {
    while (this.#ended === undefined && this.#open.size < callCountMax) {
      const next = this.#queue.shift();
      if (next === undefined) return;
      next.begin();
    }
  }

  #begin(method: number, body: Uint8Array, options: CallOptions, settle: OpenCall['settle']): OpenCall {
    const { gate, timers } = this.#wiring;
    const id = ++this.#lastId;
    const push = async (piece: Uint8Array, wanted: () => boolean): Promise<void> => {
      const turn = this.#flow.send(piece.length, () => !outbox.stopped);
      if (turn !== undefined) await this.#holdBack(call, turn);
      await gate.send(() => {
        if (!wanted()) return true;
        // The line takes it: a slow one may need longer for an upload than a side may work in silence.
        call.movedAtMs = timers.nowMs();
        return this.#wiring.send(callKind.data, ...encodeDataParts({ id, bytes: piece }));
      }, 'bulk');
    };
    // The gate fails only when the session ends, and that ends the call.
    const outbox = new BulkOutbox(
      options.upload ?? [],
      push,
      () => {},
      () => this.#flow.sendBytesMax,
    );
    const downloadBytesMax = options.downloadBytesMax ?? 0;
    const silenceMsMax = options.silenceMsMax ?? silenceMsDefault;
    const call: OpenCall = {
      id,
      outbox,
      downloadBytesMax,
      silenceMsMax,
      settled: false,
      reply: undefined,
      sent: false,
      sentAtMs: Number.POSITIVE_INFINITY,
      movedAtMs: timers.nowMs(),
      aliveAtMs: Number.NEGATIVE_INFINITY,
      cancelledAtMs: undefined,
      held: false,
      paced: false,
      callOffSilence: () => {},
      settle,
    };
    this.#open.set(id, call);
    this.#watch(call, silenceMsMax);
    const message = encodeCall({ id, method, uploadBytes: outbox.totalBytes, downloadBytesMax, body });
    const write = (): boolean => {
      call.sent = true;
      call.movedAtMs = call.sentAtMs = timers.nowMs();
      if (downloadBytesMax > 0 && this.#flow.receiveBytesMax !== Number.POSITIVE_INFINITY) {
        call.paced = true;
        this.#wiring.send(callKind.pace, encodePace({ id, bytes: 0 }));
      }
      return this.#wiring.send(callKind.call, message);
    };
    gate.send(write).catch(() => {});
    return call;
  }

  /** The call that the other side speaks of; none but those that wait for their final message may be spoken of. */
  #known(id: number): OpenCall {
    const call = this.#open.get(id);
    if (call === undefined)
      throw new KithError('malformed', `the other side answers call ${id}, which is not open`);
    return call;
  }

  #unexpected(what: string): never {
    throw new KithError('malformed', `the other side sent ${what}`);
  }

  #onReply(bytes: Uint8Array): void {
    const { id, body, downloadBytes } = decodeReply(bytes);
    const call = this.#known(id);
    if (call.reply !== undefined) this.#unexpected('a second reply');
    if (downloadBytes > call.downloadBytesMax)
      this.#unexpected('more bulk bytes than it was given credit for');
    const inbox = new BulkInbox(downloadBytes);
    if (call.settled) inbox.discard();
    call.reply = { body, inbox };
    this.#moved(call);
    if (call.paced && !call.settled) void this.#pace(call, inbox);
    this.#finishIfComplete(call);
  }

  /** Lets the download come at our own rate. Never rejects. */
  async #pace(call: OpenCall, inbox: BulkInbox): Promise<void> {
    const isWanted = (): boolean => !call.settled && this.#open.has(call.id) && !inbox.complete;
    for (let left = inbox.totalBytes; left > 0 && isWanted();) {
      const bytes = Math.min(left, this.#flow.receiveBytesMax);
      const turn = this.#flow.receive(bytes, isWanted);
      if (turn !== undefined) await this.#holdBack(call, turn);
      if (!isWanted()) return;
      left -= bytes;
      this.#moved(call);
      this.#wiring.send(callKind.pace, encodePace({ id: call.id, bytes }));
    }
  }

  /** Time that our own limit takes isn't the other side's. */
  async #holdBack(call: OpenCall, turn: Promise<void>): Promise<void> {
    const { timers } = this.#wiring;
    const beganMs = timers.nowMs();
    call.held = true;
    await turn;
    call.held = false;
    call.movedAtMs = timers.nowMs();
    call.sentAtMs += call.movedAtMs - beganMs;
  }

  #onFailure(bytes: Uint8Array): void {
    const failure = decodeFailure(bytes);
    const call = this.#known(failure.id);
    this.#finish(call);
    this.#settle(call, undefined, errorOf(failure));
    this.#beginNext();
  }

  #onData(bytes: Uint8Array): void {
    const data = decodeData(bytes);
    const call = this.#known(data.id);
    if (call.reply === undefined) this.#unexpected('bulk bytes before their reply');
    call.reply.inbox.add(data.bytes);
    freeMessage(bytes);
    this.#moved(call);
    this.#finishIfComplete(call);
  }

  #onCredit(bytes: Uint8Array): void {
    const credit = decodeCredit(bytes);
    const call = this.#known(credit.id);
    call.outbox.grant(credit.bytes);
    this.#moved(call);
  }

  #finishIfComplete(call: OpenCall): void {
    const { reply } = call;
    if (reply === undefined || !reply.inbox.complete) return;
    this.#finish(call);
    if (!call.settled) this.#settle(call, { body: reply.body, download: reply.inbox.take() }, undefined);
    this.#beginNext();
  }

  /** The final message is here. */
  #finish(call: OpenCall): void {
    this.#open.delete(call.id);
    call.callOffSilence();
    call.outbox.stop();
    if (call.outbox.owes) this.#cancel(call);
  }

  #settle(call: OpenCall, reply: CallReply | undefined, error: unknown): void {
    if (call.settled) return;
    call.settled = true;
    call.settle(reply, error);
  }

  #cancel(call: OpenCall): void {
    if (call.cancelledAtMs !== undefined) return;
    // From now on the other side has as long as ever, but not for ever by saying that it works on it.
    call.cancelledAtMs = call.movedAtMs = this.#wiring.timers.nowMs();
    this.#wiring.send(callKind.cancel, encodeCallId(call.id));
  }

  /** The caller is told; the call keeps its place until the other side has had its last word. */
  #giveUp(call: OpenCall, error: unknown): void {
    if (call.settled) return;
    call.outbox.stop();
    call.reply?.inbox.discard();
    // Behind its own call, which may still wait for its turn.
    this.#wiring.gate
      .send(() => {
        if (this.#open.has(call.id)) this.#cancel(call);
        return true;
      })
      .catch(() => {});
    this.#settle(call, undefined, error);
    call.callOffSilence();
    this.#watch(call, call.silenceMsMax);
  }

  #moved(call: OpenCall): void {
    call.movedAtMs = this.#heardAtMs = this.#wiring.timers.nowMs();
  }

  #onAlive(call: OpenCall): void {
    call.aliveAtMs = this.#heardAtMs = this.#wiring.timers.nowMs();
  }

  #watch(call: OpenCall, ms: number): void {
    call.callOffSilence = this.#wiring.timers.after(ms, () => this.#onQuiet(call));
  }

  /** Until when it may go on as things are. */
  #deadlineMs(call: OpenCall): number {
    const { movedAtMs, aliveAtMs, silenceMsMax, cancelledAtMs, sentAtMs } = call;
    // On a slow line a small answer stands in the queue behind others' bulk: the channel's life counts too, for a while.
    const heardAtMs = Math.min(this.#heardAtMs, movedAtMs + silenceMsMax * (silencePatience - 1));
    const quietMs = Math.max(movedAtMs, heardAtMs) + silenceMsMax;
    const workedMs = Math.min(aliveAtMs + silenceMsMax, movedAtMs + aliveMsMax);
    const lastMs = cancelledAtMs === undefined ? sentAtMs + callMsMax : cancelledAtMs + cancelMsMax;
    return Math.min(Math.max(quietMs, workedMs), lastMs);
  }

  #onQuiet(call: OpenCall): void {
    const { timers, onBroken } = this.#wiring;
    // While its message, or its cancel, waits for its turn the other side can't know of it: that the line moves is the gate's concern.
    const waits = !call.sent || (call.settled ? call.cancelledAtMs === undefined : call.held);
    const leftMs = waits ? call.silenceMsMax : this.#deadlineMs(call) - timers.nowMs();
    if (leftMs > 0) {
      this.#watch(call, leftMs);
      return;
    }
    const error = new KithError('holder-unavailable', 'the other side fell silent in the middle of a call');
    if (call.settled) onBroken(error);
    else this.#giveUp(call, error);
  }
}

function checkSizes(body: Uint8Array, { upload = [], downloadBytesMax = 0 }: CallOptions): void {
  const tooMuch = (what: string, found: number, max: number): KithError =>
    new KithError('limit-exceeded', `${what}: ${found} bytes are more than ${max}`, {
      details: { what, found, max },
    });
  if (body.length > callBodyBytesMax) throw tooMuch('call', body.length, callBodyBytesMax);
  const uploadBytes = bytesOf(upload);
  if (uploadBytes > bulkBytesMax) throw tooMuch('upload', uploadBytes, bulkBytesMax);
  if (downloadBytesMax > bulkBytesMax) throw tooMuch('download', downloadBytesMax, bulkBytesMax);
}
