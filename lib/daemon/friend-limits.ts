import { toHex } from '../base/bytes.ts';
import { isKithError } from '../base/errors.ts';
import { limitsOfFriend } from '../format/friend-limits.ts';
import type { FriendRecord } from '../format/friend-records.ts';
import type { RateLimits } from '../net/rates/shaper.ts';

/** Rates that were set for one friend, by identity in hex; a field that can't be read counts as none. */
export function friendLimits(records: Iterable<FriendRecord>): Map<string, Partial<RateLimits>> {
  const limits = new Map<string, Partial<RateLimits>>();
  for (const { identity, extensions } of records) {
    try {
      const { uploadLimit, downloadLimit } = limitsOfFriend(extensions);
      limits.set(toHex(identity), {
        ...(uploadLimit !== undefined && { upload: uploadLimit }),
        ...(downloadLimit !== undefined && { download: downloadLimit }),
      });
    } catch (error) {
      if (!isKithError(error)) throw error;
    }
  }
  return limits;
}
