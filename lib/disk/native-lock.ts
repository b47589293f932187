import { open } from 'node:fs/promises';
import { constants } from 'node:fs';
import extensions from 'fs-native-extensions';
import { utf8 } from '../base/bytes.ts';
import { diskError } from './disk-error.ts';
import type { DiskLock } from './disk.ts';

// Far beyond the text of the file: where locks are mandatory (Windows), others can still read who holds it.
const lockedByte = 2 ** 30;

/**
 * Takes the operating system's lock on a file, which ends with the process however it ends. The file is left in place:
 * removing it would let two processes hold locks on two files of one name.
 */
export async function takeNativeLock(path: string): Promise<DiskLock | undefined> {
  const noFollow = constants.O_NOFOLLOW ?? 0;
  try {
    const handle = await open(path, constants.O_RDWR | constants.O_CREAT | noFollow, 0o600);
    let taken = false;
    try {
      taken = extensions.tryLock(handle.fd, lockedByte, 1);
      if (!taken) return undefined;
      await handle.truncate(0);
      await handle.write(utf8(`${process.pid}\n`), 0, null, 0);
    } catch (error) {
      taken = false;
      throw error;
    } finally {
      if (!taken) await handle.close();
    }
    let released = false;
    return {
      release: async () => {
        if (released) return;
        released = true;
        await handle.close();
      },
    };
  } catch (error) {
    throw diskError(error, 'locking', path);
  }
}
