import { existsSync } from 'node:fs';
import { copyFile, mkdir, readFile, readdir, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { formatDuration, formatSize } from '../lib/base/units.ts';
import { KithDaemon } from './demo-daemon.ts';
import {
  DemoFailure,
  homeOf,
  isSpread,
  listOf,
  quoted,
  type Computer,
  type Stage,
  type WhereJson,
} from './demo-stage.ts';

/** Names of the friends, each with a colour of the 256-colour table. */
const friends = { anna: 160, ben: 208, cleo: 220, dan: 70, eva: 33, finn: 99 } as const;
type FriendName = keyof typeof friends;
const friendNames = Object.keys(friends) as readonly FriendName[];
const friendWhoHelps: FriendName = 'anna';
const friendsWhoDie: readonly FriendName[] = ['ben', 'dan', 'finn'];
const spread = { k: 2, n: 5 } as const;

/** Friends dial every two seconds in the first minute. */
const onlineMsMax = 30_000;

/** Which transports the daemons may use: flags of `kith up`. */
export type DemoTransport = 'both' | 'direct' | 'dht';
const transportFlags: Readonly<Record<DemoTransport, readonly string[]>> = {
  both: [],
  direct: ['--no-dht'],
  dht: ['--no-direct'],
};

interface StatusJson {
  readonly friends: readonly {
    readonly name: string;
    readonly online: boolean;
    readonly via: string | null;
    readonly used_by_me: number | null;
  }[];
}

/** One person and six friends, each with a daemon of its own. Three friends die, and the person's computer. */
export class FriendsStory {
  readonly #stage: Stage;
  readonly #transport: DemoTransport;
  readonly #you: Computer;
  readonly #newComputer: Computer;
  readonly #source: string;
  readonly #daemons = new Map<string, KithDaemon>();
  #storedBytes = 0;

  constructor(stage: Stage, transport: DemoTransport) {
    const { folder, given } = stage.options;
    this.#stage = stage;
    this.#transport = transport;
    this.#you = { folder: join(folder, 'you') };
    this.#newComputer = { folder: join(folder, 'new computer') };
    this.#source = given ?? join(this.#you.folder, 'sample');
  }

  /** True if everything came back. DemoFailure where it could not be tried to the end. All daemons have ended when it returns. */
  async tell(): Promise<boolean> {
    try {
      return await this.#tell();
    } finally {
      await Promise.all([...this.#daemons.values()].map((daemon) => daemon.stop()));
    }
  }

  async #tell(): Promise<boolean> {
    const stage = this.#stage;
    for (const name of ['you', ...friendNames]) await mkdir(join(stage.options.folder, name));
    await stage.folderWorthKeeping(this.#source, spread.n / spread.k);
    await this.#sevenComputers();
    await this.#friendships();
    await this.#backup();
    await this.#whoHoldsWhat();
    await this.#disaster();
    await this.#recover();
    await this.#restore();
    const { given } = stage.options;
    const back = join(this.#newComputer.folder, 'back', this.#source);
    const differences = await stage.compare(given ?? this.#aside, back);
    stage.report(differences === 0, [
      `stored: ${formatSize(this.#storedBytes)} with six friends${stage.timesTheFolder(this.#storedBytes)}`,
      `could be lost: any 3 of 6 friends; were lost: 3, and the computer with all its keys`,
    ]);
    return differences === 0;
  }

  async #sevenComputers(): Promise<void> {
    const stage = this.#stage;
    const { screen } = stage;
    screen.chapter('Seven computers, and 24 words');
    screen.command('kith init --phrase-out phrase.txt');
    screen.command(['kith up --listen 127.0.0.1:0', ...transportFlags[this.#transport]].join(' '));
    const began = performance.now();
    await this.#start('you', []);
    const bootstrap = this.#daemon('you').listen;
    let started = 1;
    await Promise.all(
      friendNames.map(async (name) => {
        await this.#start(name, ['--bootstrap', bootstrap]);
        screen.live(`${++started} of 7 are up`);
      }),
    );
    stage.step('started seven computers', performance.now() - began);
    const words = (await readFile(join(this.#you.folder, 'phrase.txt'), 'utf8')).trim().split(/\s+/);
    const pids = new Set([...this.#daemons.values()].map((daemon) => daemon.pid));
    screen.say(`You, and ${listOf(friendNames)}: each is a process of its own with a home of its own.`);
    stage.check(pids.size === 7, `seven processes are up, each on a port of its own on this machine`);
    stage.check(words.length === 24, '24 words are what you keep on paper; they open everything again');
  }

  async #friendships(): Promise<void> {
    const stage = this.#stage;
    const { screen } = stage;
    screen.chapter('Six friends');
    screen.command('kith card --out card.txt');
    screen.command('kith friend add ../anna/card.txt --quota 20GB');
    screen.say('… and so for each of the six, on both sides: a friend is who has added you as well.');
    const began = performance.now();
    await stage.kith(this.#you, ['card', '--out', 'card.txt'], { quiet: true });
    await Promise.all(
      friendNames.map(async (name) => {
        await stage.kith(this.#computer(name), ['card', '--out', 'card.txt'], { quiet: true });
        const add = ['friend', 'add', '../you/card.txt', '--name', 'you', '--quota', '20GB'];
        await stage.kith(this.#computer(name), add, { quiet: true });
      }),
    );
    for (const name of friendNames) {
      screen.live(`adding ${name}`);
      const add = ['friend', 'add', `../${name}/card.txt`, '--name', name, '--quota', '20GB'];
      await stage.kith(this.#you, add, { quiet: true });
    }
    const status = await this.#allOnline();
    stage.step('made six friendships', performance.now() - began);
    const ways = [...new Set(status.friends.map((friend) => friend.via))];
    const wanted = this.#transport === 'dht' ? 'punched' : 'direct';
    const words = this.#transport === 'dht' ? 'over UDP, found by key' : 'over TCP';
    stage.check(ways.join() === wanted, `all six are online, ${words}, encrypted end to end`);
  }

  async #backup(): Promise<void> {
    const stage = this.#stage;
    const { given } = stage.options;
    stage.screen.chapter('Backup: cut up, encrypted, spread');
    const path = given ?? 'sample';
    stage.screen.command(
      `kith backup ${quoted(given === undefined ? path : `…/${basename(path)}`)} --spread 2/5`,
    );
    const ended = await stage.kith(this.#you, ['backup', '--spread', `${spread.k}/${spread.n}`, '--', path], {
      allowed: [0, 3],
    });
    stage.step('backed up to six friends', ended.ms, stage.before.bytes);
    stage.unreadable = ended.code === 3;
  }

  async #whoHoldsWhat(): Promise<void> {
    const stage = this.#stage;
    const { screen } = stage;
    screen.chapter('Who holds what, and what may be lost');
    const status = await stage.json<StatusJson>(this.#you, ['status', '--json']);
    const where = await stage.json<WhereJson>(this.#you, ['where', 'latest', '--json']);
    const used = new Map(status.friends.map(({ name, used_by_me: bytes }) => [name, bytes ?? 0]));
    const largest = Math.max(1, ...used.values());
    this.#storedBytes = [...used.values()].reduce((sum, bytes) => sum + bytes, 0);
    screen.bars(
      friendNames.map((name) => ({
        name,
        size: formatSize(used.get(name) ?? 0),
        share: (used.get(name) ?? 0) / largest,
        colour: friends[name],
      })),
    );
    screen.gap();
    screen.say('Every part of the folder was made into five pieces; any two of them give it back.');
    stage.check(isSpread(where, spread.n), 'each piece lies with a friend of its own, encrypted');
    stage.check(where.tolerates === 3, 'any 3 of the 6 friends may be lost, and this computer too');
  }

  async #disaster(): Promise<void> {
    const stage = this.#stage;
    const { screen } = stage;
    const { given } = stage.options;
    screen.chapter('Disaster');
    const fresh = this.#newComputer.folder;
    await mkdir(fresh);
    await copyFile(join(this.#you.folder, 'phrase.txt'), join(fresh, 'phrase.txt'));
    await copyFile(join(this.#computer(friendWhoHelps).folder, 'card.txt'), join(fresh, 'card.txt'));
    for (const name of friendsWhoDie) {
      const daemon = this.#daemon(name);
      await daemon.kill();
      stage.check(!daemon.isAlive(), `${name}'s computer is dead (process ${daemon.pid}, SIGKILL)`);
      await rm(this.#computer(name).folder, { recursive: true });
    }
    const own = this.#daemon('you');
    await own.kill();
    if (given === undefined) await rename(this.#source, this.#aside);
    await rm(this.#you.folder, { recursive: true });
    stage.check(
      !own.isAlive() && !existsSync(homeOf(this.#you)),
      'your computer is gone: its keys and all that kith knew',
    );
    if (given === undefined) {
      stage.check(
        !existsSync(this.#source),
        'the folder itself is moved away, for the comparison at the end',
      );
    } else {
      screen.say('Your folder stays where it is, for the comparison at the end.');
    }
    const left = friendNames.filter((name) => this.#daemon(name).isAlive());
    stage.check(
      left.length === 3 && left.every((name) => !friendsWhoDie.includes(name)),
      `what is left: the 24 words, a card, and ${listOf(left)}`,
    );
  }

  async #recover(): Promise<void> {
    const stage = this.#stage;
    stage.screen.chapter('A bare computer');
    const found = (await readdir(this.#newComputer.folder)).sort();
    stage.check(
      found.join() === 'card.txt,phrase.txt',
      `nothing is on it but kith, the 24 words, and ${friendWhoHelps}'s card`,
    );
    stage.screen.command('kith recover --phrase-file phrase.txt --card card.txt');
    const ended = await stage.kith(this.#newComputer, [
      'recover',
      '--phrase-file',
      'phrase.txt',
      '--card',
      'card.txt',
    ]);
    stage.step('recovered the identity', ended.ms);
  }

  async #restore(): Promise<void> {
    const stage = this.#stage;
    stage.screen.chapter('Restore');
    stage.check(!existsSync(join(this.#newComputer.folder, 'back')), 'nothing of the folder is here yet');
    stage.screen.command('kith restore latest --target back');
    const ended = await stage.kith(this.#newComputer, ['restore', 'latest', '--target', 'back'], {
      allowed: [0, 1],
    });
    stage.step('restored from three friends', ended.ms, stage.before.bytes);
    if (ended.code !== 0) stage.screen.mark(false, 'not everything could be restored');
  }

  /** Makes an identity on a computer and starts its daemon. */
  async #start(name: string, flags: readonly string[]): Promise<void> {
    const stage = this.#stage;
    const computer = this.#computer(name);
    await stage.kith(computer, ['init', '--name', name, '--phrase-out', 'phrase.txt'], { quiet: true });
    const args = ['up', '--json', '--listen', '127.0.0.1:0', ...transportFlags[this.#transport], ...flags];
    const daemon = await KithDaemon.start(args, {
      cwd: computer.folder,
      home: homeOf(computer),
      signal: stage.options.signal,
    });
    this.#daemons.set(name, daemon);
  }

  /** Waits until every friend is online. DemoFailure names those that aren't after a while. */
  async #allOnline(): Promise<StatusJson> {
    const deadline = performance.now() + onlineMsMax;
    for (;;) {
      const status = await this.#stage.json<StatusJson>(this.#you, ['status', '--json']);
      const away = status.friends.filter((friend) => !friend.online).map((friend) => friend.name);
      if (away.length === 0) return status;
      this.#stage.screen.live(`waiting for ${listOf(away)}`);
      if (performance.now() > deadline) {
        throw new DemoFailure(`${listOf(away)} did not come online within ${formatDuration(onlineMsMax)}`);
      }
    }
  }

  #computer(name: string): Computer {
    return { folder: join(this.#stage.options.folder, name) };
  }

  #daemon(name: string): KithDaemon {
    const daemon = this.#daemons.get(name);
    if (daemon === undefined) throw new DemoFailure(`${name} was never started`);
    return daemon;
  }

  get #aside(): string {
    return join(this.#stage.options.folder, 'moved away');
  }
}
