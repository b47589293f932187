import { open, unlink } from 'node:fs/promises';
import { KithError, messageOf, systemCode } from '../lib/base/errors.ts';

/**
 * Writes a file that only its owner may read, durably, where nothing is yet: an invite is secret and tells its text once. KithError
 * `failed`; then nothing new is there.
 */
export async function writeSecretFile(path: string, text: string, what: string): Promise<void> {
  const fail = (why: string, cause: unknown): KithError =>
    new KithError('failed', `the ${what} can't be written to ${path}: ${why}.`, { cause });
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(path, 'wx', 0o600);
  } catch (cause) {
    throw fail(systemCode(cause) === 'EEXIST' ? 'something is there already' : messageOf(cause), cause);
  }
  try {
    await file.writeFile(text);
    await file.sync();
    await file.close();
  } catch (cause) {
    await file.close().catch(() => undefined);
    await unlink(path).catch(() => undefined);
    throw fail(messageOf(cause), cause);
  }
}
