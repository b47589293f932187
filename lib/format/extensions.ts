import type { ByteReader, ByteWriter } from '../base/codec.ts';
import { KithError } from '../base/errors.ts';

/** One optional field behind the fixed part of a record (docs/formats/README.md). */
export interface Extension {
  /** 0–255; from 128 on a reader that doesn't know it must stop. */
  readonly tag: number;
  readonly bytes: Uint8Array;
}

/** Records have a handful of optional fields; more is hostile. */
export const extensionCountMax = 64;

/** Bytes of one field: the longest is an entry's extended attributes. */
export const extensionBytesMax: number = 1024 * 1024;

/** The first tag that a reader may not skip. */
const mandatoryTagMin = 128;

/** Writes fields, which must ascend strictly by tag. RangeError where the caller breaks a limit. */
export function writeExtensions(writer: ByteWriter, fields: readonly Extension[]): void {
  if (fields.length > extensionCountMax) throw new RangeError(`${fields.length} extensions are too many`);
  writer.varint(fields.length);
  let last = -1;
  for (const { tag, bytes } of fields) {
    if (tag <= last || tag > 255) throw new RangeError(`extension tag ${tag} after ${last}`);
    if (bytes.length > extensionBytesMax) throw new RangeError(`extension ${tag} has ${bytes.length} bytes`);
    last = tag;
    writer.u8(tag).blob(bytes);
  }
}

/**
 * Reads fields and keeps those with unknown skippable tags too, so that encoding again gives the same bytes.
 * Bytes are views into the reader's input. KithError `too-new` for a tag from 128 on that isn't in `known`.
 */
export function readExtensions(reader: ByteReader, known: ReadonlySet<number>): Extension[] {
  const count = reader.count(extensionCountMax, 2);
  const fields: Extension[] = [];
  let last = -1;
  for (let i = 0; i < count; i++) {
    const tag = reader.u8();
    if (tag <= last) throw reader.fail(`extension ${tag} stands after ${last}`);
    if (tag >= mandatoryTagMin && !known.has(tag)) {
      throw new KithError(
        'too-new',
        `a record has a field (${tag}) that this kith doesn't know. Update kith.`,
      );
    }
    last = tag;
    fields.push({ tag, bytes: reader.blob(extensionBytesMax) });
  }
  return fields;
}

/** The bytes of the field with this tag, or undefined. */
export function extensionOf(fields: readonly Extension[], tag: number): Uint8Array | undefined {
  return fields.find((field) => field.tag === tag)?.bytes;
}

/** The fields with the one of this tag set to other bytes, or left out for undefined. Shares the others. */
export function withExtension(
  fields: readonly Extension[],
  tag: number,
  bytes: Uint8Array | undefined,
): Extension[] {
  const others = fields.filter((field) => field.tag !== tag);
  if (bytes === undefined) return others;
  return [...others, { tag, bytes }].sort((a, b) => a.tag - b.tag);
}
