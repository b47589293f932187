import { once } from 'node:events';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { KithError, isKithError, messageOf, systemCode } from '../../lib/base/errors.ts';
import { parseRates } from '../../lib/base/rate.ts';
import { startDetached, startTeller } from '../detach.ts';
import { kithVersion } from '../version.ts';
import { shown } from '../words.ts';
import type { Daemon } from '../../lib/daemon/daemon.ts';
import type { NetworkOptions } from '../../lib/daemon/home-port.ts';
import type { Args } from '../args.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

/** After this long what hasn't ended in good order is cut off: a service manager would do it less kindly. */
const drainMsMax = 20_000;

/** How often it is looked whether the home is still there. */
const homePollMs = 5_000;

/** KithError `usage`. */
async function networkOptions(args: Args): Promise<NetworkOptions> {
  const { parseHostPort } = await import('../../lib/daemon/host-port.ts');
  const listen = args.text('listen');
  const bootstrap = args.list('bootstrap').flatMap((value) => value.split(',').map((each) => each.trim()));
  const dht = !args.flag('no-dht');
  const direct = !args.flag('no-direct');
  const publicDht = args.flag('public-dht');
  const role = args.text('role') ?? 'friend';
  if (role !== 'friend' && role !== 'meeting-point')
    throw new KithError('usage', `--role is friend or meeting-point, not "${role}".`);
  if (!dht && !direct)
    throw new KithError('usage', '--no-dht and --no-direct together leave no way to friends.');
  if (!dht && publicDht) throw new KithError('usage', '--public-dht and --no-dht contradict each other.');
  return {
    listen: listen === undefined ? undefined : parseHostPort(listen),
    bootstrap: bootstrap.map(parseHostPort),
    publicDht,
    dht,
    direct,
    role,
  };
}

/** Addresses in the line for people; the card has all. */
const shownAddressesMax = 4;

interface Ready {
  readonly listen: string | null;
  readonly addresses: readonly string[];
  readonly id: string;
}

/** What friends can really dial: `0.0.0.0` is no address of anything. */
function whereWords({ listen, addresses }: Ready): string {
  if (listen === null) return 'not listening for friends';
  if (addresses.length === 0) return `listening on ${listen}`;
  const more = addresses.length - shownAddressesMax;
  const list = addresses.slice(0, shownAddressesMax).join(', ');
  return `friends can dial ${list}${more > 0 ? ` and ${more} more` : ''}`;
}

function sayReady({ output, home }: Context, ready: Ready): void {
  const { listen, addresses, id } = ready;
  output.event('ready', { listen, addresses, web: null, id });
  const where = whereWords(ready);
  output.print(`kith: ready, ${where}; identity ${id.slice(0, 16)}, home ${shown(home)}`);
}

/** A page was asked for, and there is none in this version. */
async function checkWeb({ output }: Context, args: Args): Promise<void> {
  const web = args.text('web');
  if (web === undefined || web === 'off') return;
  const { parseHostPort } = await import('../../lib/daemon/host-port.ts');
  parseHostPort(web);
  output.note('There is no page for the browser in this version yet; --web is passed over.');
}

/** What nobody caught is a mistake in kith: it is written down, and the process ends, since nothing can be relied on after it. */
function writeLastWords(daemon: Daemon): void {
  process.on('uncaughtException', (error: unknown) => {
    const stack = error instanceof Error ? (error.stack ?? error.message) : messageOf(error);
    daemon.log('error', 'crashed', `a mistake in kith, please report it: ${stack}`);
    process.exit(1);
  });
}

/** Resolves when the daemon is to end, with who asked for it. */
async function endAsked(context: Context, daemon: Daemon): Promise<string> {
  if (context.signal.aborted) return 'a signal';
  const over = new AbortController();
  try {
    return await Promise.race([
      once(context.signal, 'abort').then(() => 'a signal'),
      daemon.askedToEnd,
      homeGone(context.home, over.signal),
    ]);
  } finally {
    over.abort();
  }
}

/** Resolves when somebody has deleted the home: then nobody could ask the daemon to end any more. */
async function homeGone(home: string, signal: AbortSignal): Promise<string> {
  for (;;) {
    const waited = setTimeout(homePollMs, true, { ref: false, signal }).catch(() => false);
    if (!(await waited)) return 'the end';
    try {
      await access(join(home, 'keystore'));
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return 'the loss of its home, which is gone';
    }
  }
}

async function startDaemon(context: Context, args: Args, network: NetworkOptions): Promise<Daemon> {
  const { Daemon } = await import('../../lib/daemon/daemon.ts');
  const { openHome } = await import('../../lib/daemon/open-home.ts');
  return Daemon.start({
    home: context.home,
    passphrase: context.passphrase,
    network,
    limits: parseRates(context.limits),
    version: kithVersion(),
    openHome,
    signal: context.signal,
    logLevel: args.flag('verbose') ? 'debug' : 'info',
  });
}

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const tell = startTeller();
  let daemon: Daemon;
  try {
    const network = await networkOptions(args);
    await checkWeb(context, args);
    if (args.flag('detach')) {
      sayReady(context, await startDetached(context.home, context.signal));
      return undefined;
    }
    daemon = await startDaemon(context, args, network);
  } catch (error) {
    // Told to end before it was up: that is what was asked.
    if (context.signal.aborted) return undefined;
    const { code, message, details } = isKithError(error)
      ? error
      : new KithError('internal', messageOf(error));
    await tell?.({ type: 'failed', code, message, details });
    throw error;
  }
  writeLastWords(daemon);
  const { listening: listen, addresses, id } = daemon;
  sayReady(context, { listen, addresses, id });
  if (context.output.verbose && daemon.reachability !== undefined) {
    const { reachabilityLines } = await import('../reachability-words.ts');
    for (const line of reachabilityLines(daemon.reachability)) context.output.note(line);
  }
  if (tell !== undefined) {
    await tell({ type: 'ready', listen, addresses, id });
    // Nothing that was mounted where it was started is kept busy.
    process.chdir(context.home);
  }
  const who = await endAsked(context, daemon);
  const inOrder = await Promise.race([
    daemon.close(who).then(() => true),
    setTimeout(drainMsMax, false, { ref: false }),
  ]);
  if (!inOrder) daemon.log('warn', 'cut-off', 'ended although something had not ended in good order');
  return undefined;
}

export const upCommand: Command = {
  name: 'up',
  describe: 'Run kith: be there for friends, repair by itself, do what other commands ask',
  positionals: [],
  options: {
    listen: {
      type: 'text',
      value: 'HOST:PORT',
      describe: 'Where friends can dial, TCP and UDP; port 0 takes a free one',
    },
    bootstrap: {
      type: 'list',
      value: 'HOST:PORT',
      describe: "Friends' meeting points to find each other by; several with commas",
    },
    'public-dht': { type: 'flag', describe: 'Also use public meeting points; else none is ever contacted' },
    'no-dht': { type: 'flag', describe: 'Only dial addresses; no search for friends by their key' },
    'no-direct': { type: 'flag', describe: 'No plain connections (TCP)' },
    role: {
      type: 'text',
      value: 'ROLE',
      describe: 'friend (default), or meeting-point: introduces and relays, stores nothing for anybody',
    },
    web: {
      type: 'text',
      value: 'HOST:PORT|off',
      describe: 'The page for the browser (not in this version yet)',
    },
    detach: { type: 'flag', describe: 'Go on in the background once it is ready' },
  },
  examples: [
    ['kith up', 'until Ctrl-C or kith down'],
    ['kith up --listen 0.0.0.0:49737 --detach', 'in the background, friends dial port 49737'],
    ['kith up --listen 127.0.0.1:0 --bootstrap 10.0.0.7:49737', 'find friends by way of one of them'],
  ],
  onInterrupt: 'end',
  run,
};
