import assert from 'node:assert/strict';

/** What a field of JSON output may be; `?` says or null. */
export type FieldType =
  'string' | 'string?' | 'number' | 'number?' | 'boolean' | 'strings' | 'list' | 'hex64' | 'hex64?' | 'time?';

function isType(value: unknown, type: FieldType): boolean {
  if (type.endsWith('?')) return value === null || isType(value, type.slice(0, -1) as FieldType);
  switch (type) {
    case 'strings':
      return Array.isArray(value) && value.every((each) => typeof each === 'string');
    case 'list':
      return Array.isArray(value);
    case 'hex64':
      return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
    case 'number':
      return typeof value === 'number' && Number.isFinite(value);
    default:
      return type.startsWith('time')
        ? typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(value)
        : typeof value === type;
  }
}

/** Fails unless every field is there and of its type. Further fields are welcome. */
export function assertShape(
  value: Readonly<Record<string, unknown>>,
  shape: Readonly<Record<string, FieldType>>,
): void {
  for (const [field, type] of Object.entries(shape)) {
    assert.ok(
      field in value && isType(value[field], type),
      `${field} is ${JSON.stringify(value[field])}, not ${type}`,
    );
  }
}
