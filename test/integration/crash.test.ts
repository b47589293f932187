import { test } from 'node:test';
import { checkWorksAgain } from '../support/crash-checks.ts';
import { CrashMachine, CrashWorld } from '../support/crash-machine.ts';
import { secondTree, writeSource } from '../support/crash-source.ts';
import { sweep } from '../support/crash-sweep.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { tempFolder } from '../support/temp-folder.ts';

void test('try', async (t) => {
  const world = new CrashWorld(await tempFolder(t), 1);
  const drives = ['/drives/a', '/drives/b', '/drives/c', '/drives/d'];
  let base = new CrashMachine(world, new FaultDisk(), drives);
  await writeSource(world.source, world.tree);
  await base.init();
  await base.addDrives();
  await base.backup();
  base.checkProblems();
  world.tree = secondTree;
  await writeSource(world.source, world.tree);
  base = base.restarted();
  let t0 = performance.now();
  const one = base.restarted();
  const s0 = one.disk.steps;
  console.log(await one.backup());
  console.log(one.disk.trace.slice(s0).join('\n'));
  console.log('backup ms', performance.now() - t0);
  t0 = performance.now();
  await checkWorksAgain(one);
  console.log('check ms', performance.now() - t0);
  one.checkProblems();
  const n = await sweep(base, {
    name: 'backup',
    cut: (machine) => machine.backup(),
    after: async (machine) => {
      await machine.checkSnapshots();
      await checkWorksAgain(machine);
      machine.checkProblems();
    },
  }, { mode: 'lose-unsynced' });
  t.diagnostic(`N ${n}`);
});
