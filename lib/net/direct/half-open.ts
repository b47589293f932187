import { isIPv6 } from 'node:net';

/** Connections that have not yet proved who they are. */
export const halfOpenCountMax = 64;

/** Of one address: a household's devices behind its router, each of which needs milliseconds. */
export const halfOpenPerAddressMax = 8;

/** What one party can have many of counts as one: an IPv6 network of 64 bits, and IPv4 however it is written. */
export function addressGroup(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!isIPv6(address)) return address;
  const [head = '', tail] = address.replace(/%.*$/, '').split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length);
  const words = [...before, ...Array.from({ length: zeros }, () => '0'), ...after];
  return words
    .slice(0, 4)
    .map((word) => Number.parseInt(word, 16).toString(16))
    .join(':');
}

/** Of one admitted key, that have said hello and not confirmed it: a device dials one at a time; more are recordings of its hello. */
export const unconfirmedPerKeyMax = 4;

/** What may be shown the door. */
interface Closable {
  destroy(): unknown;
}

/**
 * Connections in their handshake. Of too many of one address its oldest gives way; of too many altogether the oldest of
 * whichever address has most: a flood makes room for itself, not for a friend's.
 */
export class HalfOpen<T extends Closable> {
  readonly #groups = new Map<string, Set<T>>();
  readonly #perGroupMax: number;
  #count = 0;

  constructor(perGroupMax: number = halfOpenPerAddressMax) {
    this.#perGroupMax = perGroupMax;
  }

  get count(): number {
    return this.#count;
  }

  /** `address` is the IP address that it comes from, or whatever else says who is to make room for whom. */
  add(connection: T, address: string): void {
    const key = addressGroup(address);
    const group = this.#groups.get(key) ?? new Set();
    this.#groups.set(key, group);
    group.add(connection);
    this.#count++;
    if (group.size > this.#perGroupMax) this.#dropOldest(group);
    if (this.#count > halfOpenCountMax) this.#dropOldest(this.#largest());
  }

  /** Harmless for one that isn't there. */
  delete(connection: T): void {
    for (const [key, group] of this.#groups) {
      if (!group.delete(connection)) continue;
      this.#count--;
      if (group.size === 0) this.#groups.delete(key);
      return;
    }
  }

  /** Ends them all. */
  destroyAll(): void {
    for (const connection of [...this.#groups.values()].flatMap((group) => [...group])) {
      this.delete(connection);
      connection.destroy();
    }
  }

  #largest(): Set<T> {
    return [...this.#groups.values()].reduce((most, group) => (group.size > most.size ? group : most));
  }

  #dropOldest(group: Set<T>): void {
    const [oldest] = group;
    if (oldest === undefined) return;
    this.delete(oldest);
    oldest.destroy();
  }
}
