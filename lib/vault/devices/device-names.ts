import { toHex } from '../../base/bytes.ts';

/** Bytes of a device's name, as of any name. */
export const deviceNameBytesMax = 200;

/** The catalog's setting with the name that a device calls itself: sealed, unlike the one in its certificate. */
export function deviceNameKey(deviceId: Uint8Array): string {
  return `device.${toHex(deviceId)}.name`;
}
