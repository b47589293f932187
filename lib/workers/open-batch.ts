import { concatBytes, displayText, equalBytes, toHex, viewAsBuffer } from '../base/bytes.ts';
import { Semaphore } from '../base/concurrency.ts';
import { KithError } from '../base/errors.ts';
import { leafBytes } from '../base/limits.ts';
import { openFrame, tagBytes } from '../crypto/aead.ts';
import { leafHashes, verifyRange } from '../crypto/merkle.ts';
import { systemRandom } from '../crypto/random.ts';
import { blobKinds, BlobNamer } from '../format/blob.ts';
import { compressions, decodeFrameBody } from '../format/frame.ts';
import { threadKernels } from '../kernels/process-kernels.ts';
import { createDecompressor, type Decompressor } from '../pipeline/compress.ts';
import { localAccounts } from '../source/accounts.ts';
import { nativeCalls } from '../source/native.ts';
import { handlePath, joinPath } from '../source/path.ts';
import { metadataSetter, type MetadataSetter } from '../source/restore-metadata.ts';
import { FileSink, writeAllAt, type SinkEnd, type SinkFolder } from '../source/restore-sink.ts';
import type {
  BadRow,
  BlobPiece,
  ChunkEnd,
  FileEnd,
  FileJob,
  FolderJob,
  OpenJob,
  OpenResult,
  OpenSetup,
  RowRange,
  SpanJob,
} from './open-job.ts';
import { RowFiles } from './row-files.ts';
import { ScratchMemory } from './scratch-memory.ts';
import { errorToWire, systemErrorToWire, type WireError } from './wire-error.ts';

/** Bytes of a batch's opened frames; what it has more is in memory of its own. */
const frameScratchBytes = 9 * 1024 * 1024;

/**
 * Turns ranges of shards into files: verifies every leaf against its signed root before anything else looks at it, makes rows that are
 * not there from others, opens and decompresses frames, checks every blob's name, writes. Runs in a worker thread, or in
 * the caller's own for little. Folders and open files belong to the caller, and are reached by their handles.
 */
export class BatchOpener {
  readonly #namer: BlobNamer;
  readonly #decompressor: Decompressor = createDecompressor();
  readonly #setter: MetadataSetter;
  readonly #rowFiles = new RowFiles();
  /** For frames as they are when opened. */
  readonly #scratch = new ScratchMemory(frameScratchBytes);
  /** One job at a time: the next would be opened over the bytes of one that is still being written. */
  readonly #turn = new Semaphore(1);

  constructor(setup: OpenSetup) {
    const accounts = localAccounts();
    this.#setter = metadataSetter({ native: nativeCalls(), handles: true, accounts, known: setup.known });
    this.#namer = new BlobNamer(setup.blobIdKey);
  }

  /** A job will be given soon: the system is asked for the bytes that are to be read from files. */
  expect({ spans }: OpenJob): void {
    for (const span of spans)
      for (const row of span.rows) if ('path' in row) this.#rowFiles.expect(row, span);
  }

  /** Works on one job; jobs that come meanwhile wait for their turn, in order. */
  run(job: OpenJob): Promise<OpenResult> {
    return this.#turn.run(() => this.#run(job));
  }

  async #run(job: OpenJob): Promise<OpenResult> {
    this.#rowFiles.reuse();
    this.#scratch.reuse();
    const { spans, bad } = this.#authenticSpans(job);
    if (bad.length > 0) return { bad, files: [], chunks: [] };
    const frames = new FrameSet(job, spans, this.#decompressor, this.#scratch);
    const files: FileEnd[] = [];
    const chunks: ChunkEnd[] = [];
    for (const [file, what] of job.files.entries()) {
      const end = await this.#file(job, frames, file, what);
      if (end !== undefined) files.push(end);
    }
    for (const [chunk, { handle, offset, piece }] of job.chunks.entries()) {
      const bytes = this.#blob(frames, piece);
      if (!(bytes instanceof Uint8Array)) {
        chunks.push({ chunk, unread: bytes });
        continue;
      }
      try {
        writeAllAt(handle, bytes, offset);
      } catch (error) {
        chunks.push({ chunk, unwritten: systemErrorToWire(error) });
      }
    }
    return { bad, files, chunks };
  }

  /** The rows of each span, read where they are in files, and which of all of them are not what their roots say. */
  #authenticSpans(job: OpenJob): { spans: Row[][]; bad: BadRow[] } {
    const bad: BadRow[] = [];
    const spans = job.spans.map((span, number) =>
      span.rows.flatMap((source, row) => {
        const bytes =
          'path' in source
            ? this.#rowFiles.read(source, span)
            : isAuthentic(span, source)
              ? source.bytes
              : undefined;
        if (bytes !== undefined) return [{ index: source.index, bytes }];
        bad.push({ span: number, row });
        return [];
      }),
    );
    return { spans, bad };
  }

  async #file(job: OpenJob, frames: FrameSet, file: number, what: FileJob): Promise<FileEnd | undefined> {
    const blobs: Uint8Array[] = [];
    for (const piece of what.pieces) {
      const bytes = this.#blob(frames, piece);
      if (!(bytes instanceof Uint8Array)) return { file, unread: bytes };
      blobs.push(bytes);
    }
    const folder = job.folders[what.folder];
    if (folder === undefined) throw new KithError('internal', 'a file without its folder');
    let metadata: WireError | undefined;
    let end: SinkEnd | undefined;
    try {
      const sink = new FileSink({
        folder: folderAt(folder),
        entry: what.entry,
        get shown() {
          return `${folder.shown}/${displayText(what.entry.name)}`;
        },
        random: systemRandom,
        setter: this.#setter,
        onMetadataFailure: (error) => {
          metadata = systemErrorToWire(error);
        },
        onEnd: (ended) => {
          end = ended;
        },
        atOnce: true,
      });
      let offset = 0;
      for (const bytes of blobs) {
        await sink.write(bytes, offset);
        offset += bytes.length;
      }
      await sink.commit();
    } catch (error) {
      return { file, unwritten: systemErrorToWire(error) };
    }
    if (!what.identify && metadata === undefined) return undefined;
    return {
      file,
      ...(metadata === undefined ? {} : { metadata }),
      ...(what.identify && end?.outcome === 'written'
        ? { identity: { device: end.device, inode: end.inode, mtimeNs: end.mtimeNs } }
        : {}),
    };
  }

  /** A blob's bytes, a view, or why they can't be had from this frame. */
  #blob(frames: FrameSet, { frame, offset, length, blobId }: BlobPiece): Uint8Array | WireError {
    const plain = frames.plain(frame);
    if (!(plain instanceof Uint8Array)) return plain;
    const bytes = plain.subarray(offset, offset + length);
    if (bytes.length === length && equalBytes(this.#namer.idOf(blobKinds.data, bytes), blobId)) return bytes;
    const message = `blob ${toHex(blobId).slice(0, 12)} is not what its name says`;
    return errorToWire(new KithError('damaged', message));
  }
}

function folderAt({ handle }: FolderJob): SinkFolder {
  const path = handlePath(handle);
  return { at: (name) => viewAsBuffer(joinPath(path, name)), release: () => undefined };
}

/** A range of a row that led to its signed root. */
interface Row {
  readonly index: number;
  readonly bytes: Uint8Array;
}

/** True if a range is what its signed root says. */
function isAuthentic(
  { firstLeaf, leafCount, leavesOfShard }: SpanJob,
  { bytes, proof, root }: RowRange,
): boolean {
  return (
    bytes.length === leafCount * leafBytes &&
    (proof === undefined || verifyRange(leafHashes(bytes, leafBytes), firstLeaf, leavesOfShard, proof, root))
  );
}

/** The frames of a job, each opened when it is first asked for. */
class FrameSet {
  readonly #job: OpenJob;
  readonly #rows: readonly (readonly Row[])[];
  readonly #decompressor: Decompressor;
  readonly #scratch: ScratchMemory;
  readonly #spans: (Uint8Array | undefined)[] = [];
  readonly #plain: (Uint8Array | WireError | undefined)[] = [];

  /** `rows`: those of each span of the job. Frames lie in `scratch` until it is used again. */
  constructor(
    job: OpenJob,
    rows: readonly (readonly Row[])[],
    decompressor: Decompressor,
    scratch: ScratchMemory,
  ) {
    this.#job = job;
    this.#rows = rows;
    this.#decompressor = decompressor;
    this.#scratch = scratch;
  }

  /** Plain bytes of a frame; they are only to be read. Errors are those of what was sealed. */
  plain(frame: number): Uint8Array | WireError {
    return (this.#plain[frame] ??= this.#open(frame));
  }

  #open(number: number): Uint8Array | WireError {
    const frame = this.#job.frames[number];
    if (frame === undefined) throw new KithError('internal', 'a blob without its frame');
    try {
      const parts = frame.parts.map(({ span, offset, length }) =>
        this.#span(span).subarray(offset, offset + length),
      );
      const [only] = parts;
      const sealed = parts.length === 1 && only !== undefined ? only : concatBytes(...parts);
      const into = this.#scratch.take(Math.max(0, sealed.length - tagBytes));
      const plain = openFrame(frame.suite, frame.key, frame.ordinal, frame.additional, sealed, into);
      if (plain === undefined) {
        throw new KithError(
          'not-authentic',
          'a frame does not open: it was sealed with other keys or altered',
        );
      }
      const { body, compression, plainBytes } = decodeFrameBody(plain);
      return compression === compressions.zstd ? this.#decompressor.decompressNow(body, plainBytes) : body;
    } catch (error) {
      return errorToWire(error);
    }
  }

  #span(number: number): Uint8Array {
    return (this.#spans[number] ??= this.#decode(number));
  }

  #decode(number: number): Uint8Array {
    const span = this.#job.spans[number];
    const rows = this.#rows[number];
    if (span === undefined || rows === undefined) throw new KithError('internal', 'a frame without its span');
    const own = rows.find(({ index }) => index === span.index);
    if (own !== undefined) return own.bytes;
    const [decoded] = threadKernels().coder.reconstruct(span.k, rows, [span.index]);
    if (decoded === undefined) throw new KithError('internal', 'the coder returned nothing');
    return decoded;
  }
}
