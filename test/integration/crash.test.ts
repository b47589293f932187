import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKithError } from '../../lib/base/errors.ts';
import { CrashMachine, CrashWorld } from '../support/crash-machine.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { tempFolder } from '../support/temp-folder.ts';

// All operations, cut at every step that is counted, are in test/long/crash.test.ts.

void test('two inits at once make one vault', async (t) => {
  const machine = new CrashMachine(new CrashWorld(await tempFolder(t), 1), new FaultDisk(), []);
  const results = await Promise.allSettled([machine.init(), machine.init()]);
  const failures = results.filter((result) => result.status === 'rejected');
  assert.equal(failures.length, 1);
  assert.ok(isKithError(failures[0]?.reason, 'locked', 'vault-exists'));
  assert.equal(await machine.use((vault) => Promise.resolve(vault.name)), 'tester');
});
