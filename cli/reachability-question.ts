import { isKithError, messageOf } from '../lib/base/errors.ts';
import { askChoice, askLine, canAsk } from './ask.ts';
import { reachabilityLines } from './reachability-words.ts';
import type { Reachability, ReachabilityChoice } from '../lib/vault/friends/friend-network.ts';
import type { VaultApi } from '../lib/vault/types.ts';
import type { Args } from './args.ts';
import type { Context } from './context.ts';

const upAnew = 'kith down, then kith up --detach';

/** One choice of a kind for each thing that a person may do: where the router can be asked for the port that comes before opening it by hand. */
function offered({ choices }: Reachability): ReachabilityChoice[] {
  const asksRouter = choices.some(({ id }) => id === 'port-mapping');
  return choices.filter(({ id }) => id !== 'open-port' || !asksRouter);
}

/** Sets a setting as `kith config set` does. What was wrong is told, and what to type instead; false then. */
async function set({ output }: Context, vault: VaultApi, key: string, value: string): Promise<boolean> {
  try {
    await vault.configSet(key, value);
    return true;
  } catch (error) {
    if (!isKithError(error)) throw error;
    output.note(`${messageOf(error)} Nothing was changed; to do it later: kith config set ${key} VALUE`);
    return false;
  }
}

const byHand =
  'open the port of kith up in the router by hand, TCP and UDP, and then: kith config set net.meeting_points none';

/** Does what a choice says as far as a command can, and tells the rest. */
const carryOut: Readonly<
  Record<ReachabilityChoice['id'], (context: Context, vault: VaultApi) => Promise<void>>
> = {
  'port-mapping': async (context, vault) => {
    if (!(await set(context, vault, 'net.port_mapping', 'on'))) return;
    context.output.note(
      `kith asks the router for an open port from its next start on: ${upAnew}. kith log says what came of it; an invite that is made then says where. If the router doesn't, ${byHand}`,
    );
  },
  'open-port': async ({ output }) => {
    output.note(`To do it, ${byHand}`);
    return Promise.resolve();
  },
  ipv6: async ({ output }) => {
    output.note(
      'Let the port of kith up in for this computer in the router, for IPv6, TCP and UDP. Friends then need IPv6 as well; kith status says once one came in.',
    );
    return Promise.resolve();
  },
  'meeting-point': async (context, vault) => {
    const { output, signal } = context;
    const place = (await askLine('Its HOST:PORT (empty: later): ', signal))?.trim() ?? '';
    if (place === '') output.note('Later: kith config set net.meeting_points HOST:PORT');
    else if (await set(context, vault, 'net.meeting_points', place))
      output.note(`Friends find you by way of ${place}; the invite says so.`);
  },
  'public-dht': async ({ output }) => {
    output.note(
      'Public meeting points are named at the start: kith down, then kith up --detach --public-dht; an invite that is made then says so.',
    );
    return Promise.resolve();
  },
};

/** True where a person at a terminal may be asked: not by a program, and not where questions are unwanted. */
function mayAsk({ output }: Context, args: Args): boolean {
  return canAsk() && process.stdout.isTTY && !output.json && !output.quiet && !args.flag('yes');
}

/**
 * Before an invite goes out, whether whoever gets it can reach this computer. On a terminal a person is asked once what to do about it, and
 * never again on this computer; elsewhere it is said with all that there is to choose from.
 */
export async function settleReachability(context: Context, args: Args, vault: VaultApi): Promise<void> {
  const { output, signal } = context;
  const reachability = await vault.reachability();
  if (reachability.choices.length === 0) return;
  if (!mayAsk(context, args)) {
    for (const line of reachabilityLines(reachability)) output.note(line);
    return;
  }
  output.note(reachability.words);
  if (reachability.asked) {
    output.note('What can be done about it: kith status');
    return;
  }
  const choices = offered(reachability);
  output.note('How shall friends outside your network reach you? (This is asked once.)');
  const index = await askChoice([...choices.map(({ words }) => words), 'go on as it is'], signal);
  if (index === undefined) return;
  await vault.reachabilityAsked();
  const chosen = choices[index];
  if (chosen !== undefined) await carryOut[chosen.id](context, vault);
}
