import { KithError } from '../base/errors.ts';
import type { Secret } from '../crypto/secret.ts';
import { cardItemsMax } from '../format/card.ts';
import { revokedLogCountMax, signRevocation, type Revocation } from '../format/revocation.ts';
import { withIdentityKey } from './root-keys.ts';

/** How much of one log still counts. */
export interface TrustedLog {
  readonly logKey: Uint8Array;
  readonly trustedLength: number;
}

/**
 * The identity's word that a device is trusted no more, but for these records. One revocation names 64 logs; a device that has more
 * gets several. The root is the caller's to wipe. KithError `limit-exceeded` where a card could not name them all.
 */
export function signRevocations(
  root: Secret,
  facts: {
    readonly deviceId: Uint8Array;
    readonly createdNs: bigint;
    readonly logs: readonly TrustedLog[];
  },
): Revocation[] {
  const { deviceId, createdNs, logs } = facts;
  const parts: TrustedLog[][] = [];
  for (let at = 0; at === 0 || at < logs.length; at += revokedLogCountMax)
    parts.push(logs.slice(at, at + revokedLogCountMax));
  if (parts.length > cardItemsMax) {
    throw new KithError('limit-exceeded', `a device with ${logs.length} logs can't be revoked`);
  }
  return withIdentityKey(root, ({ vaultId, secretKey }) =>
    parts.map((part) =>
      signRevocation({ vaultId, deviceId, createdNs, logs: part, extensions: [] }, secretKey),
    ),
  );
}
