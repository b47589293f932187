import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';

/** Passes TCP on, until told to swallow what there is without a word: as a router does that got another address outside. */
export class SilentProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #swallowed = new Set<Socket>();
  #accepted = 0;

  private constructor(port: number) {
    this.#server = createServer((inner) => {
      this.#accepted++;
      const outer = connect(port, '127.0.0.1');
      this.#pass(inner, outer);
      this.#pass(outer, inner);
    });
  }

  static async open(port: number): Promise<SilentProxy> {
    const proxy = new SilentProxy(port);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections that were ever made to it. */
  get accepted(): number {
    return this.#accepted;
  }

  /** From now on nothing goes through the connections that there are, either way, not even their end; new ones work. */
  swallow(): void {
    this.#swallowed = new Set(this.#sockets);
  }

  /** What was swallowed until now is lost: the connections are of no use, but their ends are told again. */
  async close(): Promise<void> {
    this.#swallowed.clear();
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #pass(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.on('data', (bytes) => {
      if (!this.#swallowed.has(from)) to.write(bytes);
    });
    from.on('error', () => {});
    from.on('close', () => {
      this.#sockets.delete(from);
      if (!this.#swallowed.has(from)) to.destroy();
    });
  }
}
