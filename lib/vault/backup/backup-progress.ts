import { displayText } from '../../base/bytes.ts';
import { entryTypes } from '../../format/tree.ts';
import { walkBatches, type WalkOptions } from '../../source/walk.ts';
import type { FileCounts } from './file-counts.ts';
import type { BackupOptions, Progress } from '../types.ts';

/** How long a backup goes on before what there is to do is counted, for the percentage. */
const scanAfterMs = 5000;

/** How far a backup is, and how much there is to do. */
export class BackupProgress {
  readonly #counts: FileCounts;
  readonly #onProgress: BackupOptions['onProgress'];
  #filesTotal = 0;
  #bytesTotal = 0;
  #bytesRead = 0;
  #scanned = false;
  #ended = false;
  #current: Uint8Array = new Uint8Array(0);

  /** `counts` are the backup's own, which go on counting. */
  constructor(counts: FileCounts, onProgress: BackupOptions['onProgress']) {
    this.#counts = counts;
    this.#onProgress = onProgress;
  }

  /** Bytes of a file were read and stored. Keeps the path until the next. */
  read(bytes: number, path: Uint8Array): void {
    this.#bytesRead += bytes;
    this.#current = path;
    this.tell('read');
  }

  tell(phase: Progress['phase']): void {
    const { filesNew, filesChanged, filesUnmodified, bytesUnmodified } = this.#counts;
    this.#onProgress?.({
      phase,
      filesDone: filesNew + filesChanged + filesUnmodified,
      filesTotal: this.#scanned ? this.#filesTotal : undefined,
      bytesDone: bytesUnmodified + this.#bytesRead,
      bytesTotal: this.#scanned ? this.#bytesTotal : undefined,
      current: this.#current.length === 0 ? undefined : displayText(this.#current),
    });
  }

  /**
   * Counts what there is to do for the percentage, but only once the backup has taken a while: counting costs as much as the backup of a tree
   * in which little has changed. The caller has to call `end`, which waits for it to stop.
   */
  scanLater(walkOptions: WalkOptions): { end(): Promise<void> } {
    let scan: Promise<void> | undefined;
    const begin = (): void => {
      scan = this.#scan(walkOptions);
    };
    const timer = this.#onProgress === undefined ? undefined : setTimeout(begin, scanAfterMs);
    return {
      end: async () => {
        this.#ended = true;
        clearTimeout(timer);
        await scan;
      },
    };
  }

  /** Counts what there is to do, beside the work itself. */
  async #scan(walkOptions: WalkOptions): Promise<void> {
    try {
      for await (const batch of walkBatches({ ...walkOptions, onProblem: () => undefined })) {
        if (this.#ended) return;
        for (const { entry } of batch) {
          if (entry.type !== entryTypes.file) continue;
          this.#filesTotal++;
          this.#bytesTotal += entry.size;
        }
      }
      this.#scanned = true;
    } catch {
      // Only the percentage is lost; the backup's own walk reports what is wrong.
    }
  }
}
