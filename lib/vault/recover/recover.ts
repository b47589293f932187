import { join } from 'node:path';
import { displayText, toHex } from '../../base/bytes.ts';
import { isKithError, KithError } from '../../base/errors.ts';
import type { Heard } from '../../catalog/log-copies.ts';
import { orderSnapshots } from '../../catalog/snapshot-order.ts';
import { rootOfPhrase } from '../../crypto/phrase.ts';
import { wipeBytes, type Secret } from '../../crypto/secret.ts';
import { signKeyPair, wipeKeyPair } from '../../crypto/sign.ts';
import { encodeCardText } from '../../format/card-text.ts';
import { decodeCard, encodeCard, verifyCard } from '../../format/card.ts';
import { holderStateNumbers } from '../../format/catalog-records.ts';
import { friendStateNumbers } from '../../format/friend-records.ts';
import { openDrive } from '../../holders/drive.ts';
import type { Holder } from '../../holders/holder.ts';
import { grantsOfNewFriend } from '../../trust/grants.ts';
import { doorstepSeedOfRoot } from '../../trust/root-keys.ts';
import {
  completeDevice,
  doorstepKeys,
  prepareDevice,
  vaultIdOfRoot,
  type DeviceKeys,
} from '../../trust/identity.ts';
import { appendHolder } from '../holders/drives.ts';
import type { RecoveryConnection, RecoveryNetwork } from '../friends/friend-network.ts';
import { appendFriend } from '../friends/friend-records.ts';
import { quotaOfNewFriendBytes } from '../friends/friends.ts';
import { prepareHome, refuseVault, writeHome } from '../init.ts';
import { nameFor } from '../holders/names.ts';
import { prepareWrite } from '../read/prepare.ts';
import { findDrives, type FoundDrive } from './recover-drives.ts';
import { cardFriends, findKeyRecords, type CardFriend, type FoundKeys } from './recover-friends.ts';
import { Session } from '../session.ts';
import { systemSurroundings, type Surroundings } from '../session-parts.ts';
import { deviceList } from '../devices/devices.ts';
import type { Problem, RecoverOptions, RecoverSummary } from '../types.ts';

/** For so long a recovery waits for the friends that the catalog names, before it calls anything the latest. */
const othersMsMax = 10_000;

/** What a recovery is given beside what the user said. */
export interface RecoverParts {
  readonly surroundings?: Surroundings;
  /** How friends are reached; without it only drives are. */
  readonly friends?: RecoveryNetwork;
}

/**
 * An identity back from its phrase and any friend or drive of its vault: a new device with fresh logs, the catalog from the holders'
 * copies, and where those are gone, from the packs themselves. Run again after an interruption, it goes on. KithError `wrong-phrase`,
 * `unknown-identity` (12), `nobody-reached` (5), `vault-exists`, and those of cards.
 */
export async function recoverVault(options: RecoverOptions & RecoverParts): Promise<RecoverSummary> {
  const root = rootOfPhrase(options.phrase);
  try {
    const near = await cardsNear(root, options);
    return await new Recovery(root, near === undefined ? options : { ...options, cards: near }).run();
  } finally {
    root.wipe();
  }
}

/** With neither card nor drive: the cards of friends in the local network, as text. Undefined where something was given. */
async function cardsNear(
  root: Secret,
  { drives, cards = [], friends, signal }: RecoverOptions & RecoverParts,
): Promise<string[] | undefined> {
  if (drives.length > 0 || cards.length > 0 || friends?.near === undefined) return undefined;
  const seed = doorstepSeedOfRoot(root);
  const doorstep = signKeyPair(seed);
  try {
    const found = (await friends.near(doorstep, signal)).flatMap(soundCardText);
    if (found.length > 0) return found;
  } finally {
    wipeBytes(seed);
    wipeKeyPair(doorstep);
  }
  throw new KithError(
    'nobody-reached',
    'nobody in the local network knows this phrase. Name a card of a friend or a disk of the backup: kith recover --phrase-file FILE --card FILE, or --drive PATH',
  );
}

/** A card that came over the network, as text; none for what isn't one. */
function soundCardText(bytes: Uint8Array): string[] {
  try {
    verifyCard(decodeCard(bytes));
    return [encodeCardText(bytes)];
  } catch (error) {
    if (isKithError(error)) return [];
    throw error;
  }
}

class Recovery {
  readonly #root: Secret;
  readonly #options: RecoverOptions & RecoverParts;
  readonly #surroundings: Surroundings;
  readonly #vaultId: Uint8Array;
  readonly #friends: readonly CardFriend[];

  constructor(root: Secret, options: RecoverOptions & RecoverParts) {
    this.#root = root;
    this.#options = options;
    this.#surroundings = options.surroundings ?? systemSurroundings;
    this.#vaultId = vaultIdOfRoot(root);
    this.#friends = cardFriends(options.cards ?? [], this.#vaultId);
  }

  readonly #report = (problem: Problem): void => this.#options.onProblem?.(problem);

  async run(): Promise<RecoverSummary> {
    const { home, drives } = this.#options;
    if (drives.length === 0 && (this.#friends.length === 0 || this.#options.friends === undefined)) {
      throw new KithError(
        'nobody-reached',
        'name a card of a friend or a disk of the backup: kith recover --phrase-file FILE --card FILE, or --drive PATH',
      );
    }
    const found = await findDrives(this.#surroundings, drives, this.#vaultId, this.#report);
    if (await this.#isHomeOfThis()) {
      const session = await this.#open();
      let connection: RecoveryConnection | undefined;
      try {
        connection = await this.#connect(session.device, doorstepKeys(session.device));
        await this.#waitForSome(connection);
        return await this.#takeBack(session, connection, found.found);
      } finally {
        await connection?.close();
        await session.close();
      }
    }
    await refuseVault(this.#surroundings.disk, home);
    const prepared = prepareDevice(this.#root, this.#deviceOptions());
    const connection = await this.#connect(prepared, doorstepKeys(prepared));
    try {
      const keyRecords = await this.#keyRecords(connection, found);
      await this.#writeHome(completeDevice(this.#root, prepared, keyRecords));
      const session = await this.#open();
      try {
        return await this.#takeBack(session, connection, found.found);
      } finally {
        await session.close();
      }
    } finally {
      await connection?.close();
    }
  }

  /** Gives the friends whose cards were given time to answer, where nothing else is waited for. */
  async #waitForSome(connection: RecoveryConnection | undefined): Promise<void> {
    const ids = this.#friends.map(({ id }) => id);
    if (connection !== undefined) await connection.waitForAll(ids, othersMsMax, this.#options.signal);
  }

  #deviceOptions(): Parameters<typeof prepareDevice>[1] {
    const { random, clock } = this.#surroundings;
    return { random, nowNs: () => clock.nowNs() };
  }

  /** Shows the device to friends; undefined where there is no network, or nobody to look for. */
  async #connect(
    device: Omit<DeviceKeys, 'epochs'>,
    doorstep: ReturnType<typeof doorstepKeys>,
  ): Promise<RecoveryConnection | undefined> {
    const { friends: network, signal } = this.#options;
    if (network === undefined || doorstep === undefined) return undefined;
    const { vaultId, deviceId, deviceSecretKey, certificate } = device;
    return await network.connect({
      device: { vaultId, deviceId, deviceSecretKey, certificate },
      doorstep,
      cards: this.#friends.map(({ card }) => card),
      signal,
    });
  }

  /** True if the home is one of this vault already: a recovery that was interrupted goes on. */
  async #isHomeOfThis(): Promise<boolean> {
    if ((await this.#surroundings.disk.stat(join(this.#options.home, 'keystore'))) === undefined)
      return false;
    const session = await this.#open();
    try {
      return session.id === toHex(this.#vaultId);
    } finally {
      await session.close();
    }
  }

  #open(): Promise<Session> {
    const { home, passphrase } = this.#options;
    const surroundings = this.#surroundings;
    return Session.open({ home, surroundings, ...(passphrase === undefined ? {} : { passphrase }) });
  }

  /** At least one key record that is genuine, from drives and friends alike. */
  async #keyRecords(
    connection: RecoveryConnection | undefined,
    drives: { readonly found: readonly FoundDrive[]; readonly reached: number },
  ): Promise<readonly Uint8Array[]> {
    const ofDrives = drives.found.flatMap(({ keyRecord }) => keyRecord ?? []);
    const ofFriends: FoundKeys =
      connection === undefined
        ? { keyRecords: [], knownTo: 0, refusedBy: 0 }
        : await findKeyRecords(this.#surroundings, connection, this.#friends, {
            vaultId: this.#vaultId,
            haveSome: ofDrives.length > 0,
            report: this.#report,
            signal: this.#options.signal,
          });
    const all = [...ofDrives, ...ofFriends.keyRecords];
    if (all.length === 0) throw this.#nothingFound(drives.reached, ofFriends);
    return all;
  }

  #nothingFound(drivesReached: number, { knownTo, refusedBy }: FoundKeys): KithError {
    const { drives } = this.#options;
    if (knownTo > 0) {
      return new KithError(
        'nobody-reached',
        'the friends who were reached know you, but none of them keeps your keys. Try again with the card of another, or with a disk.',
      );
    }
    if (drivesReached > 0 && this.#friends.length === 0) {
      return new KithError(
        'unknown-identity',
        'the phrase is well-formed, but the disks that were reached belong to somebody else, or their keys are damaged. Check that it is the phrase of this backup.',
      );
    }
    if (drivesReached > 0 || refusedBy > 0) {
      return new KithError(
        'unknown-identity',
        'the phrase is well-formed, but nobody who was reached knows its identity. Check that it is the phrase of this backup.',
      );
    }
    const where = [
      ...(drives.length > 0 ? [`no kith disk could be reached at ${drives.join(', ')}`] : []),
      ...(this.#friends.length > 0
        ? [`no answer from ${this.#friends.map(({ name }) => name).join(', ')}`]
        : []),
    ];
    const again = drives.length > 0 ? 'Connect one' : 'Ask them to run kith up';
    return new KithError('nobody-reached', `${where.join('; ')}. ${again} and run the same command again.`);
  }

  async #writeHome({ device, keyRecord }: ReturnType<typeof completeDevice>): Promise<void> {
    const { home, passphrase } = this.#options;
    const lock = await prepareHome(this.#surroundings, home);
    try {
      await writeHome(this.#surroundings, home, {
        device,
        keyRecord,
        passphrase,
        reason: 'recovered from the phrase',
        name: undefined,
      });
    } finally {
      await lock.release();
    }
  }

  async #takeBack(
    session: Session,
    connection: RecoveryConnection | undefined,
    drives: readonly FoundDrive[],
  ): Promise<RecoverSummary> {
    return await session.heardBy(this.#report, async () => {
      if (connection !== undefined) session.connect(connection);
      const { witnesses, agreed } = await this.#hearAll(session, connection, drives);
      for (const { id, card } of this.#friends) await session.learnFriendCard(id, encodeCard(card));
      const prepared = await prepareWrite(session, this.#report, this.#options.signal);
      const snapshots = orderSnapshots(session.state.snapshots(), this.#surroundings.clock.nowNs());
      const names = (kind: 'drive' | 'friend', isHere: boolean): string[] => {
        const keepers = isHere ? prepared.here : prepared.away.map(({ keeper }) => keeper);
        return keepers.filter((keeper) => keeper.kind === kind).map(({ name }) => name);
      };
      return {
        id: session.id,
        name: session.name,
        snapshots: snapshots.length,
        latest: snapshots.at(-1)?.id ?? null,
        witnesses,
        agreed,
        drivesFound: names('drive', true),
        drivesAway: names('drive', false),
        friendsFound: names('friend', true),
        friendsAway: names('friend', false),
        otherDevices: (await deviceList(session))
          .filter(({ isThis, revokedNs }) => !isThis && revokedNs === null)
          .map(({ id, name }) => ({ id, name })),
      };
    });
  }

  /**
   * Asks the given holders, and those that the catalog then names, what they know, before anything is given to anybody: how many of
   * them had the newest state by themselves is all that tells whether something newer may be elsewhere.
   */
  async #hearAll(
    session: Session,
    connection: RecoveryConnection | undefined,
    drives: readonly FoundDrive[],
  ): Promise<{ readonly witnesses: number; readonly agreed: number }> {
    const { signal } = this.#options;
    const asked = new Set<string>();
    const heard = new Map<string, Heard>();
    const hear = async (holders: readonly Holder[]): Promise<void> => {
      for (const { id } of holders) asked.add(id);
      for (const one of (await session.hearLogs(holders, signal)).heard) heard.set(one.holder.id, one.heard);
    };
    const online = this.#friends.filter(({ id }) => connection?.presence(id).online === true);
    await hear([
      ...drives.map(({ path, marker }) => openFound(session, path, marker)),
      ...online.flatMap((friend) => connection?.holderOf(friend) ?? []),
    ]);
    await rememberPaths(session, drives);
    await this.#rememberFriends(session, heard);
    // A friend's word may name others, and theirs yet others; each is asked once, so this ends.
    for (let waited = ''; ;) {
      waited = await this.#waitForFriends(session, connection, waited);
      const { here } = await session.reachable();
      const more = here.filter(({ id }) => !asked.has(id)).map(({ holder }) => holder);
      if (more.length === 0) break;
      await hear(more);
      session.loadHolders();
    }
    if (heard.size === 0) {
      throw new KithError(
        'nobody-reached',
        'your identity is here, but nobody could be asked what is backed up. Run the same command again when a friend is online or a disk is connected.',
      );
    }
    const all = [...heard.values()];
    return { witnesses: all.length, agreed: all.filter((one) => session.logCopies.isAbreast(one)).length };
  }

  /** Dials the friends of the catalog and waits for them, once for each set of them. Gives the set. */
  async #waitForFriends(
    session: Session,
    connection: RecoveryConnection | undefined,
    before: string,
  ): Promise<string> {
    const ids = session.friends().map(({ id }) => id);
    const set = ids.toSorted().join();
    if (connection === undefined || set === before) return set;
    connection.know(session.state.friends());
    await connection.waitForAll(ids, othersMsMax, this.#options.signal);
    return set;
  }

  /** Takes friends into the book whom no log names (all were lost), and who gave what they know of us. */
  async #rememberFriends(session: Session, heard: ReadonlyMap<string, Heard>): Promise<void> {
    session.loadHolders();
    for (const { id, name, card } of this.#friends) {
      if (!heard.has(id) || session.state.friend(card.identity) !== undefined) continue;
      // Logs that are heard later may have the friend's own line, with what was really agreed.
      const friend = {
        identity: card.identity,
        state: friendStateNumbers.active as 1,
        name: nameFor(session, name),
        household: '',
        quotaGivenBytes: quotaOfNewFriendBytes,
        grants: grantsOfNewFriend,
        card: encodeCard(card),
        extensions: [],
      };
      await appendFriend(session, friend, { asGuess: true });
      session.loadHolders();
    }
  }
}

function openFound(session: Session, path: string, marker: FoundDrive['marker']): Holder {
  const { vaultId } = session.device;
  const { isDevice } = session.authority;
  return openDrive(session.surroundings.disk, path, { id: marker.id, vaultId, name: marker.name, isDevice });
}

/** Notes where the given drives are now, and takes in those that the catalog doesn't know (its logs were lost). */
async function rememberPaths(session: Session, found: readonly FoundDrive[]): Promise<void> {
  session.loadHolders();
  const records = new Map(session.state.holders().map((record) => [toHex(record.holderId), record]));
  for (const { path, marker } of found) {
    const record = records.get(marker.id);
    const samePath = record !== undefined && displayText(record.pathHint) === path;
    if (samePath && record.state === holderStateNumbers.active) continue;
    await appendHolder(session, {
      id: marker.id,
      state: holderStateNumbers.active,
      name: record?.name ?? marker.name,
      household: record?.household ?? '',
      quotaBytes: record?.quotaBytes ?? 0,
      whole: record?.whole ?? false,
      path,
    });
  }
  session.loadHolders();
}
