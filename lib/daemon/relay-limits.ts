import { parseSize } from '../base/units.ts';
import type { RelayLimits } from '../net/relay-hub.ts';

/**
 * What the settings say that relaying may cost; read at each use. What is passed on comes in and goes out, and goes no faster than the limits for
 * all bulk allow.
 */
export function relayLimits(
  setting: (key: 'relay.budget' | 'relay.rate') => string,
  rates: () => { readonly upload: number; readonly download: number },
): RelayLimits {
  const bytesOf = (key: 'relay.budget' | 'relay.rate'): number => {
    const value = setting(key);
    return value === 'none' ? Number.POSITIVE_INFINITY : parseSize(value);
  };
  return {
    bytesPerDay: () => bytesOf('relay.budget'),
    bytesPerSecond: () => {
      const { upload, download } = rates();
      return Math.min(bytesOf('relay.rate'), upload, download);
    },
  };
}
