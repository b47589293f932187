import assert from 'node:assert/strict';
import { equalBytes, toHex } from '../../lib/base/bytes.ts';
import type { Card } from '../../lib/format/card.ts';
import { decodeCertificate, verifyCertificate } from '../../lib/format/certificate.ts';
import type { FriendRecord } from '../../lib/format/friend-records.ts';
import type { Holder } from '../../lib/holders/holder.ts';
import type { KeyPair } from '../../lib/net/links/link.ts';
import type {
  FriendRef,
  Hosted,
  PingStep,
  Presence,
  RecoveringDevice,
  RecoveryConnection,
  RecoveryNetwork,
} from '../../lib/vault/friends/friend-network.ts';
import { noNetwork } from '../../lib/vault/friends/no-network.ts';
import type { FakeFriends } from './fake-friends.ts';

/** The network of a recovery among friends in folders: only who was dialled is online, and who refuses isn't. */
export class FakeRecovery implements RecoveryNetwork {
  readonly #friends: FakeFriends;
  readonly refusing: Set<string> = new Set();
  /** Ids of those who were waited for, call by call. */
  readonly waits: string[][] = [];
  /** Devices that were shown, as hex. */
  readonly devices: string[] = [];
  open: number = 0;

  constructor(friends: FakeFriends) {
    this.#friends = friends;
  }

  connect(options: {
    readonly device: RecoveringDevice;
    readonly doorstep: KeyPair;
    readonly cards: readonly Card[];
  }): Promise<RecoveryConnection> {
    const certificate = decodeCertificate(options.device.certificate);
    verifyCertificate(certificate, options.device.vaultId);
    assert.ok(equalBytes(certificate.deviceId, options.device.deviceId));
    assert.ok(equalBytes(certificate.doorstepKey, options.doorstep.publicKey));
    this.devices.push(toHex(options.device.deviceId));
    this.open++;
    const dialled = new Set(options.cards.map(({ identity }) => toHex(identity)));
    const friends = this.#friends;
    const isDialled = (id: string): boolean => dialled.has(id) && !this.refusing.has(id);
    return Promise.resolve({
      listen: null,
      holderOf: (ref: FriendRef): Holder => friends.holderOf(ref),
      presence: (id: string): Presence => (isDialled(id) ? friends.presence(id) : noNetwork.presence(id)),
      hosted: async (): Promise<Hosted | undefined> => Promise.resolve(undefined),
      ping: async (): Promise<readonly PingStep[]> => Promise.resolve([]),
      refresh: (): void => undefined,
      refused: (id: string): boolean => dialled.has(id) && this.refusing.has(id),
      know: (records: readonly FriendRecord[]): void => {
        for (const { identity, state } of records) if (state === 1) dialled.add(toHex(identity));
      },
      waitForAny: async (ids: readonly string[]): Promise<void> =>
        Promise.resolve(void this.waits.push([...ids])),
      waitForAll: async (ids: readonly string[]): Promise<void> =>
        Promise.resolve(void this.waits.push([...ids])),
      close: async (): Promise<void> => Promise.resolve(void this.open--),
    });
  }
}
