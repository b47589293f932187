import { KithError } from '../../base/errors.ts';
import type { CallWiring } from '../calls/call-client.ts';
import {
  decodeRelayCredit,
  decodeRelayData,
  decodeRelayEnd,
  decodeRelayIncoming,
  encodeRelayCredit,
  encodeRelayDataHead,
  encodeRelayDial,
  encodeRelayEnd,
  pipeCountMax,
  relayEnd,
  relayKind,
} from './relay-codec.ts';
import { RelayPipe } from './relay-pipe.ts';
import type { ChannelEnd, PeerInfo } from '../service.ts';

/** What becomes of pipes that others open to us. */
export type OnIncomingPipe = (pipe: RelayPipe, relay: PeerInfo) => void;

/** Our half of `kith/relay` in the session with a friend who relays for us: pipes to devices that are with it, and from them. */
export class RelayCaller implements ChannelEnd {
  readonly relay: PeerInfo;
  readonly #wiring: CallWiring;
  readonly #onIncoming: OnIncomingPipe;
  readonly #onEnd: (caller: RelayCaller) => void;
  readonly #pipes = new Map<number, RelayPipe>();
  #lastOwn = -1;
  #lastIncoming = 0;
  #ended = false;

  constructor(
    relay: PeerInfo,
    wiring: CallWiring,
    onIncoming: OnIncomingPipe,
    onEnd: (caller: RelayCaller) => void,
  ) {
    this.relay = relay;
    this.#wiring = wiring;
    this.#onIncoming = onIncoming;
    this.#onEnd = onEnd;
  }

  readonly kinds: readonly ((bytes: Uint8Array) => void)[] = [
    () => this.#unexpected('a dial'),
    (bytes) => this.#incoming(decodeRelayIncoming(bytes)),
    (bytes) => this.#data(bytes),
    (bytes) => this.#credit(bytes),
    (bytes) => this.#theEnd(bytes),
  ];

  /** Pipes that aren't over. */
  get openCount(): number {
    return this.#pipes.size;
  }

  /**
   * A pipe to the device, at once: whether it is there shows in what comes back, or in the end of the pipe. KithError
   * `limit-exceeded` for too many, `holder-unavailable` when the session has ended.
   */
  dial(device: Uint8Array): RelayPipe {
    if (this.#ended) throw new KithError('holder-unavailable', 'the session with the relay ended');
    if (this.#pipes.size >= pipeCountMax)
      throw new KithError('limit-exceeded', 'too many connections through it');
    const number = (this.#lastOwn += 2);
    const pipe = this.#open(number);
    this.#wiring.send(relayKind.dial, encodeRelayDial({ pipe: number, device }));
    return pipe;
  }

  /** The session is over, or the grant was taken back. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const pipe of this.#pipes.values()) pipe.endedBy(relayEnd.stopped);
    this.#pipes.clear();
    this.#onEnd(this);
  }

  #open(number: number): RelayPipe {
    const { send, gate } = this.#wiring;
    const pipe: RelayPipe = new RelayPipe({
      sendData: (bytes, wanted) =>
        gate.send(() => (wanted() ? send(relayKind.data, encodeRelayDataHead(number), bytes) : true), 'bulk'),
      sendCredit: (bytes) => void send(relayKind.credit, encodeRelayCredit({ pipe: number, bytes })),
      sendEnd: () => void send(relayKind.end, encodeRelayEnd({ pipe: number, reason: relayEnd.closed })),
      onOver: () => void this.#pipes.delete(number),
    });
    // Its end is told by its close as well; whoever uses it may not listen yet.
    pipe.on('error', () => {});
    this.#pipes.set(number, pipe);
    return pipe;
  }

  #incoming(number: number): void {
    if (number <= this.#lastIncoming) throw new KithError('malformed', 'the relay used a pipe twice');
    this.#lastIncoming = number;
    if (this.#pipes.size >= pipeCountMax) {
      this.#wiring.send(relayKind.end, encodeRelayEnd({ pipe: number, reason: relayEnd.busy }));
      return;
    }
    this.#onIncoming(this.#open(number), this.relay);
  }

  #data(message: Uint8Array): void {
    const { pipe, bytes } = decodeRelayData(message);
    this.#known(pipe)?.receive(bytes);
  }

  #credit(message: Uint8Array): void {
    const { pipe, bytes } = decodeRelayCredit(message);
    this.#known(pipe)?.grant(bytes);
  }

  #theEnd(message: Uint8Array): void {
    const { pipe, reason } = decodeRelayEnd(message);
    this.#known(pipe)?.endedBy(reason);
  }

  /** Undefined for a pipe that is over: what was under way when it ended is dropped. */
  #known(number: number): RelayPipe | undefined {
    const last = number % 2 === 1 ? this.#lastOwn : this.#lastIncoming;
    if (number > last) throw new KithError('malformed', 'the relay spoke of a pipe that there never was');
    return this.#pipes.get(number);
  }

  #unexpected(what: string): never {
    throw new KithError('malformed', `the relay sent ${what}`);
  }
}
