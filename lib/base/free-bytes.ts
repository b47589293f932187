import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

type Transfer = (this: ArrayBuffer, bytes: number) => ArrayBuffer;

/** Less than this isn't worth the call, which costs about a microsecond. */
const freedBytesMin = 32 * 1024;

let found: Transfer | undefined;

/** ArrayBuffer.prototype.transfer. Node 20 has it too, but only shows it to contexts made while a flag of its engine is set. */
function transferOf(): Transfer {
  if (found !== undefined) return found;
  const own = (ArrayBuffer.prototype as { transfer?: Transfer }).transfer;
  if (own !== undefined) return (found = own);
  setFlagsFromString('--harmony-rab-gsab-transfer');
  const hidden = runInNewContext('ArrayBuffer.prototype.transfer') as Transfer | undefined;
  setFlagsFromString('--no-harmony-rab-gsab-transfer');
  return (found = hidden ?? ((): ArrayBuffer => new ArrayBuffer(0)));
}

/**
 * Gives the memory behind a view back at once, all of it, where the collector would come for it only when some 64 MiB have gathered. All
 * views of it are empty from then on. The caller owns that memory alone, and no native code still reads or writes it: that is how a write
 * that is under way would send what isn't its own. Does nothing for less than 32 KiB, and for shared memory.
 */
export function freeBytes({ buffer }: Uint8Array): void {
  if (buffer.byteLength < freedBytesMin || !(buffer instanceof ArrayBuffer)) return;
  transferOf().call(buffer, 0);
}
