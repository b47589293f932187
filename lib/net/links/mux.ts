import Protomux from 'protomux';
import type { Channel, Encoding } from 'protomux';
import { guardedStream, MuxGuard } from './mux-guard.ts';
import type { SecretStream } from './secret-stream.d.ts';

/**
 * Bytes as they are: kith's own codecs write and read them. Parts are copied into the stream's own buffer, where they are sealed in
 * place. That is the only copy of bulk bytes on their way out, and it keeps shared memory from libsodium, which writes nothing for it
 * and doesn't say so.
 */
const rawBytes: Encoding = {
  preencode(state, parts) {
    for (const part of parts) state.end += part.length;
  },
  encode(state, parts) {
    for (const part of parts) {
      state.buffer.set(part, state.start);
      state.start += part.length;
    }
  },
  decode(state) {
    const { buffer, start, end } = state;
    state.start = end;
    return new Uint8Array(buffer.buffer, buffer.byteOffset + start, end - start);
  },
};

/** How a channel is made. */
export interface MuxChannelOptions {
  readonly protocol: string;
  /** Tells channels of one name apart. */
  readonly id: Uint8Array | null;
  /** What to do with a message of each kind; kinds beyond are ignored. Bytes are views, valid until it returns. */
  readonly kinds: readonly ((bytes: Uint8Array) => void)[];
  /** Once: the other side closed or refused the channel, we did, or the stream ended. */
  readonly onClose: () => void;
}

/** One named channel. */
export interface MuxChannel {
  readonly closed: boolean;
  /**
   * Sends one message of all parts in a row, of which it takes a copy. False when the stream wants no more for now; sending on a closed
   * channel does nothing.
   */
  send(kind: number, ...parts: Uint8Array[]): boolean;
  close(): void;
}

/** Protomux on a stream, behind a guard; an error that a message handler throws goes to `onBroken`. */
export class Mux {
  readonly #mux: Protomux;
  readonly #guard: MuxGuard;
  readonly #onBroken: (error: unknown) => void;
  /** Bytes of all messages that were sent, on whatever channel. */
  sentBytes = 0;

  constructor(stream: SecretStream, nowMs: () => number, onBroken: (error: unknown) => void) {
    this.#guard = new MuxGuard(nowMs);
    this.#onBroken = onBroken;
    this.#mux = new Protomux(guardedStream(stream, this.#guard, onBroken));
  }

  /** Whatever still comes is dropped. */
  end(): void {
    this.#guard.end();
  }

  /** Opens a channel, or accepts the one that the other side opened; undefined if it is open already or all is over. */
  open(options: MuxChannelOptions): MuxChannel | undefined {
    const channel = this.#mux.createChannel({
      protocol: options.protocol,
      id: options.id,
      messages: options.kinds.map((take) => ({ encoding: rawBytes, onmessage: this.#guarded(take) })),
      onopen: () => {},
      onclose: this.#guarded(options.onClose),
    });
    if (channel === null) return undefined;
    channel.open();
    return this.#channelOf(channel);
  }

  /** `notify` runs when the other side opens this channel; it accepts by opening it too, at once. */
  expect(protocol: string, id: Uint8Array | null, notify: () => void): void {
    this.#mux.pair({ protocol, id }, this.#guarded(notify));
  }

  unexpect(protocol: string, id: Uint8Array | null): void {
    this.#mux.unpair({ protocol, id });
  }

  #guarded<T extends unknown[]>(work: (...values: T) => void): (...values: T) => void {
    return (...values) => {
      try {
        work(...values);
      } catch (error) {
        this.#onBroken(error);
      }
    };
  }

  #channelOf(channel: Channel): MuxChannel {
    return {
      get closed() {
        return channel.closed;
      },
      send: (kind, ...parts) => {
        for (const { length } of parts) this.sentBytes += length;
        return channel.messages[kind]?.send(parts) ?? false;
      },
      close: () => channel.close(),
    };
  }
}
