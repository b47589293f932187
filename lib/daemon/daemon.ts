import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as wait } from 'node:timers/promises';
import { systemClock, type Clock } from '../base/clock.ts';
import { KithError, isKithError, messageOf } from '../base/errors.ts';
import { parseRates, type GivenRates } from '../base/rate.ts';
import { parseDuration } from '../base/units.ts';
import { connectDaemon } from '../api/client.ts';
import { apiNumber } from '../api/messages.ts';
import { performCall, type ApiCall, type Method } from '../api/methods.ts';
import { ApiServer } from '../api/server.ts';
import { prepareSocket, removeSocket } from '../api/socket-path.ts';
import { openLog, type Log, type LogLevel } from './log-file.ts';
import { operationKinds } from '../vault/operation-kinds.ts';
import { WriterQueue } from './operations.ts';
import { Scheduler, systemTimers, type Timers } from './scheduler.ts';
import { finishedWords, repairedWords, writerName } from './words.ts';
import type { NetworkOptions, Note, OpenedHome, OpenHome } from './home-port.ts';
import type { Reachability } from '../vault/friends/friend-network.ts';
import type { Problem, Progress } from '../vault/types.ts';

export interface DaemonOptions {
  readonly home: string;
  readonly passphrase: string | undefined;
  readonly network: NetworkOptions;
  /** Rates that hold in the place of the settings, as long as this daemon runs. */
  readonly limits?: GivenRates;
  /** kith's version: commands of another one are told so. */
  readonly version: string;
  readonly openHome: OpenHome;
  /** Ends the start. */
  readonly signal: AbortSignal;
  readonly logLevel?: LogLevel;
  readonly clock?: Clock;
  readonly timers?: Timers;
}

/** How long connections to friends outlive the wish to end, for what is being recorded. */
const friendsStayMs = 3_000;

/** Whoever is to hear of problems met on the way of one call. */
type Listener = (problem: Problem) => void;

/**
 * The process that has a home open: it serves commands over the socket, keeps up with friends, and repairs by itself. One a home.
 */
export class Daemon {
  readonly #options: DaemonOptions;
  readonly #log: Log;
  readonly #queue = new WriterQueue();
  readonly #ending = new AbortController();
  /** Which call it is on whose behalf something happens: problems are told there. */
  readonly #caller = new AsyncLocalStorage<Listener>();
  readonly #opened: OpenedHome;
  readonly #names = new Map<string, string>();
  readonly #scheduler: Scheduler;
  readonly #asked: Promise<string>;
  #ask: (who: string) => void = () => undefined;
  #server: ApiServer | undefined;
  #socket: string | undefined;
  #closed: Promise<void> | undefined;

  private constructor(options: DaemonOptions, log: Log, opened: OpenedHome) {
    this.#options = options;
    this.#log = log;
    this.#opened = opened;
    this.#asked = new Promise((resolve) => {
      this.#ask = resolve;
    });
    const { node, vault } = opened;
    this.#scheduler = new Scheduler({
      clock: options.clock ?? systemClock,
      timers: options.timers ?? systemTimers,
      queue: this.#queue,
      log,
      grace: async () => {
        const [entry] = await vault.configGet('repair.grace');
        return entry === undefined || entry.value === 'auto' ? undefined : parseDuration(entry.value);
      },
      look: async () =>
        (await vault.driveList({ brief: true })).map(({ id, available }) => ({ id, here: available })),
      repair: async (signal) => {
        const [metered] = await vault.configGet('net.metered');
        // Nobody has asked for it, and every byte costs: what waits is done when that is over.
        if (metered?.value === 'yes') return undefined;
        return repairedWords(await vault.repair({ quick: true, signal, onProblem: this.#heard }));
      },
      exchangeWith: async (id, signal) => node?.exchangeWith(id, signal),
    });
  }

  /**
   * Opens the home, listens to friends and to commands. KithError `vault-missing` (10), `locked` (11; the message says so if it is a
   * daemon that has the home), `wrong-passphrase` (12), `address-taken`. What was begun is undone.
   */
  static async start(options: DaemonOptions): Promise<Daemon> {
    const { home, passphrase, network, limits = {} } = options;
    const early: Problem[] = [];
    let heard: Listener = (problem) => void early.push(problem);
    const earlyNotes: Parameters<Note>[] = [];
    let note: Note = (...line) => void earlyNotes.push(line);
    let opened: OpenedHome;
    try {
      opened = await options.openHome({
        home,
        passphrase,
        network,
        limits,
        onProblem: (problem) => heard(problem),
        note: (...line) => note(...line),
      });
    } catch (error) {
      throw isKithError(error, 'locked') ? await whoHasIt(home, error) : error;
    }
    const log = openLog(home, options.clock ?? systemClock, options.logLevel ?? 'info');
    const daemon = new Daemon(options, log, opened);
    heard = daemon.#heard;
    for (const problem of early) heard(problem);
    note = log;
    for (const line of earlyNotes) log(...line);
    try {
      await daemon.#begin();
    } catch (error) {
      log('error', 'start-failed', messageOf(error));
      await daemon.#end();
      throw error;
    }
    return daemon;
  }

  async #begin(): Promise<void> {
    const { vault, node } = this.#opened;
    const { home, version, signal } = this.#options;
    for (const friend of node === undefined ? [] : await vault.friendList()) {
      this.#names.set(friend.id, friend.name);
    }
    if (node !== undefined) node.onBulkFree = () => this.#scheduler.request();
    await node?.start((id, online) => this.#presence(id, online), signal);
    signal.throwIfAborted();
    this.#socket = await prepareSocket(home);
    this.#server = await ApiServer.listen(this.#socket, {
      about: { api: apiNumber, version, pid: process.pid, id: vault.id, name: vault.name },
      perform: (call) => this.#perform(call),
      onDown: () => this.#ask('kith down'),
    });
    await this.#scheduler.start();
    this.#log(
      'info',
      'ready',
      `kith ${version} is up, process ${process.pid}, ${this.listening ?? 'not listening'}`,
    );
  }

  get id(): string {
    return this.#opened.vault.id;
  }

  /** `HOST:PORT` where friends can dial, or null. */
  get listening(): string | null {
    return this.#opened.node?.listening ?? null;
  }

  /** What friends can dial, by this computer's own addresses. */
  get addresses(): readonly string[] {
    return this.#opened.node?.addresses ?? [];
  }

  /** Whether friends outside can dial it, as far as is known now; undefined where nothing listens. */
  get reachability(): Reachability | undefined {
    return this.#opened.node?.network?.standing?.()?.reachability;
  }

  /** The daemon's log. */
  get log(): Log {
    return this.#log;
  }

  /** Resolves when somebody has asked over the socket that the daemon ends. */
  get askedToEnd(): Promise<string> {
    return this.#asked;
  }

  readonly #heard: Listener = (problem) => {
    const listener = this.#caller.getStore();
    // Where the item is a path it is the user's own business.
    this.#log('debug', 'problem', `${problem.item}: ${problem.message}`);
    if (listener === undefined)
      this.#log('warn', 'problem', `something went wrong on the way (${problem.code})`);
    else listener(problem);
  };

  #presence(id: string, online: boolean): void {
    const tell = (): void => {
      const name = this.#names.get(id) ?? id.slice(0, 16);
      const words = online ? 'is online' : 'went away';
      this.#log('info', online ? 'friend-online' : 'friend-away', `${name} ${words}`);
    };
    // Somebody who came by an invite isn't known by name yet.
    if (this.#names.has(id)) tell();
    else void this.#learnNames().then(tell);
    this.#scheduler.presence(id, online);
  }

  async #perform(call: ApiCall): Promise<unknown> {
    const { operation } = call;
    const signal = AbortSignal.any([
      this.#ending.signal,
      ...(operation.signal === undefined ? [] : [operation.signal]),
    ]);
    const listener: Listener = (problem) => operation.onProblem?.(problem);
    return await this.#caller.run(listener, async () => {
      const told =
        operationKinds[call.method] === 'write' || call.method === 'restore' || call.method === 'check';
      const level = told ? 'info' : 'debug';
      this.#log(level, 'command', `${call.method} began`);
      try {
        const value = await this.#underLimits(call, () => this.#inTurn(call, signal));
        this.#log(level, 'command', finishedWords(call.method, value));
        return value;
      } catch (error) {
        this.#failed(call.method, error);
        // Whose doing it was the vault can't know.
        throw this.#ending.signal.aborted && isKithError(error, 'interrupted') ? ending() : error;
      }
    });
  }

  /** While a command that named rates is at work they hold for all that this process sends and takes. */
  async #underLimits(call: ApiCall, work: () => Promise<unknown>): Promise<unknown> {
    const release = this.#opened.node?.holdLimits?.(parseRates(call.limits ?? {}));
    try {
      return await work();
    } finally {
      release?.();
    }
  }

  async #inTurn(call: ApiCall, signal: AbortSignal): Promise<unknown> {
    const { vault } = this.#opened;
    const perform = (stop: AbortSignal): Promise<unknown> =>
      performCall(vault, {
        ...call,
        operation: { ...call.operation, signal: stop, onProblem: this.#heard },
      });
    if (operationKinds[call.method] === 'read') return perform(signal);
    const name = writerName(call.method);
    const onWaiting = (running: string): void => call.operation.onProgress?.(waitingFor(running));
    try {
      return await this.#queue.run({ name, signal, background: false, onWaiting }, perform);
    } finally {
      // What follows from it is not done on behalf of this call.
      await this.#caller.exit(() => this.#wrote(call.method));
    }
  }

  /** What follows for the daemon from what a command did. */
  async #wrote(method: Method): Promise<void> {
    if (this.#ending.signal.aborted) return;
    if (method === 'configSet') this.#opened.node?.settingsChanged?.();
    if (method === 'backup') this.#scheduler.request();
    if (method === 'configSet' || method === 'driveAdd' || method === 'driveRemove')
      this.#scheduler.changed();
    if (!(method.startsWith('friend') || method === 'accept') || this.#opened.node === undefined) return;
    await this.#learnNames();
  }

  /** Never rejects. */
  async #learnNames(): Promise<void> {
    const friends = await this.#opened.vault.friendList().catch(() => undefined);
    if (friends === undefined || this.#ending.signal.aborted) return;
    const ids = new Set(friends.map(({ id }) => id));
    for (const id of this.#names.keys()) {
      if (ids.has(id)) continue;
      this.#names.delete(id);
      this.#scheduler.friendRemoved(id);
    }
    for (const { id, name } of friends) this.#names.set(id, name);
  }

  #failed(method: Method, error: unknown): void {
    if (isKithError(error) && error.code !== 'internal') {
      this.#log(error.code === 'interrupted' ? 'info' : 'warn', 'command', `${method} ended: ${error.code}`);
      // What is told of a wrong phrase has a word of it.
      if (error.code !== 'wrong-phrase') this.#log('debug', 'command', messageOf(error));
    } else {
      this.#log('error', 'mistake', `${method} met a mistake in kith: ${whereOf(error)}`);
      this.#log('debug', 'mistake', messageOf(error));
    }
  }

  /**
   * Ends everything in good order: commands under way are cancelled and answered (what they have stored stays), connections to friends are
   * closed, the home is unlocked. Resolves when that is done; the same when asked again.
   */
  close(why: string): Promise<void> {
    this.#closed ??= (async () => {
      this.#log('info', 'ending', `asked to end: ${why}`);
      await this.#end();
      this.#log('info', 'ended', 'ended in good order');
    })();
    return this.#closed;
  }

  async #end(): Promise<void> {
    this.#ending.abort(ending());
    const { vault, node } = this.#opened;
    const parts = [
      // Cancelled commands get a moment to record what succeeded; then those that wait for a silent friend are told that it is gone.
      async () => {
        const ended = Promise.all([this.#server?.close(), this.#scheduler.close()]);
        await Promise.race([ended.catch(() => undefined), wait(friendsStayMs, undefined, { ref: false })]);
        await node?.close();
        await ended;
      },
      async () => {
        if (this.#socket !== undefined) await removeSocket(this.#options.home, this.#socket);
      },
      async () => vault.close(),
    ];
    // One part that fails is no reason to leave the home locked.
    for (const part of parts) {
      await part().catch((error: unknown) => this.#log('error', 'end-failed', messageOf(error)));
    }
  }

  /** Lets those go who wait for the end of the process. */
  release(): void {
    this.#server?.release();
  }
}

function ending(): KithError {
  return new KithError('interrupted', 'the kith daemon is ending; run the same command again later');
}

function waitingFor(running: string): Progress {
  const current = `waiting for ${running} that is running`;
  return { phase: 'wait', filesDone: 0, filesTotal: undefined, bytesDone: 0, bytesTotal: undefined, current };
}

/** The code's whereabouts of a mistake: no words of it, names of files may be in them. */
function whereOf(error: unknown): string {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  const frames = stack.split('\n').filter((line) => /^\s+at /.test(line));
  return (
    frames
      .slice(0, 6)
      .map((line) => line.trim())
      .join(' ') || 'nowhere known'
  );
}

/** The error of a home that another process has; says so where that is a daemon. */
async function whoHasIt(home: string, error: KithError): Promise<KithError> {
  const found = await connectDaemon(home, undefined).catch(() => undefined);
  if (found === undefined) return error;
  const { pid } = found.about;
  return new KithError('locked', `kith is up in ${home} already (process ${pid}). Stop it with: kith down`, {
    details: { pid },
    cause: error,
  });
}
