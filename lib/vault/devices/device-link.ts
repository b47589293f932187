import { toHex } from '../../base/bytes.ts';
import { KithError, messageOf } from '../../base/errors.ts';
import type { Secret } from '../../crypto/secret.ts';
import { encodeCard } from '../../format/card.ts';
import { encodeSetting } from '../../format/catalog-records.ts';
import { encodeCertificate, type Certificate } from '../../format/certificate.ts';
import { encodeLinkText } from '../../format/device-link.ts';
import { encodeJoinWelcome } from '../../format/join-messages.ts';
import { decodeKeyRecord } from '../../format/key-record.ts';
import { recordKinds } from '../../format/log-kinds.ts';
import { logRoles } from '../../format/segment.ts';
import { cleanName } from '../../trust/card.ts';
import { certifyDevice } from '../../trust/identity.ts';
import { growKeyRecord } from '../../trust/own-key-record.ts';
import { doorstepSeedOfRoot } from '../../trust/root-keys.ts';
import { rootOfThis } from './device-revoke.ts';
import { deviceNameKey } from './device-names.ts';
import { findDevice } from './devices.ts';
import { exchangeWithAll } from '../logs/exchange.ts';
import type { LinkDoor, NewcomerDevice } from './link-door.ts';
import { knowDevice } from './new-devices.ts';
import { ownCardOf } from '../friends/own-card.ts';
import type { Session } from '../session.ts';
import type { DeviceInfo, LinkBegun, LinkCame, LinkFinish, LinkOptions } from '../types.ts';

/** A link is of use for so long: the other computer is near, or it is made anew. */
const linkMs: number = 15 * 60 * 1000;

/** Devices that a key record has room for. */
const devicesMax = 256;

/** A link that waits for its device. */
interface Waiting {
  readonly door: LinkDoor;
  readonly expiry: NodeJS.Timeout;
  newcomer: NewcomerDevice | undefined;
}

/** One at a time in a session: a second link takes the place of the first. */
const waitingIn = new WeakMap<Session, Map<string, Waiting>>();

function linksOf(session: Session): Map<string, Waiting> {
  const links = waitingIn.get(session) ?? new Map<string, Waiting>();
  waitingIn.set(session, links);
  return links;
}

/**
 * Opens a door for one new device and makes the link to it. The phrase is only looked at, so that a wrong one is told of now: nothing of it
 * is kept. KithError `wrong-phrase`, `address-taken`, `usage` where this process has no network.
 */
export async function linkBegin(session: Session, { phrase, listen }: LinkOptions): Promise<LinkBegun> {
  rootOfThis(session, phrase).wipe();
  const { random, clock } = session.surroundings;
  if (decodeKeyRecord(session.keyRecord).certificates.length >= devicesMax) {
    throw new KithError(
      'limit-exceeded',
      `an identity has ${devicesMax} devices at most, revoked ones included.`,
    );
  }
  const { openLinkDoor } = session.network;
  if (openLinkDoor === undefined) throw new KithError('usage', 'there is no network here.');
  for (const id of linksOf(session).keys()) await linkCancel(session, id);
  const seed = random(32);
  const door = await openLinkDoor({
    seed,
    vaultId: session.device.vaultId,
    listen,
    lan: session.settings.value('net.lan'),
  });
  const expiresNs = clock.nowNs() + BigInt(linkMs) * 1_000_000n;
  const link = encodeLinkText({
    seed,
    vaultId: session.device.vaultId,
    expiresNs,
    name: session.name,
    endpoints: door.endpoints,
    extensions: [],
  });
  const id = toHex(random(8));
  const expiry = setTimeout(() => void linkCancel(session, id), linkMs);
  expiry.unref();
  linksOf(session).set(id, { door, expiry, newcomer: undefined });
  return { id, link, expiresNs };
}

function waitingOf(session: Session, id: string): Waiting {
  const waiting = linksOf(session).get(id);
  if (waiting === undefined) {
    throw new KithError('failed', 'the link is used up or has expired; make a new one with kith device link');
  }
  return waiting;
}

/** Waits for the device that comes with a link. When the signal fires the link is of no use any more. */
export async function linkWait(session: Session, id: string, signal?: AbortSignal): Promise<LinkCame> {
  const waiting = waitingOf(session, id);
  try {
    waiting.newcomer = await waiting.door.newcomer(signal);
  } catch (error) {
    await linkCancel(session, id);
    throw error;
  }
  const { deviceId, name, words } = waiting.newcomer;
  return { deviceId: toHex(deviceId), name: cleanName(name), words };
}

/** Closes the door, and sends away who has come. Harmless for a link that isn't there. */
export async function linkCancel(session: Session, id: string): Promise<void> {
  const waiting = linksOf(session).get(id);
  if (waiting === undefined) return;
  linksOf(session).delete(id);
  clearTimeout(waiting.expiry);
  await waiting.newcomer?.refuse().catch(() => undefined);
  await waiting.door.close();
}

/**
 * Takes the device that came into the identity. It is certified and given keys and logs; only when it says that it has stored them is it
 * noted here, and all holders that are there are told. Who dies in between: nothing is noted anywhere, or the new device is whole and shows
 * its certificate to the others itself. KithError `wrong-phrase`, `failed`, `peer-unreachable`.
 */
export async function linkFinish(session: Session, id: string, { phrase }: LinkFinish): Promise<DeviceInfo> {
  const root = rootOfThis(session, phrase);
  try {
    const { newcomer, expiry } = waitingOf(session, id);
    // From now on it takes as long as it takes.
    clearTimeout(expiry);
    if (newcomer === undefined) throw new KithError('failed', 'nobody has come with the link yet');
    const certificate = certify(session, root, newcomer);
    const { blobIdKey, cutKey } = session.device;
    const doorstepSeed = doorstepSeedOfRoot(root);
    const grown = growKeyRecord(session.device, session.keyRecord, { certificates: [certificate] });
    await newcomer.welcome({
      welcome: encodeJoinWelcome({
        certificate: encodeCertificate(certificate),
        blobIdKey,
        cutKey,
        doorstepSeed,
        card: encodeCard(ownCardOf(session)),
      }),
      keyRecord: grown.keyRecord,
      segments: segmentsOf(session),
    });
    // First, since the change tells all who listen.
    await knowDevice(session, toHex(newcomer.deviceId));
    await session.changeKeyRecord((device, keyRecord) =>
      growKeyRecord(device, keyRecord, { certificates: [certificate] }),
    );
    await noteName(session, newcomer);
    session.network.refresh();
    await tellAll(session);
    return await findDevice(session, toHex(newcomer.deviceId));
  } finally {
    root.wipe();
    await linkCancel(session, id);
  }
}

/** What it calls itself, until it says so: it isn't heard of before it is up, and may have to be revoked by its name. */
async function noteName(session: Session, { deviceId, name }: NewcomerDevice): Promise<void> {
  const key = deviceNameKey(deviceId);
  const value = cleanName(name);
  if (value === '' || session.state.setting(key) !== undefined) return;
  const atNs = session.state.settingTimeNs(key, session.surroundings.clock.nowNs());
  const body = encodeSetting({ key, value, atNs });
  await session.logs.append(logRoles.catalog, [{ kind: recordKinds.setting, body }]);
}

/** The device is in: a holder that can't be told now is told later. */
async function tellAll(session: Session): Promise<void> {
  await exchangeWithAll(session).catch((error: unknown) => {
    session.problem({ item: 'your disks and friends', message: messageOf(error), code: 'io-error' });
  });
}

function certify(session: Session, root: Secret, { deviceId, boxKey }: NewcomerDevice): Certificate {
  const { clock } = session.surroundings;
  const { certificates } = decodeKeyRecord(session.keyRecord);
  const newestNs = certificates.reduce(
    (newest, { createdNs }) => (createdNs > newest ? createdNs : newest),
    0n,
  );
  const nowNs = clock.nowNs();
  // Holders can read it: what the device is called stands in the catalog.
  const name = `device ${toHex(deviceId).slice(0, 4)}`;
  const createdNs = nowNs > newestNs ? nowNs : newestNs + 1n;
  return certifyDevice(root, { deviceId, boxKey, name, createdNs });
}

/** All segments that this home has now, in the order of each log. */
async function* segmentsOf({ logs }: Session): AsyncGenerator<Uint8Array> {
  const all = logs.heads().map(({ logKey }) => ({ logKey, places: [...logs.stored.segments(logKey)] }));
  for (const { logKey, places } of all) {
    await logs.stored.settle(logKey);
    for (const place of places) yield await logs.stored.segmentBytes(logKey, place);
  }
}
