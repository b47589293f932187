import { toHex } from '../../base/bytes.ts';
import { KithError } from '../../base/errors.ts';
import type { CallWiring } from '../calls/call-client.ts';
import {
  decodeRelayCredit,
  decodeRelayData,
  decodeRelayDial,
  decodeRelayEnd,
  encodeRelayCredit,
  encodeRelayDataHead,
  encodeRelayEnd,
  encodeRelayIncoming,
  pipeCountMax,
  relayEnd,
  relayKind,
} from './relay-codec.ts';
import type { RelayHub } from './relay-hub.ts';
import type { JointEnd, RelayJoint } from './relay-joint.ts';
import type { ChannelEnd, PeerInfo } from '../service.ts';

/** Dials that a device may begin at once, and one more so often: each is told to somebody else. */
export const dialBurstMax = 32;
export const dialPauseMs = 1_000;

/** A pipe of this channel. */
interface OpenPipe {
  readonly end: JointEnd;
  readonly joint: RelayJoint;
}

/** The relaying half of `kith/relay` in the session with one friend's device. */
export class RelayServer implements ChannelEnd {
  readonly deviceKey: string;
  readonly identityHex: string;
  readonly #wiring: CallWiring;
  readonly #hub: RelayHub;
  readonly #pipes = new Map<number, OpenPipe>();
  #lastDial = -1;
  #lastIncoming = 0;
  #dialsLeft = dialBurstMax;
  #dialsAtMs: number;
  #ended = false;

  constructor(peer: PeerInfo, wiring: CallWiring, hub: RelayHub) {
    this.deviceKey = toHex(peer.deviceId);
    this.identityHex = toHex(peer.identity);
    this.#wiring = wiring;
    this.#hub = hub;
    this.#dialsAtMs = wiring.timers.nowMs();
    hub.attach(this);
  }

  readonly kinds: readonly ((bytes: Uint8Array) => void)[] = [
    (bytes) => this.#dial(bytes),
    () => this.#unexpected('a pipe that comes in'),
    (bytes) => this.#data(bytes),
    (bytes) => this.#credit(bytes),
    (bytes) => this.#theEnd(bytes),
  ];

  /** Pipes that aren't over. */
  get openCount(): number {
    return this.#pipes.size;
  }

  get isFull(): boolean {
    return this.#ended || this.#pipes.size >= pipeCountMax;
  }

  /** The session is over, or the grant was taken back. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#hub.detach(this);
    for (const { joint, end } of this.#pipes.values()) joint.leave(end);
    this.#pipes.clear();
  }

  /** Tells the device that somebody wants to reach it; `join` makes the joint of the end that it gets. */
  incoming(join: (end: JointEnd) => RelayJoint): RelayJoint {
    const number = (this.#lastIncoming += 2);
    const end = this.#endOf(number);
    const joint = join(end);
    this.#pipes.set(number, { end, joint });
    this.#wiring.send(relayKind.incoming, encodeRelayIncoming(number));
    return joint;
  }

  #endOf(number: number): JointEnd {
    const { send, gate } = this.#wiring;
    return {
      identityHex: this.identityHex,
      sendData: (bytes, wanted) =>
        gate.send(() => (wanted() ? send(relayKind.data, encodeRelayDataHead(number), bytes) : true), 'bulk'),
      sendCredit: (bytes) => void send(relayKind.credit, encodeRelayCredit({ pipe: number, bytes })),
      sendEnd: (reason) => {
        this.#pipes.delete(number);
        send(relayKind.end, encodeRelayEnd({ pipe: number, reason }));
      },
    };
  }

  #dial(message: Uint8Array): void {
    const { pipe, device } = decodeRelayDial(message);
    if (pipe <= this.#lastDial) throw new KithError('malformed', 'the other side used a pipe twice');
    this.#lastDial = pipe;
    const end = this.#endOf(pipe);
    if (this.isFull || !this.#mayDial()) {
      end.sendEnd(relayEnd.busy);
      return;
    }
    const joint = this.#hub.join(this, end, toHex(device));
    if (joint !== undefined) this.#pipes.set(pipe, { end, joint });
  }

  #mayDial(): boolean {
    const nowMs = this.#wiring.timers.nowMs();
    this.#dialsLeft = Math.min(dialBurstMax, this.#dialsLeft + (nowMs - this.#dialsAtMs) / dialPauseMs);
    this.#dialsAtMs = nowMs;
    if (this.#dialsLeft < 1) return false;
    this.#dialsLeft--;
    return true;
  }

  #data(message: Uint8Array): void {
    const { pipe, bytes } = decodeRelayData(message);
    const open = this.#known(pipe);
    open?.joint.data(open.end, bytes);
  }

  #credit(message: Uint8Array): void {
    const { pipe, bytes } = decodeRelayCredit(message);
    const open = this.#known(pipe);
    open?.joint.credit(open.end, bytes);
  }

  #theEnd(message: Uint8Array): void {
    const { pipe } = decodeRelayEnd(message);
    const open = this.#known(pipe);
    this.#pipes.delete(pipe);
    open?.joint.leave(open.end);
  }

  /** Undefined for a pipe that is over: what was under way when it ended is dropped. */
  #known(number: number): OpenPipe | undefined {
    const last = number % 2 === 1 ? this.#lastDial : this.#lastIncoming;
    if (number > last)
      throw new KithError('malformed', 'the other side spoke of a pipe that there never was');
    return this.#pipes.get(number);
  }

  #unexpected(what: string): never {
    throw new KithError('malformed', `the other side sent ${what}`);
  }
}
