import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fromHex, toHex } from '../../lib/base/bytes.ts';

/** With KITH_GOLDEN=write, vectors that don't stand in their file yet are added to it; none is ever changed. */
const writing = process.env['KITH_GOLDEN'] === 'write';

function goldenFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'test', 'golden')) || !existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error('no test/golden above the compiled tests');
    folder = parent;
  }
  return join(folder, 'test', 'golden');
}

/** All vectors of a file in test/golden: name → hex. */
export function goldenVectors(fileName: string): Record<string, string> {
  const path = join(goldenFolder(), fileName);
  if (!existsSync(path)) return {};
  return JSON.parse(readFileSync(path, 'utf8')) as Record<string, string>;
}

/**
 * The stored bytes of one vector. `make` gives the bytes to add where there is none yet and KITH_GOLDEN=write;
 * without that a missing vector is a failure. Regenerate from the checkout: KITH_GOLDEN=write npm test.
 */
export function goldenBytes(fileName: string, name: string, make: () => Uint8Array): Uint8Array {
  const vectors = goldenVectors(fileName);
  const stored = vectors[name];
  if (stored !== undefined) {
    const bytes = fromHex(stored);
    assert.ok(bytes !== undefined, `${fileName}: ${name} is not hex`);
    return bytes;
  }
  assert.ok(writing, `${fileName} has no vector "${name}"; run the tests with KITH_GOLDEN=write to add it`);
  const bytes = make();
  const folder = goldenFolder();
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, fileName), JSON.stringify({ ...vectors, [name]: toHex(bytes) }, null, 2) + '\n');
  return bytes;
}

/**
 * Checks one vector: what is stored decodes, encodes to the very same bytes, and, where writing is deterministic,
 * is what `make` gives today.
 */
export function checkGolden<T>(
  fileName: string,
  name: string,
  make: () => Uint8Array,
  decode: (bytes: Uint8Array) => T,
  encode: (value: T) => Uint8Array,
  options: { readonly deterministic?: boolean } = {},
): T {
  const bytes = goldenBytes(fileName, name, make);
  const value = decode(bytes);
  assert.equal(toHex(encode(value)), toHex(bytes), `${name} encodes differently now`);
  if (options.deterministic !== false)
    assert.equal(toHex(make()), toHex(bytes), `${name} is made differently now`);
  return value;
}
