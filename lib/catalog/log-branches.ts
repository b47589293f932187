import { concatBytes, equalBytes, idKey } from '../base/bytes.ts';
import { recordKinds } from '../format/log-kinds.ts';
import type { LogPosition } from '../format/log-position.ts';
import { decodeSegment, logRoles, segmentHash, type LogRole, type Segment } from '../format/segment.ts';
import type { LogBook, LogEntry } from './log-book.ts';
import { carriedRecords } from './segment-logs.ts';

/** A log of which a holder has other records than we, from some place on. */
export interface Fork {
  readonly logKey: Uint8Array;
  /** The holder's segments from there on, as far as they are authentic. */
  readonly theirs: readonly Segment[];
  /** False if some of them couldn't be read, or weren't. */
  readonly whole: boolean;
}

/** Entries of both branches by entryKey: each is written once. */
type Entries = Map<string, LogEntry & { readonly role: LogRole }>;

/**
 * Writes what stands in only one of two branches to fresh logs, unless that was done before; a record that closes both heads comes
 * last, so that whatever dies before is done again. True if there was something to join. `onFork` is told of each log that is joined,
 * and whether some of its records can't be read: then its branches stay open.
 */
export async function joinBranches(
  book: LogBook,
  forks: readonly Fork[],
  onFork: (lost: boolean) => void,
): Promise<boolean> {
  const open = forks.filter((fork) => !headsOf(book, fork).every((head) => book.isJoined(head)));
  const entries: Entries = new Map();
  const closed: LogPosition[] = [];
  for (const fork of open) {
    const lost = await addEntries(book, fork, entries);
    onFork(lost);
    if (!lost) closed.push(...headsOf(book, fork));
  }
  const currentForked = forks.some(({ logKey }) => book.isCurrent(logKey));
  if (currentForked || (await lacksAny(book, entries))) {
    await book.openFreshLogs('two branches of one log');
    for (const role of [logRoles.catalog, logRoles.ledger])
      await book.append(
        role,
        [...entries.values()].filter((entry) => entry.role === role),
      );
  }
  await book.closeHeads(closed);
  return open.length > 0;
}

/** The heads of both branches. */
function headsOf(book: LogBook, { logKey, theirs }: Fork): LogPosition[] {
  const ours = book.heads().find((head) => equalBytes(head.logKey, logKey));
  const last = theirs.at(-1);
  const heads: LogPosition[] = ours === undefined ? [] : [{ logKey, length: ours.length, hash: ours.hash }];
  if (last !== undefined) {
    const length = last.head.firstIndex + last.records.length;
    heads.push({ logKey, length, hash: segmentHash(concatBytes(last.signedBytes, last.signature)) });
  }
  return heads;
}

/** Adds what the records of both branches say, each once. True if some can't be read, so that the branches must stay open. */
async function addEntries(
  book: LogBook,
  { logKey, theirs, whole }: Fork,
  entries: Entries,
): Promise<boolean> {
  let lost = !whole;
  const from = theirs[0]?.head.firstIndex ?? 0;
  const records = theirs.flatMap((segment) => carriedRecords(segment));
  for (const place of book.stored.segments(logKey)) {
    if (place.firstIndex >= from)
      records.push(...carriedRecords(decodeSegment(await book.stored.segmentBytes(logKey, place))));
  }
  for (const record of records) {
    const entry = book.read(record);
    if (entry === undefined) lost = true;
    else if (!isOpening(entry, record.index))
      entries.set(entryKey(record.role, entry), { ...entry, role: record.role });
  }
  return lost;
}

/** True if some of the entries don't stand in the logs that this device appends to. */
async function lacksAny(book: LogBook, entries: ReadonlyMap<string, unknown>): Promise<boolean> {
  const lacking = new Set(entries.keys());
  for (const logKey of lacking.size === 0 ? [] : book.currentKeys()) {
    for (const place of book.stored.segments(logKey)) {
      for (const record of carriedRecords(decodeSegment(await book.stored.segmentBytes(logKey, place)))) {
        const entry = book.read(record);
        if (entry !== undefined) lacking.delete(entryKey(record.role, entry));
      }
    }
  }
  return lacking.size > 0;
}

function entryKey(role: LogRole, { kind, body }: LogEntry): string {
  return `${role}/${kind}/${idKey(body)}`;
}

/** True for the first record of a log, which says how it began, and that alone. */
function isOpening(entry: LogEntry, index: number): boolean {
  return entry.kind === recordKinds.logOpened && index === 0;
}
