import { RelayBudget } from './relay-budget.ts';
import { relayEnd } from './relay-codec.ts';
import { RelayJoint } from './relay-joint.ts';
import type { JointEnd } from './relay-joint.ts';
import { RelayRate } from './relay-rate.ts';
import type { RelayServer } from './relay-server.ts';
import type { Timers } from '../timers.ts';

/** Pipes that one process relays at a time: with a window each way, 64 MiB of memory at most. */
export const jointCountMax = 64;

/** Of them, pipes with one identity at either end. */
export const jointsPerIdentityMax = 16;

/** What relaying may cost. Both are asked anew each time, so that a changed setting is in force at once. */
export interface RelayLimits {
  /** Bytes that are relayed for one friend in a day; Infinity for no limit. */
  readonly bytesPerDay: () => number;
  /** Bytes a second for all together; Infinity for no limit. */
  readonly bytesPerSecond: () => number;
}

/** Where the devices of friends that this process relays for are joined. */
export class RelayHub {
  readonly budget: RelayBudget;
  readonly #rate: RelayRate;
  readonly #timers: Timers;
  /** Of each device its sessions, the newest last: that one is used, and the one before it again where it comes to nothing. */
  readonly #servers = new Map<string, readonly RelayServer[]>();
  readonly #joints = new Map<RelayJoint, readonly string[]>();

  constructor(timers: Timers, limits: RelayLimits) {
    this.#timers = timers;
    this.budget = new RelayBudget(timers, limits.bytesPerDay);
    this.#rate = new RelayRate(timers, limits.bytesPerSecond);
  }

  /** Pipes that are relayed now. */
  get jointCount(): number {
    return this.#joints.size;
  }

  /** Bytes in memory on their way. */
  get heldBytes(): number {
    return [...this.#joints.keys()].reduce((sum, { heldBytes }) => sum + heldBytes, 0);
  }

  /** Ends all pipes; nothing waits for the rate any longer. */
  close(): void {
    for (const joint of this.#joints.keys()) joint.cut(relayEnd.stopped);
    this.#rate.close();
  }

  /** The device may be reached through us from now on. */
  attach(server: RelayServer): void {
    this.#servers.set(server.deviceKey, [...(this.#servers.get(server.deviceKey) ?? []), server]);
  }

  detach(server: RelayServer): void {
    const left = this.#servers.get(server.deviceKey)?.filter((other) => other !== server) ?? [];
    if (left.length > 0) this.#servers.set(server.deviceKey, left);
    else this.#servers.delete(server.deviceKey);
  }

  /** Joins who dialled to the device, or ends the dialler's end and says why. */
  join(from: RelayServer, dialler: JointEnd, deviceKey: string): RelayJoint | undefined {
    const to = this.#servers.get(deviceKey)?.at(-1);
    const refuse = (reason: number): undefined => {
      dialler.sendEnd(reason);
      return undefined;
    };
    // What a friend has used is its own business, but not whether somebody is here: that comes first.
    if (this.budget.isUsedUp(from.identityHex)) return refuse(relayEnd.budgetUsed);
    if (this.#isCrowded(from.identityHex)) return refuse(relayEnd.busy);
    if (to === undefined || to === from || to.isFull) return refuse(relayEnd.notHere);
    if (this.#isCrowded(to.identityHex) || this.budget.isUsedUp(to.identityHex))
      return refuse(relayEnd.notHere);
    return to.incoming((dialled) => this.#joinEnds(dialler, dialled));
  }

  #isCrowded(identityHex: string): boolean {
    if (this.#joints.size >= jointCountMax) return true;
    const own = [...this.#joints.values()].filter((identities) => identities.includes(identityHex));
    return own.length >= jointsPerIdentityMax;
  }

  #joinEnds(dialler: JointEnd, dialled: JointEnd): RelayJoint {
    const joint: RelayJoint = new RelayJoint({
      dialler,
      dialled,
      budget: this.budget,
      rate: this.#rate,
      after: (ms, work) => this.#timers.after(ms, work),
      onOver: () => void this.#joints.delete(joint),
    });
    this.#joints.set(joint, [dialler.identityHex, dialled.identityHex]);
    return joint;
  }
}
