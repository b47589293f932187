import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Circle } from '../cli/circle.ts';
import { poll } from '../support/poll.ts';
import { installExample } from '../support/plugin-home.ts';

void describe('a plug-in in a running daemon', () => {
  void it('is named in kith.toml, granted by a command, and reaches a friend', async (t) => {
    const circle = await Circle.make(t, ['ben']);
    const ben = circle.friend('ben');
    for (const member of [circle.owner, ben]) {
      await installExample(member.home, 'kith-guestbook');
      await writeFile(join(member.home, 'kith.toml'), 'plugins = ["kith-guestbook"]\n');
      await member.up(['--no-dht']);
    }
    await circle.befriend(ben);
    await circle.online(ben);
    await ben.ok(['friend', 'set', 'you', '--allow', 'guestbook/notes']);
    const unknown = await ben.ok(['friend', 'set', 'you', '--allow', 'guestbok'], { code: 2 });
    assert.match(unknown.stderr, /no service "guestbok" to allow/);
    const config = await ben.ok(['config', 'set', 'plugins', 'other'], { code: 2 });
    assert.match(config.stderr, /only be set in kith\.toml/);
    // A note is left when a friend comes online.
    await circle.owner.restart(['--no-dht']);
    await circle.online(ben);
    const path = join(ben.home, 'plugins', 'data', 'kith-guestbook', 'notes.jsonl');
    const text = await poll('the note', () => readFile(path, 'utf8').catch(() => undefined));
    assert.match(text, /you was here/);
    const log = await circle.owner.ok(['log']);
    assert.match(log.stdout, /plug-in kith-guestbook 2\.1\.0 runs: guestbook\/notes/);
    assert.match(log.stdout, /left a note/);
  });
});
