import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { initVault, openVault } from '../../lib/vault/index.ts';
import { tempFolder } from '../support/temp-folder.ts';

test('the phrase is handed out before there is a vault, and is the one that is returned', async (t) => {
  const home = join(await tempFolder(t), 'home');
  const told: string[] = [];
  const made = await initVault({
    home,
    onPhrase: async ({ phrase }) => {
      assert.ok(!existsSync(join(home, 'keystore')), 'a death now leaves no vault');
      told.push(phrase);
    },
  });
  assert.deepEqual(told, [made.phrase]);
  const vault = await openVault({ home });
  assert.equal(vault.id, made.id);
  await vault.close();
});

test('where the phrase could not be shown, nothing is made', async (t) => {
  const home = join(await tempFolder(t), 'home');
  const failing = initVault({ home, onPhrase: () => Promise.reject(new Error('the printer is on fire')) });
  await assert.rejects(failing, /on fire/);
  await assert.rejects(openVault({ home }), { code: 'vault-missing' });
  const again = await initVault({ home });
  const vault = await openVault({ home });
  assert.equal(vault.id, again.id);
  await vault.close();
});
