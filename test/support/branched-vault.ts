import assert from 'node:assert/strict';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { keepHome, putBack, tagsOf } from './put-back-home.ts';
import { PartlyFullDisk } from './vault-fixture-disk.ts';
import { VaultFixture } from './vault-fixture.ts';

export async function settingOf(fixture: VaultFixture, key: string): Promise<string | undefined> {
  return await fixture.use(async (vault) => (await vault.configGet(key)).at(0)?.value);
}

/**
 * A home and its drives that went two ways. The function joins the branches in a copy of them, whose power is cut at the
 * given write (from 1 on) of the home, looks that nothing is lost, and says whether there was such a write.
 */
export async function branchedVault(t: TestContext): Promise<(cut: number) => Promise<boolean>> {
  const faulty = new PartlyFullDisk();
  const fixture = await VaultFixture.create(t, { drives: 2, spread: { k: 1, n: 2 }, disk: faulty.disk });
  await fixture.backup({ tags: ['before'] });
  await keepHome(fixture);
  await fixture.write('two', '2');
  await fixture.backup({ tags: ['on the drives'] });
  await putBack(fixture);
  await fixture.unplug(0, 1);
  await fixture.use((vault) => vault.configSet('trash.keep', '9d'));
  await fixture.plugIn(0, 1);
  // Every cut begins with the same home and the same drives.
  const branched = [fixture.home, fixture.drive(0), fixture.drive(1)];
  const copy = { recursive: true, preserveTimestamps: true };
  for (const folder of branched) await cp(folder, `${folder}.branched`, copy);
  const { onWrite } = faulty;
  return async (cut) => {
    const told = `cut at ${cut}`;
    for (const folder of [...branched, join(fixture.root, 'bare')]) {
      await rm(folder, { recursive: true, force: true });
    }
    for (const folder of branched) await cp(`${folder}.branched`, folder, copy);
    let count = 0;
    let died = false;
    faulty.onWrite = (path) => {
      if (!path.startsWith(join(fixture.home, 'tmp')) || ++count < cut) return;
      died = true;
      throw new Error('power cut');
    };
    await fixture
      .repair()
      .catch((error: unknown) => assert.ok(error instanceof Error && error.message === 'power cut'));
    faulty.onWrite = onWrite;
    await fixture.repair();
    assert.deepEqual(await tagsOf(fixture), ['before', 'on the drives'], told);
    await rm(fixture.home, { recursive: true });
    await fixture.recover('bare', [1]);
    await fixture.inHome('bare', async () => {
      assert.deepEqual(await tagsOf(fixture), ['before', 'on the drives'], told);
      assert.equal(await settingOf(fixture, 'trash.keep'), '9d', told);
    });
    return died;
  };
}
