import type { Availability, HeldLog, Holder, HolderLogs } from '../../holders/holder.ts';
import { KithError } from '../../base/errors.ts';
import { FriendHolder, type FriendHolderOptions } from '../store/friend-holder.ts';

/**
 * Another device of this identity, over `kith/device`, as what logs are exchanged with: its logs and key record are read, and what it lacks
 * it reads here by itself, so that giving does nothing. It keeps no shards for anybody of its own.
 */
export function ownDeviceHolder(options: FriendHolderOptions): Holder {
  const reader = new FriendHolder(options);
  const logs: HolderLogs = {
    list: (): Promise<HeldLog[]> => reader.logs.list(),
    getSegment: (logKey, firstIndex) => reader.logs.getSegment(logKey, firstIndex),
    putSegment: async () => undefined,
  };
  const refuse = (): Promise<never> =>
    Promise.reject(new KithError('internal', 'a device of the own identity is no holder of shards'));
  const check = (): Promise<Availability> =>
    Promise.resolve(
      options.caller.connected
        ? { available: true }
        : { available: false, foreign: false, reason: options.whyAway() },
    );
  return {
    id: options.id,
    kind: 'friend',
    name: options.name,
    household: undefined,
    check,
    logs,
    getKeyRecord: () => reader.getKeyRecord(),
    putKeyRecord: async () => undefined,
    room: refuse,
    reserve: refuse,
    put: refuse,
    get: refuse,
    stat: refuse,
    manifest: refuse,
    verify: refuse,
    delete: refuse,
    settle: refuse,
    async *inventory() {
      yield* [];
    },
  };
}
