import {
  signHello,
  encodeHello,
  encodeOffers,
  roleInitiator,
  roleResponder,
} from '../../lib/net/sessions/hello.ts';
import type { Hello, ServiceOffer } from '../../lib/net/sessions/hello.ts';
import type { KeyPair, Link } from '../../lib/net/links/link.ts';
import { Mux } from '../../lib/net/links/mux.ts';
import type { MuxChannel } from '../../lib/net/links/mux.ts';
import { until } from './net-peers.ts';

/** A message that came in. */
export interface RawMessage {
  readonly kind: number;
  readonly bytes: Uint8Array;
}

const kindCount = 10;

/** The other side in a test of the protocol itself: it speaks Protomux and says whatever the test wants. */
export class RawPeer {
  readonly link: Link;
  readonly mux: Mux;
  readonly hello: MuxChannel;
  readonly heard: RawMessage[] = [];
  ended = false;

  constructor(link: Link) {
    this.link = link;
    this.mux = new Mux(
      link.stream,
      () => 0,
      () => void link.close(),
    );
    const hello = this.open('kith/hello', null, this.heard);
    if (hello === undefined) throw new Error('the link is over');
    this.hello = hello;
    void link.closed.then(() => {
      this.ended = true;
    });
  }

  /** Opens a channel; what comes in on it is kept in `heard`. */
  open(
    protocol: string,
    id: number | null,
    heard: RawMessage[],
    onClose: () => void = () => {},
  ): MuxChannel | undefined {
    return this.mux.open({
      protocol,
      id: id === null ? null : new Uint8Array([id]),
      kinds: Array.from({ length: kindCount }, (_, kind) => (bytes: Uint8Array) => {
        heard.push({ kind, bytes: bytes.slice() });
      }),
      onClose,
    });
  }

  get role(): number {
    return this.link.isInitiator ? roleInitiator : roleResponder;
  }

  sayHello(device: KeyPair, card: Uint8Array, changes: Partial<Hello> = {}): void {
    const hello = {
      runId: new Uint8Array(16),
      moment: 1,
      deviceId: device.publicKey,
      card,
      signature: signHello(this.link.handshakeHash, this.role, device.secretKey),
      extensions: [],
      ...changes,
    };
    this.hello.send(0, encodeHello(hello));
  }

  sayOffers(services: readonly ServiceOffer[], moment = 2): void {
    this.hello.send(1, encodeOffers({ moment, services, extensions: [] }));
  }

  /** Waits for a message of that kind on the hello channel. */
  async hears(kind: number): Promise<RawMessage> {
    const found = (): RawMessage | undefined => this.heard.find((message) => message.kind === kind);
    await until(() => found() !== undefined || this.ended, `message ${kind}`);
    const message = found();
    if (message === undefined) throw new Error(`the link ended before message ${kind}`);
    return message;
  }
}
