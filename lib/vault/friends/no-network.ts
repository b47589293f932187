import { KithError } from '../../base/errors.ts';
import type { Availability, Holder, HolderLogs } from '../../holders/holder.ts';
import type { FriendNetwork, FriendRef, Presence, Reachability } from './friend-network.ts';

const reason = "kith isn't connected to friends in this process";

const away: Presence = { online: false, via: null, address: null, mutual: false, trouble: reason };

/** Of a command that works by itself: nobody can dial it, and nothing follows from that. */
export const notUp: Reachability = {
  state: 'unknown',
  words: 'kith isn’t up here: nobody can dial this computer.',
  choices: [],
};

/** Stands in for a friend whom nothing can reach. */
class UnreachableFriend implements Holder {
  readonly id: string;
  readonly kind = 'friend' as const;
  readonly name: string;
  readonly household: string | undefined;
  readonly logs: HolderLogs = {
    list: () => this.#refuse(),
    putSegment: () => this.#refuse(),
    getSegment: () => this.#refuse(),
  };

  constructor(friend: FriendRef) {
    this.id = friend.id;
    this.name = friend.name;
    this.household = friend.household;
  }

  check(): Promise<Availability> {
    return Promise.resolve({ available: false, foreign: false, reason });
  }

  #refuse(): Promise<never> {
    const details = { holder: this.id, foreign: false };
    return Promise.reject(
      new KithError('holder-unavailable', `${this.name} can't be reached: ${reason}`, { details }),
    );
  }

  readonly room = (): Promise<never> => this.#refuse();
  readonly reserve = (): Promise<never> => this.#refuse();
  readonly put = (): Promise<never> => this.#refuse();
  readonly get = (): Promise<never> => this.#refuse();
  readonly stat = (): Promise<never> => this.#refuse();
  readonly manifest = (): Promise<never> => this.#refuse();
  readonly verify = (): Promise<never> => this.#refuse();
  readonly delete = (): Promise<never> => this.#refuse();
  readonly settle = (): Promise<never> => this.#refuse();
  readonly putKeyRecord = (): Promise<never> => this.#refuse();
  readonly getKeyRecord = (): Promise<never> => this.#refuse();

  async *inventory(): AsyncGenerator<never> {
    yield await this.#refuse();
  }
}

/** A process without a network: all friends are away. */
export const noNetwork: FriendNetwork = {
  listen: null,
  holderOf: (friend) => new UnreachableFriend(friend),
  presence: () => away,
  hosted: () => Promise.resolve(undefined),
  ping: () => Promise.resolve([]),
  refresh: () => undefined,
};
