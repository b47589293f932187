import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { equalBytes, idKey } from '../base/bytes.ts';
import { leafBytes } from '../base/limits.ts';
import { hashBytes } from '../crypto/hash.ts';
import { merkleRoot } from '../crypto/merkle.ts';
import { checkShardPayload, decodeShardHead, shardFileBytes, shardHeadBytes } from '../format/shard-file.ts';
import { nativeCalls } from '../source/native.ts';
import type { RowFile, SpanJob } from './open-job.ts';
import { ScratchMemory } from './scratch-memory.ts';

/** Bytes of a batch's ranges; what a batch has more is in memory of its own. */
const scratchBytes = 10 * 1024 * 1024;
/** Shards whose leaf hashes are remembered, 2 KiB each for the largest: a batch comes back to the same few. */
const leavesMax = 64;
// As in disk/node-disk.ts: neither a symlink nor a pipe is opened as a file.
const openFlags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/**
 * Reads ranges of shards from their files in this thread, at once: a trip through the main thread costs more than the read. What
 * lies on the disk is believed in nothing: leaf hashes must lead to the signed root, and bytes to the leaf hashes. A head or a length that isn't
 * right spoils nothing, but is damage, and damage is to be told. One range costs an open, a read, and a hash of its bytes; the first of a shard two reads more.
 */
export class RowFiles {
  readonly #leaves = new Map<string, Uint8Array>();
  readonly #scratch = new ScratchMemory(scratchBytes);

  /** What was read before is no longer needed by anybody. */
  reuse(): void {
    this.#scratch.reuse();
  }

  /** Asks the system for a range, without waiting for it: a slow disk has time until it is read. Never throws. */
  expect(row: RowFile, span: SpanJob): void {
    const { willNeed } = nativeCalls() ?? {};
    if (willNeed === undefined) return;
    try {
      const file = openSync(row.path, openFlags);
      try {
        willNeed(file, shardHeadBytes + span.firstLeaf * leafBytes, span.leafCount * leafBytes);
      } finally {
        closeSync(file);
      }
    } catch {
      // Whoever reads it finds out.
    }
  }

  /** A range, authentic; the bytes are good until `reuse`. Undefined for whatever reason it can't be had: who keeps the books of shards finds out why. */
  read(row: RowFile, span: SpanJob): Uint8Array | undefined {
    try {
      const file = openSync(row.path, openFlags);
      try {
        return this.#readFrom(file, row, span);
      } finally {
        closeSync(file);
      }
    } catch {
      return undefined;
    }
  }

  #readFrom(file: number, { root }: RowFile, span: SpanJob): Uint8Array | undefined {
    const stats = fstatSync(file);
    if (!stats.isFile()) return undefined;
    const { firstLeaf, leafCount, leavesOfShard } = span;
    const leaves = this.#leavesOf(file, stats.size, root, leavesOfShard);
    if (leaves === undefined) return undefined;
    const bytes = this.#scratch.take(leafCount * leafBytes);
    if (!readWholly(file, bytes, shardHeadBytes + firstLeaf * leafBytes)) return undefined;
    return checkShardPayload(bytes, firstLeaf, leaves) ? bytes : undefined;
  }

  /** Of a file of so many bytes. What decoding says of a bad head is thrown. */
  #leavesOf(file: number, fileBytes: number, root: Uint8Array, leafCount: number): Uint8Array | undefined {
    const key = idKey(root);
    const known = this.#leaves.get(key);
    if (known !== undefined) return known;
    const head = new Uint8Array(shardHeadBytes);
    if (!readWholly(file, head, 0) || shardFileBytes(decodeShardHead(head)) !== fileBytes) return undefined;
    const leaves = new Uint8Array(leafCount * hashBytes);
    if (!readWholly(file, leaves, shardHeadBytes + leafCount * leafBytes)) return undefined;
    if (!equalBytes(merkleRoot(leaves), root)) return undefined;
    for (const oldest of this.#leaves.keys()) {
      if (this.#leaves.size < leavesMax) break;
      this.#leaves.delete(oldest);
    }
    this.#leaves.set(key, leaves);
    return leaves;
  }
}

/** False where the file ends before. System errors. */
function readWholly(file: number, into: Uint8Array, position: number): boolean {
  for (let done = 0; done < into.length;) {
    const bytesRead = readSync(file, into, done, into.length - done, position + done);
    if (bytesRead === 0) return false;
    done += bytesRead;
  }
  return true;
}
