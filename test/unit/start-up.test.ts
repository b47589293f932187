import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

/** Files of the build that a file loads before it runs, itself included, and the packages among what they import. */
function loadedWith(entry: URL): { files: Set<string>; packages: Set<string> } {
  const files = new Set<string>();
  const packages = new Set<string>();
  const open = [entry];
  for (let url = open.pop(); url !== undefined; url = open.pop()) {
    if (files.has(url.pathname)) continue;
    files.add(url.pathname);
    const text = readFileSync(url, 'utf8');
    for (const [, name = ''] of text.matchAll(/^(?:import|export)\b[^;]*?from '([^']+)'/gm)) {
      if (name.startsWith('.')) open.push(new URL(name, url));
      else packages.add(name);
    }
  }
  return { files, packages };
}

describe('a command that works with drives alone', () => {
  const entries = [
    '../../cli/main.js',
    '../../cli/parse.js',
    '../../cli/commands/backup.js',
    '../../lib/daemon/open-home.js',
    '../../lib/vault/backup/backup.js',
    '../../lib/vault/restore/restore.js',
  ];
  it('waits for no network code, and for no other command', () => {
    for (const entry of entries) {
      const { files, packages } = loadedWith(new URL(entry, import.meta.url));
      const idle = [...files].filter((file) => /\/lib\/(?:net|services|api)\//.test(file));
      assert.deepEqual(idle, [], entry);
      for (const name of [
        'hyperdht',
        'hyperswarm',
        'protomux',
        'noise-handshake',
        '@scure/bip39',
        'smol-toml',
      ]) {
        assert.ok(!packages.has(name), `${entry} loads ${name}`);
      }
    }
    const { files } = loadedWith(new URL('../../cli/parse.js', import.meta.url));
    assert.deepEqual(
      [...files].filter((file) => file.includes('/cli/commands/')),
      [],
    );
  });

  it('would be caught if it did', () => {
    const { files, packages } = loadedWith(new URL('../../lib/daemon/peer-node.js', import.meta.url));
    assert.ok([...files].some((file) => file.includes('/lib/net/')));
    assert.ok(packages.has('protomux'));
  });
});
