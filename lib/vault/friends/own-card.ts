import { idKey } from '../../base/bytes.ts';
import type { Card } from '../../format/card.ts';
import { encodeCertificate, type Certificate } from '../../format/certificate.ts';
import { encodeRevocation, type Revocation } from '../../format/revocation.ts';
import { decodeKeyRecord } from '../../format/key-record.ts';
import { isKithError } from '../../base/errors.ts';
import { mergeCards, ownCard } from '../../trust/card.ts';
import { growKeyRecord } from '../../trust/own-key-record.ts';
import type { Session } from '../session.ts';

/**
 * The card of one's own identity as this device knows it now: all devices and revocations of the key record, and where this computer
 * can be met.
 */
export function ownCardOf(session: Session): Card {
  const { device, keyRecord, ownAddress } = session;
  const { revocations = [] } = decodeKeyRecord(keyRecord);
  const own = ownCard({
    identity: device.vaultId,
    certificate: device.certificate,
    keyRecord,
    revocations,
    address: ownAddress.record,
  });
  const { card } = session.ownCardFile;
  if (card === undefined) return own;
  try {
    return mergeCards(own, card);
  } catch (error) {
    // Then it can do without the addresses of other devices.
    if (!isKithError(error, 'limit-exceeded')) throw error;
    return own;
  }
}

/**
 * Takes in what another device of this identity showed of its card: certificates and revocations go into the key record as well, and with
 * that a device which is new here gets the epochs that it lacks.
 */
export async function learnOwnCard(session: Session, bytes: Uint8Array): Promise<void> {
  const { certificates, revocations } = await session.ownCardFile.learn(bytes);
  await session.changeKeyRecord((device, keyRecord) =>
    knowsAll(keyRecord, certificates, revocations)
      ? { device, keyRecord }
      : growKeyRecord(device, keyRecord, { certificates, revocations }),
  );
}

function knowsAll(
  keyRecord: Uint8Array,
  certificates: readonly Certificate[],
  revocations: readonly Revocation[],
): boolean {
  const known = decodeKeyRecord(keyRecord);
  const bytes = new Set([
    ...known.certificates.map((one) => idKey(encodeCertificate(one))),
    ...(known.revocations ?? []).map((one) => idKey(encodeRevocation(one))),
  ]);
  return (
    certificates.every((one) => bytes.has(idKey(encodeCertificate(one)))) &&
    revocations.every((one) => bytes.has(idKey(encodeRevocation(one))))
  );
}
