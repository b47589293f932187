import { idKey } from '../base/bytes.ts';
import { BlobNamer } from '../format/blob.ts';
import { sealedFrameBytesMax } from '../format/frame.ts';
import { encodePackDirectory } from '../format/pack-directory.ts';
import { threadKernels } from '../kernels/process-kernels.ts';
import { checkPack, type PackCheckKeys } from '../pipeline/check-pack.ts';
import { createDecompressor } from '../pipeline/compress.ts';
import type { CheckJob, CheckResult, CheckSetup } from './check-job.ts';
import type { WorkHandler } from './thread.ts';

/** Plain bytes between two turns of the event loop: a pack of text has more than 100 MB, and what decompresses it gives memory back only there. */
const turnBytes = 8 * 1024 * 1024;

/** The kind `check`: each job is a CheckJob, each result a CheckResult. */
export function start(setup: unknown): WorkHandler {
  const { vaultId, blobIdKey } = setup as CheckSetup;
  const namer = new BlobNamer(blobIdKey);
  const compressor = inThisThread();
  const frameBuffer = new Uint8Array(sealedFrameBytesMax);
  return {
    run: async (job) => {
      const { pack, devices, sealingKeys } = job as CheckJob;
      const keys: PackCheckKeys = {
        vaultId,
        isDevice: (id) => devices.has(idKey(id)),
        sealingKeys: () => sealingKeys,
        namer,
        // Loaded when a row is lacking for the first time.
        get coder() {
          return threadKernels().coder;
        },
        compressor,
        frameBuffer,
      };
      return await check(keys, pack);
    },
  };
}

async function check(keys: PackCheckKeys, pack: CheckJob['pack']): Promise<CheckResult> {
  const { copies, content } = await checkPack(keys, pack);
  if (content === undefined) return { copies, content };
  const { directory } = content;
  return {
    copies,
    content: {
      ...content,
      directory: directory === undefined ? undefined : encodePackDirectory(directory),
    },
  };
}

/** Decompresses at once: this thread has nothing else to do meanwhile. */
function inThisThread(): PackCheckKeys['compressor'] {
  const decompressor = createDecompressor();
  let bytes = 0;
  return {
    decompress: async (packed, plainBytes) => {
      bytes += plainBytes;
      if (bytes > turnBytes) {
        bytes = 0;
        await new Promise((resolve) => {
          setImmediate(resolve);
        });
      }
      return decompressor.decompressNow(packed, plainBytes);
    },
  };
}
