import { open } from 'node:fs/promises';
import { equalBytes, viewAsBuffer } from '../base/bytes.ts';
import { blobKinds, type BlobNamer } from '../format/blob.ts';
import { contentIds, type Content } from '../format/content.ts';
import type { BlobReader } from './blob-reader.ts';

/** Whether a file that was written reads back as its content says: every chunk is named anew. Reads all of it. System errors. */
export async function readsBack(
  path: Uint8Array,
  content: Content,
  reader: BlobReader,
  namer: BlobNamer,
): Promise<boolean> {
  const file = await open(viewAsBuffer(path), 'r');
  try {
    let offset = 0;
    for await (const id of contentIds(content, reader.list)) {
      const bytes = new Uint8Array(reader.placeOf(id)?.length ?? 0);
      const { bytesRead } = await file.read(bytes, 0, bytes.length, offset);
      if (bytesRead !== bytes.length || !equalBytes(namer.idOf(blobKinds.data, bytes), id)) return false;
      offset += bytes.length;
    }
    return true;
  } finally {
    await file.close();
  }
}
