import type { Clock } from '../base/clock.ts';
import { KithError } from '../base/errors.ts';
import type { RandomSource } from '../crypto/random.ts';
import type { KeyPair } from '../net/links/link.ts';
import type { BrokenRule } from '../net/network-options.ts';
import type { RelayLimits } from '../net/relay/relay-hub.ts';
import type { PeerInfo, Service } from '../net/service.ts';
import { type BookInvites, type BookRecord } from '../trust/friends-book.ts';
import type { HostPort } from './home-port.ts';

export interface PeerLinksOptions {
  /** Whose data friends keep: our identity. */
  readonly vaultId: Uint8Array;
  readonly device: KeyPair;
  /** With which a device that friends don't know yet knocks. */
  readonly doorstep: KeyPair | undefined;
  /** True for a device that no friend can know yet. */
  readonly knocks?: boolean;
  /** Asked at each refresh. */
  readonly friends: () => readonly BookRecord[];
  readonly ownCard: () => Uint8Array;
  /** A friend's card has grown. Must not throw. */
  readonly onLearned: (identityHex: string, card: Uint8Array) => void;
  readonly invites?: BookInvites;
  /** Where the DHT is entered beside friends' cards: by the invites that are pending. Asked at each refresh. */
  readonly meetingPoints?: () => readonly HostPort[];
  /** A friend has refused the invite of theirs that is pending here. Must not throw. */
  readonly onInviteRefused?: (friendId: string, error: KithError) => void;
  /** Somebody sent what no honest kith sends, and was let go. Must not throw. */
  readonly onBroken?: (broken: BrokenRule) => void;
  /** What we grant; a side that only calls grants nothing, and names what it speaks. */
  readonly services: readonly Service[];
  /** What relaying for friends may cost; left out by a side that relays for nobody. */
  readonly relaying?: RelayLimits;
  /** Our name for a friend. */
  readonly nameOf?: (identity: Uint8Array) => string | undefined;
  readonly random: RandomSource;
  readonly clock: Clock;
  readonly onPresence: (friendId: string, online: boolean) => void;
  /** A friend whose line was metered says that it no longer is. */
  readonly onBulkFree?: () => void;
  /** Our own card has grown by what another device of ours showed. Must not throw. Without it our other devices are nobody. */
  readonly onLearnedOwn?: (card: Uint8Array) => void;
  /** Which other devices of ours are connected now, as Network.peers has them; told whenever anything changes. */
  readonly onOwnDevices?: (peers: readonly PeerInfo[]) => void;
}

export interface OpenLinksOptions {
  /** Undefined: only dials. */
  readonly listen: HostPort | undefined;
  readonly bootstrap: readonly HostPort[];
  readonly publicDht: boolean;
  readonly direct: boolean;
  readonly dht: boolean;
  /** Nodes of the DHT that were known another time: entries after those of cards. */
  readonly remembered?: readonly HostPort[];
  /** Where a router passes our port on to us, as the user says. */
  readonly announced?: readonly HostPort[];
  /** An IPv6 address on which TCP is taken as well, `::` for all. */
  readonly alsoIPv6?: string;
  /** Whether friends in the local network are looked for. */
  readonly lan?: boolean;
  /** Where nothing is listened on: from which of our addresses friends in the local network are asked where they are, as in `lanPlaces`. */
  readonly lanFrom?: string | undefined;
}
