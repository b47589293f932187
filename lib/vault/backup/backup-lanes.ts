import { KithError, messageOf } from '../../base/errors.ts';
import { BlobWriter } from '../../pipeline/blob-writer.ts';
import { PackBuilder } from '../../pipeline/pack-builder.ts';
import type { Stages } from '../../pipeline/stages.ts';
import type { Spread } from '../../placement/spread.ts';
import type { Accounts } from '../../source/accounts.ts';
import { currentEpoch } from '../../trust/device.ts';
import { defaultThreads } from '../../workers/pool.ts';
import type { StorePool } from '../../workers/store-pool.ts';
import { FileLanes, type FileLanesOptions } from './file-lanes.ts';
import type { KnownBlobs } from './known-blobs.ts';
import { noThreads } from '../no-threads.ts';
import { spareRowsOf, type PackStore } from './pack-store.ts';
import type { Session } from '../session.ts';

/** What a backup's packs are filled from and with. */
export interface StoreParts {
  readonly session: Session;
  /** Takes the packs. */
  readonly store: PackStore;
  readonly spread: Spread;
  /** Says which blobs need no room in them. */
  readonly known: KnownBlobs;
  readonly stages: Stages;
}

/** What fills packs in the main thread: trees, lists, index and snapshot, and files while there are few. */
export function openBlobWriter({ session, store, spread, known, stages }: StoreParts): BlobWriter {
  const { surroundings, namer, compressor, device } = session;
  const epoch = currentEpoch(device);
  return new BlobWriter({
    namer,
    compressor,
    stages,
    claim: (blobId) => known.claim(blobId),
    newPack: (capacityBytes) =>
      new PackBuilder({
        k: spread.k,
        keyEpoch: epoch.keyEpoch,
        sealingKey: epoch.sealing,
        random: surroundings.random,
        capacityBytes: capacityBytes ?? surroundings.packBytes,
      }),
    capacityBytes: surroundings.packBytes,
    onPack: (pack, builder) => store.take(pack, builder),
    room: () => store.room(),
  });
}

/** What reads and stores files: with `writer` here, or by threads with packs of their own. The caller closes it. */
export function openFileLanes(
  parts: StoreParts,
  options: {
    readonly writer: BlobWriter;
    readonly accounts: Accounts;
    readonly onBytes: FileLanesOptions['onBytes'];
    readonly signal: AbortSignal | undefined;
  },
): FileLanes {
  const { session, store, known, stages } = parts;
  const { surroundings, device } = session;
  const { threads = defaultThreads() } = surroundings;
  return new FileLanes({
    ...options,
    cutKey: device.cutKey,
    stages,
    atOnce: surroundings.threads !== undefined,
    startPool: threads === 0 ? undefined : () => startPool(parts, threads),
    room: () => store.room(),
    onChunk: (blobId) => known.has(blobId),
  });
}

/**
 * Threads that know what the vault has, and what the main thread has stored so far; undefined where there are none to be had, which is
 * told.
 */
async function startPool(parts: StoreParts, threads: number): Promise<StorePool | undefined> {
  let pool: StorePool | undefined;
  let failure: KithError | undefined;
  try {
    pool = await makePool(parts, threads);
    failure = await pool.started();
  } catch (error) {
    // Their shared memory can't be had.
    if (!(error instanceof RangeError)) throw error;
    failure = new KithError('failed', `no worker thread could be started (${messageOf(error)})`, {
      cause: error,
    });
  }
  if (failure === undefined) return pool;
  await pool?.close();
  parts.session.problem(noThreads(failure));
  return undefined;
}

async function makePool({ session, store, spread, known }: StoreParts, threads: number): Promise<StorePool> {
  const { StorePool } = await import('../../workers/store-pool.ts');
  const { surroundings, device } = session;
  await store.prepared();
  const claims = known.sharedClaims();
  const { keyEpoch, sealing } = currentEpoch(device);
  return new StorePool({
    threads,
    spread,
    spare: spareRowsOf(spread),
    packBytes: surroundings.packBytes,
    keys: { blobIdKey: device.blobIdKey, cutKey: device.cutKey, keyEpoch, sealing },
    claims,
    onPack: (pack, directory, release) => store.send(pack, directory, release),
    onError: (error) => store.fail(error),
    module: surroundings.threadModule,
  });
}
