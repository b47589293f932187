import { equalBytes, toHex } from '../../base/bytes.ts';
import { mapLimited, throwIfAborted } from '../../base/concurrency.ts';
import { isKithError, messageOf } from '../../base/errors.ts';
import { countOf } from '../../base/units.ts';
import { decodeKeyRecord, verifyKeyRecord } from '../../format/key-record.ts';
import { promptLogs } from '../holders/in-time.ts';
import type { KnownHolder } from '../holders/known-holder.ts';
import type { Session } from '../session.ts';

/** Holders that are looked at together. */
const holdersAtOnce = 8;
/** A friend has so long for each answer. */
const answerMsMax = 60_000;
/** Codes that say that bytes of the home or of a holder are wrong. */
const damageCodes = ['damaged', 'malformed', 'not-authentic'] as const;

/**
 * Looks at the key record and the logs, here and at each holder that is here; changes nothing. Returns how many of them are no good; each
 * is told. What a holder merely lacks is told and not counted. `thorough` reads every segment that a holder has.
 */
export async function checkRecords(
  session: Session,
  here: readonly KnownHolder[],
  options: { readonly thorough: boolean; readonly signal?: AbortSignal | undefined },
): Promise<number> {
  const own = await checkOwn(session, options.signal);
  const counts = await mapLimited(here, holdersAtOnce, (keeper) => checkHolder(session, keeper, options));
  return counts.reduce((sum, count) => sum + count, own);
}

/** The home's own: what opening it met, and whether its logs still are what was verified then. */
async function checkOwn(session: Session, signal: AbortSignal | undefined): Promise<number> {
  let bad = session.openingProblems.filter(({ code }) => damageCodes.some((each) => each === code)).length;
  const tell = (item: string, error: unknown): void => {
    if (!isKithError(error, ...damageCodes, 'io-error')) throw error;
    bad++;
    session.problem({ item, message: messageOf(error), code: error.code });
  };
  try {
    verifyKeyRecord(decodeKeyRecord(session.keyRecord), session.device.vaultId);
  } catch (error) {
    tell('key record', error);
  }
  const { stored } = session.logs;
  for (const { logKey } of session.logs.heads()) {
    for (const place of stored.segments(logKey)) {
      throwIfAborted(signal);
      try {
        await stored.segmentBytes(logKey, place);
      } catch (error) {
        tell(`log ${toHex(logKey).slice(0, 8)}`, error);
      }
    }
  }
  return bad;
}

async function checkHolder(
  session: Session,
  keeper: KnownHolder,
  options: { readonly thorough: boolean; readonly signal?: AbortSignal | undefined },
): Promise<number> {
  const holder = promptLogs(keeper.holder, answerMsMax, options.signal);
  let bad = 0;
  const tell = (message: string, code: 'damaged' | 'log-forked' | 'shard-missing'): void => {
    if (code !== 'shard-missing') bad++;
    session.problem({ item: keeper.name, message, code });
  };
  try {
    throwIfAborted(options.signal);
    const record = await holder.getKeyRecord();
    if (record === undefined)
      tell('it has no copy of the key record; kith repair gives it one', 'shard-missing');
    else if (!equalBytes(record, session.keyRecord)) {
      const flaw = flawOfKeyRecord(session, record);
      if (flaw !== undefined) tell(`its copy of the key record is damaged: ${flaw}`, 'damaged');
    }
    const { lacking, damaged, forked } = await session.logCopies.look(holder, options);
    if (lacking > 0) {
      tell(
        `it lacks the newest ${countOf(lacking, 'piece')} of your records; the next backup or kith repair brings them`,
        'shard-missing',
      );
    }
    if (damaged > 0)
      tell(
        `${countOf(damaged, 'piece')} of its copy of your records ${damaged === 1 ? 'is' : 'are'} damaged`,
        'damaged',
      );
    if (forked > 0)
      tell('it has another branch of one of your logs; kith repair takes in both', 'log-forked');
  } catch (error) {
    if (!isKithError(error) || error.code === 'interrupted') throw error;
    // One that went away says nothing about what it has; one that reads wrong does.
    if (isKithError(error, ...damageCodes)) bad++;
    session.problem({ item: keeper.name, message: messageOf(error), code: error.code });
  }
  return bad;
}

function flawOfKeyRecord(session: Session, bytes: Uint8Array): string | undefined {
  try {
    verifyKeyRecord(decodeKeyRecord(bytes), session.device.vaultId);
    return undefined;
  } catch (error) {
    if (!isKithError(error, 'malformed', 'not-authentic')) throw error;
    return messageOf(error);
  }
}
