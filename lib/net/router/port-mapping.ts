import { isIPv4 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { KithError, messageOf } from '../../base/errors.ts';
import { addressClass } from '../address-class.ts';
import { gateways } from './gateways.ts';
import { askExternalAddress, askMapping, natPmpPort } from './nat-pmp.ts';
import type { Gateway, Mapping } from './nat-pmp.ts';
import type { Timers } from '../timers.ts';
import { findUpnpGateway, upnpExternalAddress, upnpMap } from './upnp.ts';

/** How long a router is asked to keep a port open (seconds): it closes by itself when this computer is gone. */
const lifetimeS = 3600;

/** It is asked anew after half of what it granted, within these bounds. */
const renewMsMin = 60_000;
const renewMsMax = 30 * 60_000;

/** After a failure: a router that was off, or a network that changed. */
const retryMs = 10 * 60_000;

/** Taking it back isn't worth more at the end. */
const farewellMsMax = 2_000;

/** What the router passes on to this computer. */
export interface OpenPort {
  /** The router's address outside, as it says. */
  readonly host: string;
  readonly tcp: number | null;
  readonly udp: number | null;
}

export interface PortMappingOptions {
  readonly port: number;
  readonly protocols: readonly Mapping['protocol'][];
  readonly timers: Timers;
  /** It changed; null when it is gone. */
  readonly onChange: (open: OpenPort | null) => void;
  /** For the log: which way, or why not. */
  readonly note: (text: string) => void;
  /** For tests: who is asked in the place of this network's routers. */
  readonly natPmp?: readonly Gateway[];
  readonly upnp?: { readonly host: string; readonly port: number } | 'off';
}

interface Granted extends OpenPort {
  readonly lifetimeMs: number;
  readonly release: (signal: AbortSignal) => Promise<void>;
}

/** Has the router pass one port on, as long as it isn't closed; asks again before the router forgets (docs/decisions/0038). */
export class PortMapping {
  readonly #options: PortMappingOptions;
  readonly #stop = new AbortController();
  #granted: Granted | undefined;
  #asking: Promise<void> = Promise.resolve();
  #callOff: () => void = () => {};

  constructor(options: PortMappingOptions) {
    this.#options = options;
  }

  /** Asks now, and goes on by itself. Never rejects; what came of it is told to `onChange` and `note`. */
  start(): Promise<void> {
    this.#callOff();
    this.#asking = this.#ask();
    return this.#asking;
  }

  /** Takes it back, if there is time. Harmless when repeated. */
  async close(): Promise<void> {
    this.#stop.abort(new KithError('interrupted', 'closing'));
    this.#callOff();
    await this.#asking;
    const granted = this.#granted;
    this.#granted = undefined;
    await granted?.release(AbortSignal.timeout(farewellMsMax)).catch(() => undefined);
  }

  async #ask(): Promise<void> {
    const { timers, onChange, note } = this.#options;
    const troubles: string[] = [];
    let granted: Granted | undefined;
    for (const way of [(): Promise<Granted> => this.#byNatPmp(), (): Promise<Granted> => this.#byUpnp()]) {
      try {
        granted = await way();
        break;
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        troubles.push(messageOf(error));
      }
    }
    if (this.#stop.signal.aborted) {
      // Granted as it was called off: it is taken back by close.
      this.#granted = granted ?? this.#granted;
      return;
    }
    const before = this.#granted;
    this.#granted = granted;
    const isSame =
      before?.host === granted?.host && before?.tcp === granted?.tcp && before?.udp === granted?.udp;
    if (!isSame) {
      note(
        granted === undefined
          ? `no port is open in the router: ${troubles.join('; ')}`
          : `the router passes port ${granted.tcp ?? granted.udp ?? 0} of ${granted.host} on`,
      );
      onChange(granted === undefined ? null : { host: granted.host, tcp: granted.tcp, udp: granted.udp });
    }
    const halfMs = (granted?.lifetimeMs ?? 0) / 2;
    const nextMs = granted === undefined ? retryMs : Math.min(renewMsMax, Math.max(renewMsMin, halfMs));
    this.#callOff = timers.after(nextMs, () => void this.start());
  }

  async #byNatPmp(): Promise<Granted> {
    const { port, protocols, natPmp } = this.#options;
    const { signal } = this.#stop;
    const asked = natPmp ?? (await gateways(networkInterfaces())).map((host) => ({ host, port: natPmpPort }));
    let trouble: unknown = new KithError('peer-unreachable', 'no gateway is known to ask by NAT-PMP');
    for (const gateway of asked) {
      try {
        const host = await askExternalAddress(gateway, signal);
        const mappings: Mapping[] = [];
        const release = async (end: AbortSignal): Promise<void> => {
          for (const { protocol } of mappings) {
            await askMapping(gateway, { protocol, internalPort: port, externalPort: 0, lifetime: 0 }, end);
          }
        };
        try {
          for (const protocol of protocols) {
            const wanted = { protocol, internalPort: port, externalPort: port, lifetime: lifetimeS };
            mappings.push(await askMapping(gateway, wanted, signal));
          }
          return { ...openPort(host, mappings), release };
        } catch (error) {
          // What was granted by halves isn't left open.
          await release(signal).catch(() => undefined);
          throw error;
        }
      } catch (error) {
        signal.throwIfAborted();
        trouble = error;
      }
    }
    throw trouble;
  }

  async #byUpnp(): Promise<Granted> {
    const { port, protocols, upnp } = this.#options;
    const { signal } = this.#stop;
    if (upnp === 'off') throw new KithError('peer-unreachable', 'UPnP is off');
    for (const address of upnp === undefined ? privateAddresses() : ['127.0.0.1']) {
      const search = upnp === undefined ? { address } : { address, group: upnp };
      const gateway = await findUpnpGateway(search, signal);
      if (gateway === undefined) continue;
      const mappings = protocols.map((protocol) => ({
        protocol,
        internalPort: port,
        externalPort: port,
        lifetime: lifetimeS,
      }));
      const host = await upnpExternalAddress(gateway, signal);
      for (const mapping of mappings) await upnpMap(gateway, address, mapping, signal);
      return {
        ...openPort(host, mappings),
        release: async (end) => {
          for (const mapping of mappings) await upnpMap(gateway, address, { ...mapping, lifetime: 0 }, end);
        },
      };
    }
    throw new KithError('peer-unreachable', 'no router answers UPnP');
  }
}

/** KithError `malformed` for a router that doesn't know its own address. */
function openPort(host: string, mappings: readonly Mapping[]): OpenPort & { readonly lifetimeMs: number } {
  // Of IPv4 only: another form has no place in a card.
  if (!isIPv4(host) || addressClass(host) === 'loopback' || host === '0.0.0.0')
    throw new KithError('malformed', 'the router names no address of its own outside');
  const portOf = (protocol: Mapping['protocol']): number | null => {
    const port = mappings.find((mapping) => mapping.protocol === protocol)?.externalPort ?? 0;
    return port === 0 ? null : port;
  };
  const lifetime = Math.min(...mappings.map((mapping) => mapping.lifetime));
  return { host, tcp: portOf('tcp'), udp: portOf('udp'), lifetimeMs: lifetime * 1000 };
}

function privateAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((infos) => infos ?? []);
  return all
    .filter(({ family, address }) => family === 'IPv4' && addressClass(address) === 'private')
    .map(({ address }) => address)
    .slice(0, 4);
}
