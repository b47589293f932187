import type { Card } from '../format/card.ts';
import { decodeKeyRecord } from '../format/key-record.ts';
import { ownCard } from '../trust/card.ts';
import type { Session } from './session.ts';

/**
 * The card of one's own identity as this device knows it now: all devices and revocations of the key record, and where this computer
 * can be met.
 */
export function ownCardOf(session: Session): Card {
  const { device, keyRecord, ownAddress } = session;
  const { revocations = [] } = decodeKeyRecord(keyRecord);
  return ownCard({
    identity: device.vaultId,
    certificate: device.certificate,
    keyRecord,
    revocations,
    address: ownAddress.record,
  });
}
