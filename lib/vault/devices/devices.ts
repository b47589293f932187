import { fromHex, toHex } from '../../base/bytes.ts';
import { KithError } from '../../base/errors.ts';
import type { Certificate } from '../../format/certificate.ts';
import { decodeKeyRecord } from '../../format/key-record.ts';
import { cleanName } from '../../trust/card.ts';
import { deviceNameKey } from './device-names.ts';
import { devicesSeen } from '../holders/seen.ts';
import type { Session } from '../session.ts';
import type { DeviceInfo } from '../types.ts';

/** The newest certificate of each device, the oldest device first. */
function certificatesOf(session: Session): Certificate[] {
  const all = [...decodeKeyRecord(session.keyRecord).certificates];
  all.sort((a, b) => (a.createdNs < b.createdNs ? -1 : a.createdNs > b.createdNs ? 1 : 0));
  return [...new Map(all.map((certificate) => [toHex(certificate.deviceId), certificate])).values()];
}

/** What the identity's devices call a device: what it says of itself in the catalog, else the name in its certificate. */
export function nameOfDevice(session: Session, { deviceId, name }: Certificate): string {
  const said = cleanName(session.state.setting(deviceNameKey(deviceId)) ?? '');
  return said === '' ? cleanName(name) : said;
}

/** This identity's devices, the oldest first, revoked ones included. */
export async function deviceList(session: Session): Promise<DeviceInfo[]> {
  const certificates = certificatesOf(session);
  const seen = await devicesSeen(
    session,
    certificates.map(({ deviceId }) => toHex(deviceId)),
  );
  const online = new Set(session.network.ownDevicesOnline?.());
  const own = toHex(session.device.deviceId);
  return certificates.map((certificate) => {
    const id = toHex(certificate.deviceId);
    return {
      id,
      name: nameOfDevice(session, certificate),
      isThis: id === own,
      createdNs: certificate.createdNs,
      lastSeenMs: seen.get(id) ?? null,
      revokedNs: session.revoked.sinceNs(certificate.deviceId) ?? null,
      online: id === own || online.has(id),
    };
  });
}

/** A device by name, or by the beginning of its id (6 digits or more). KithError `device-unknown`. */
export async function findDevice(session: Session, text: string): Promise<DeviceInfo> {
  const devices = await deviceList(session);
  const digits = text.toLowerCase();
  const isId = digits.length >= 6 && fromHex(digits.length % 2 === 0 ? digits : `${digits}0`) !== undefined;
  const named = devices.filter(({ name }) => name === text);
  const matching = named.length > 0 ? named : devices.filter(({ id }) => isId && id.startsWith(digits));
  const [only] = matching;
  if (only !== undefined && matching.length === 1) return only;
  const names = devices.map(({ id, name }) => `${name} (${id.slice(0, 8)})`).join(', ');
  throw new KithError(
    'device-unknown',
    matching.length > 1
      ? `"${text}" fits ${matching.length} devices; give the first digits of its id. You have: ${names}.`
      : `there is no device "${text}". You have: ${names}.`,
  );
}
