import { KithError } from '../lib/base/errors.ts';
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
};

/** `a,b` and several times: all names. */
function names(args: Args, option: string): string[] {
  const all = args.list(option).flatMap((value) => value.split(',').map((name) => name.trim()));
  const odd = all.find((name) => !/^[a-z0-9-]{1,64}$/.test(name.replaceAll('/', '')));
  if (odd !== undefined) throw new KithError('usage', `--${option}: "${odd}" is not the name of a service.`);
  return all;
}

/** The options that were given. KithError `usage`. */
export function friendOptions(args: Args): FriendOptions {
  const name = args.text('name');
  const household = args.text('household');
  const quotaBytes = args.size('quota');
  const visibility = args.text('visibility');
  const allow = names(args, 'allow');
  const deny = names(args, 'deny');
  return {
    ...(name !== undefined && { name }),
    ...(quotaBytes !== undefined && { quotaBytes }),
    ...(household !== undefined && { household }),
    ...(visibility !== undefined && { visibility: parseVisibility(visibility) }),
    ...(allow.length > 0 && { allow }),
    ...(deny.length > 0 && { deny }),
  };
}
