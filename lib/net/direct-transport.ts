import { KithError } from '../base/errors.ts';
import { dialDirect } from './direct-dial.ts';
import { DirectListener } from './direct-listener.ts';
import type { Listening } from './direct-listener.ts';
import { LinkSet } from './link-set.ts';
import type { DialTarget, Link, Transport, TransportOptions } from './link.ts';

/** Where to listen for TCP; port 0 is the system's choice. Left out, nothing listens and one can still dial. */
export interface DirectTransportOptions extends TransportOptions {
  readonly listen?: Listening;
}

/** Noise IK over TCP between devices that know each other's keys beforehand (docs/net.md). */
export interface DirectTransport extends Transport {
  readonly name: 'direct';
  readonly listening: Listening | undefined;
}

/** Listens if told to. KithError `address-taken`, or `usage` for an address that isn't this computer's. */
export async function openDirectTransport(options: DirectTransportOptions): Promise<DirectTransport> {
  const links = new LinkSet();
  const stop = new AbortController();
  const { listen } = options;
  const listener =
    listen === undefined
      ? undefined
      : new DirectListener({
          ...options,
          onLink: (link) => {
            links.add(link);
            options.onLink(link);
          },
        });
  const listening = listen === undefined ? undefined : await listener?.listen(listen.host, listen.port);

  async function dial(target: DialTarget, signal: AbortSignal): Promise<Link> {
    const link = await dialDirect(target, [signal, stop.signal]);
    if (stop.signal.aborted) {
      link.stream.destroy();
      stop.signal.throwIfAborted();
    }
    links.add(link);
    return link;
  }

  let closing: Promise<void> | undefined;
  async function shut(): Promise<void> {
    stop.abort(new KithError('interrupted', 'the network is being closed'));
    await Promise.all([listener?.close(), links.closeAll()]);
  }

  return {
    name: 'direct',
    listening,
    dial,
    close: () => {
      closing ??= shut();
      return closing;
    },
  };
}
