import { toHex } from '../../base/bytes.ts';
import { encodeSetting } from '../../format/catalog-records.ts';
import { recordKinds } from '../../format/log-kinds.ts';
import { logRoles } from '../../format/segment.ts';
import type { Session } from '../session.ts';

/** The catalog's setting that says what this device's user was asked: a computer that takes its place is in another network. */
function askedKey({ device }: Session): string {
  return `device.${toHex(device.deviceId)}.asked`;
}

/** True once whoever uses this device was asked how friends shall reach it. */
export function wasAsked(session: Session): boolean {
  return session.state.setting(askedKey(session)) !== undefined;
}

/** Notes that, for good. */
export async function noteAsked(session: Session): Promise<void> {
  if (wasAsked(session)) return;
  const key = askedKey(session);
  const atNs = session.state.settingTimeNs(key, session.surroundings.clock.nowNs());
  const body = encodeSetting({ key, value: 'reachability', atNs });
  await session.logs.append(logRoles.catalog, [{ kind: recordKinds.setting, body }]);
}
