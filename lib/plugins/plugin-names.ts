import { KithError } from '../base/errors.ts';

/** Plug-ins of one home. */
export const pluginCountMax = 16;

/** The packages that a setting names: separated by commas. KithError `usage` for one that can't be a package's name. */
export function pluginNames(setting: string): string[] {
  const names = setting
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  for (const name of names) {
    if (name.length > 214 || !/^(@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/.test(name))
      throw new KithError('usage', `"${name}" is no name of a package.`);
  }
  if (new Set(names).size !== names.length) throw new KithError('usage', 'a plug-in is named twice.');
  if (names.length > pluginCountMax)
    throw new KithError('usage', `${names.length} plug-ins are more than ${pluginCountMax}.`);
  return names;
}
