import assert from 'node:assert/strict';
import os from 'node:os';
import { test } from 'node:test';
import type { KithError } from '../../lib/base/errors.ts';
import { compiledKernels, threadKernels } from '../../lib/kernels/process-kernels.ts';
import { systemSurroundings } from '../../lib/vault/session-parts.ts';

test('a big-endian machine is refused before anything is cut or coded', (t) => {
  const isRefused = (error: KithError): boolean =>
    error.code === 'failed' && error.message.includes('little-endian');
  t.mock.method(os, 'endianness', () => 'BE');
  assert.throws(() => compiledKernels(), isRefused);
  assert.throws(() => threadKernels(), isRefused);
  assert.throws(() => systemSurroundings.coder, isRefused);
});
