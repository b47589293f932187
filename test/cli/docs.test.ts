import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { allCommands } from '../../cli/commands/index.ts';
import { errorCodes } from '../../lib/base/errors.ts';

function docPage(name: string): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'docs', name)) && dirname(folder) !== folder) folder = dirname(folder);
  return readFileSync(join(folder, 'docs', name), 'utf8');
}

describe('pages that must keep up with the code', () => {
  it('docs/errors.md has every error code with its exit status and retry, and no other', () => {
    const rows = [...docPage('errors.md').matchAll(/^\| `([a-z-]+)` +\| (\d+) +\| (\w+) +\|/gm)];
    const inDocs = rows.map(([, code, exit, retry]) => [code, { exit: Number(exit), retry }]);
    assert.deepEqual(Object.fromEntries(inDocs), errorCodes);
  });

  it('docs/guide/cli.md has every command and every option', () => {
    const page = docPage('guide/cli.md');
    for (const command of allCommands) {
      assert.ok(page.includes(`\`${command.name}`), command.name);
      for (const option of Object.keys(command.options)) {
        assert.ok(page.includes(`--${option}`), `${command.name} --${option}`);
      }
    }
  });
});
