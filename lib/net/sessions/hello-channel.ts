import { KithError } from '../../base/errors.ts';
import {
  decodeGoodbye,
  decodeHello,
  decodeOffers,
  decodePing,
  encodeGoodbye,
  encodeHello,
  encodeOffers,
  encodePing,
} from './hello.ts';
import type { Goodbye, Hello, Offers } from './hello.ts';
import type { Mux, MuxChannel } from '../links/mux.ts';
import type { SendGate } from '../calls/send-gate.ts';

const protocol = 'kith/hello';

/** Numbers of the kinds (docs/formats/wire.md). */
const kind = { hello: 0, offers: 1, goodbye: 2, ping: 3, pong: 4 } as const;

/** Pings that may wait for their pong. */
const pingCountMax = 16;

/** What comes in on the channel, in an order that has been checked. */
export interface HelloEvents {
  /** Once, first of all. */
  readonly onHello: (hello: Hello) => void;
  readonly onOffers: (offers: Offers) => void;
  readonly onGoodbye: (goodbye: Goodbye) => void;
  readonly onClose: () => void;
}

/** The channel on which two devices greet each other, say what they grant, and see whether the other is there. */
export class HelloChannel {
  readonly #channel: MuxChannel | undefined;
  readonly #gate: SendGate;
  readonly #events: HelloEvents;
  readonly #pings = new Map<number, () => void>();
  #heard = false;
  #lastPing = 0;
  #pongWanted: number | undefined;

  constructor(mux: Mux, gate: SendGate, events: HelloEvents) {
    this.#gate = gate;
    this.#events = events;
    this.#channel = mux.open({
      protocol,
      id: null,
      kinds: [
        (bytes) => this.#onHello(bytes),
        (bytes) => events.onOffers(this.#afterHello(decodeOffers, bytes)),
        (bytes) => events.onGoodbye(decodeGoodbye(bytes)),
        (bytes) => this.#onPing(this.#afterHello(decodePing, bytes)),
        (bytes) => this.#onPong(this.#afterHello(decodePing, bytes)),
      ],
      onClose: events.onClose,
    });
  }

  /** False if the stream was destroyed before it began. */
  get usable(): boolean {
    return this.#channel !== undefined;
  }

  sendHello(hello: Hello): void {
    this.#channel?.send(kind.hello, encodeHello(hello));
  }

  sendOffers(offers: Offers): void {
    this.#channel?.send(kind.offers, encodeOffers(offers));
  }

  sendGoodbye(goodbye: Goodbye): void {
    this.#channel?.send(kind.goodbye, encodeGoodbye(goodbye));
  }

  /** Resolves when the other side has answered. KithError `limit-exceeded` when too many wait already. */
  async ping(signal: AbortSignal): Promise<void> {
    if (this.#pings.size >= pingCountMax) throw new KithError('limit-exceeded', 'too many pings at once');
    const number = (this.#lastPing = (this.#lastPing + 1) >>> 0);
    try {
      await new Promise<void>((resolve, reject) => {
        if (signal.aborted) reject(signal.reason as Error);
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
        this.#pings.set(number, resolve);
        this.#gate.send(() => this.#channel?.send(kind.ping, encodePing(number)) ?? true).catch(reject);
      });
    } finally {
      this.#pings.delete(number);
    }
  }

  #onHello(bytes: Uint8Array): void {
    if (this.#heard) throw new KithError('malformed', 'the other side said hello twice');
    this.#heard = true;
    this.#events.onHello(decodeHello(bytes));
  }

  #afterHello<T>(decode: (bytes: Uint8Array) => T, bytes: Uint8Array): T {
    if (!this.#heard) throw new KithError('malformed', 'the other side did not say hello first');
    return decode(bytes);
  }

  /** One answer waits at most, however many ask. */
  #onPing(number: number): void {
    const waits = this.#pongWanted !== undefined;
    this.#pongWanted = number;
    if (waits) return;
    const write = (): boolean => {
      const wanted = this.#pongWanted ?? number;
      this.#pongWanted = undefined;
      return this.#channel?.send(kind.pong, encodePing(wanted)) ?? true;
    };
    this.#gate.send(write).catch(() => {});
  }

  /** Answers to all that were asked before it, too: those in between may have gone unanswered. */
  #onPong(number: number): void {
    if (!this.#pings.has(number)) return;
    for (const [asked, resolve] of this.#pings) {
      resolve();
      if (asked === number) return;
    }
  }
}
