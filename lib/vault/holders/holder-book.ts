import { displayText, idKey, toHex } from '../../base/bytes.ts';
import { mapLimited } from '../../base/concurrency.ts';
import type { CatalogState } from '../../catalog/catalog-state.ts';
import type { LogAuthority } from '../../catalog/log-carrier.ts';
import type { Disk } from '../../disk/disk.ts';
import { holderKindNumbers, holderStateNumbers, type HolderRecord } from '../../format/catalog-records.ts';
import { friendStateNumbers, type FriendRecord } from '../../format/friend-records.ts';
import { openDrive } from '../../holders/drive.ts';
import type { FriendNetwork } from '../friends/friend-network.ts';
import type { AwayHolder, KnownDrive, KnownFriend, KnownHolder } from './known-holder.ts';

/** Holders that are asked at once. */
export const holdersAtOnce = 16;

/** What holders are made from. */
export interface HolderBookOptions {
  readonly disk: Disk;
  readonly authority: LogAuthority;
  readonly state: CatalogState;
}

interface Entry<T extends KnownHolder> {
  readonly known: T;
  /** What it was made from: it stays the same object for as long as this does. */
  readonly basis: string;
}

/**
 * The holders that the catalog names, drives and friends, as objects that live as long as what is known of them stays the same: an
 * operation under way and one that begins later then speak of the same, and a drive's room isn't counted anew.
 */
export class HolderBook {
  readonly #options: HolderBookOptions;
  #network: FriendNetwork;
  #drives = new Map<string, Entry<KnownDrive>>();
  #friends = new Map<string, Entry<KnownFriend>>();

  constructor(options: HolderBookOptions, network: FriendNetwork) {
    this.#options = options;
    this.#network = network;
  }

  /** From now on friends are spoken to over another network. */
  connect(network: FriendNetwork): void {
    this.#network = network;
    this.#friends.clear();
  }

  /** Takes what the catalog says now. `freeFloorBytes` is undefined for the default. */
  load(freeFloorBytes: number | undefined): void {
    const { state } = this.#options;
    const isTaken = takenNames();
    const drives = new Map<string, Entry<KnownDrive>>();
    for (const record of inOrder(state.holders())) {
      if (record.kind !== holderKindNumbers.drive || record.state !== holderStateNumbers.active) continue;
      const entry = this.#drive(record, isTaken(record.name), freeFloorBytes);
      drives.set(entry.known.id, entry);
    }
    const friends = new Map<string, Entry<KnownFriend>>();
    for (const record of state.friends()) {
      const id = toHex(record.identity);
      const isOwn = id === toHex(this.#options.authority.vaultId);
      if (record.state !== friendStateNumbers.active || isOwn || drives.has(id)) continue;
      friends.set(id, this.#friend(record, isTaken(record.name)));
    }
    this.#drives = drives;
    this.#friends = friends;
  }

  #drive(record: HolderRecord, name: string, freeFloorBytes: number | undefined): Entry<KnownDrive> {
    const { disk, authority } = this.#options;
    const id = toHex(record.holderId);
    const path = displayText(record.pathHint);
    const household = record.household === '' ? undefined : record.household;
    const quotaBytes = record.quotaBytes === 0 ? undefined : record.quotaBytes;
    const { whole } = record;
    const basis = JSON.stringify([path, name, household, quotaBytes, whole, freeFloorBytes]);
    const before = this.#drives.get(id);
    if (before?.basis === basis) return before;
    const holder = openDrive(disk, path, {
      id,
      vaultId: authority.vaultId,
      name,
      household,
      quotaBytes,
      freeFloorBytes,
      isDevice: authority.isDevice,
      trustedLength: authority.trustedLength,
    });
    return { basis, known: { id, kind: 'drive', name, path, household, quotaBytes, whole, holder } };
  }

  #friend(record: FriendRecord, name: string): Entry<KnownFriend> {
    const id = toHex(record.identity);
    const household = record.household === '' ? undefined : record.household;
    const basis = JSON.stringify([name, household, record.atNs.toString()]);
    const before = this.#friends.get(id);
    if (before?.basis === basis) return before;
    const same = before?.known.name === name && before.known.household === household;
    const holder = same ? before.known.holder : this.#network.holderOf({ id, name, household });
    const known = { id, name, path: undefined, household, quotaBytes: undefined, whole: false, holder };
    return { basis, known: { ...known, kind: 'friend', record } };
  }

  drives(): KnownDrive[] {
    return byName(this.#drives);
  }

  friends(): KnownFriend[] {
    return byName(this.#friends);
  }

  get(id: string): KnownHolder | undefined {
    return this.#drives.get(id)?.known ?? this.#friends.get(id)?.known;
  }

  /** Holders that can be used now, and the others with the reason. Looks at each; of friends, only at those who are online. */
  async reachable(): Promise<{ readonly here: KnownHolder[]; readonly away: AwayHolder[] }> {
    if (this.#friends.size > 0) await this.#network.settled?.();
    const all = [...this.drives(), ...this.friends()];
    const reasons = await mapLimited(all, holdersAtOnce, (keeper) => this.#whyAway(keeper));
    const here = all.filter((_, i) => reasons[i] === undefined);
    const away = all.flatMap((keeper, i) => {
      const reason = reasons[i];
      return reason === undefined ? [] : [{ keeper, reason }];
    });
    return { here, away };
  }

  /** Undefined for a holder that is here. */
  async #whyAway(keeper: KnownHolder): Promise<string | undefined> {
    if (keeper.kind === 'friend') {
      const { online, trouble } = this.#network.presence(keeper.id);
      if (!online) return trouble ?? 'not online';
    }
    const availability = await keeper.holder.check();
    return availability.available ? undefined : availability.reason;
  }
}

function byName<T extends KnownHolder>(entries: ReadonlyMap<string, Entry<T>>): T[] {
  const all = [...entries.values()].map(({ known }) => known);
  return all.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.id < b.id ? -1 : 1));
}

/** By id: whichever log was read first, the same of two drives of one name keeps it. */
function inOrder(records: readonly HolderRecord[]): HolderRecord[] {
  return [...records].sort((a, b) => (idKey(a.holderId) < idKey(b.holderId) ? -1 : 1));
}

/** Gives each name once: who comes later with the same, from another device, gets a number behind it. */
function takenNames(): (name: string) => string {
  const taken = new Set<string>();
  return (name) => {
    const free = freeName(name, (candidate) => taken.has(candidate));
    taken.add(free);
    return free;
  };
}

/** The name itself, or with the first number behind it that makes it free. */
export function freeName(wanted: string, isTaken: (name: string) => boolean): string {
  if (!isTaken(wanted)) return wanted;
  for (let i = 2; ; i++) if (!isTaken(`${wanted}-${i}`)) return `${wanted}-${i}`;
}
