import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { initVault, openVault, Session } from '../lib/vault/index.ts';
import { card as cardOf } from '../lib/vault/friends/friends.ts';
import { KithDaemon } from './demo-daemon.ts';
import { leftHost, rightHost, RoutedPair } from './net-namespaces.ts';

/**
 * How friends come together and stay so (docs/bench.md): `connect`, from nothing to a session between two processes on loopback by the
 * last address; `outage`, two daemons with a router between them in network namespaces (root only), cut off for a while, with another
 * address outside the router's NAT, and with another address of the computer itself; `idle`, a daemon with many friends and nothing to do.
 */
const { values } = parseArgs({
  options: {
    only: { type: 'string', default: 'connect,outage,idle' },
    friends: { type: 'string', default: '200' },
    dht: { type: 'string', default: '0' },
    seconds: { type: 'string', default: '60' },
    rounds: { type: 'string', default: '3' },
    cuts: { type: 'string', default: '3,15,45' },
    flags: { type: 'string', default: '' },
    // A program that starts the measured daemon, given its command line: a profiler.
    through: { type: 'string', default: '' },
  },
});
const rounds = Math.max(1, Math.trunc(Number(values.rounds)));
const folder = await mkdtemp(join(tmpdir(), 'kith-net-'));
const stop = new AbortController();

function say(row: string, figures: Readonly<Record<string, unknown>>): void {
  process.stdout.write(`${JSON.stringify({ row, ...figures })}\n`);
}

/** Waits, unless the bench is told to end. */
async function pause(ms: number): Promise<void> {
  await wait(ms, undefined, { signal: stop.signal });
}

function median(all: readonly number[]): number {
  return [...all].sort((a, b) => a - b)[Math.floor(all.length / 2)] ?? Number.NaN;
}

/** Friends as a process of their own. */
class Friends {
  readonly #child = spawn(process.execPath, [fileURLToPath(new URL('./net-friends.js', import.meta.url))], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  readonly #lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();

  /** Sends an order and waits for what comes of it. */
  async order<T>(order: object): Promise<T> {
    this.#child.stdin.write(`${JSON.stringify(order)}\n`);
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error('the friends ended');
    return JSON.parse(value) as T;
  }

  close(): void {
    this.#child.kill();
  }
}

/** A home that has said where it listens, and its card. */
async function makeHome(name: string, host: string, port: number): Promise<{ home: string; card: string }> {
  const home = join(folder, name);
  await initVault({ home, name });
  const session = await Session.open({ home });
  await session.ownAddress.publish(name, port === 0 ? [] : [{ host, port, direct: true, dht: true }]);
  const card = await cardOf(session);
  await session.close();
  return { home, card };
}

async function addFriends(home: string, cards: readonly string[]): Promise<void> {
  const vault = await openVault({ home });
  for (const [index, card] of cards.entries()) await vault.friendAdd(card, { name: `friend ${index}` });
  await vault.close();
}

/** When a friend came or went for the last time, as the daemon's log has it. */
function lastEvent(home: string, event: string): number {
  const lines = readFileSync(join(home, 'daemon.log'), 'utf8').trim().split('\n');
  const found = lines
    .map((line) => JSON.parse(line) as { event: string; time: string })
    .findLast((line) => line.event === event);
  return found === undefined ? 0 : Date.parse(found.time);
}

function count(home: string, event: string): number {
  return readFileSync(join(home, 'daemon.log'), 'utf8').split(`"event":"${event}"`).length - 1;
}

async function poll(done: () => boolean, msMax: number): Promise<boolean> {
  for (const untilMs = Date.now() + msMax; Date.now() < untilMs;) {
    if (done()) return true;
    await pause(20);
  }
  return done();
}

async function connect(): Promise<void> {
  for (const dht of [false, true]) {
    const there = new Friends();
    const here = new Friends();
    try {
      const open = { open: dht ? 10 : 30, dht };
      const [theirs, ours] = await Promise.all([
        there.order<{ cards: string[] }>(open),
        here.order<{ cards: string[] }>(open),
      ]);
      await there.order({ befriend: ours.cards, each: true });
      await here.order({ befriend: theirs.cards, each: true });
      const { connectedMs } = await here.order<{ connectedMs: number[] }>({ dial: true });
      // The first finds code that hasn't run yet.
      const rounded = connectedMs.map((ms) => Math.round(ms * 10) / 10);
      say('connect', {
        dht,
        medianMs: median(rounded.slice(1)),
        mostMs: Math.max(...rounded.slice(1)),
        firstMs: rounded[0],
      });
    } finally {
      there.close();
      here.close();
    }
  }
}

/** Two daemons on either side of a router. */
async function outage(): Promise<void> {
  if (!RoutedPair.isPossible()) {
    say('outage', { skipped: 'needs root, ip and nft' });
    return;
  }
  const pair = new RoutedPair();
  const daemons: KithDaemon[] = [];
  try {
    const left = await makeHome('left', leftHost, 4747);
    const right = await makeHome('right', rightHost, 4747);
    await addFriends(left.home, [right.card]);
    await addFriends(right.home, [left.card]);
    const flags = values.flags === '' ? [] : values.flags.split(' ');
    const up = async (side: 'left' | 'right', home: string): Promise<void> => {
      const options = { cwd: folder, home, signal: stop.signal, through: pair.through(side) };
      const args = ['up', '--json', '--listen', `0.0.0.0:4747`, ...flags];
      daemons.push(await KithDaemon.start(args, options));
    };
    await up('right', right.home);
    await up('left', left.home);
    const isThere = (): boolean =>
      lastEvent(left.home, 'friend-online') > lastEvent(left.home, 'friend-away');
    if (!(await poll(isThere, 20_000))) throw new Error('the two never met');
    for (let round = 0; round < rounds; round++) {
      for (const seconds of values.cuts.split(',').filter(Boolean).map(Number)) {
        await pause(12_000);
        const away = count(left.home, 'friend-away');
        pair.cut(true);
        await pause(seconds * 1000);
        pair.cut(false);
        await healed(`cut for ${seconds} s`, left.home, away, seconds < 15);
      }
      await pause(12_000);
      await stopped(daemons[1]?.pid ?? 0, left.home);
      for (const [row, change] of [
        ['another WAN address', () => pair.changeWan()],
        ['another address of its own', () => pair.changeLeft()],
      ] as const) {
        await pause(12_000);
        const away = count(left.home, 'friend-away');
        change();
        await healed(row, left.home, away, false);
      }
    }
  } finally {
    await Promise.all(daemons.map((daemon) => daemon.stop()));
    pair.close();
  }
}

/** A process that does nothing for a while, as in a computer that sleeps. */
async function stopped(pid: number, home: string): Promise<void> {
  const away = count(home, 'friend-away');
  process.kill(pid, 'SIGSTOP');
  try {
    await pause(30_000);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await healed('stopped for 30 s', home, away, false);
}

/** Waits until the friend was lost and is back, and says how long that took from now. */
async function healed(row: string, home: string, awayBefore: number, mayStay: boolean): Promise<void> {
  const beganMs = Date.now();
  const isBack = (): boolean =>
    count(home, 'friend-away') > awayBefore &&
    lastEvent(home, 'friend-online') >= lastEvent(home, 'friend-away');
  const back = await poll(isBack, mayStay ? 15_000 : 120_000);
  const s = (ms: number): number => Math.round(ms / 100) / 10;
  if (!back) say(row, mayStay ? { kept: true } : { healed: false });
  else {
    const awayAfterS = s(lastEvent(home, 'friend-away') - beganMs);
    say(row, { backAfterS: s(lastEvent(home, 'friend-online') - beganMs), awayAfterS });
  }
}

/** A daemon whose friends are there and want nothing. */
async function idle(): Promise<void> {
  const friends = new Friends();
  const overDht = new Friends();
  const owner = await makeHome('owner', '127.0.0.1', 0);
  let daemon: KithDaemon | undefined;
  try {
    const total = Number(values.friends);
    const dht = Math.min(total, Number(values.dht));
    const cards: string[] = [];
    for (const [process_, open, isDht] of [
      [friends, total - dht, false],
      [overDht, dht, true],
    ] as const) {
      cards.push(...(await process_.order<{ cards: string[] }>({ open, dht: isDht })).cards);
      await process_.order({ befriend: [owner.card], each: false });
    }
    await addFriends(owner.home, cards);
    const beganMs = Date.now();
    const args = ['up', '--json', '--listen', '127.0.0.1:0'];
    const through = values.through === '' ? [] : values.through.split(' ');
    daemon = await KithDaemon.start(args, { cwd: folder, home: owner.home, signal: stop.signal, through });
    const all = (): boolean => count(owner.home, 'friend-online') - count(owner.home, 'friend-away') >= total;
    if (!(await poll(all, 120_000))) throw new Error(`only ${count(owner.home, 'friend-online')} came`);
    const allThereMs = lastEvent(owner.home, 'friend-online') - beganMs;
    const startMs = daemon.processorMs();
    // What follows from somebody's coming is over by then.
    await pause(20_000);
    const before = daemon.processorMs();
    const seconds = Number(values.seconds);
    await pause(seconds * 1000);
    say('idle', {
      friends: total,
      ofThemByDht: dht,
      allThereAfterS: Math.round(allThereMs / 100) / 10,
      processorToStartS: startMs / 1000,
      processorPercent: Math.round(((daemon.processorMs() - before) / seconds) * 10) / 100,
      peakMB: Math.round(daemon.peakBytes() / 1e6),
      stayed: all(),
    });
  } finally {
    await daemon?.stop();
    friends.close();
    overDht.close();
  }
}

// Daemons and namespaces are taken down in any case.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => stop.abort(new Error('interrupted')));
try {
  const only = values.only.split(',');
  if (only.includes('connect')) await connect();
  if (only.includes('outage')) await outage();
  if (only.includes('idle')) await idle();
} finally {
  await rm(folder, { recursive: true, force: true });
}
