import { isKithError } from '../../base/errors.ts';
import type { Extension } from '../../format/extensions.ts';
import { limitsOfFriend, withFriendLimits, type FriendLimits } from '../../format/friend-limits.ts';
import type { FriendOptions } from '../types.ts';

/** A field that can't be read counts as none, and is written anew. */
function readable(extensions: readonly Extension[]): FriendLimits {
  try {
    return limitsOfFriend(extensions);
  } catch (error) {
    if (!isKithError(error)) throw error;
    return { uploadLimit: undefined, downloadLimit: undefined };
  }
}

/** A friend record's fields after options were taken in. */
export function limitsAfter(extensions: readonly Extension[], options: FriendOptions): readonly Extension[] {
  const { uploadLimit, downloadLimit } = options;
  if (uploadLimit === undefined && downloadLimit === undefined) return extensions;
  const before = readable(extensions);
  const after = (given: number | undefined, had: number | undefined): number | undefined =>
    given === undefined ? had : given || undefined;
  return withFriendLimits(extensions, {
    uploadLimit: after(uploadLimit, before.uploadLimit),
    downloadLimit: after(downloadLimit, before.downloadLimit),
  });
}
