import { idKey } from '../../base/bytes.ts';
import type { WantedPeer } from '../directory.ts';
import type { Endpoint } from '../links/link.ts';

/** How long a hint is followed: the network of a home keeps an address for hours, and the next beacon says it anew. */
export const hintMsMax: number = 10 * 60_000;

/** A hint that is given again is worth another try this often. */
export const hintGapMs = 10_000;

/** Hints of one device: it is heard from a cable and a radio, over IPv4 and over IPv6, and over IPv6 by a cable and a radio of ours each. */
export const hintsPerDeviceMax = 8;

/** Devices of which there are hints: friends in one network, far fewer than that. */
export const hintedDevicesMax = 1024;

interface Hint {
  readonly endpoint: Endpoint;
  readonly untilMs: number;
  /** When a try was said to be worth it. */
  readonly toldMs: number;
}

function samePlace(a: Endpoint, b: Endpoint): boolean {
  return a.host === b.host && a.port === b.port;
}

/**
 * Where devices were seen just now, which no card says: they are dialled there first. In memory only, and never more than a hint: who
 * answers has to prove who it is.
 */
export class EndpointHints {
  readonly #nowMs: () => number;
  readonly #hints = new Map<string, Hint[]>();

  /** `nowMs` is monotonic. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** The newest comes first. True where a try is worth it: it wasn't known, or its last try was said to be worth it some time ago. */
  put(deviceId: Uint8Array, endpoint: Endpoint, lastsMs: number = hintMsMax): boolean {
    const key = idKey(deviceId);
    const nowMs = this.#nowMs();
    const before = (this.#hints.get(key) ?? []).filter(({ untilMs }) => untilMs > nowMs);
    const others = before.filter((hint) => !samePlace(hint.endpoint, endpoint));
    this.#hints.delete(key);
    const known = before.find((hint) => samePlace(hint.endpoint, endpoint));
    const isDue = known === undefined || nowMs - known.toldMs >= hintGapMs;
    const fresh = {
      endpoint: known?.endpoint ?? endpoint,
      untilMs: nowMs + lastsMs,
      toldMs: isDue ? nowMs : known.toldMs,
    };
    // What is known keeps its place: each change of the order would be dialled anew.
    const all =
      known === undefined ? [fresh, ...others] : before.map((hint) => (hint === known ? fresh : hint));
    this.#hints.set(key, all.slice(0, hintsPerDeviceMax));
    for (const oldest of this.#hints.keys()) {
      if (this.#hints.size <= hintedDevicesMax) break;
      this.#hints.delete(oldest);
    }
    return isDue;
  }

  /** The peer with what is hinted of it before what its card says. */
  merged(peer: WantedPeer): WantedPeer {
    const hints = this.#hints.get(idKey(peer.deviceId));
    if (hints === undefined) return peer;
    const nowMs = this.#nowMs();
    const live = hints.filter(({ untilMs }) => untilMs > nowMs).map(({ endpoint }) => endpoint);
    const others = peer.endpoints.filter((endpoint) => !live.some((hint) => samePlace(hint, endpoint)));
    return { ...peer, endpoints: [...live, ...others] };
  }
}
