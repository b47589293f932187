import { fromHex, toHex } from '../base/bytes.ts';
import { parseSize } from '../base/units.ts';
import { Hosting } from '../custody/hosting.ts';
import type { Service } from '../net/service.ts';
import { storeServiceName, storeVersions } from '../services/store/store-codec.ts';
import { storeService } from '../services/store/store-service.ts';
import type { FriendsBook } from '../trust/friends-book.ts';
import type { Session } from '../vault/session.ts';

/** A side that calls `kith/store` and keeps nothing for anybody. */
export const callsStore: Service = {
  name: storeServiceName,
  versions: storeVersions,
  accept: () => undefined,
};

/** What this home keeps for friends whom the book grants it: their quotas and devices are asked at each use. */
export async function openHosting(session: Session, book: FriendsBook): Promise<Hosting> {
  const { disk, random, clock } = session.surroundings;
  return await Hosting.open({
    disk,
    home: session.home,
    identity: session.device.vaultId,
    name: session.name,
    random,
    nowNs: () => clock.nowNs(),
    ownerOf: (identityHex) => {
      const record = session.state.friend(fromHex(identityHex) ?? new Uint8Array(0));
      if (record === undefined || !book.allows(identityHex, storeServiceName)) return undefined;
      return {
        quotaBytes: record.quotaGivenBytes,
        // What a device signed that the friend has certified once stays signed.
        isDevice: (deviceId) => book.isDeviceOf(identityHex, deviceId),
        trustedLength: (deviceId, logKey) => book.trustedLength(identityHex, deviceId, logKey),
      };
    },
    freeFloorBytes: () => {
      const floor = session.settings.value('free.floor');
      return floor === 'auto' ? undefined : parseSize(floor);
    },
  });
}

/** `kith/store` over what is kept here, which is asked for at each call. `onKeyRecord` is given what a friend's device hands over. */
export function hostingService(
  session: Session,
  hosting: () => Hosting | undefined,
  onKeyRecord: (identity: Uint8Array, bytes: Uint8Array) => void,
): Service {
  const { deviceId, deviceSecretKey } = session.device;
  return storeService({
    device: { publicKey: deviceId, secretKey: deviceSecretKey },
    storeOf: (identity) => hosting()?.storeOf(toHex(identity)),
    check: async () =>
      (await hosting()?.check()) ?? { available: false, foreign: false, reason: 'not open yet' },
    onKeyRecord,
  });
}
