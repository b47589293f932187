import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atEnd } from '../support/at-end.ts';

test('what is to be done when a test ends is done last first, all of it, and the first error is told', async () => {
  const done: string[] = [];
  const hooks: (() => Promise<void>)[] = [];
  const context = { after: (work: () => Promise<void>): void => void hooks.push(work) };
  atEnd(context, () => void done.push('folder'));
  atEnd(context, () => Promise.reject(new Error('second')));
  atEnd(context, async () => {
    await Promise.resolve();
    done.push('server');
    throw new Error('first');
  });
  assert.equal(hooks.length, 1);
  await assert.rejects(async () => await hooks[0]?.(), { message: 'first' });
  assert.deepEqual(done, ['server', 'folder']);
});
