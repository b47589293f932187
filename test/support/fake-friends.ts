import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fromHex, toHex } from '../../lib/base/bytes.ts';
import { systemRandom } from '../../lib/crypto/random.ts';
import { encodeCardText } from '../../lib/format/card-text.ts';
import { encodeCard, type Card } from '../../lib/format/card.ts';
import { initDrive, openDrive } from '../../lib/holders/drive.ts';
import type { Holder } from '../../lib/holders/holder.ts';
import type {
  FriendNetwork,
  FriendRef,
  Hosted,
  PingStep,
  Presence,
} from '../../lib/vault/friends/friend-network.ts';
import { noNetwork } from '../../lib/vault/friends/no-network.ts';
import { FaultHolder } from './fault-holder.ts';
import { SamplePerson } from './sample-card.ts';
import { quickDisk } from './vault-fixture-disk.ts';

/** A friend without a network: a folder that keeps what the friend would, behind a holder that can fail, dawdle and lie. */
export interface FakeFriend {
  readonly id: string;
  readonly name: string;
  readonly folder: string;
  readonly person: SamplePerson;
  readonly holder: FaultHolder;
  /** The card's line. */
  readonly card: string;
}

/** The line of a card. */
export function cardLine(card: Card): string {
  return encodeCardText(encodeCard(card));
}

/** Friends in folders. */
export class FakeFriends implements FriendNetwork {
  readonly #root: string;
  readonly #vaultId: string;
  readonly #friends = new Map<string, FakeFriend>();
  listen: string | null = '127.0.0.1:4321';
  /** Of whom the book was said to say something else, each time; undefined where it may have been anybody. */
  readonly refreshes: (ReadonlySet<string> | undefined)[] = [];
  readonly hostedBy: Map<string, Hosted> = new Map();

  constructor(root: string, vaultId: string) {
    this.#root = root;
    this.#vaultId = vaultId;
  }

  /** Somebody new who could be added. */
  async meet(name: string, options: { readonly quotaBytes?: number } = {}): Promise<FakeFriend> {
    const person = new SamplePerson(name);
    const id = toHex(person.identity);
    const vaultId = fromHex(this.#vaultId);
    assert.ok(vaultId !== undefined);
    const folder = join(this.#root, 'friends', name);
    await mkdir(folder, { recursive: true });
    const { id: storeId } = await initDrive(quickDisk, folder, {
      name,
      vaultId,
      random: systemRandom,
      now: '2026-01-01T00:00:00Z',
    });
    const store = openDrive(quickDisk, folder, {
      id: storeId,
      vaultId,
      name,
      quotaBytes: options.quotaBytes ?? 1e9,
      freeFloorBytes: 0,
      isDevice: () => true,
    });
    const holder = new FaultHolder(store, { id, kind: 'friend', name, household: undefined });
    const friend = { id, name, folder, person, holder, card: cardLine(person.card()) };
    this.#friends.set(id, friend);
    return friend;
  }

  /** Somebody who was met. */
  of(name: string): FakeFriend {
    const friend = [...this.#friends.values()].find((one) => one.name === name);
    assert.ok(friend !== undefined, `nobody has met ${name}`);
    return friend;
  }

  /** What is said of those who are away. */
  whyAway: string = 'nobody answers';

  /** True: those who are away have said that this device is none of its identity's. */
  disown: boolean = false;

  /** Those who are away from now on; all others are online. */
  away(...names: string[]): void {
    for (const friend of this.#friends.values()) friend.holder.away = names.includes(friend.name);
  }

  holderOf(ref: FriendRef): Holder {
    return this.#friends.get(ref.id)?.holder ?? noNetwork.holderOf(ref);
  }

  presence(id: string): Presence {
    const friend = this.#friends.get(id);
    const online = friend !== undefined && !friend.holder.away;
    return {
      online,
      via: online ? 'direct' : null,
      address: online ? '127.0.0.1:1001' : null,
      mutual: online,
      trouble: online ? null : this.whyAway,
      disowned: !online && this.disown,
    };
  }

  hosted(id: string): Promise<Hosted | undefined> {
    return Promise.resolve(this.hostedBy.get(id));
  }

  ping(id: string): Promise<readonly PingStep[]> {
    const { online, address } = this.presence(id);
    return Promise.resolve([
      { way: 'session', address, ok: online, ms: 1, message: null, trouble: online ? null : 'silent' },
    ]);
  }

  refresh(changed?: ReadonlySet<string>): void {
    this.refreshes.push(changed);
  }
}
