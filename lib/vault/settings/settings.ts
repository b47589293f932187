import { join } from 'node:path';
import { textOf } from '../../base/bytes.ts';
import { KithError, isKithError, messageOf } from '../../base/errors.ts';
import { parseRate } from '../../base/rate.ts';
import { parseSchedule } from '../../base/rate-schedule.ts';
import { parseDuration, parseSize } from '../../base/units.ts';
import type { CatalogState } from '../../catalog/catalog-state.ts';
import type { Disk } from '../../disk/disk.ts';
import { parseSpread } from '../../placement/spread.ts';
import { pluginNames } from '../../plugins/plugin-names.ts';
import { parseKithToml, tomlBytesMax } from './kith-toml.ts';
import { announcedPlaces } from '../../trust/announced.ts';
import { checkOnOrOff, meetingPointsOf } from './net-settings.ts';
import type { ConfigEntry, Problem } from '../types.ts';

interface SettingRule {
  readonly default: string;
  readonly help: string;
  /** Throws KithError `usage` for a value that makes no sense. */
  readonly check: (value: string) => void;
  /** Why only kith.toml may say it: what the catalog says comes from any device of the identity, and holds for all. */
  readonly onlyHere?: string;
}

const durationOrAuto = (value: string): void => {
  if (value !== 'auto') parseDuration(value);
};
const sizeOrAuto = (value: string): void => {
  if (value !== 'auto') parseSize(value);
};
/** Less than a megabyte a day is used up before two have greeted each other a few times. */
const relayBudgetMin = 1_000_000;
const relayBudget = (value: string): void => {
  if (value === 'none') return;
  const bytes = parseSize(value);
  if (bytes === 0 || bytes >= relayBudgetMin) return;
  throw new KithError(
    'usage',
    `"${value}" is too little: the least is 1MB a day, or 0 so that nothing is passed on.`,
  );
};
const relayRate = (value: string): void => {
  if (parseRate(value) === 'auto')
    throw new KithError(
      'usage',
      'what is relayed yields to nobody by itself: give a rate such as 2MB, or none.',
    );
};

/** Every setting, its default and what it means. */
const rules: Readonly<Record<string, SettingRule>> = {
  spread: {
    default: 'auto',
    help: 'how many parts restore a file, of how many: K/N, or auto to follow the number of disks and friends',
    check: (value) => {
      if (value !== 'auto') parseSpread(value);
    },
  },
  'repair.grace': {
    default: 'auto',
    help: 'how long a holder may be away before what it holds is rebuilt elsewhere; auto: 12h, 3d or 14d by how much may still be lost',
    check: durationOrAuto,
  },
  'audit.interval': {
    default: '1h',
    help: 'how often holders are asked for proofs (no effect in this version yet)',
    check: (v) => void parseDuration(v),
  },
  'trash.keep': {
    default: '7d',
    help: 'how long a holder keeps what was released (no effect in this version yet)',
    check: (value) => void parseDuration(value),
  },
  'custody.grace': {
    default: '24h',
    help: 'how long you must be silent before friends repair for you (no effect in this version yet)',
    check: (value) => void parseDuration(value),
  },
  'shard.queue': {
    default: '10GB',
    help: 'room in the home for what waits for disks and friends',
    check: (value) => void parseSize(value),
  },
  'free.floor': {
    default: 'auto',
    help: 'what stays free on a disk that keeps data; auto: 5 % of it, between 1 and 20 GB',
    check: sizeOrAuto,
  },
  'limits.upload': {
    default: 'auto',
    help: 'bytes a second sent to all friends together, such as 2MB; auto: as fast as others on the line don’t suffer; none: no limit',
    check: (value) => void parseRate(value),
  },
  'limits.download': {
    default: 'auto',
    help: 'bytes a second that come from all friends together, such as 2MB; auto and none: no limit (friends who send yield)',
    check: (value) => void parseRate(value),
  },
  'limits.schedule': {
    default: '',
    help: 'other limits at some hours: mon-fri 08:00-18:00 upload=500KB; sat,sun upload=none',
    check: (value) => void parseSchedule(value),
  },
  'relay.budget': {
    default: '5GB',
    help: 'bytes that are passed on in a day for each friend who may use relay; none: no limit; 0: nothing',
    check: relayBudget,
  },
  'relay.rate': {
    default: '2MB',
    help: 'bytes a second that are passed on between friends, all together; none: no limit',
    check: relayRate,
  },
  plugins: {
    default: '',
    help: 'packages with further services, installed in the home’s folder plugins; only in kith.toml',
    check: (value) => void pluginNames(value),
    onlyHere: 'it decides what this computer runs',
  },
  'net.metered': {
    default: 'no',
    help: 'yes while every byte on this line costs: kith repairs nothing by itself, and friends keep new data back',
    check: (value) => {
      if (value !== 'yes' && value !== 'no')
        throw new KithError('usage', `"${value}" is neither yes nor no.`);
    },
  },
  'web.allowed_hosts': {
    default: '',
    help: 'names under which the local page may be opened (no effect in this version yet)',
    check: () => undefined,
  },
  'net.lan': {
    default: 'auto',
    help: 'look for friends in the local network, by packets that only they can read: on, off, or auto: unless kith up listens on this computer alone',
    check: (value) => {
      if (value !== 'auto') checkOnOrOff(value);
    },
  },
  'net.port_mapping': {
    default: 'off',
    help: 'have the router open the port of kith up (NAT-PMP, UPnP), from its next start on: on, off',
    check: checkOnOrOff,
  },
  'net.announce': {
    default: '',
    help: 'HOST:PORT where a router passes the port of kith up on to this computer, several with commas; only in kith.toml',
    check: (value) => void announcedPlaces(value),
    onlyHere: 'it is the place of this computer alone',
  },
  'net.meeting_points': {
    default: '',
    help: 'HOST:PORT of friends or rented machines by which you are found, several with commas; none: you need none, since the port is open',
    check: (value) => void meetingPointsOf(value),
  },
};

/** The settings in force: kith.toml wins over what `config set` wrote to the catalog, which wins over the defaults. */
export class Settings {
  readonly #state: CatalogState;
  readonly #toml: ReadonlyMap<string, string>;
  readonly #onProblem: (problem: Problem) => void;
  readonly #told = new Set<string>();

  private constructor(
    state: CatalogState,
    toml: ReadonlyMap<string, string>,
    onProblem: (problem: Problem) => void,
  ) {
    this.#state = state;
    this.#toml = toml;
    this.#onProblem = onProblem;
  }

  /**
   * Reads the user's kith.toml; KithError `usage` names a line or a key that is wrong. A wrong value in the catalog, which a newer kith may
   * have put there, counts as the default, and is reported once.
   */
  static async load(
    disk: Disk,
    home: string,
    state: CatalogState,
    onProblem: (problem: Problem) => void = () => undefined,
  ): Promise<Settings> {
    const path = join(home, 'kith.toml');
    const bytes = await disk.readWhole(path, tomlBytesMax);
    if (bytes === undefined) return new Settings(state, new Map(), onProblem);
    const text = textOf(bytes);
    if (text === undefined) {
      throw new KithError('usage', `${path} is not UTF-8 text. Save it as UTF-8, or take it away.`, {
        details: { file: path },
      });
    }
    const toml = await parseKithToml(path, text, (key, value) => Settings.check(key, value));
    return new Settings(state, toml, onProblem);
  }

  /** One setting. KithError `usage` for an unknown key. */
  entry(key: string): ConfigEntry {
    const rule = ruleOf(key);
    const fromToml = this.#toml.get(key);
    if (fromToml !== undefined) return { key, value: fromToml, origin: 'kith.toml', help: rule.help };
    const set = rule.onlyHere !== undefined ? undefined : this.#sound(key, this.#state.setting(key));
    if (set !== undefined) return { key, value: set, origin: 'settings', help: rule.help };
    return { key, value: rule.default, origin: 'default', help: rule.help };
  }

  /** A value of the catalog if it makes sense to this kith. */
  #sound(key: string, value: string | undefined): string | undefined {
    if (value === undefined) return undefined;
    try {
      Settings.check(key, value);
      return value;
    } catch (error) {
      if (!isKithError(error)) throw error;
      const problem = `${key}=${value}`;
      if (!this.#told.has(problem)) {
        this.#told.add(problem);
        this.#onProblem({
          item: key,
          message: `${messageOf(error)}; it counts as the default. Set it anew: kith config set ${key} VALUE`,
          code: 'malformed',
        });
      }
      return undefined;
    }
  }

  value(key: string): string {
    return this.entry(key).value;
  }

  /** The names of all settings there are. */
  static keys(): string[] {
    return Object.keys(rules);
  }

  all(): ConfigEntry[] {
    return Settings.keys().map((key) => this.entry(key));
  }

  /** Checks a key and value. KithError `usage`. */
  static check(key: string, value: string): void {
    ruleOf(key).check(value);
  }

  /** Checks a key and value that are to go into the catalog. KithError `usage`. */
  static checkSet(key: string, value: string): void {
    const { onlyHere } = ruleOf(key);
    if (onlyHere !== undefined) {
      throw new KithError('usage', `${key} can only be set in kith.toml in the home: ${onlyHere}.`);
    }
    Settings.check(key, value);
  }
}

function ruleOf(key: string): SettingRule {
  const rule = rules[key];
  if (rule === undefined || !Object.hasOwn(rules, key)) {
    throw new KithError('usage', `there is no setting "${key}". There are: ${Settings.keys().join(', ')}.`);
  }
  return rule;
}
