import { shown } from './words.ts';
import type { FriendInfo } from '../lib/vault/types.ts';
import type { PingStep, StepTrouble } from '../lib/vault/friends/friend-network.ts';

type Via = NonNullable<FriendInfo['via']>;

const wayWords: Readonly<Record<PingStep['way'], string>> = {
  session: 'the open connection',
  lan: 'in the local network',
  direct: 'directly',
  dht: 'by their key',
  relay: 'through a common friend',
};

const viaWords: Readonly<Record<Via, string>> = {
  direct: ', direct',
  punched: ', by their key',
  relay: ', through a common friend',
};

/** One way that was tried, as a line. `open` is how the open connection goes, where there is one. */
export function stepLine(
  { way, address, ok, ms, message, trouble }: PingStep,
  open: { readonly via: Via | null; readonly address: string | null } = { via: null, address: null },
): string {
  const via = way === 'session' && open.via !== null && open.address === address ? viaWords[open.via] : '';
  const where = `${via}${address === null ? '' : ` ${shown(address)}`}`;
  if (trouble === 'in-use')
    return `${wayWords[way]}${where}: not tried anew, ${message ?? 'a connection of this way is open'}`;
  const end = ok
    ? `answered in ${ms.toFixed(1)} ms`
    : message === null
      ? 'no answer'
      : `${shown(address === null ? message : message.replace(`${address} `, ''))} (${ms.toFixed(0)} ms)`;
  return `${wayWords[way]}${where}: ${end}`;
}

const adviceWords: Readonly<Record<Exclude<StepTrouble, 'called-off' | 'in-use'>, string>> = {
  refused:
    'Somebody answers there and doesn’t know you: your friend has to add your card (kith card), or the address is somebody else’s by now.',
  closed: 'A computer is there and kith isn’t: your friend starts it with: kith up',
  silent:
    'Nobody answers at that address: their computer is off, or their router lets nobody in. One of you two has to be reachable: kith status says whether you are.',
  unreachable: 'No way leads to that address from here: are you online? Is it an address of another network?',
  'not-found':
    'Nobody you can ask knows them: somebody has to be reachable by both of you, such as a common friend with kith up, or a meeting point (kith up --bootstrap HOST:PORT).',
  'no-relay':
    'Nobody passes on between you two: a common friend with kith up can, who types kith friend set NAME --allow relay for each of you.',
  'no-address': 'No address of theirs is known: ask for a new card, made while their kith is up (kith card).',
};

/** What to do where no way worked: one sentence for each kind of trouble, in the order in which they were met. */
export function adviceLines(steps: readonly PingStep[]): string[] {
  if (steps.some(({ ok }) => ok)) return [];
  const kinds = new Set(steps.map(({ trouble }) => trouble));
  return [...kinds].flatMap((kind) =>
    kind === null || kind === 'called-off' || kind === 'in-use' ? [] : [adviceWords[kind]],
  );
}
