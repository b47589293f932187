import { pluginNames } from '../plugins/plugin-names.ts';
import type { RunningPlugins } from '../plugins/running-plugins.ts';
import type { Session } from '../vault/session.ts';
import type { Note } from './home-port.ts';
import type { PeerLinks } from './peer-links.ts';

/**
 * Starts the plug-ins that the home's kith.toml names; undefined, and none of their code loaded, where there are none. The links to friends are made
 * after plug-ins have said what they offer: `links` has them from then on.
 */
export async function startPlugins(
  session: Session,
  note: Note,
  links: () => PeerLinks | undefined,
): Promise<RunningPlugins | undefined> {
  const names = pluginNames(session.settings.value('plugins'));
  if (names.length === 0) return undefined;
  const { RunningPlugins } = await import('../plugins/running-plugins.ts');
  const isOnline = (id: string): boolean => links()?.presence(id).online ?? false;
  return await RunningPlugins.start({
    names,
    home: session.home,
    identity: session.id,
    ownName: session.name,
    log: (level, text) => note(level, 'plug-in', text),
    friends: () => session.friends().map(({ id, name }) => ({ id, name, online: isOnline(id) })),
    caller: (friendId, service) => {
      const made = links();
      if (made === undefined) throw new RangeError('friends can be called once all plug-ins have started');
      return made.caller(friendId, service);
    },
    allows: (friendId, service) => links()?.book.allows(friendId, service) ?? false,
  });
}
