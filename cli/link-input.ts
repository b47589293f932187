import { KithError } from '../lib/base/errors.ts';
import { readSmallFile } from './context.ts';

const prefix = 'kith:link:';

/** A link as it was typed, or as it stands in a file. KithError `usage`. */
export async function readLink(given: string): Promise<string> {
  if (given.trim().toLowerCase().startsWith(prefix)) return given;
  const text = await readSmallFile(given, 'link file');
  if (text.trim().toLowerCase().startsWith(prefix)) return text;
  throw new KithError('usage', `${given} is no link, nor a file with one; a link begins with ${prefix}`);
}
