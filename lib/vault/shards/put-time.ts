/** Packs that are on their way at once (vault/backup/pack-store.ts), each with a shard for every holder. */
const packsAtOnce = 3;

/** A minute, and then 4 KiB/s: far below what our own line gives each of many. */
export function putMsMaxDefault(shardBytes: number): number {
  return 60_000 + Math.ceil(shardBytes / 4.096);
}

/**
 * Ms that a friend has to take a shard while all friends together get no more than so many bytes a second from us: what our own limit makes
 * it wait isn't the friend's fault.
 */
export function putMsMaxUnder(bytesPerSecond: number, holderCount: number): (shardBytes: number) => number {
  return (shardBytes) =>
    putMsMaxDefault(shardBytes) +
    ((shardBytes * packsAtOnce * Math.max(1, holderCount)) / bytesPerSecond) * 1000;
}
