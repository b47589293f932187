import { Duplex } from 'node:stream';
import { KithError } from '../../base/errors.ts';
import { pipeMessageBytes, pipeWindowBytes, relayEnd } from './relay-codec.ts';

/** What a pipe says to the relay. */
export interface PipeWiring {
  /** Sends bytes (at most pipeMessageBytes) when it is their turn, if they are still wanted then. */
  readonly sendData: (bytes: Uint8Array, wanted: () => boolean) => Promise<void>;
  /** So many bytes were taken from what came. */
  readonly sendCredit: (bytes: number) => void;
  /** This side ends it. */
  readonly sendEnd: () => void;
  /** Once, whoever ended it. */
  readonly onOver: () => void;
}

/** Bytes taken are told to the other side in lots of this size, not one by one. */
const creditStepBytes = pipeWindowBytes / 4;

/** A write that waits to go out. */
interface Writing {
  bytes: Uint8Array;
  readonly done: (error?: Error | null) => void;
}

/**
 * One end of a pipe through a relay: a stream of bytes. What it writes is held back while the other end doesn't read;
 * what comes and isn't read is pipeWindowBytes at most.
 */
export class RelayPipe extends Duplex {
  readonly #wiring: PipeWiring;
  readonly #inbox: Uint8Array[] = [];
  /** Bytes that may be sent. */
  #allowance = pipeWindowBytes;
  /** Bytes that the other side may still send. */
  #expected = pipeWindowBytes;
  /** Bytes read and not yet told. */
  #taken = 0;
  #wanting = false;
  #writing: Writing | undefined;
  #pumping = false;
  /** Why the other side, or the relay, ended it; undefined while it hasn't. */
  #reason: number | undefined;
  #isOver = false;

  constructor(wiring: PipeWiring) {
    super({ readableHighWaterMark: pipeMessageBytes, writableHighWaterMark: pipeMessageBytes });
    this.#wiring = wiring;
  }

  /** A number of relayEnd, once the relay has ended the pipe. */
  get endReason(): number | undefined {
    return this.#reason;
  }

  /** Bytes that came and weren't read. */
  get heldBytes(): number {
    return this.#inbox.reduce((sum, bytes) => sum + bytes.length, this.readableLength);
  }

  /** Bytes that came; a view, of which a copy is taken. KithError `malformed` if they are more than were allowed. */
  receive(bytes: Uint8Array): void {
    if (bytes.length > this.#expected) {
      throw new KithError('malformed', 'the other side sent more on a pipe than it was given credit for');
    }
    this.#expected -= bytes.length;
    if (this.#isOver) return;
    this.#inbox.push(bytes.slice());
    if (this.#wanting) this.#hand();
  }

  /** The other end has taken so many bytes. KithError `malformed` if that is more than it was sent. */
  grant(bytes: number): void {
    if (this.#allowance + bytes > pipeWindowBytes) {
      throw new KithError('malformed', 'the other side took more from a pipe than it was sent');
    }
    this.#allowance += bytes;
    this.#pump();
  }

  /** The relay says that it is over; what came before is still read. */
  endedBy(reason: number): void {
    if (this.#isOver) return;
    this.#reason = reason;
    this.#over();
    if (reason !== relayEnd.closed) {
      this.destroy(new KithError('holder-unavailable', 'the relay ended the connection'));
      return;
    }
    this.#finishReading();
  }

  override _read(): void {
    this.#wanting = true;
    this.#hand();
  }

  override _write(bytes: Uint8Array, _encoding: unknown, done: (error?: Error | null) => void): void {
    if (this.#isOver) {
      done(new KithError('holder-unavailable', 'the connection through the relay is over'));
      return;
    }
    this.#writing = { bytes, done };
    this.#pump();
  }

  override _final(done: (error?: Error | null) => void): void {
    if (!this.#isOver) {
      this.#wiring.sendEnd();
      this.#over();
      // Like a socket whose other end is gone: nothing more comes.
      this.#inbox.length = 0;
      this.#finishReading();
      // An end that nobody reads up to would leave the stream open.
      this.resume();
    }
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (!this.#isOver) {
      this.#wiring.sendEnd();
      this.#over();
    }
    this.#inbox.length = 0;
    done(error);
  }

  #over(): void {
    this.#isOver = true;
    const writing = this.#writing;
    this.#writing = undefined;
    this.#wiring.onOver();
    writing?.done(new KithError('holder-unavailable', 'the connection through the relay is over'));
  }

  #finishReading(): void {
    if (this.#inbox.length > 0 || this.destroyed || this.readableEnded) return;
    this.push(null);
    if (!this.writableEnded) this.end();
  }

  #hand(): void {
    while (this.#wanting) {
      const bytes = this.#inbox.shift();
      if (bytes === undefined) break;
      // Whoever reads them may give their memory back at once.
      const { length } = bytes;
      this.#wanting = this.push(bytes);
      this.#taken += length;
    }
    if (this.#isOver) {
      if (this.#reason === relayEnd.closed) this.#finishReading();
      return;
    }
    if (this.#taken < creditStepBytes) return;
    const taken = this.#taken;
    this.#taken = 0;
    this.#expected += taken;
    this.#wiring.sendCredit(taken);
  }

  /** Sends what is being written as far as it may go. */
  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    void this.#send().finally(() => {
      this.#pumping = false;
      // Credit may have come between the last look and here.
      if (this.#writing !== undefined && this.#allowance > 0) this.#pump();
    });
  }

  /** Never rejects. */
  async #send(): Promise<void> {
    for (let writing = this.#writing; writing !== undefined; writing = this.#writing) {
      const { bytes } = writing;
      const length = Math.min(bytes.length, pipeMessageBytes, this.#allowance);
      if (length === 0 && bytes.length > 0) return;
      this.#allowance -= length;
      const still = writing;
      try {
        await this.#wiring.sendData(bytes.subarray(0, length), () => this.#writing === still);
      } catch (error) {
        // The session to the relay ended, which ends the pipe as well.
        this.destroy(error instanceof Error ? error : undefined);
        return;
      }
      if (this.#writing !== still) return;
      still.bytes = bytes.subarray(length);
      if (still.bytes.length > 0) continue;
      this.#writing = undefined;
      still.done();
    }
  }
}
