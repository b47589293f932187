import type { TaskSet } from '../../base/concurrency.ts';
import { KithError } from '../../base/errors.ts';
import { freeBytes } from '../../base/free-bytes.ts';
import { BrokenPeer } from './broken-peer.ts';
import type { BulkBudget } from './bulk-budget.ts';
import { BulkInbox, BulkOutbox, bytesOf } from './bulk.ts';
import { PacedAnswer, pacedUpload, watchBulkPace } from './bulk-pace.ts';
import type { CallWiring } from './call-client.ts';
import { freeFlow } from './call-flow.ts';
import type { CallFlow } from './call-flow.ts';
import {
  callCountMax,
  callKind,
  decodeCall,
  decodeCallId,
  decodeData,
  decodePace,
  encodeCallId,
  encodeCredit,
  encodeDataParts,
  encodeFailure,
  encodeReply,
} from './call-codec.ts';
import type { CallMessage } from './call-codec.ts';
import { freeMessage } from '../links/free-message.ts';
import { replyBodyBytesMax } from '../service.ts';
import type { IncomingCall, OutgoingReply, ServiceHandler } from '../service.ts';
import { lentBytesMin } from './upload-memory.ts';
import type { UploadMemory } from './upload-memory.ts';
import { failureOf } from './wire-error.ts';

/** How often a caller hears of a call that is still worked on: six times in its default patience. */
export const aliveMs = 5_000;

/** How long an upload may stand still before its memory is wanted back. */
export const uploadSilenceMsMax = 60_000;

/** How long a caller that paces its download may give no credit for it, until the memory is wanted back. */
export const paceSilenceMsMax = 60_000;

/**
 * Memory for bodies, for bulk that goes out, and for bulk that comes in: three, which every call takes in this order, so
 * that none holds what another waits for that it waits for itself.
 */
export interface CallBudgets {
  readonly bodies: BulkBudget;
  readonly uploads: BulkBudget;
  readonly downloads: BulkBudget;
  /** For large uploads whose handlers borrow them. */
  readonly memory?: UploadMemory;
}

/** A call under way on this side. */
class ServedCall {
  readonly message: CallMessage;
  readonly #cancel: AbortController = new AbortController();
  /** True once the caller has said that it wants nothing more, and will send nothing more. */
  cancelled = false;
  asked = false;
  inbox: BulkInbox | undefined;
  /** Bytes of the download that the caller lets come; undefined while it lets come all. */
  paceBytes: number | undefined;
  /** Called when more of them are let come. */
  onPace: ((bytes: number) => void) | undefined;
  /** Called when the upload is complete, or will not be. */
  onUpload: ((error: Error | undefined) => void) | undefined;
  callOffSilence: () => void = () => {};
  callOffPace: () => void = () => {};
  /** The memory of its upload is free. */
  giveBack: () => void = () => {};
  releaseBodies: () => void = () => {};
  releaseUpload: () => void = () => {};
  releaseDownload: () => void = () => {};

  constructor(message: CallMessage) {
    this.message = message;
  }

  get signal(): AbortSignal {
    return this.#cancel.signal;
  }

  /** What the call holds of the budgets is given back when the handler has ended: until then it may work on it. */
  abort(error: KithError): void {
    if (!this.signal.aborted) this.#cancel.abort(error);
    this.#dropUpload(error);
  }

  release(): void {
    this.#dropUpload(new KithError('failed', 'the call had ended'));
    this.giveBack();
    this.releaseUpload();
    this.releaseDownload();
    this.releaseBodies();
  }

  #dropUpload(error: KithError): void {
    this.callOffSilence();
    this.callOffPace();
    if (this.inbox === undefined || this.inbox.complete) return;
    this.inbox.discard();
    this.onUpload?.(error);
    this.onUpload = undefined;
  }
}

/** The serving half of a service channel (docs/formats/wire.md): one handler, calls side by side, bulk within budgets. */
export class CallServer {
  readonly #wiring: CallWiring;
  readonly #flow: CallFlow;
  readonly #handler: ServiceHandler;
  readonly #peer: string;
  readonly #budgets: CallBudgets;
  readonly #handling: TaskSet;
  readonly #calls = new Map<number, ServedCall>();
  /** Granted upload bytes that may still come for calls which have had their final message. */
  readonly #leftovers = new Map<number, BulkInbox>();
  #lastId = 0;
  /** The call that comes next is paced. */
  #paceNext: number | undefined;
  #ended = false;
  #callOffAlive: () => void = () => {};

  /** `peer` names whose share of the budgets is used; `handling` has what handlers are doing, also after the end. */
  constructor(
    wiring: CallWiring,
    handler: ServiceHandler,
    peer: string,
    budgets: CallBudgets,
    handling: TaskSet,
  ) {
    this.#wiring = wiring;
    this.#flow = wiring.flow ?? freeFlow;
    this.#handler = handler;
    this.#peer = peer;
    this.#budgets = budgets;
    this.#handling = handling;
  }

  /** What to do with each kind of message. */
  readonly kinds: readonly ((bytes: Uint8Array) => void)[] = [
    (bytes) => this.#onCall(bytes),
    () => this.#unexpected('an answer to nothing'),
    () => this.#unexpected('a failure of nothing'),
    (bytes) => this.#onData(bytes),
    () => this.#unexpected('credit for nothing'),
    (bytes) => this.#onCancel(bytes),
    () => this.#unexpected('a sign of life of nothing'),
    (bytes) => this.#onPace(bytes),
  ];

  /** Calls under way, those included whose upload may still come though they have been answered. */
  get openCount(): number {
    return this.#calls.size + this.#leftovers.size;
  }

  /** The channel is closed: signals fire; budgets are freed as handlers end. */
  end(error: KithError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#callOffAlive();
    this.#leftovers.clear();
    for (const call of this.#calls.values()) call.abort(error);
  }

  #unexpected(what: string): never {
    throw new KithError('malformed', `the other side sent ${what}`);
  }

  #onCall(bytes: Uint8Array): void {
    if (this.#ended) return;
    const message = decodeCall(bytes);
    if (message.id !== this.#lastId + 1) this.#unexpected(`call ${message.id} after call ${this.#lastId}`);
    if (this.openCount >= callCountMax) this.#unexpected(`more than ${callCountMax} calls at once`);
    this.#lastId = message.id;
    const call = new ServedCall(message);
    call.paceBytes = this.#paceNext;
    this.#paceNext = undefined;
    this.#calls.set(message.id, call);
    if (this.#calls.size === 1) this.#keepAlive();
    void this.#serve(call);
  }

  #onData(bytes: Uint8Array): void {
    if (this.#ended) return;
    const data = decodeData(bytes);
    const leftover = this.#leftovers.get(data.id);
    if (leftover !== undefined) {
      leftover.add(data.bytes);
      freeMessage(bytes);
      if (leftover.owedBytes === 0) this.#leftovers.delete(data.id);
      return;
    }
    const call = this.#calls.get(data.id);
    if (call?.inbox === undefined || call.cancelled) this.#unexpected('bulk bytes without credit');
    call.inbox.add(data.bytes);
    freeMessage(bytes);
    if (call.signal.aborted) return;
    if (!call.inbox.complete) {
      // While we give no credit there is nothing that could come.
      if (call.inbox.owedBytes > 0) this.#watchUpload(call);
      else call.callOffSilence();
      return;
    }
    call.callOffSilence();
    call.onUpload?.(undefined);
    call.onUpload = undefined;
  }

  #onCancel(bytes: Uint8Array): void {
    if (this.#ended) return;
    const id = decodeCallId(bytes);
    if (id > this.#lastId) this.#unexpected(`a cancel for call ${id}, which was never made`);
    this.#leftovers.delete(id);
    const call = this.#calls.get(id);
    if (call === undefined) return;
    if (call.cancelled) this.#unexpected('a second cancel');
    call.cancelled = true;
    call.abort(new KithError('interrupted', 'the caller has cancelled the call'));
  }

  #onPace(bytes: Uint8Array): void {
    if (this.#ended) return;
    const pace = decodePace(bytes);
    if (pace.id > this.#lastId) {
      if (pace.id !== this.#lastId + 1) this.#unexpected(`a pace for call ${pace.id}, which was never made`);
      this.#paceNext = (this.#paceNext ?? 0) + pace.bytes;
      return;
    }
    // The call may have ended meanwhile.
    const call = this.#calls.get(pace.id);
    if (call?.paceBytes === undefined) return;
    call.paceBytes += pace.bytes;
    call.onPace?.(pace.bytes);
  }

  /** Never rejects: what goes wrong is the caller's to know, or the session has ended. */
  async #serve(call: ServedCall): Promise<void> {
    const { id, downloadBytesMax, body } = call.message;
    const { bodies, downloads } = this.#budgets;
    try {
      call.releaseBodies = await bodies.acquire(this.#peer, body.length + replyBodyBytesMax, call.signal);
      if (downloadBytesMax > 0) {
        call.releaseDownload = await downloads.acquire(this.#peer, downloadBytesMax, call.signal);
      }
      const handling = this.#handler.handle(this.#incoming(call));
      this.#handling.add(handling);
      const reply = await handling;
      checkReply(reply, call.message);
      await this.#answer(call, reply);
    } catch (error) {
      const cause: unknown = error instanceof BrokenPeer ? error.cause : error;
      const message = encodeFailure(failureOf(id, cause));
      await this.#wiring.gate.send(() => this.#send(callKind.failure, message)).catch(() => {});
      if (error instanceof BrokenPeer && !this.#ended) this.#wiring.onBroken(cause);
    }
    this.#finish(call);
  }

  async #answer(call: ServedCall, reply: OutgoingReply): Promise<void> {
    const { timers } = this.#wiring;
    const pace = new PacedAnswer(bytesOf(reply.download ?? []), timers, this.#wiring.answers);
    if (pace.totalBytes === 0) {
      await this.#deliver(call, reply, pace);
      return;
    }
    let callOffPace = (): void => {};
    const givenUp = new Promise<never>((_, reject) => {
      callOffPace = watchBulkPace({
        timers,
        bulk: pace,
        isWanted: () => this.#budgets.downloads.isWantedFrom(this.#peer),
        giveUp: () => {
          const words = 'the answer was read too slowly, and others wait for its room';
          const error = new KithError('holder-unavailable', words);
          call.abort(error);
          reject(error);
        },
      });
    });
    const delivered = this.#deliver(call, reply, pace);
    // What is given up still waits for its turn on the stream, and ends there.
    delivered.catch(() => undefined);
    try {
      await Promise.race([delivered, givenUp]);
    } finally {
      callOffPace();
      pace.end();
    }
    for (const part of reply.owned ?? []) freeBytes(part);
  }

  async #deliver(call: ServedCall, { body, download = [] }: OutgoingReply, pace: PacedAnswer): Promise<void> {
    const message = encodeReply({ id: call.message.id, downloadBytes: pace.totalBytes, body });
    await this.#wiring.gate.send(() => {
      call.signal.throwIfAborted();
      return this.#send(callKind.reply, message);
    });
    this.#flow.sent(body.length);
    if (pace.totalBytes > 0) await this.#sendDownload(call, download, pace);
  }

  async #sendDownload(call: ServedCall, download: readonly Uint8Array[], pace: PacedAnswer): Promise<void> {
    const { id } = call.message;
    let callOff = (): void => {};
    let outbox: BulkOutbox | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        const push = async (piece: Uint8Array, wanted: () => boolean): Promise<void> => {
          await pace.heldBack(this.#flow.send(piece.length, () => !call.signal.aborted));
          pace.lineUp();
          await this.#wiring.gate.send(() => {
            pace.takeTurn();
            call.signal.throwIfAborted();
            return !wanted() || this.#send(callKind.data, ...encodeDataParts({ id, bytes: piece }));
          }, 'bulk');
          pace.sentBytes = sending.sentBytes;
          if (pace.missingBytes === 0) resolve();
        };
        const sending = (outbox = new BulkOutbox(download, push, reject, () => this.#flow.sendBytesMax));
        if (call.paceBytes === undefined) {
          sending.grant(pace.totalBytes);
          return;
        }
        const watch = (): void => {
          callOff();
          callOff = this.#wiring.timers.after(paceSilenceMsMax, () => {
            if (sending.owes) watch();
            else reject(new KithError('failed', 'the download stood still'));
          });
        };
        call.signal.addEventListener('abort', () => reject(call.signal.reason as Error), { once: true });
        call.onPace = (bytes) => {
          watch();
          sending.grantUpTo(bytes);
        };
        call.onPace(call.paceBytes);
      });
    } finally {
      callOff();
      call.onPace = undefined;
      outbox?.stop();
    }
  }

  #send(kind: number, ...parts: Uint8Array[]): boolean {
    return this.#ended || this.#wiring.send(kind, ...parts);
  }

  /** The final message is out. */
  #finish(call: ServedCall): void {
    const { id } = call.message;
    this.#calls.delete(id);
    if (this.#calls.size === 0) this.#callOffAlive();
    const { inbox } = call;
    if (!this.#ended && inbox !== undefined && inbox.owedBytes > 0 && !call.cancelled)
      this.#leftovers.set(id, inbox);
    call.release();
  }

  #incoming(call: ServedCall): IncomingCall {
    const { method, body, uploadBytes, downloadBytesMax } = call.message;
    const { signal } = call;
    return {
      method,
      body,
      uploadBytes,
      downloadBytesMax,
      signal,
      receive: ({ lent = false } = {}) => this.#receive(call, lent),
    };
  }

  async #receive(call: ServedCall, lent: boolean): Promise<Uint8Array> {
    if (call.asked) throw new RangeError('an upload is received once');
    call.asked = true;
    const { id, uploadBytes } = call.message;
    if (uploadBytes === 0) return new Uint8Array(0);
    call.releaseUpload = await this.#budgets.uploads.acquire(this.#peer, uploadBytes, call.signal);
    if (call.signal.aborted || !this.#calls.has(id)) {
      call.releaseUpload();
      throw call.signal.reason ?? new KithError('failed', 'the call had ended');
    }
    const memory = lent && uploadBytes >= lentBytesMin ? this.#budgets.memory : undefined;
    const borrowed = memory?.take(uploadBytes);
    if (borrowed !== undefined) call.giveBack = () => memory?.giveBack(borrowed);
    const inbox = new BulkInbox(uploadBytes, 0, borrowed);
    await new Promise<void>((resolve, reject) => {
      call.inbox = inbox;
      call.onUpload = (error) => (error === undefined ? resolve() : reject(error));
      void this.#giveCredit(call, inbox);
      call.callOffPace = watchBulkPace({
        timers: this.#wiring.timers,
        bulk: pacedUpload(inbox),
        isWanted: () => this.#budgets.uploads.isWantedFrom(this.#peer),
        giveUp: () =>
          call.abort(
            new KithError('holder-unavailable', 'the upload came too slowly, and others wait for its room'),
          ),
      });
    });
    call.callOffPace();
    return inbox.take();
  }

  /** All at once, or at the rate at which bytes may come. Never rejects. */
  async #giveCredit(call: ServedCall, inbox: BulkInbox): Promise<void> {
    const { id } = call.message;
    const isWanted = (): boolean => !call.signal.aborted && this.#calls.has(id) && !this.#ended;
    for (let left = inbox.totalBytes; left > 0;) {
      const bytes = Math.min(left, this.#flow.receiveBytesMax);
      const turn = this.#flow.receive(bytes, isWanted);
      if (turn !== undefined) await turn;
      if (!isWanted()) return;
      left -= bytes;
      inbox.grant(bytes);
      this.#watchUpload(call);
      this.#send(callKind.credit, encodeCredit({ id, bytes }));
    }
  }

  #watchUpload(call: ServedCall): void {
    call.callOffSilence();
    call.callOffSilence = this.#wiring.timers.after(uploadSilenceMsMax, () => {
      call.abort(new KithError('failed', 'the upload stood still'));
    });
  }

  #keepAlive(): void {
    this.#callOffAlive = this.#wiring.timers.after(aliveMs, () => {
      for (const id of this.#calls.keys()) this.#send(callKind.alive, encodeCallId(id));
      this.#keepAlive();
    });
  }
}

/** A handler's mistake, not the peer's. */
function checkReply({ body, download = [] }: OutgoingReply, { downloadBytesMax }: CallMessage): void {
  if (body.length > replyBodyBytesMax) throw new RangeError(`a reply of ${body.length} bytes`);
  const downloadBytes = bytesOf(download);
  if (downloadBytes > downloadBytesMax) {
    throw new KithError(
      'limit-exceeded',
      `${downloadBytes} bytes are more than the ${downloadBytesMax} asked for`,
      {
        details: { bytes: downloadBytes, max: downloadBytesMax },
      },
    );
  }
}
