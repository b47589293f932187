import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { utf8 } from '../../lib/base/bytes.ts';
import { systemCode } from '../../lib/base/errors.ts';
import { FolderChain, handlesWork } from '../../lib/source/folder-chain.ts';
import { removeTree } from '../../lib/source/remove-tree.ts';
import { tempFolder } from '../support/temp-folder.ts';

const name = utf8('d');

function openHandles(): number {
  return readdirSync('/proc/self/fd').length;
}

for (const useHandles of handlesWork ? [true, false] : [false]) {
  void describe(`a chain of folders, ${useHandles ? 'by handle' : 'by path'}`, () => {
    void it('enters folders only, and no symlink to one', async (t) => {
      const base = await tempFolder(t);
      mkdirSync(join(base, 'd/d'), { recursive: true });
      symlinkSync('d', join(base, 'link'));
      writeFileSync(join(base, 'file'), '');
      const chain = new FolderChain(utf8(base), useHandles);
      for (const other of ['link', 'file', 'none']) {
        assert.throws(
          () => chain.enter(utf8(other)),
          (error) => ['ENOTDIR', 'ELOOP', 'ENOENT'].includes(systemCode(error) ?? ''),
          other,
        );
      }
      chain.enter(name);
      assert.deepEqual(readdirSync(chain.folder.self()), ['d']);
      assert.equal(chain.depth, 1);
      chain.leave();
      assert.throws(() => chain.leave(), { code: 'internal' });
      chain.close();
      assert.throws(() => chain.folder, { code: 'internal' });
    });

    void it('removes a tree with its links, and nothing behind them', async (t) => {
      const base = await tempFolder(t);
      mkdirSync(join(base, 'd/d/d'), { recursive: true });
      writeFileSync(join(base, 'precious'), '');
      symlinkSync(base, join(base, 'd/d/up'));
      symlinkSync(join(base, 'precious'), join(base, 'd/to file'));
      const chain = new FolderChain(utf8(base), useHandles);
      assert.equal(removeTree(chain, name, { dryRun: true }), 5);
      assert.ok(existsSync(join(base, 'd/d/d')));
      assert.equal(removeTree(chain, name), 5);
      chain.close();
      assert.deepEqual(readdirSync(base), ['precious']);
    });
  });
}

void describe('handles of a chain', () => {
  void it('are bounded however deep it goes, and all closed at the end', async (t) => {
    if (!handlesWork) return t.skip('only Linux has /proc/self/fd');
    const base = await tempFolder(t);
    const before = openHandles();
    const chain = new FolderChain(utf8(base));
    for (let i = 0; i < 200; i++) {
      mkdirSync(chain.folder.at(name));
      chain.enter(name);
      assert.ok(openHandles() - before < 70);
    }
    while (chain.depth > 0) chain.leave();
    assert.deepEqual(readdirSync(chain.folder.self()), ['d']);
    chain.close();
    assert.equal(openHandles(), before);
  });

  void it('are not found again in a folder that was moved elsewhere', async (t) => {
    if (!handlesWork) return t.skip('only Linux has /proc/self/fd');
    const base = await tempFolder(t);
    const chain = new FolderChain(utf8(base));
    for (let i = 0; i < 100; i++) {
      mkdirSync(chain.folder.at(name));
      chain.enter(name);
    }
    // The second folder now lies in another than the one whose handle was given up.
    mkdirSync(join(base, 'elsewhere'));
    renameSync(join(base, 'd/d'), join(base, 'elsewhere/d'));
    assert.throws(
      () => {
        while (chain.depth > 0) chain.leave();
      },
      { code: 'failed' },
    );
    chain.close();
  });
});
