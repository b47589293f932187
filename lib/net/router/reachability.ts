import { isIPv6 } from 'node:net';
import { addressClass, hostOf } from '../address-class.ts';

/** Somebody who dialled us over TCP. */
export interface CameIn {
  /** `HOST:PORT`. */
  readonly address: string;
  /** True for another device of this identity: it proves as much as a friend, and is none. */
  readonly isOwn: boolean;
}

/** What is known, without asking anybody outside, of whether friends can dial this computer. */
export interface ReachabilityFacts {
  /** What friends can dial by this computer's own addresses, each `HOST:PORT`. */
  readonly addresses: readonly string[];
  /** Where the user says that a router passes our port on, each `HOST:PORT`. */
  readonly announced: readonly string[];
  /** Who dialled us since kith is up. */
  readonly cameInFrom: readonly CameIn[];
  /** The address that friends' nodes of the DHT see us under, where they agree. */
  readonly seenAs: string | null;
  /** What the router passes on to us, as it says; null where it was not asked, or doesn't. */
  readonly mapping: { readonly host: string; readonly port: number } | null;
  /** Meeting points of our own choice; `none` where the user said that none is needed. */
  readonly meetingPoints: readonly string[] | 'none';
  readonly publicDht: boolean;
}

/** One thing that a person can choose. Nothing of it is done unasked. */
export interface ReachabilityChoice {
  readonly id: 'open-port' | 'port-mapping' | 'ipv6' | 'meeting-point' | 'public-dht';
  readonly words: string;
  /** What to type, where there is something. */
  readonly command: string | null;
}

/** Whether friends outside this network can dial us, in words, and what to choose from where they can't, as far as is known. */
export interface Reachability {
  readonly state: 'reachable' | 'unknown' | 'behind-router';
  readonly words: string;
  /** Empty where nothing needs to be chosen, or a choice was made. */
  readonly choices: readonly ReachabilityChoice[];
}

function choicesFor({ mapping }: ReachabilityFacts): ReachabilityChoice[] {
  const asked: ReachabilityChoice = {
    id: 'port-mapping',
    words: 'have kith ask the router for an open port (UPnP, NAT-PMP)',
    command: 'kith config set net.port_mapping on',
  };
  return [
    ...(mapping === null ? [asked] : []),
    {
      id: 'open-port',
      words:
        'open the port in the router by hand, TCP and UDP, and say that it is done (or where, if that address stays: net.announce in kith.toml)',
      command: 'kith config set net.meeting_points none',
    },
    {
      id: 'ipv6',
      words: 'IPv6, where you and your friends have it: let the port in for this computer in the router',
      command: null,
    },
    {
      id: 'meeting-point',
      words:
        'a friend who can be reached, or a small rented machine that runs kith up --role meeting-point: it introduces and relays, and stores nothing',
      command: 'kith config set net.meeting_points HOST:PORT',
    },
    {
      id: 'public-dht',
      words: 'public meeting points: strangers see your address and times, never data',
      command: 'kith up --public-dht',
    },
  ];
}

/** What was chosen, in words; undefined where nothing was. */
function chosenWords({ meetingPoints, publicDht }: ReachabilityFacts): string | undefined {
  if (meetingPoints === 'none') return 'You have said that the port is open.';
  if (meetingPoints.length > 0) return `Friends find you by way of ${meetingPoints.join(', ')}.`;
  return publicDht ? 'Friends find you by public meeting points.' : undefined;
}

function isPublic(address: string): boolean {
  return addressClass(hostOf(address)) === 'public';
}

/** What the facts come to. Pure; nothing in it is a promise: only a friend who came in proves that friends can. */
export function reachabilityOf(facts: ReachabilityFacts): Reachability {
  const { addresses, announced, cameInFrom, seenAs, mapping } = facts;
  const outside = cameInFrom.filter(({ address }) => isPublic(address));
  const came = outside.find(({ isOwn }) => !isOwn) ?? outside[0];
  if (came !== undefined) {
    const host = hostOf(came.address);
    const words = came.isOwn
      ? `This computer is reached from outside your network: another computer of yours came from ${host}.`
      : `Friends outside your network reach this computer: one came from ${host}.`;
    return { state: 'reachable', words, choices: [] };
  }
  if (mapping !== null && addressClass(mapping.host) === 'public') {
    return {
      state: 'reachable',
      words: `Your router passes port ${mapping.port} of ${mapping.host} on to this computer.`,
      choices: [],
    };
  }
  if (announced.length > 0) {
    const words = `You have said that the router passes ${announced.join(', ')} on to this computer. Whether it does shows when the first friend comes in.`;
    return { state: 'unknown', words, choices: [] };
  }
  if (addresses.length === 0) {
    const words =
      'This computer has no address that friends elsewhere could dial. In its own network they find it by themselves.';
    return { state: 'unknown', words, choices: [] };
  }
  if (addresses.every((address) => addressClass(hostOf(address)) === 'loopback')) {
    return { state: 'unknown', words: 'kith listens for this computer alone.', choices: [] };
  }
  const four = addresses.find((address) => isPublic(address) && !isIPv6(hostOf(address)));
  if (four !== undefined) {
    const words = `This computer has the public address ${hostOf(four)}. Whether a firewall lets friends in shows when the first one comes.`;
    return { state: 'unknown', words, choices: [] };
  }
  return behindRouter(facts, seenAs);
}

function behindRouter(facts: ReachabilityFacts, seenAs: string | null): Reachability {
  const { addresses, mapping } = facts;
  const six = addresses.find(isPublic);
  const beyond =
    mapping === null
      ? ''
      : ` It passes port ${mapping.port} on, but is itself behind another router (${mapping.host}).`;
  const seen = seenAs !== null && isPublic(`${seenAs}:1`) ? ` Friends see it as ${seenAs}.` : '';
  const bySix =
    six === undefined ? '' : ` Friends with IPv6 may reach ${hostOf(six)}, if the router lets them in.`;
  const chosen = chosenWords(facts);
  const where =
    'Your router lets nobody in, as far as can be told from here: this computer has no public IPv4 address.';
  const state = six === undefined ? 'behind-router' : 'unknown';
  if (chosen !== undefined) return { state, words: `${chosen}${bySix}`, choices: [] };
  return { state, words: `${where}${beyond}${seen}${bySix}`, choices: choicesFor(facts) };
}
