import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { isKithError } from '../../lib/base/errors.ts';
import { Daemon } from '../../lib/daemon/daemon.ts';
import type { OpenHome, PeerNode } from '../../lib/daemon/home-port.ts';
import { initVault, noNetwork, openVault, systemSurroundings } from '../../lib/vault/index.ts';
import { tempFolder } from '../support/temp-folder.ts';

/** A node without anybody. */
const alone: Omit<PeerNode, 'id'> = {
  network: noNetwork,
  listening: null,
  start: () => Promise.resolve(),
  exchangeWith: () => Promise.resolve(),
  close: () => Promise.resolve(),
};

const openAlone: OpenHome = async ({ home, onProblem }) => {
  const vault = await openVault({ home, onProblem, network: noNetwork });
  return { vault, node: { ...alone, id: vault.id } };
};

/** Every file with its bytes and when it was changed, folders by name. */
async function everything(folder: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    const { mtimeMs, ctimeMs, ino } = await stat(path);
    const bytes = entry.isFile() ? (await readFile(path)).toString('base64') : '';
    found.set(path, `${ino} ${mtimeMs} ${ctimeMs} ${bytes}`);
  }
  return found;
}

/** What another process gets that opens the home, writes to it if it can, and leaves. */
async function anotherProcess(home: string): Promise<string> {
  const index = new URL('../../lib/vault/index.js', import.meta.url).href;
  const script = `
    const { openVault } = await import(${JSON.stringify(index)});
    try {
      const vault = await openVault({ home: ${JSON.stringify(home)} });
      await vault.configSet('trash.keep', '9d');
      await vault.close();
      console.log('opened');
    } catch (error) {
      console.log(error.code, error.exitCode, error.details.pid);
    }`;
  return await new Promise((resolve, reject) => {
    execFile(process.execPath, ['--input-type=module', '-e', script], (error, stdout, stderr) => {
      if (error === null && stderr === '') resolve(stdout.trim());
      else reject(error ?? new Error(stderr));
    });
  });
}

describe('a home that a daemon has', { skip: process.platform === 'win32' }, () => {
  it('is locked to every other process, and nothing in it changes', async (t) => {
    const home = join(await tempFolder(t), 'home');
    await initVault({ home, name: 'tester', surroundings: systemSurroundings });
    const daemon = await Daemon.start({
      home,
      passphrase: undefined,
      network: { listen: undefined, bootstrap: [], publicDht: false, dht: false, direct: true },
      version: '1.2.3',
      openHome: openAlone,
      signal: new AbortController().signal,
    });
    let before: Map<string, string>;
    try {
      before = await everything(home);
      assert.ok(before.size > 5);
      assert.equal(await anotherProcess(home), `locked 11 ${process.pid}`);
      await assert.rejects(openVault({ home }), (error) => isKithError(error, 'locked'));
      await assert.rejects(initVault({ home, name: 'other', surroundings: systemSurroundings }), (error) =>
        isKithError(error, 'locked', 'vault-exists'),
      );
      assert.deepEqual(await everything(home), before);
      assert.equal(await anotherProcess(home), `locked 11 ${process.pid}`, 'it is still locked after that');
    } finally {
      await daemon.close('end of the test');
      daemon.release();
    }
    assert.equal(await anotherProcess(home), 'opened', 'and free when the daemon has ended');
  });
});
