import { parseSize } from '../base/units.ts';
import type { RelayLimits } from '../net/relay-hub.ts';

/** What the settings say that relaying may cost; read at each use. */
export function relayLimits(setting: (key: 'relay.budget' | 'relay.rate') => string): RelayLimits {
  const bytesOf = (key: 'relay.budget' | 'relay.rate'): number => {
    const value = setting(key);
    return value === 'none' ? Number.POSITIVE_INFINITY : parseSize(value);
  };
  return { bytesPerDay: () => bytesOf('relay.budget'), bytesPerSecond: () => bytesOf('relay.rate') };
}
