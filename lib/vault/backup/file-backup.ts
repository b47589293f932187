import { displayText } from '../../base/bytes.ts';
import { isKithError, type KithError } from '../../base/errors.ts';
import type { Content } from '../../format/content.ts';
import type { MetadataKind } from '../../format/snapshot.ts';
import { withContent } from '../../format/tree-entry.ts';
import { entryTypes, type TreeEntry } from '../../format/tree.ts';
import { asUnreadable } from '../../source/entry.ts';
import { readableMetadata } from '../../source/extras.ts';
import { unchangedEntry } from '../../source/unchanged.ts';
import type { WalkEvent } from '../../source/walk.ts';
import type { FileCounts } from './file-counts.ts';
import type { FileLanes, FileTicket, StoredContent } from './file-lanes.ts';
import { allKnownAtOnce, looksUnchanged } from './parent-tree.ts';
import type { ParentEntry, TreeBuilder } from './tree-builder.ts';
import type { TreeReader } from '../read/tree-reader.ts';
import { isAsBefore, type RunPlace } from '../read/tree-runs.ts';
import type { BackupOptions, Problem } from '../types.ts';

/** What FileBackup works with. */
export interface FileBackupOptions {
  readonly lanes: FileLanes;
  readonly builder: TreeBuilder;
  readonly trees: TreeReader;
  readonly counts: FileCounts;
  /** Kinds of metadata that the parent snapshot was made with. */
  readonly keptMetadata: readonly MetadataKind[];
  /** True if the vault has a blob; notes that this backup needs it. */
  readonly isKnown: (blobId: Uint8Array) => boolean;
  readonly onProblem: (problem: Problem) => void;
  /** Told when what the parent snapshot has can't be read. */
  readonly onParentProblem: (error: KithError) => void;
  readonly onItem: BackupOptions['onItem'] | undefined;
}

/** Steps of the walk that may wait for files before them: some tens of megabytes. */
const stepsMax = 50_000;

/** A file that is being read, in its place in the walk. */
interface FileStep {
  readonly kind: 'file';
  readonly event: WalkEvent;
  readonly existed: boolean;
  readonly ticket: FileTicket;
}

/** One step of the walk, in its place until all before it are done. */
type Step =
  | FileStep
  | { readonly kind: 'enter'; readonly entry: TreeEntry; readonly before: ParentEntry | undefined }
  | { readonly kind: 'entry'; readonly entry: TreeEntry; readonly place: RunPlace | undefined }
  | { readonly kind: 'leave'; readonly entry: TreeEntry };

/**
 * Turns a walk into trees: unchanged files keep the content they had, others are given to the lanes, which end in any order; what
 * comes after one that isn't stored yet waits in a queue, so that entries reach the tree builder in the order of the walk.
 */
export class FileBackup {
  readonly #options: FileBackupOptions;
  #steps: Step[] = [];
  #next = 0;
  #root: Content | undefined;
  /** The parent's entries have all that could be read now. */
  readonly #keepsAll: boolean;

  constructor(options: FileBackupOptions) {
    this.#options = options;
    this.#keepsAll = readableMetadata().every((kind) => options.keptMetadata.includes(kind));
  }

  /** True if `advance` has something to do. */
  get isFull(): boolean {
    return this.#options.lanes.isFull || this.#steps.length - this.#next > stepsMax;
  }

  /** A folder begins; `before` is what the parent snapshot has of it. */
  enter(entry: TreeEntry, before: ParentEntry | undefined): void {
    this.#steps.push({ kind: 'enter', entry, before });
  }

  /** The folder ends, with its metadata as the walk knows it now. */
  leave(entry: TreeEntry): void {
    this.#steps.push({ kind: 'leave', entry });
  }

  /** Anything but a folder; `before` is what the parent snapshot has under its name. A promise where the parent's lists must be read. */
  entry(event: WalkEvent, before: ParentEntry | undefined): Promise<void> | undefined {
    const { entry } = event;
    if (entry.type !== entryTypes.file) {
      this.#count(entry);
      const isSame = before !== undefined && isAsBefore(entry, before.entry, false);
      this.#push(isSame ? before.entry : entry, isSame ? before.place : undefined);
      return undefined;
    }
    const content = before?.entry.content;
    if (before === undefined || content === undefined || !looksUnchanged(entry, before.entry)) {
      this.#read(event, before !== undefined);
      return undefined;
    }
    const known = allKnownAtOnce(content, this.#options.isKnown);
    if (known === undefined)
      return this.#allKnown(content).then((all) => this.#unchangedOrNot(event, before, all));
    this.#unchangedOrNot(event, before, known);
    return undefined;
  }

  #push(entry: TreeEntry, place: RunPlace | undefined): void {
    this.#steps.push({ kind: 'entry', entry, place });
  }

  #unchangedOrNot(event: WalkEvent, before: ParentEntry, known: boolean): void {
    const { counts, keptMetadata } = this.#options;
    const { entry } = event;
    if (!known) {
      this.#read(event, true);
      return;
    }
    counts.filesUnmodified++;
    counts.bytesProcessed += entry.size;
    counts.bytesUnmodified += entry.size;
    if (this.#keepsAll && isAsBefore(entry, before.entry, true)) {
      this.#push(before.entry, before.place);
      return;
    }
    const { path } = event;
    const tell = (message: string): void => this.#tellLoss(path, message);
    this.#push(unchangedEntry(entry, before.entry, { path, kept: keptMetadata, tell }), undefined);
  }

  #read(event: WalkEvent, existed: boolean): void {
    const { path, entry, device } = event;
    const ticket = this.#options.lanes.give({ path, entry, device });
    this.#steps.push({ kind: 'file', event, existed, ticket });
  }

  #count(entry: TreeEntry): void {
    const { counts } = this.#options;
    if (entry.type === entryTypes.symlink) counts.symlinks++;
    else if (entry.type !== entryTypes.unreadable) counts.others++;
  }

  /** True if the vault still has every blob of a content. */
  async #allKnown(content: Content): Promise<boolean> {
    try {
      for await (const { id } of this.#options.trees.blobIds(content)) {
        if (!this.#options.isKnown(id)) return false;
      }
      return true;
    } catch (error) {
      if (!isKithError(error) || error.code === 'interrupted') throw error;
      this.#options.onParentProblem(error);
      return false;
    }
  }

  /** Has files begun once there are enough, builds trees as far as can be, and waits where too much would wait. */
  async advance(): Promise<void> {
    const { lanes } = this.#options;
    if (lanes.isFull) await lanes.advance();
    this.#build();
    if (this.#steps.length - this.#next <= stepsMax) return;
    await lanes.advance();
    while (this.#steps.length - this.#next > stepsMax) {
      this.#build();
      await lanes.next();
    }
  }

  /** Waits for all files. The root's content, and the bytes that threads found to be new. */
  async finish(): Promise<{ readonly root: Content | undefined; readonly bytesAdded: number }> {
    const { bytesAdded } = await this.#options.lanes.finish();
    this.#build();
    return { root: this.#root, bytesAdded };
  }

  #build(): void {
    const { builder } = this.#options;
    for (; this.#next < this.#steps.length; this.#next++) {
      const step = this.#steps[this.#next];
      if (step === undefined) break;
      if (step.kind === 'file') {
        if (step.ticket.result === undefined) break;
        builder.add(this.#stored(step, step.ticket.result));
      } else if (step.kind === 'entry') builder.add(step.entry, step.place);
      else if (step.kind === 'enter') builder.enter(step.entry, step.before);
      else this.#root = builder.leave(step.entry);
    }
    if (this.#next === this.#steps.length || this.#next > stepsMax / 2) {
      this.#steps = this.#steps.slice(this.#next);
      this.#next = 0;
    }
  }

  /** The file is stored, part of what is known of it is not. */
  #tellLoss(path: Uint8Array, message: string): void {
    this.#options.onProblem({ item: displayText(path), message, code: 'failed' });
  }

  /** The entry of a file that was read, or of what became of it. */
  #stored({ event, existed }: FileStep, result: StoredContent): TreeEntry {
    const { counts, onItem, onProblem } = this.#options;
    const { path } = event;
    if (result.outcome === 'replaced') {
      this.#count(result.entry);
      return result.entry;
    }
    if (result.outcome === 'unreadable') {
      counts.unreadable++;
      onProblem({ item: displayText(path), message: result.message, code: 'source-unreadable' });
      return asUnreadable(event.entry, result.message);
    }
    if (result.changed) {
      counts.changedWhileRead++;
      const message = 'it changed each time it was read; what is stored may be a mixture of old and new';
      onProblem({ item: displayText(path), message, code: 'source-changed' });
    }
    for (const loss of result.losses) this.#tellLoss(path, loss);
    if (existed) counts.filesChanged++;
    else counts.filesNew++;
    counts.bytesProcessed += result.bytes;
    const entry = withContent(result.entry ?? event.entry, result.bytes, result.content);
    if (onItem !== undefined)
      onItem({ action: existed ? 'changed' : 'new', path: displayText(path), bytes: entry.size });
    return entry;
  }
}
