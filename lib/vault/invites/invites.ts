import { equalBytes, fromHex, toHex, utf8 } from '../../base/bytes.ts';
import { KithError } from '../../base/errors.ts';
import { nameTextBytesMax } from '../../format/fields.ts';
import { friendStateNumbers } from '../../format/friend-records.ts';
import { decodeCardText } from '../../format/card-text.ts';
import { encodeInviteText } from '../../format/invite-text.ts';
import { encodeInvite, inviteIdOf, signInvite } from '../../format/invite.ts';
import { encodeInviteRecord, inviteStateNumbers, type InviteRecord } from '../../format/invite-records.ts';
import { recordKinds } from '../../format/log-kinds.ts';
import { logRoles } from '../../format/segment.ts';
import { cleanName } from '../../trust/card.ts';
import { safetyWords } from '../../trust/safety-words.ts';
import { exchangeWithAll } from '../logs/exchange.ts';
import { card, quotaOfNewFriendBytes } from '../friends/friends.ts';
import { isOpen, nowMs } from './invite-welcome.ts';
import type { Session } from '../session.ts';
import type { InviteInfo, InviteMade, InviteOptions } from '../types.ts';

/** Invites that are open at a time: each is a key that a stranger could come to have. */
export const openInvitesMax = 64;

const expiresInMsDefault: number = 7 * 86_400_000;
const expiresInMsMin = 1000;

/** Longer than anybody's friend takes to install a program; forgotten invites shouldn't lie about for ever. */
const expiresInMsMax: number = 365 * 86_400_000;

/** A timer of Node takes no more. */
const timerMsMax = 2 ** 31 - 1;

const nobody = new Uint8Array(32);

function checkOptions({ name, quotaBytes, expiresInMs }: InviteOptions): void {
  if (name !== undefined && (name === '' || cleanName(name) !== name || utf8(name).length > nameTextBytesMax))
    throw new KithError('usage', `a name has 1 to ${nameTextBytesMax} bytes, all of which can be shown.`);
  if (quotaBytes !== undefined && (!Number.isSafeInteger(quotaBytes) || quotaBytes < 0))
    throw new KithError('usage', `${quotaBytes} bytes are no quota.`);
  if (expiresInMs === undefined || (expiresInMs >= expiresInMsMin && expiresInMs <= expiresInMsMax)) return;
  throw new KithError('usage', 'an invite is good for at least a second and at most 365d.');
}

async function appendInvite(session: Session, record: Omit<InviteRecord, 'atNs'>): Promise<void> {
  const atNs = session.surroundings.clock.nowNs();
  const body = encodeInviteRecord({ ...record, atNs });
  await session.logs.append(logRoles.catalog, [{ kind: recordKinds.invite, body }]);
  session.takeNews();
}

/**
 * Makes an invite that this device answers. It is in the catalog before it is returned; its text is kept nowhere. KithError `usage`,
 * `limit-exceeded` for more than openInvitesMax open ones.
 */
export async function invite(session: Session, options: InviteOptions = {}): Promise<InviteMade> {
  checkOptions(options);
  await exchangeWithAll(session);
  const madeMs = nowMs(session);
  if (session.state.invites().filter((record) => isOpen(record, madeMs)).length >= openInvitesMax) {
    throw new KithError(
      'limit-exceeded',
      `${openInvitesMax} invites are open already. Take some back: kith invite list, kith invite withdraw ID`,
    );
  }
  const { deviceId, deviceSecretKey } = session.device;
  const seed = session.surroundings.random(32);
  const facts = {
    deviceId,
    madeMs,
    expiresMs: madeMs + (options.expiresInMs ?? expiresInMsDefault),
    quotaBytes: options.quotaBytes ?? quotaOfNewFriendBytes,
  };
  const made = signInvite(
    {
      ...facts,
      seed,
      card: decodeCardText(await card(session)),
      hints: session.network.inviteHints ?? { meetingPoints: [], publicDht: false },
      extensions: [],
    },
    deviceSecretKey,
  );
  const record = {
    ...facts,
    inviteId: inviteIdOf(seed),
    state: inviteStateNumbers.open,
    name: options.name ?? '',
    usedBy: nobody,
    extensions: [],
  };
  await appendInvite(session, record);
  await exchangeWithAll(session);
  const text = encodeInviteText(encodeInvite(made));
  return { ...(await infoOf(session, { ...record, atNs: 0n })), text };
}

function stateName(record: InviteRecord, now: number): InviteInfo['state'] {
  if (record.state === inviteStateNumbers.used) return 'used';
  if (record.state === inviteStateNumbers.withdrawn) return 'withdrawn';
  return isOpen(record, now) ? 'open' : 'expired';
}

async function infoOf(session: Session, record: InviteRecord, withWords = false): Promise<InviteInfo> {
  const isUsed = record.state === inviteStateNumbers.used;
  const friend = isUsed ? session.state.friend(record.usedBy) : undefined;
  const { vaultId, deviceId } = session.device;
  return {
    id: toHex(record.inviteId),
    state: stateName(record, nowMs(session)),
    madeMs: record.madeMs,
    expiresMs: record.expiresMs,
    quotaBytes: record.quotaBytes,
    name: record.name === '' ? null : record.name,
    usedBy: isUsed ? toHex(record.usedBy) : null,
    friend: friend?.state === friendStateNumbers.active ? friend.name : null,
    closedNs: record.state === inviteStateNumbers.open ? null : record.atNs,
    answeredHere: equalBytes(record.deviceId, deviceId),
    safetyWords: isUsed && withWords ? await safetyWords(vaultId, record.usedBy) : null,
  };
}

/** All that were ever made, the oldest first. */
export async function inviteList(session: Session): Promise<InviteInfo[]> {
  return await Promise.all(session.state.invites().map((record) => infoOf(session, record)));
}

/** By the beginning of the id, 6 digits or more. KithError `failed`. */
function findInvite(session: Session, text: string): InviteRecord {
  const digits = text.toLowerCase();
  const isId = digits.length >= 6 && fromHex(digits.length % 2 === 0 ? digits : `${digits}0`) !== undefined;
  const matching = isId
    ? session.state.invites().filter(({ inviteId }) => toHex(inviteId).startsWith(digits))
    : [];
  const [only] = matching;
  if (only !== undefined && matching.length === 1) return only;
  throw new KithError(
    'failed',
    matching.length > 1
      ? `${text} fits ${matching.length} invites; give more digits.`
      : `there is no invite whose id begins with "${text}": kith invite list`,
  );
}

/** Takes an open invite back: nobody can use it any more. KithError `invite-used` for one that somebody has used. */
export async function inviteWithdraw(session: Session, id: string): Promise<InviteInfo> {
  await exchangeWithAll(session);
  const record = findInvite(session, id);
  if (record.state === inviteStateNumbers.used) {
    const by = session.state.friend(record.usedBy)?.name;
    throw new KithError(
      'invite-used',
      `this invite was used${by === undefined ? '' : ` by "${by}"`} already. To end a friendship: kith friend remove NAME`,
    );
  }
  if (record.state === inviteStateNumbers.open) {
    await appendInvite(session, { ...record, state: inviteStateNumbers.withdrawn });
    await exchangeWithAll(session);
  }
  return await infoOf(session, session.state.invite(record.inviteId) ?? record);
}

/**
 * Waits until an invite is no longer open. KithError `failed` where nothing listens, since nobody could come; the signal's
 * reason if it fires.
 */
export async function inviteWait(
  session: Session,
  id: string,
  signal: AbortSignal | undefined,
): Promise<InviteInfo> {
  const { inviteId } = findInvite(session, id);
  const { network } = session;
  if (network.listen === null || network.waitUntil === undefined) {
    throw new KithError(
      'failed',
      'nobody can reach this computer while kith is not up. Start it, and then wait: kith up --detach',
    );
  }
  const now = (): InviteRecord => session.state.invite(inviteId) ?? findInvite(session, id);
  const isOver = (): boolean => !isOpen(now(), nowMs(session));
  while (!isOver()) {
    const leftMs = Math.max(1, now().expiresMs - nowMs(session));
    await network.waitUntil(isOver, Math.min(leftMs, timerMsMax), signal);
    if (network.listen === null) break;
  }
  return await infoOf(session, now(), true);
}
