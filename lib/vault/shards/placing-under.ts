import { putMsMaxUnder } from './put-time.ts';
import type { Session } from '../session.ts';
import type { ShardPlacerOptions } from './shard-placer.ts';

/** How long friends may take for a shard while our own limit of bytes a second holds; nothing where there is none. */
export function placingUnder(session: Session, holderCount: number): Pick<ShardPlacerOptions, 'putMsMax'> {
  const rate = session.network.uploadRate?.();
  return rate === undefined ? {} : { putMsMax: putMsMaxUnder(rate, holderCount) };
}
