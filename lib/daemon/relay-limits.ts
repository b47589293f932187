import { parseRate } from '../base/rate.ts';
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
  return {
    bytesPerDay: () => {
      const value = setting('relay.budget');
      return value === 'none' ? Number.POSITIVE_INFINITY : parseSize(value);
    },
    bytesPerSecond: () => {
      const { upload, download } = rates();
      const rate = parseRate(setting('relay.rate'));
      return Math.min(rate === 'auto' ? Number.POSITIVE_INFINITY : rate, upload, download);
    },
  };
}
