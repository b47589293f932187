/** Inputs up to this size are simply tried: the probe would cost a good part of the compression. */
const probeAboveBytes = 64 * 1024;

const sliceBytes = 4096;

/**
 * Bits a byte above which a slice counts as random. 4 KiB of random bytes measure 7.95 (a sample never shows the full 8);
 * at 7.8 Huffman coding alone could save 2 %, which isn't worth keeping.
 */
const randomBits = 7.8;

/** Shannon's entropy of the byte values, in bits a byte. */
export function byteEntropy(bytes: Uint8Array): number {
  const counts = new Uint32Array(256);
  for (const byte of bytes) counts[byte] = (counts[byte] as number) + 1;
  let bits = 0;
  for (const count of counts) if (count > 0) bits -= count * Math.log2(count / bytes.length);
  return bytes.length === 0 ? 0 : bits / bytes.length;
}

/**
 * True if bytes are not worth trying to compress: three slices, early, in the middle and late, all look random. Photos, video and
 * archives do, and cost microseconds then. Random bytes that come twice are missed: the chunker's dedup is for those.
 */
export function looksIncompressible(bytes: Uint8Array): boolean {
  if (bytes.length <= probeAboveBytes) return false;
  for (const sixth of [1, 3, 5]) {
    const at = Math.floor((bytes.length * sixth) / 6) - sliceBytes / 2;
    if (byteEntropy(bytes.subarray(at, at + sliceBytes)) < randomBits) return false;
  }
  return true;
}
