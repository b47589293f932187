import { throwIfAborted } from '../base/concurrency.ts';
import { chunkBytesMax } from '../base/limits.ts';
import { blobKinds } from '../format/blob.ts';
import { ContentBuilder, type Content } from '../format/content.ts';
import type { Chunker } from '../kernels/chunker.ts';
import type { BlobWriter } from '../pipeline/blob-writer.ts';
import type { Stages } from '../pipeline/stages.ts';
import type { SourceFile } from '../source/read.ts';

/** Read at once: a few chunks, in large pieces. */
const bufferBytes = 2 * chunkBytesMax;

/** Cuts files into chunks and stores them. One buffer for all files, so one file at a time. */
export class FileStorer {
  readonly #writer: BlobWriter;
  readonly #chunker: Chunker;
  readonly #stages: Stages;
  readonly #buffer: Uint8Array = new Uint8Array(bufferBytes);

  constructor(options: { readonly writer: BlobWriter; readonly chunker: Chunker; readonly stages: Stages }) {
    this.#writer = options.writer;
    this.#chunker = options.chunker;
    this.#stages = options.stages;
  }

  /** Stores a file's bytes. `onBytes` is told of bytes as they are stored. KithError `source-unreadable`. */
  async store(
    file: SourceFile,
    onBytes: (bytes: number) => void,
    signal: AbortSignal | undefined,
  ): Promise<{ content: Content; bytes: number }> {
    const content = new ContentBuilder((bytes) => this.#writer.store(blobKinds.list, bytes));
    const buffer = this.#buffer;
    let start = 0;
    let end = 0;
    let position = 0;
    let scannedTo = 0;
    let ended = file.size === 0;
    let total = 0;
    while (!ended || start < end) {
      throwIfAborted(signal);
      if (!ended && end - start < chunkBytesMax) {
        if (start > 0) {
          buffer.copyWithin(0, start, end);
          scannedTo = Math.max(0, scannedTo - start);
          end -= start;
          start = 0;
        }
        const wanted = Math.min(buffer.length - end, file.size - position);
        const count = await this.#stages.wait('read', () =>
          file.read(buffer.subarray(end, end + wanted), position),
        );
        end += count;
        position += count;
        ended = count < wanted || position >= file.size;
      }
      // It was cut short since it was opened, right where a chunk ends; the caller sees that it changed.
      if (ended && start === end) break;
      const cut = this.#stages.run('chunk', () => this.#chunker.cut(buffer, start, end, ended, scannedTo));
      if (cut === undefined) {
        scannedTo = end;
        continue;
      }
      await content.add(await this.#writer.store(blobKinds.data, buffer.subarray(start, cut)));
      total += cut - start;
      onBytes(cut - start);
      start = cut;
      scannedTo = cut;
    }
    return { content: await content.finish(), bytes: total };
  }
}
