import os from 'node:os';
import { KithError } from '../base/errors.ts';

/**
 * KithError `failed` on a big-endian machine: kernels look at bytes as words of 32 bits, which would be others there, and with them cuts
 * and coded rows.
 */
export function requireLittleEndian(): void {
  if (os.endianness() === 'LE') return;
  throw new KithError(
    'failed',
    `kith runs on little-endian machines only, and this one (${os.arch()}) is big-endian. Nothing was changed; take another computer.`,
  );
}
