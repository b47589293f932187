import { freeBytes } from '../../base/free-bytes.ts';

/** What a secret stream puts before and after the bytes of a message. */
export const sealHeadBytes = 1;
export const sealTailBytes = 16;

/** The channel, the kind and what else may come before the bytes that are looked at: less than another sealed message would take. */
const frontBytesMax = 16;

/**
 * Frees the memory of a message of a secret stream by a view of its end, if the stream made it for that message alone. For a large message
 * that was copied from.
 */
export function freeMessage(bytes: Uint8Array): void {
  const isLast = bytes.byteOffset + bytes.length + sealTailBytes === bytes.buffer.byteLength;
  if (isLast && bytes.byteOffset <= sealHeadBytes + frontBytesMax) freeBytes(bytes);
}
