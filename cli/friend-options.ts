import { KithError } from '../lib/base/errors.ts';
import { parseRate } from '../lib/base/rate.ts';
import { parseVisibility } from '../lib/trust/visibility.ts';
import type { FriendOptions } from '../lib/vault/types.ts';
import type { Args } from './args.ts';
import type { OptionSpecs } from './command.ts';

/** What can be said of a friend, when one is added and later. */
export const friendOptionSpecs: OptionSpecs = {
  name: { type: 'text', value: 'NAME', describe: 'What you call this friend' },
  quota: {
    type: 'text',
    alias: 'give',
    value: 'SIZE',
    describe: 'Room that you give: what you keep for this friend at most, such as 50GB',
  },
  household: {
    type: 'text',
    value: 'HOME',
    describe: 'Under which roof their computer is: what is in one house can be lost together',
  },
  allow: { type: 'list', value: 'SERVICES', describe: 'What this friend may use here, such as store,cards' },
  visibility: {
    type: 'text',
    value: 'HOW',
    describe:
      'Whether this friend may find you through your other friends: yes, introduce (tell others of you, no more), no',
  },
  deny: { type: 'list', value: 'SERVICES', describe: 'What this friend may no longer use here' },
  'limit-upload': {
    type: 'text',
    value: 'RATE',
    describe: 'Send this friend no more than so many bytes a second from now on, such as 2MB; none',
  },
  'limit-download': {
    type: 'text',
    value: 'RATE',
    describe: 'Take no more than so many bytes a second from this friend from now on; none',
  },
};

/** `a,b` and several times: all names. */
function names(args: Args, option: string): string[] {
  const all = args.list(option).flatMap((value) => value.split(',').map((name) => name.trim()));
  const odd = all.find((name) => !/^[a-z0-9-]{1,64}$/.test(name.replaceAll('/', '')));
  if (odd !== undefined) throw new KithError('usage', `--${option}: "${odd}" is not the name of a service.`);
  return all;
}

/** Bytes a second for one friend; 0 for `none`. */
function friendRate(args: Args, option: string): number | undefined {
  const text = args.text(option);
  if (text === undefined) return undefined;
  const rate = parseRate(text);
  if (rate === 'auto')
    throw new KithError(
      'usage',
      `--${option}: auto is for all friends together; here it is a rate, or none.`,
    );
  return rate === Number.POSITIVE_INFINITY ? 0 : rate;
}

/** The options that were given. KithError `usage`. */
export function friendOptions(args: Args): FriendOptions {
  const name = args.text('name');
  const household = args.text('household');
  const quotaBytes = args.size('quota');
  const visibility = args.text('visibility');
  const allow = names(args, 'allow');
  const deny = names(args, 'deny');
  const uploadLimit = friendRate(args, 'limit-upload');
  const downloadLimit = friendRate(args, 'limit-download');
  return {
    ...(name !== undefined && { name }),
    ...(quotaBytes !== undefined && { quotaBytes }),
    ...(household !== undefined && { household }),
    ...(visibility !== undefined && { visibility: parseVisibility(visibility) }),
    ...(allow.length > 0 && { allow }),
    ...(deny.length > 0 && { deny }),
    ...(uploadLimit !== undefined && { uploadLimit }),
    ...(downloadLimit !== undefined && { downloadLimit }),
  };
}
