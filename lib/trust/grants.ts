import { KithError } from '../base/errors.ts';

/** What one friend may use here, by name. The service `kith/store` needs the grant `store`. */
export const grantNames = ['store', 'cards', 'relay'] as const;

/** What a friend may use when nothing else is said. */
export const grantsOfNewFriend: readonly string[] = ['cards', 'store'];

/** The grant that a service needs: its name without `kith/`; of somebody else's services the whole name. */
export function grantOfService(service: string): string {
  return service.startsWith('kith/') ? service.slice('kith/'.length) : service;
}

/** Deny by default: true only for a service whose grant is there. */
export function grantsAllow(grants: readonly string[], service: string): boolean {
  return grants.includes(grantOfService(service));
}

/** The service of a plug-in: its whole name, lower-case words joined by slashes. One that isn't installed can be granted beforehand. */
function isPluginService(name: string): boolean {
  return name.length <= 64 && /^[a-z0-9-]+(\/[a-z0-9-]+)+$/.test(name) && !name.startsWith('kith/');
}

function checkGrant(name: string): void {
  if (grantNames.some((known) => known === name) || isPluginService(name)) return;
  throw new KithError(
    'usage',
    `there is no service "${name}" to allow; there are ${grantNames.join(', ')}, and those of plug-ins, such as guestbook/notes`,
  );
}

/**
 * Grants after a change: those that were there, with `allow`, without `deny`; each once, in order. KithError `usage` for
 * a name that no service has, and for one that is both allowed and denied.
 */
export function changeGrants(
  grants: readonly string[],
  change: { readonly allow?: readonly string[]; readonly deny?: readonly string[] },
): string[] {
  const { allow = [], deny = [] } = change;
  for (const name of [...allow, ...deny]) checkGrant(name);
  const both = allow.find((name) => deny.includes(name));
  if (both !== undefined) throw new KithError('usage', `"${both}" is both allowed and denied`);
  return [...new Set([...grants, ...allow])].filter((name) => !deny.includes(name)).sort();
}
