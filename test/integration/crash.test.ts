import { test } from 'node:test';
import { countCrashPoints } from '../support/crash-count.ts';

for (const mode of ['lose-unsynced', 'keep-all','mixed','process-killed'] as const)
for (const name of (process.env['SC'] ?? 'backup').split(';'))
void test(`${name}/${mode}`, async (t) => {
  await countCrashPoints(t, name, { mode }, 10);
});
