import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fromHex, toHex } from '../base/bytes.ts';
import { KithError, messageOf } from '../base/errors.ts';
import { isServiceName, isVersionRange } from '../net/sessions/hello.ts';
import type { PeerInfo, Service, ServiceCaller, ServiceHandler } from '../net/service.ts';
import { findPlugin, pluginsFolder, type FoundPlugin } from './find-plugin.ts';
import { pluginApi } from './plugin.ts';
import type { PluginFriend, PluginHandler, PluginHost, PluginService, RunningPlugin } from './plugin.ts';

/** Services of one plug-in; a session offers 64 in all. */
const serviceCountMax = 8;

/** A start that takes longer keeps friends waiting. */
const startMsMax = 10_000;

/** What hasn't ended by then ends with the process. */
const closeMsMax = 5_000;

/** What plug-ins need of the process that runs them. */
export interface PluginSurroundings {
  /** Packages, in the order in which they start. */
  readonly names: readonly string[];
  readonly home: string;
  /** 64 hex digits. */
  readonly identity: string;
  readonly ownName: string;
  readonly log: (level: 'info' | 'warn' | 'error', text: string) => void;
  readonly friends: () => readonly PluginFriend[];
  readonly caller: (friendId: string, service: string) => ServiceCaller;
  /** Deny by default. */
  readonly allows: (friendId: string, service: string) => boolean;
}

interface Running {
  readonly found: FoundPlugin;
  readonly running: RunningPlugin;
}

/** The plug-ins of a home, started, and their services as the network takes them. One that can't be had is told, and the rest go on. */
export class RunningPlugins {
  readonly services: readonly Service[];
  readonly #all: readonly Running[];
  readonly #ending: AbortController;
  readonly #listeners: Set<(friendId: string, online: boolean) => void>;
  readonly #log: PluginSurroundings['log'];

  private constructor(
    all: readonly Running[],
    services: readonly Service[],
    ending: AbortController,
    listeners: Set<(friendId: string, online: boolean) => void>,
    log: PluginSurroundings['log'],
  ) {
    this.#all = all;
    this.services = services;
    this.#ending = ending;
    this.#listeners = listeners;
    this.#log = log;
  }

  /** Starts those named, one after the other. Never rejects for a plug-in's mistake: it is written to the log. */
  static async start(around: PluginSurroundings): Promise<RunningPlugins> {
    const ending = new AbortController();
    const listeners = new Set<(friendId: string, online: boolean) => void>();
    const all: Running[] = [];
    const services: Service[] = [];
    for (const name of around.names) {
      try {
        const found = await findPlugin(around.home, name);
        const own = new Set<string>();
        const host = await hostOf(found, around, ending.signal, listeners, own);
        const running = await inTime(startMsMax, 'its start', async () => found.plugin.start(host));
        const made = servicesOf(running, around, services);
        for (const service of made) own.add(service.name);
        services.push(...made);
        all.push({ found, running });
        const offered = made.map((service) => service.name).join(', ') || 'no service';
        around.log('info', `plug-in ${name} ${found.version} runs: ${offered}`);
      } catch (error) {
        around.log('error', `the plug-in ${name} doesn't run: ${messageOf(error)}`);
      }
    }
    return new RunningPlugins(all, services, ending, listeners, around.log);
  }

  /** A friend came or went. */
  presence(friendId: string, online: boolean): void {
    for (const listener of this.#listeners) {
      try {
        listener(friendId, online);
      } catch (error) {
        this.#log('error', `a plug-in failed over a friend who came or went: ${messageOf(error)}`);
      }
    }
  }

  /** Ends them all, as far as they end in time. Never rejects. */
  async close(): Promise<void> {
    this.#ending.abort(new KithError('interrupted', 'the kith daemon is ending'));
    this.#listeners.clear();
    await Promise.all(
      this.#all.map(async ({ found, running }) => {
        try {
          await inTime(closeMsMax, 'its end', async () => running.close?.());
        } catch (error) {
          this.#log('error', `the plug-in ${found.name} didn't end in good order: ${messageOf(error)}`);
        }
      }),
    );
  }
}

async function inTime<T>(ms: number, what: string, work: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new KithError('failed', `${what} took more than ${ms / 1000} s`)), ms);
  });
  try {
    return await Promise.race([work(), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function hostOf(
  { name }: FoundPlugin,
  around: PluginSurroundings,
  signal: AbortSignal,
  listeners: Set<(friendId: string, online: boolean) => void>,
  own: ReadonlySet<string>,
): Promise<PluginHost> {
  const dataFolder = join(pluginsFolder(around.home), 'data', ...name.split('/'));
  await mkdir(dataFolder, { recursive: true, mode: 0o700 });
  return {
    api: pluginApi,
    identity: around.identity,
    name: around.ownName,
    dataFolder,
    signal,
    log: (level, text) => around.log(level, `${name}: ${text}`),
    friends: () => around.friends(),
    caller: (friendId, service) => {
      if (!own.has(service)) throw new RangeError(`${service} is no service of ${name}`);
      if (fromHex(friendId)?.length !== 32) throw new RangeError('a friend is named by 64 hex digits');
      return around.caller(friendId, service);
    },
    onPresence: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    error: (code, message) => new KithError(code, message),
  };
}

/** A plug-in's services, looked at: names of kith's own or of another plug-in are refused. RangeError. */
function servicesOf(
  running: RunningPlugin,
  around: PluginSurroundings,
  taken: readonly Service[],
): Service[] {
  const { services } = running;
  if (!Array.isArray(services) || services.length > serviceCountMax)
    throw new RangeError(`it must give a list of at most ${serviceCountMax} services`);
  const names = new Set(taken.map(({ name }) => name));
  return services.map((service: PluginService) => {
    const { name, versions } = service;
    // It may be plain JavaScript.
    if (typeof name !== 'string' || !isServiceName(name) || name.startsWith('kith/'))
      throw new RangeError(`"${name}" can't be the name of its service`);
    if (!isVersionRange(versions)) throw new RangeError(`${name} needs versions from 1 on`);
    if (names.has(name)) throw new RangeError(`there is a service ${name} already`);
    names.add(name);
    return serviceOf(service, around);
  });
}

function serviceOf(service: PluginService, { allows, log }: PluginSurroundings): Service {
  const { name, versions } = service;
  return {
    name,
    versions: { min: versions.min, max: versions.max },
    accept: ({ identity, deviceId }: PeerInfo, version: number): ServiceHandler | undefined => {
      const friendId = toHex(identity);
      if (!allows(friendId, name)) return undefined;
      let handler: PluginHandler;
      try {
        handler = service.open({ friendId, deviceId: toHex(deviceId) }, version);
      } catch (error) {
        log('error', `${name} could not be opened: ${messageOf(error)}`);
        return undefined;
      }
      return {
        // Also what is thrown at once becomes the caller's.
        handle: async (call) => await handler.handle(call),
        closed: () => {
          try {
            handler.closed?.();
          } catch (error) {
            log('error', `${name} could not be closed: ${messageOf(error)}`);
          }
        },
      };
    },
  };
}
