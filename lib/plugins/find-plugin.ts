import { readFile, stat } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { KithError, messageOf, systemCode } from '../base/errors.ts';
import { pluginApi, type KithPlugin } from './plugin.ts';

/** A package.json at most. */
const packageBytesMax = 256 * 1024;

/** A package as it was found, its code loaded. */
export interface FoundPlugin {
  readonly name: string;
  /** The package's own, for people. */
  readonly version: string;
  readonly plugin: KithPlugin;
}

/** Where a home's plug-ins are installed: `npm install --prefix THIS PACKAGE`. */
export function pluginsFolder(home: string): string {
  return join(home, 'plugins');
}

function broken(name: string, what: string, cause?: unknown): KithError {
  return new KithError('failed', `the plug-in ${name} can't be used: ${what}`, { cause });
}

interface Described {
  readonly version: string;
  /** The module, within the package. */
  readonly module: string;
}

async function describe(name: string, folder: string): Promise<Described> {
  const path = join(folder, 'package.json');
  let text: string;
  try {
    if ((await stat(path)).size > packageBytesMax) throw broken(name, 'its package.json is too long');
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    const prefix = join(folder, ...name.split('/').map(() => '..'), '..');
    throw broken(name, `it is not installed. Install it with: npm install --prefix ${prefix} ${name}`, error);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw broken(name, `its package.json can't be read: ${messageOf(error)}`, error);
  }
  const { version, kith } = (value ?? {}) as { readonly version?: unknown; readonly kith?: unknown };
  const { api, plugin } = (kith ?? {}) as { readonly api?: unknown; readonly plugin?: unknown };
  if (typeof plugin !== 'string' || typeof api !== 'number')
    throw broken(name, 'its package.json has no "kith": { "api": 1, "plugin": "./FILE.js" }');
  if (api !== pluginApi) {
    const who = api > pluginApi ? 'update kith' : 'it needs a newer release';
    throw broken(name, `it is written for interface ${api}, and this kith has ${pluginApi}; ${who}`);
  }
  const module = resolve(folder, plugin);
  if (!module.startsWith(resolve(folder) + sep)) throw broken(name, 'its module lies outside the package');
  return { version: typeof version === 'string' ? version.slice(0, 64) : 'unknown', module };
}

function isPlugin(value: unknown): value is KithPlugin {
  return typeof (value as { readonly start?: unknown } | null | undefined)?.start === 'function';
}

/**
 * Loads a plug-in that is installed in the home. Its code then runs in this process, with all its rights. KithError `failed` with what is
 * wrong and what to do.
 */
export async function findPlugin(home: string, name: string): Promise<FoundPlugin> {
  const folder = join(pluginsFolder(home), 'node_modules', ...name.split('/'));
  const { version, module } = await describe(name, folder);
  let loaded: { readonly default?: unknown };
  try {
    loaded = (await import(pathToFileURL(module).href)) as typeof loaded;
  } catch (error) {
    throw broken(name, messageOf(error), error);
  }
  if (!isPlugin(loaded.default)) throw broken(name, 'its module has no default export with a function start');
  return { name, version, plugin: loaded.default };
}
