import { KithError } from '../base/errors.ts';
import type { RandomSource } from '../crypto/random.ts';
import type { TreeEntry } from '../format/tree-entry.ts';
import type { OpenFolder } from './folder-chain.ts';
import type { LinkOrigin } from './hardlinks.ts';
import { HardlinkGroups, linkTo } from './hardlinks.ts';
import { problemCode, reasonOf } from './problem.ts';
import type { ExistingEntries } from './restore-existing.ts';
import type { RestoreFolder, RestoreFolders } from './restore-folders.ts';
import { componentsIn } from './restore-folders.ts';
import type { MetadataSetter } from './restore-metadata.ts';
import type { RestoreReport } from './restore-report.ts';
import type { SinkEnd, SinkPlace } from './restore-sink.ts';
import { FileSink, tempName } from './restore-sink.ts';

/** Files under way at once: each holds two handles. */
const sinksMax = 128;

/** A file that may be written: whoever has it makes its sink, or does what one does, and calls `onEnd`. */
export interface FilePlace extends SinkPlace {
  /** Known by its handle, so that the file can be written from another thread. */
  readonly folder: OpenFolder;
}

/** What became of a file that is not to be written. See RestoreWriter.beginFile. */
export type NoPlace = 'skipped' | 'linked' | 'counted';

export interface FilePlacesOptions {
  readonly folders: RestoreFolders;
  readonly existing: ExistingEntries;
  readonly dryRun: boolean;
  readonly setter: MetadataSetter;
  readonly random: RandomSource;
  readonly report: RestoreReport;
}

/**
 * Gives each file of a restore the place where it may be written, or makes it a hard link to one that was. Owns the
 * sinks that it opened until they end; a place that was given belongs to whoever has it. Close it, whatever happens.
 */
export class FilePlaces {
  readonly #options: FilePlacesOptions;
  readonly #sinks = new Set<FileSink>();
  readonly #groups = new HardlinkGroups();

  constructor(options: FilePlacesOptions) {
    this.#options = options;
  }

  /** KithError `limit-exceeded` while too many sinks are open for one more. */
  checkRoom(): void {
    if (this.#sinks.size >= sinksMax) {
      throw new KithError('limit-exceeded', `more than ${sinksMax} files begun and not ended`);
    }
  }

  /** A sink in the current folder, which is ready; it has to end before the folder is left. */
  begin(folder: RestoreFolder, entry: TreeEntry): Promise<FileSink | NoPlace> {
    return this.#admit(folder, entry, (onLinkEnd) => this.#sink(folder, entry, onLinkEnd));
  }

  /** A place in the current folder, which is ready; it may end after the folder was left. */
  place(folder: RestoreFolder, entry: TreeEntry): Promise<FilePlace | NoPlace> {
    const { folders } = this.#options;
    return this.#admit(folder, entry, (onLinkEnd) => {
      folder.pending++;
      return this.#placeOf(folder, entry, (end) => {
        this.#count(entry, end);
        onLinkEnd?.(end);
        folders.lessPending(folder);
      });
    });
  }

  /** The sink of a place. Throws KithError where it can't be made; the place has then ended. */
  open(place: FilePlace): FileSink {
    try {
      const sink: FileSink = new FileSink(
        placeWithEnd(place, (end) => {
          this.#sinks.delete(sink);
          place.onEnd(end);
        }),
      );
      this.#sinks.add(sink);
      return sink;
    } catch (error) {
      place.folder.release();
      place.onEnd({ outcome: 'failed' });
      const message = `${place.shown} could not be written: ${reasonOf(error)}`;
      throw error instanceof KithError ? error : new KithError(problemCode(error), message, { cause: error });
    }
  }

  /** True if a file is a further name of one that was placed before: beginning it waits for that one's end. */
  waitsForOther(entry: TreeEntry): boolean {
    return entry.hardlink !== undefined && this.#groups.has(entry);
  }

  /** Aborts the sinks that are open. */
  close(): void {
    for (const sink of this.#sinks) sink.abortNow();
  }

  /** Calls `give` if the file is to be written. `onLinkEnd` is for a first of several names: others wait for its end. */
  async #admit<T>(
    folder: RestoreFolder,
    entry: TreeEntry,
    give: (onLinkEnd: ((end: SinkEnd) => void) | undefined) => T,
  ): Promise<T | NoPlace> {
    const { existing, dryRun, report } = this.#options;
    try {
      const group = entry.hardlink === undefined ? undefined : this.#groups.meet(entry);
      const origin = await group?.settled;
      const decision = existing.settle(folder, entry);
      if (decision !== 'write') return this.#kept(folder, entry, decision);
      if (origin !== undefined && this.#link(folder, entry, origin)) return 'linked';
      if (group !== undefined && origin === undefined && !dryRun) {
        const why = 'written as a copy: the file it is a hard link to was not written by this restore';
        report.problem(componentsIn(folder, entry.name), why, 'failed');
      }
      const onLinkEnd =
        group === undefined ? this.#groups.begin(entry, componentsIn(folder, entry.name)) : undefined;
      if (dryRun) {
        report.wrote(entry);
        onLinkEnd?.({ outcome: 'aborted' });
        return 'counted';
      }
      return give(onLinkEnd);
    } catch (error) {
      report.failed(componentsIn(folder, entry.name), error);
      return 'skipped';
    }
  }

  #kept(folder: RestoreFolder, entry: TreeEntry, decision: 'same' | 'keep'): 'skipped' {
    this.#options.report.counts.skipped++;
    if (entry.hardlink !== undefined && decision === 'same') {
      this.#groups.begin(entry, componentsIn(folder, entry.name))({ outcome: 'aborted' });
    }
    return 'skipped';
  }

  #link(folder: RestoreFolder, entry: TreeEntry, origin: LinkOrigin): boolean {
    const { folders, random, setter, report } = this.#options;
    const parent = folders.chain.folder;
    try {
      linkTo(folders.root, origin, parent, entry.name, tempName(random), setter.handles);
      report.counts.hardlinks++;
      return true;
    } catch (error) {
      const message = `written as a copy, not as a hard link: ${reasonOf(error)}`;
      report.problem(componentsIn(folder, entry.name), message, problemCode(error));
      return false;
    }
  }

  #sink(folder: RestoreFolder, entry: TreeEntry, onLinkEnd: ((end: SinkEnd) => void) | undefined): FileSink {
    const place = this.#placeOf(folder, entry, (end) => {
      folder.sinks--;
      this.#sinks.delete(sink);
      this.#count(entry, end);
      onLinkEnd?.(end);
    });
    let sink: FileSink;
    try {
      sink = new FileSink(place);
    } catch (error) {
      place.folder.release();
      onLinkEnd?.({ outcome: 'failed' });
      throw error;
    }
    folder.sinks++;
    this.#sinks.add(sink);
    return sink;
  }

  #count(entry: TreeEntry, end: SinkEnd): void {
    const { report } = this.#options;
    if (end.outcome === 'written') report.wrote(entry);
    else report.counts.failed++;
  }

  #placeOf(folder: RestoreFolder, entry: TreeEntry, onEnd: (end: SinkEnd) => void): FilePlace {
    const { folders, random, setter, report } = this.#options;
    return {
      folder: folders.chain.folder.retain(),
      entry,
      // Made when it is asked for: of most files nothing is ever said.
      get shown() {
        return report.shown(componentsIn(folder, entry.name));
      },
      random,
      setter,
      onMetadataFailure: (error) => report.metadataFailed(componentsIn(folder, entry.name), error),
      onEnd,
    };
  }
}

/** A place with another end. A spread of it would ask for its path. */
function placeWithEnd(place: FilePlace, onEnd: (end: SinkEnd) => void): SinkPlace {
  return {
    folder: place.folder,
    entry: place.entry,
    get shown() {
      return place.shown;
    },
    random: place.random,
    setter: place.setter,
    onMetadataFailure: place.onMetadataFailure,
    onEnd,
  };
}
