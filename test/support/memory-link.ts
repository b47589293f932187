import { EventEmitter } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { KeyPair, Link, Via } from '../../lib/net/links/link.ts';
import type { SecretStream } from '../../lib/net/links/secret-stream.d.ts';

/** Messages on their way in one direction after which a writer is told to wait. */
const highWaterMessages = 2;

/** One end of a stream of messages that never leaves the process: each is handed over when the wire says so. */
class MemoryStream extends EventEmitter {
  userData: unknown = null;
  destroyed: boolean = false;
  bytesIn = 0;
  /** What was written here and hasn't been handed over. */
  readonly queue: Uint8Array[] = [];
  queuedBytesMax = 0;
  writtenCount = 0;
  writtenBytes = 0;
  paused = false;
  flushes = true;
  peer: MemoryStream | undefined;
  onWrite: () => void = () => {};
  #wantsDrain = false;

  get queuedBytes(): number {
    return this.queue.reduce((sum, message) => sum + message.length, 0);
  }

  alloc(bytes: number): Uint8Array {
    return Buffer.alloc(bytes);
  }

  setKeepAlive(): void {}

  setTimeout(): this {
    return this;
  }

  write(message: Uint8Array): boolean {
    if (this.destroyed) return false;
    this.queue.push(Buffer.from(message));
    this.writtenCount++;
    this.writtenBytes += message.length;
    this.queuedBytesMax = Math.max(this.queuedBytesMax, this.queuedBytes);
    this.onWrite();
    const more = this.queue.length < highWaterMessages;
    if (!more) this.#wantsDrain = true;
    return more;
  }

  /** Hands the oldest message over; false if there is none, or the other end doesn't take any. */
  deliver(): boolean {
    if (this.destroyed || this.peer === undefined || this.peer.destroyed) return false;
    // Like a stream that nobody reads yet: it waits.
    if (this.peer.paused || this.peer.listenerCount('data') === 0) return false;
    const message = this.queue.shift();
    if (message === undefined) return false;
    this.peer.bytesIn += message.length;
    this.peer.emit('data', message);
    if (this.#wantsDrain && this.queue.length === 0 && !this.destroyed) {
      this.#wantsDrain = false;
      this.emit('drain');
    }
    return true;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    this.peer?.onWrite();
  }

  end(): void {
    this.destroy();
  }

  /** What was written before still arrives, as it does when a socket is closed in good order. */
  destroy(): void {
    if (this.destroyed) return;
    if (this.flushes) while (this.deliver());
    this.destroyed = true;
    queueMicrotask(() => {
      this.emit('close');
      this.peer?.destroy();
    });
  }
}

/** Both ends of a link, and the wire between them. */
export class MemoryWire {
  readonly initiator: Link;
  readonly responder: Link;
  readonly #ends: readonly [MemoryStream, MemoryStream];
  #automatic = true;
  #running = false;

  constructor(
    from: KeyPair,
    to: KeyPair,
    options: { readonly handshakeHash: Uint8Array; readonly via?: Via; readonly automatic?: boolean },
  ) {
    const { handshakeHash, via = 'direct' } = options;
    this.#automatic = options.automatic ?? true;
    const ends = [new MemoryStream(), new MemoryStream()] as const;
    this.#ends = ends;
    ends[0].peer = ends[1];
    ends[1].peer = ends[0];
    for (const end of ends) {
      end.setMaxListeners(20);
      end.onWrite = () => this.#run();
      end.flushes = this.#automatic;
      end.on('newListener', () => this.#run());
    }
    const link = (end: MemoryStream, own: KeyPair, other: KeyPair, isInitiator: boolean): Link => {
      const closed = new Promise<void>((resolve) => end.once('close', resolve));
      return {
        remoteKey: other.publicKey,
        localKey: own.publicKey,
        isInitiator,
        via,
        remoteAddress: '127.0.0.1:1',
        handshakeHash,
        stream: end as unknown as SecretStream,
        close: async () => {
          end.destroy();
          await closed;
        },
        closed,
      };
    };
    this.initiator = link(ends[0], from, to, true);
    this.responder = link(ends[1], to, from, false);
  }

  get over(): boolean {
    return this.#ends.every(({ destroyed }) => destroyed);
  }

  /** Bytes on their way, from the initiator and from the responder; and the most that ever were. */
  queuedBytes(from: 'initiator' | 'responder'): number {
    return this.#end(from).queuedBytes;
  }

  /** Bytes that were ever written, from the initiator or from the responder. */
  writtenBytes(from: 'initiator' | 'responder'): number {
    return this.#end(from).writtenBytes;
  }

  queuedBytesMax(from: 'initiator' | 'responder'): number {
    return this.#end(from).queuedBytesMax;
  }

  /** Hands over one message; false if there is none. */
  deliver(from: 'initiator' | 'responder'): boolean {
    return this.#end(from).deliver();
  }

  /** From now on nothing moves by itself, or all does. */
  setAutomatic(automatic: boolean): void {
    this.#automatic = automatic;
    for (const end of this.#ends) end.flushes = automatic;
    this.#run();
  }

  /** Cuts the wire, and neither end notices. */
  sever(): void {
    for (const end of this.#ends) {
      end.flushes = false;
      end.peer = undefined;
    }
  }

  /** Messages written at one end so far. */
  written(from: 'initiator' | 'responder'): number {
    return this.#end(from).writtenCount;
  }

  /** Cuts the wire, as if a cable were pulled and both ends noticed. */
  cut(): void {
    for (const end of this.#ends) end.flushes = false;
    this.#ends[0].destroy();
  }

  /** One end notices that the wire is cut, the other doesn't yet. */
  dropHalf(end: 'initiator' | 'responder'): void {
    const stream = this.#end(end);
    stream.flushes = false;
    stream.peer = undefined;
    stream.destroy();
  }

  #end(from: 'initiator' | 'responder'): MemoryStream {
    return from === 'initiator' ? this.#ends[0] : this.#ends[1];
  }

  #run(): void {
    if (!this.#automatic || this.#running) return;
    this.#running = true;
    void this.#deliverAll().finally(() => {
      this.#running = false;
    });
  }

  async #deliverAll(): Promise<void> {
    await nextTurn();
    while (this.#automatic && this.#ends.some((end) => end.deliver())) await nextTurn();
  }
}
