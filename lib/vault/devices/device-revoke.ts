import { equalBytes } from '../../base/bytes.ts';
import { mapLimited } from '../../base/concurrency.ts';
import { KithError } from '../../base/errors.ts';
import { rootOfPhrase } from '../../crypto/phrase.ts';
import type { Secret } from '../../crypto/secret.ts';
import { beginEpoch } from '../../trust/own-key-record.ts';
import { signRevocations } from '../../trust/revoke.ts';
import { vaultIdOfRoot } from '../../trust/root-keys.ts';
import { findDevice } from './devices.ts';
import { exchangeWithAll } from '../logs/exchange.ts';
import { holdersAtOnce } from '../holders/holder-book.ts';
import { idBytes, type Session } from '../session.ts';
import type { DeviceInfo, DeviceRevoked, DeviceRevokeOptions } from '../types.ts';

/** The root behind a typed phrase, for the caller to wipe. KithError `wrong-phrase`, also for the phrase of another identity. */
export function rootOfThis(session: Session, phrase: string): Secret {
  const root = rootOfPhrase(phrase);
  if (equalBytes(vaultIdOfRoot(root), session.device.vaultId)) return root;
  root.wipe();
  throw new KithError('wrong-phrase', 'the phrase is well-formed, but it is the one of another identity.');
}

/**
 * Trusts another device no more. All holders are heard first: what they know of its logs now is what counts of it from now on. One write
 * to the home, of the key record, makes it so: it has the revocation, and a fresh epoch that is sealed to all devices but that one. Then
 * everybody who can be reached is told. Run again after an interruption, it tells the others.
 */
export async function deviceRevoke(
  session: Session,
  nameOrId: string,
  { phrase }: DeviceRevokeOptions,
): Promise<DeviceRevoked> {
  const root = rootOfThis(session, phrase);
  try {
    await exchangeWithAll(session);
    const device = await findDevice(session, nameOrId);
    if (device.isThis) {
      throw new KithError(
        'usage',
        'this is the device that you are working on. Revoke it from another one, or from a computer that was recovered with the phrase.',
      );
    }
    const already = device.revokedNs !== null;
    if (!already) await revoke(session, root, device);
    session.network.refresh();
    return { ...(await tell(session)), device: await findDevice(session, device.id), already };
  } finally {
    root.wipe();
  }
}

async function revoke(session: Session, root: Secret, device: DeviceInfo): Promise<void> {
  const { random, clock } = session.surroundings;
  const deviceId = idBytes(device.id);
  const logs = session.logs
    .heads()
    .filter((head) => equalBytes(head.deviceId, deviceId))
    .map(({ logKey, length }) => ({ logKey, trustedLength: length }));
  const revocations = signRevocations(root, { deviceId, createdNs: clock.nowNs(), logs });
  const options = { revocations, random, nowNs: () => clock.nowNs() };
  await session.revoke(deviceId, (own, keyRecord) => beginEpoch(own, keyRecord, options));
}

/** Hands the key record to all who are here, and says who has it. */
async function tell(session: Session): Promise<Pick<DeviceRevoked, 'told' | 'away'>> {
  const { here, away } = await session.reachable();
  await session.exchangeLogs(here.map(({ holder }) => holder));
  const has = await mapLimited(here, holdersAtOnce, async ({ holder }) => {
    const computers = holder.computers?.() ?? [holder];
    const theirs = await mapLimited(computers, holdersAtOnce, (each) =>
      each.getKeyRecord().catch(() => undefined),
    );
    return theirs.every((bytes) => bytes !== undefined && equalBytes(bytes, session.keyRecord));
  });
  return {
    told: here.filter((_, i) => has[i]).map(({ name }) => name),
    away: [...here.filter((_, i) => has[i] !== true), ...away.map(({ keeper }) => keeper)].map(
      ({ name }) => name,
    ),
  };
}
