import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { equalBytes, viewAsBuffer } from '../../base/bytes.ts';
import { isKithError, systemCode, type ErrorCode } from '../../base/errors.ts';
import { blobKinds, type BlobNamer } from '../../format/blob.ts';
import { contentIds, type Content } from '../../format/content.ts';
import { problemCode, reasonOf } from '../../source/problem.ts';
import type { BlobReader } from '../read/blob-reader.ts';

// What another program put in the file's place meanwhile is neither followed nor waited for.
const openFlags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/** Why a file doesn't read back as what was written. */
export interface ReadBackFlaw {
  readonly message: string;
  readonly code: ErrorCode;
}

/**
 * Reads a file that was written, names every chunk anew, and says what is wrong with it, if anything is. Reads all of it. KithErrors are those of
 * the content's own lists of chunks.
 */
export async function readBackFlaw(
  path: Uint8Array,
  content: Content,
  reader: Pick<BlobReader, 'list' | 'placeOf'>,
  namer: BlobNamer,
): Promise<ReadBackFlaw | undefined> {
  let file: FileHandle | undefined;
  try {
    file = await open(viewAsBuffer(path), openFlags);
    let offset = 0;
    for await (const id of contentIds(content, reader.list)) {
      const bytes = new Uint8Array(reader.placeOf(id)?.length ?? 0);
      const isWhole = await readWholly(file, bytes, offset);
      if (!isWhole || !equalBytes(namer.idOf(blobKinds.data, bytes), id)) {
        return { message: 'reads back differently from what was written', code: 'damaged' };
      }
      offset += bytes.length;
    }
    return undefined;
  } catch (error) {
    // A file whose mode lets nobody read it is restored all the same: that it can't be verified is its own matter.
    if (isKithError(error) || systemCode(error) === undefined) throw error;
    return { message: `could not be read back: ${reasonOf(error)}`, code: problemCode(error) };
  } finally {
    await file?.close();
  }
}

/** False where the file ends before. */
async function readWholly(file: FileHandle, into: Uint8Array, position: number): Promise<boolean> {
  for (let done = 0; done < into.length;) {
    const { bytesRead } = await file.read(into, done, into.length - done, position + done);
    if (bytesRead === 0) return false;
    done += bytesRead;
  }
  return true;
}
