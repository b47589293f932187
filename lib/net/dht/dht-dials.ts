import type HyperDHT from 'hyperdht';
import type { DhtConnection, HostPort } from 'hyperdht';
import type Hyperswarm from 'hyperswarm';
import { equalBytes, toHex, viewAsBuffer } from '../../base/bytes.ts';
import { KithError } from '../../base/errors.ts';

interface PendingDial {
  /** Nodes to try at once, before the search has found any. */
  readonly hints: readonly HostPort[];
  readonly resolve: (connection: DhtConnection) => void;
  readonly reject: (error: unknown) => void;
}

/** Dials at a time: friends' devices, far fewer than that. */
export const dialCountMax = 256;

function unreachable(message: string, crossed = false): KithError {
  return new KithError('peer-unreachable', message, { details: { crossed } });
}

/**
 * Dials by key through hyperswarm. Hyperswarm keeps one connection a key and would try again by itself: here each dial
 * is one attempt, and what comes after is the caller's decision.
 */
export class DhtDials {
  readonly #swarm: Hyperswarm;
  readonly #pending = new Map<string, PendingDial>();

  constructor(dht: HyperDHT, swarm: Hyperswarm) {
    this.#swarm = swarm;
    // joinPeer has no way to say where a peer was last seen, but it connects by this: a device at its known address
    // answers in one round trip, whatever stale announcements of it are about.
    const connect = dht.connect.bind(dht);
    dht.connect = (key, options) => {
      const hints = this.#pending.get(toHex(key))?.hints ?? [];
      return connect(key, hints.length === 0 ? options : { ...options, relayAddresses: hints });
    };
    swarm.on('update', () => this.#findFailed());
  }

  /** The open connection. KithError `peer-unreachable`, or the signal's reason. */
  async dial(remoteKey: Uint8Array, hints: readonly HostPort[], signal: AbortSignal): Promise<DhtConnection> {
    const id = toHex(remoteKey);
    if (this.#pending.has(id)) throw unreachable('it is being dialled already', true);
    if (this.isConnected(remoteKey)) throw unreachable('it is connected already', true);
    if (this.#pending.size >= dialCountMax) throw unreachable('too many dials at a time');
    const key = viewAsBuffer(remoteKey);
    let abort = (): void => {};
    try {
      return await new Promise<DhtConnection>((resolve, reject) => {
        this.#pending.set(id, { hints, resolve, reject });
        abort = () => reject(signal.reason);
        signal.addEventListener('abort', abort, { once: true });
        if (signal.aborted) abort();
        this.#swarm.joinPeer(key);
        this.#swarm.peers.get(id)?.reconnect(false);
      });
    } finally {
      signal.removeEventListener('abort', abort);
      this.#pending.delete(id);
      this.#swarm.leavePeer(key);
    }
  }

  /** A connection that we opened; false if nobody waits for it any more. */
  opened(connection: DhtConnection): boolean {
    const dial = this.#pending.get(toHex(connection.remotePublicKey));
    dial?.resolve(connection);
    return dial !== undefined;
  }

  /** A connection from somebody whom we may be dialling: hyperswarm keeps only one of the two. */
  crossed(remoteKey: Uint8Array): void {
    const dial = this.#pending.get(toHex(remoteKey));
    dial?.reject(unreachable('it dialled us at the same moment, and that connection is used', true));
  }

  /** True if hyperswarm has an open connection with that key. */
  isConnected(remoteKey: Uint8Array): boolean {
    for (const connection of this.#swarm.connections) {
      if (equalBytes(connection.remotePublicKey, remoteKey)) return true;
    }
    return false;
  }

  #findFailed(): void {
    for (const [id, dial] of this.#pending) {
      if ((this.#swarm.peers.get(id)?.attempts ?? 0) === 0) continue;
      // Where the other side's connection took the place of ours, it is told in the same turn, with a better reason.
      queueMicrotask(() => dial.reject(unreachable('not found by its key, or it does not answer us')));
    }
  }
}
