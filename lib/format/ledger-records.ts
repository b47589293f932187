import { ByteReader, ByteWriter } from '../base/codec.ts';
import { rowCountMax } from '../base/limits.ts';
import { readId, readList, writeBlob, writeId, writeList } from './fields.ts';

/**
 * Bodies of the ledger's records about where packs are (docs/formats/log.md); prune's are in prune-records.ts.
 * Decoders give views into what openLogRecord returned; they throw KithError `malformed`.
 */

/** Bytes of a manifest inside a record: 64 roots of 32 bytes and room for extensions. */
export const manifestBytesMax = 65536;

/** A shard and who is thought to keep it: a hint, the holder's own inventory is the truth. */
export interface Placement {
  readonly shardIndex: number;
  readonly holderId: Uint8Array;
}

function writePlacements(writer: ByteWriter, placements: readonly Placement[]): void {
  writeList(writer, placements, rowCountMax, 'placements of a pack', ({ shardIndex, holderId }) => {
    writeShardIndex(writer, shardIndex);
    writeId(writer, holderId);
  });
}

function writeShardIndex(writer: ByteWriter, shardIndex: number): void {
  if (!Number.isInteger(shardIndex) || shardIndex < 0 || shardIndex >= rowCountMax) {
    throw new RangeError(`no shard has the index ${shardIndex}`);
  }
  writer.u8(shardIndex);
}

function readPlacements(reader: ByteReader): Placement[] {
  return readList(reader, rowCountMax, 33, () => {
    const shardIndex = reader.u8();
    if (shardIndex >= rowCountMax) throw reader.fail(`no shard has the index ${shardIndex}`);
    return { shardIndex, holderId: readId(reader) };
  });
}

/** A pack and its shards, once enough of them are kept. */
export interface PackRecord {
  /** An encoded manifest (pack.md), to be verified by itself. */
  readonly manifest: Uint8Array;
  readonly placements: readonly Placement[];
}

export function encodePackRecord(record: PackRecord): Uint8Array {
  const writer = new ByteWriter();
  writeBlob(writer, record.manifest, manifestBytesMax, 'manifest');
  writePlacements(writer, record.placements);
  return writer.finish();
}

export function decodePackRecord(bytes: Uint8Array): PackRecord {
  const reader = new ByteReader(bytes, 'record "pack"');
  const record = { manifest: reader.blob(manifestBytesMax), placements: readPlacements(reader) };
  reader.end();
  return record;
}

/** New hints for some shards of a pack; they replace what was known of these indices. */
export interface PlacementRecord {
  readonly packId: Uint8Array;
  readonly placements: readonly Placement[];
  readonly atNs: bigint;
}

export function encodePlacementRecord(record: PlacementRecord): Uint8Array {
  const writer = new ByteWriter();
  writeId(writer, record.packId);
  writePlacements(writer, record.placements);
  return writer.i64(record.atNs).finish();
}

export function decodePlacementRecord(bytes: Uint8Array): PlacementRecord {
  const reader = new ByteReader(bytes, 'record "placement"');
  const record = { packId: readId(reader), placements: readPlacements(reader), atNs: reader.i64() };
  reader.end();
  return record;
}
