import { isKithError, KithError } from '../../base/errors.ts';
import { dialDirect } from './direct-dial.ts';
import { DirectListener } from './direct-listener.ts';
import type { Listening } from './direct-listener.ts';
import { LinkSet } from '../links/link-set.ts';
import type { DialTarget, Link, Transport, TransportOptions } from '../links/link.ts';

/** Where to listen for TCP; port 0 is the system's choice. Left out, nothing listens and one can still dial. */
export interface DirectTransportOptions extends TransportOptions {
  readonly listen?: Listening;
  /** An IPv6 address to listen on as well, `::` for all, on the same number: where there is any, and it is free. */
  readonly alsoIPv6?: string;
}

/** Noise IK over TCP between devices that know each other's keys beforehand (docs/net.md). */
export interface DirectTransport extends Transport {
  readonly name: 'direct';
  readonly listening: Listening | undefined;
  /** Whether it listens on `alsoIPv6` as well. */
  readonly listensIPv6: boolean;
}

/** Listens if told to. KithError `address-taken`, or `usage` for an address that isn't this computer's. */
export async function openDirectTransport(options: DirectTransportOptions): Promise<DirectTransport> {
  const links = new LinkSet();
  const stop = new AbortController();
  const { listen, alsoIPv6 } = options;
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
  const listensIPv6 = alsoIPv6 !== undefined && (await listensToo(listener, alsoIPv6, listening?.port));

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
    listensIPv6,
    dial,
    close: () => {
      closing ??= shut();
      return closing;
    },
  };
}

/** A computer without IPv6, or with another program on that number, is reached by IPv4 alone. */
async function listensToo(
  listener: DirectListener | undefined,
  host: string,
  port: number | undefined,
): Promise<boolean> {
  if (listener === undefined || port === undefined) return false;
  try {
    await listener.listen(host, port, true);
    return true;
  } catch (error) {
    if (isKithError(error)) return false;
    throw error;
  }
}
