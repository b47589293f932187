import { join } from 'node:path';
import { textOf, toHex, utf8 } from '../../base/bytes.ts';
import { isKithError } from '../../base/errors.ts';
import { writeDurably } from '../../disk/write-durably.ts';
import { decodeKeyRecord } from '../../format/key-record.ts';
import { deviceList } from './devices.ts';
import type { Session } from '../session.ts';

/** Bytes of the file: an identity has 256 devices at most. */
const fileBytesMax = 64 * 1024;

function pathOf(session: Session): string {
  return join(session.home, 'told-devices');
}

/** Notes that a device was added on this computer: nobody need be warned of it here. Where nothing was noted yet all count as known. */
export async function knowDevice(session: Session, deviceId: string): Promise<void> {
  const { disk } = session.surroundings;
  const bytes = await disk.readWhole(pathOf(session), fileBytesMax);
  if (bytes === undefined) return;
  const told = new Set([...(textOf(bytes) ?? '').split('\n').filter((id) => id !== ''), deviceId]);
  await write(session, [...told]);
}

/** On a full disk it is told again. */
async function write(session: Session, ids: readonly string[]): Promise<void> {
  await writeDurably(session.surroundings.disk, {
    tempFolder: join(session.home, 'tmp'),
    path: pathOf(session),
    parts: [utf8(ids.map((id) => `${id}\n`).join(''))],
    mode: 0o600,
  }).catch((error: unknown) => {
    if (!isKithError(error)) throw error;
  });
}

/**
 * Says of each device that was added to the identity since this was last asked, once: a device that one didn't add oneself means that somebody
 * has the phrase. The first time, all that there are count as known. What was told is kept in the home (`told-devices`: an id a line).
 */
export async function newDevices(session: Session): Promise<string[]> {
  const { disk } = session.surroundings;
  const ids = decodeKeyRecord(session.keyRecord).certificates.map(({ deviceId }) => toHex(deviceId));
  const bytes = await disk.readWhole(pathOf(session), fileBytesMax);
  const told = bytes === undefined ? undefined : new Set((textOf(bytes) ?? '').split('\n'));
  if (told !== undefined && ids.every((id) => told.has(id))) return [];
  const own = toHex(session.device.deviceId);
  const fresh = told === undefined ? [] : ids.filter((id) => id !== own && !told.has(id));
  const devices = fresh.length === 0 ? [] : await deviceList(session);
  await write(session, [...new Set(ids)]);
  return devices
    .filter(({ id }) => fresh.includes(id))
    .map(({ id, name, createdNs }) => {
      const day = new Date(Number(createdNs / 1_000_000n)).toISOString().slice(0, 10);
      return `A new device, "${name}" (${id.slice(0, 8)}, of ${day}), was added to your identity. If it was not you, somebody has your phrase: kith device revoke ${id.slice(0, 8)} --phrase-file FILE`;
    });
}
