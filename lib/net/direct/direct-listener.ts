import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { toHex } from '../../base/bytes.ts';
import { KithError } from '../../base/errors.ts';
import { withDeadline } from '../deadline.ts';
import { handshakeMsMax } from './direct-dial.ts';
import {
  checkConfirm,
  checkHelloHead,
  confirmBytes,
  helloBytes,
  helloHeadBytes,
  readHello,
} from './direct-handshake.ts';
import { openDirectLink } from './direct-stream.ts';
import { HalfOpen, unconfirmedPerKeyMax } from './half-open.ts';
import type { Link, TransportOptions } from '../links/link.ts';
import { listenError } from './listen-error.ts';
import { readExactly } from '../links/socket-bytes.ts';

/** Where something listens. */
export interface Listening {
  readonly host: string;
  readonly port: number;
}

/** Links that one key may have opened to us; the oldest, which is likely dead, gives way. */
const linksPerKeyMax = 8;

/** Takes TCP connections and hands out those that prove an admitted key. */
export class DirectListener {
  readonly #options: TransportOptions;
  readonly #servers: Server[] = [];
  readonly #halfOpen = new HalfOpen<Socket>();
  /** Who has named an admitted key: strangers at the same address don't push it out. */
  readonly #unconfirmed = new HalfOpen<Socket>(unconfirmedPerKeyMax);
  readonly #byKey = new Map<string, Set<Link>>();
  readonly #stop = new AbortController();

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  /**
   * Port 0: the system's choice. May be called for several addresses, which then share all limits; an IPv6 one takes no IPv4 with
   * `ipv6Only`. KithError of listenError.
   */
  listen(host: string, port: number, ipv6Only = false): Promise<Listening> {
    const server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
    // After it listens, an error means that one connection couldn't be taken (too many files open): not the end.
    server.on('error', () => {});
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => reject(listenError(error, 'TCP', host, port));
      server.once('error', fail);
      server.listen({ host, port, exclusive: true, ipv6Only }, () => {
        server.off('error', fail);
        this.#servers.push(server);
        const address = server.address() as AddressInfo;
        resolve({ host: address.address, port: address.port });
      });
    });
  }

  /** Takes no more connections and drops those that aren't links yet; links are their owners'. */
  async close(): Promise<void> {
    this.#stop.abort(new KithError('interrupted', 'closing'));
    const closed = this.#servers.map(
      (server) =>
        new Promise<void>((resolve) => {
          server.close(() => resolve());
        }),
    );
    this.#halfOpen.destroyAll();
    this.#unconfirmed.destroyAll();
    await Promise.all(closed);
  }

  #accept(socket: Socket): void {
    socket.on('error', () => {});
    if (this.#stop.signal.aborted) {
      socket.destroy();
      return;
    }
    this.#halfOpen.add(socket, socket.remoteAddress ?? '');
    socket.once('close', () => this.#leave(socket));
    this.#welcome(socket)
      .then((link) => {
        this.#leave(socket);
        this.#handOut(link);
      })
      // Nothing is said to whom we don't know, not even what was wrong; nor where a link isn't taken.
      .catch(() => socket.destroy());
  }

  #leave(socket: Socket): void {
    this.#halfOpen.delete(socket);
    this.#unconfirmed.delete(socket);
  }

  async #welcome(socket: Socket): Promise<Link> {
    const { keyPair, admits } = this.#options;
    const late = (): KithError => new KithError('peer-unreachable', 'handshake too slow');
    return await withDeadline(handshakeMsMax, [this.#stop.signal], late, async (signal) => {
      const hello = new Uint8Array(helloBytes);
      hello.set(await readExactly(socket, helloHeadBytes, signal));
      checkHelloHead(hello.subarray(0, helloHeadBytes));
      hello.set(await readExactly(socket, helloBytes - helloHeadBytes, signal), helloHeadBytes);
      const received = readHello(keyPair, hello);
      if (!admits(received.remoteKey)) throw new KithError('peer-refused', 'a key that is not admitted');
      this.#halfOpen.delete(socket);
      this.#unconfirmed.add(socket, toHex(received.remoteKey));
      const { answer, handshake } = received.answer();
      socket.write(answer);
      checkConfirm(handshake, await readExactly(socket, confirmBytes, signal));
      return await openDirectLink(false, socket, handshake);
    });
  }

  #handOut(link: Link): void {
    if (this.#stop.signal.aborted || !this.#options.admits(link.remoteKey)) {
      link.stream.destroy();
      return;
    }
    this.#count(link);
    this.#options.onLink(link);
  }

  #count(link: Link): void {
    const key = toHex(link.remoteKey);
    const links = this.#byKey.get(key) ?? new Set();
    this.#byKey.set(key, links);
    links.add(link);
    link.stream.once('close', () => {
      links.delete(link);
      if (links.size === 0 && this.#byKey.get(key) === links) this.#byKey.delete(key);
    });
    if (links.size > linksPerKeyMax) {
      const [oldest] = links;
      oldest?.stream.destroy();
    }
  }
}
