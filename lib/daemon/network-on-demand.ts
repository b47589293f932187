import { friendStateNumbers } from '../format/friend-records.ts';
import { noNetwork } from '../vault/friends/no-network.ts';
import type {
  FriendNetwork,
  FriendRef,
  Hosted,
  PingStep,
  Presence,
} from '../vault/friends/friend-network.ts';
import type { OpenLinkDoor } from '../vault/devices/link-door.ts';
import type { Session } from '../vault/session.ts';
import type { Holder } from '../holders/holder.ts';
import type { PeerNode } from './home-port.ts';

const notYet: Presence = { online: false, via: null, address: null, mutual: false, trouble: null };

/** A network under a vault, as peer-node.ts makes it. */
export type NetworkNode = PeerNode & FriendNetwork;

/**
 * The network of a command that works by itself. While nobody is in the friends book its code isn't even loaded: that takes longer than
 * all else before a vault is open. At the first need, a friend that logs or a card brought along, the real one takes its place under
 * the session.
 */
export class NetworkOnDemand implements PeerNode, FriendNetwork {
  readonly id: string;
  readonly listening: null = null;
  readonly listen: null = null;
  readonly network: FriendNetwork = this;
  readonly openLinkDoor: OpenLinkDoor = async (options) =>
    (await import('./link-door.ts')).openLinkDoor(options);
  readonly #session: Session;
  readonly #make: (session: Session) => Promise<NetworkNode>;
  #made: Promise<NetworkNode> | undefined;
  #isClosed = false;

  constructor(session: Session, make: (session: Session) => Promise<NetworkNode>) {
    this.id = session.id;
    this.#session = session;
    this.#make = make;
  }

  /** Nothing listens, and nothing is dialled before `settled`. */
  async start(_onPresence: unknown, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (hasFriends(this.#session)) await this.#real();
  }

  async settled(signal?: AbortSignal): Promise<void> {
    if (this.#isClosed || !hasFriends(this.#session)) return;
    await (await this.#real()).settled?.(signal);
  }

  async #real(): Promise<NetworkNode> {
    this.#made ??= this.#make(this.#session).then((node) => {
      this.#session.connect(node);
      return node;
    });
    return await this.#made;
  }

  holderOf(friend: FriendRef): Holder {
    return noNetwork.holderOf(friend);
  }

  presence(): Presence {
    return notYet;
  }

  hosted(): Promise<Hosted | undefined> {
    return Promise.resolve(undefined);
  }

  async ping(id: string, signal?: AbortSignal, sessionOnly?: boolean): Promise<readonly PingStep[]> {
    if (this.#isClosed) return [];
    return await (await this.#real()).ping(id, signal, sessionOnly);
  }

  refresh(): void {
    // Whom the book names is read when the real one is made.
  }

  async exchangeWith(friendId: string, signal: AbortSignal): Promise<void> {
    if (!this.#isClosed && hasFriends(this.#session))
      await (await this.#real()).exchangeWith(friendId, signal);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await (await this.#made?.catch(() => undefined))?.close();
  }
}

function hasFriends(session: Session): boolean {
  for (const friend of session.state.friends()) if (friend.state === friendStateNumbers.active) return true;
  return false;
}
