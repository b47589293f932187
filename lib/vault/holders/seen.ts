import { join } from 'node:path';
import { textOf, utf8 } from '../../base/bytes.ts';
import { Semaphore } from '../../base/concurrency.ts';
import { writeDurably } from '../../disk/write-durably.ts';
import type { KnownHolder, Session } from '../session.ts';

/** Bytes of the file at most: some 80 for each holder that ever was. */
const seenBytesMax = 1024 * 1024;

/** After a start friends get so long to be found before their absence from before counts; less where the grace is shorter. */
const lookedMsMin: number = 15 * 60 * 1000;

const locks = new WeakMap<Session, Semaphore>();

/** Reads the notes, changes them and writes them, while nobody else does. */
async function changeSeen(session: Session, change: (seen: Map<string, number>) => void): Promise<void> {
  const lock = locks.get(session) ?? new Semaphore(1);
  locks.set(session, lock);
  await lock.run(async () => {
    const seen = await load(session);
    change(seen);
    await save(session, seen);
  });
}

function pathOf(session: Session): string {
  return join(session.home, 'seen');
}

async function load(session: Session): Promise<Map<string, number>> {
  const bytes = await session.surroundings.disk.readWhole(pathOf(session), seenBytesMax);
  const seen = new Map<string, number>();
  for (const line of (textOf(bytes ?? new Uint8Array(0)) ?? '').split('\n')) {
    const match = /^([0-9a-f]{64}) (\d{1,15})$/.exec(line);
    if (match?.[1] !== undefined) seen.set(match[1], Number(match[2]));
  }
  return seen;
}

function nowMs(session: Session): number {
  return Number(session.surroundings.clock.nowNs() / 1_000_000n);
}

/**
 * Notes in the home when each holder was last here, all of it (`seen`: a line a holder, id and ms since 1970). It is only ever a
 * reason to make more copies, so one clock will do.
 */
export async function noteSeen(session: Session, here: readonly KnownHolder[]): Promise<void> {
  const now = nowMs(session);
  await changeSeen(session, (seen) => {
    // A time that lies ahead was noted by a wrong clock: as good as now, so that the wait for that holder ends one day.
    for (const keeper of session.holders()) seen.set(keeper.id, Math.min(seen.get(keeper.id) ?? now, now));
    for (const { id, holder } of here) if (holder.partAway?.() === undefined) seen.set(id, now);
  });
}

async function save(session: Session, seen: ReadonlyMap<string, number>): Promise<void> {
  const text = [...seen].map(([id, ms]) => `${id} ${ms}\n`).join('');
  await writeDurably(session.surroundings.disk, {
    tempFolder: join(session.home, 'tmp'),
    path: pathOf(session),
    parts: [utf8(text)],
    mode: 0o600,
  });
}

/** Notes that another device of this identity is here now, by its id in hex. */
export async function noteDeviceSeen(session: Session, deviceId: string): Promise<void> {
  await changeSeen(session, (seen) => void seen.set(deviceId, nowMs(session)));
}

/** When devices of this identity (ids in hex) were last met by this one, ms since 1970; those that never were are left out. */
export async function devicesSeen(
  session: Session,
  deviceIds: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const seen = await load(session);
  return new Map([...seen].filter(([id]) => deviceIds.includes(id)));
}

/**
 * For how many ms each absent holder has not been seen; 0 for one that was never noted. Where a daemon looks all the time, it must have
 * looked for a while in this run too: this computer was perhaps the one that was away.
 */
export async function awayFor(
  session: Session,
  away: readonly KnownHolder[],
  graceMs: number,
): Promise<ReadonlyMap<string, number>> {
  const seen = await load(session);
  const now = nowMs(session);
  const looked = Math.min(graceMs, lookedMsMin);
  return new Map(
    away.map((keeper) => {
      const presence = keeper.kind === 'friend' ? session.network.presence(keeper.id) : undefined;
      // Of one who is here a part is away: how long it has been looked for nobody knows but the note.
      const awayMs = presence?.online === true ? undefined : presence?.awayMs;
      if (awayMs !== undefined && awayMs < looked) return [keeper.id, 0];
      return [keeper.id, Math.max(0, now - (seen.get(keeper.id) ?? now))];
    }),
  );
}
