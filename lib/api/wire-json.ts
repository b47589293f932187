import { KithError, messageOf } from '../base/errors.ts';

/** Lists in lists and objects in objects at most. */
const depthMax = 64;

const bigintTag = '$bigint';
const bytesTag = '$bytes';
/** Around an object of which a key begins like a tag. */
const objectTag = '$object';

/** Digits of a bigint at most: all of ours are times and counts. */
const bigintDigits = /^-?\d{1,40}$/;
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/**
 * JSON of a value made of null, booleans, finite numbers, strings, bigints, byte arrays, lists and plain objects, on one line.
 * Fields that are undefined are left out. KithError `internal` for anything else, or too deep.
 */
export function encodeWire(value: unknown): string {
  return JSON.stringify(toPlain(value, 0));
}

function toPlain(value: unknown, depth: number): unknown {
  if (depth > depthMax) throw new KithError('internal', 'a value is nested too deeply to be sent');
  switch (typeof value) {
    case 'boolean':
    case 'string':
      return value;
    case 'number':
      if (Number.isFinite(value)) return value;
      throw new KithError('internal', `${value} can't be sent`);
    case 'undefined':
      return null;
    case 'bigint':
      return { [bigintTag]: value.toString() };
    case 'object':
      break;
    default:
      throw new KithError('internal', `a ${typeof value} can't be sent`);
  }
  if (value === null) return null;
  if (value instanceof Uint8Array) return { [bytesTag]: Buffer.from(value).toString('base64') };
  if (Array.isArray(value)) return value.map((item: unknown) => toPlain(item, depth + 1));
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  const plain = Object.fromEntries(fields.map(([key, field]) => [key, toPlain(field, depth + 1)]));
  return fields.some(([key]) => key.startsWith('$')) ? { [objectTag]: plain } : plain;
}

/** The value of such a JSON text. KithError `malformed` for anything that encodeWire doesn't write. */
export function decodeWire(text: string): unknown {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new KithError('malformed', `not JSON: ${messageOf(cause)}`, { cause });
  }
  return fromPlain(parsed, 0);
}

function fromPlain(value: unknown, depth: number): unknown {
  if (depth > depthMax) throw new KithError('malformed', 'nested too deeply');
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map((item: unknown) => fromPlain(item, depth + 1));
  const fields = Object.entries(value);
  const [first] = fields;
  if (first === undefined || !fields.some(([key]) => key.startsWith('$'))) return fieldsOf(fields, depth);
  if (fields.length !== 1) throw new KithError('malformed', `an object has the key "${first[0]}"`);
  const [tag, inner] = first as [string, unknown];
  if (tag === bigintTag && typeof inner === 'string' && bigintDigits.test(inner)) return BigInt(inner);
  if (tag === bytesTag && typeof inner === 'string' && base64.test(inner)) {
    return new Uint8Array(Buffer.from(inner, 'base64'));
  }
  if (tag === objectTag && inner !== null && typeof inner === 'object' && !Array.isArray(inner)) {
    return fieldsOf(Object.entries(inner), depth);
  }
  throw new KithError('malformed', `what is under "${tag}" is not what it should be`);
}

function fieldsOf(fields: readonly (readonly [string, unknown])[], depth: number): Record<string, unknown> {
  // fromEntries makes own fields even of `__proto__`.
  return Object.fromEntries(fields.map(([key, field]) => [key, fromPlain(field, depth + 1)]));
}
