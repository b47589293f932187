import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { writeSecretFile } from '../../cli/invite-files.ts';
import { readInvite } from '../../cli/invite-input.ts';
import { invitePage } from '../../cli/invite-page.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { encodeInviteText } from '../../lib/format/invite-text.ts';
import { encodeInvite } from '../../lib/format/invite.ts';
import { SamplePerson } from '../support/sample-card.ts';
import { inviteDay, sampleInvite } from '../support/sample-invite.ts';
import { tempFolder } from '../support/temp-folder.ts';

const text = encodeInviteText(encodeInvite(sampleInvite(new SamplePerson('Ada'))));
const facts = { text, expiresMs: inviteDay, quotaBytes: 50e9, inviter: 'Ada' };

/** What an element of the page holds. */
function inside(page: string, tag: string): string {
  const match = new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`).exec(page);
  assert.ok(match?.[1] !== undefined, tag);
  return match[1];
}

test('the page of an invite says who, how and for how long, with the code once to copy and once as a picture', () => {
  const page = invitePage(facts);
  assert.match(page, /<h1>Ada invites you to kith<\/h1>/);
  assert.ok(page.includes(`>${text}</textarea>`));
  assert.equal(page.split(text).length, 2);
  assert.match(page, /once, until 2025-10-09 08:53 UTC/);
  assert.match(page, /50\.0 GB/);
  for (const words of ['Windows', 'macOS', 'Linux', 'kith accept', 'safety words', 'This page is a key'])
    assert.ok(page.includes(words), words);
  assert.match(page, /<svg/);
  // A card of many devices makes a line that no code holds.
  assert.ok(!invitePage({ ...facts, text: `${text}${'a'.repeat(4000)}` }).includes('<svg'));
});

test('the page asks nobody for anything, and runs nothing but its own few lines', () => {
  const page = invitePage(facts);
  const policy = /Content-Security-Policy" content="([^"]*)"/.exec(page)?.[1] ?? '';
  assert.match(policy, /^default-src 'none';/);
  for (const [tag, directive] of [
    ['style', 'style-src'],
    ['script', 'script-src'],
  ] as const) {
    const hash = createHash('sha256').update(inside(page, tag)).digest('base64');
    assert.ok(policy.includes(`${directive} 'sha256-${hash}'`), directive);
  }
  const addresses = [...page.matchAll(/\b(?:https?:|src=|href=|url\(|@import|style=|\son\w+=)\S*/g)].map(
    ([found]) => found,
  );
  assert.deepEqual(
    addresses.filter((found) => !found.startsWith('http://www.w3.org/2000/svg')),
    [],
  );
});

test('a name is never markup', () => {
  const page = invitePage({ ...facts, inviter: `<script>alert("x")</script>&'\u202e\n` });
  assert.equal(page.split('<script>').length, 2, 'the page has its own script only');
  assert.ok(page.includes('&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&amp;&#39;'));
  assert.ok(!page.includes('\u202e'));
});

test('an invite is read from its line, from a file with it, and from its page', async (t) => {
  const folder = await tempFolder(t);
  await mkdir(folder, { recursive: true });
  const [line, page] = [join(folder, 'line'), join(folder, 'page.html')];
  await writeSecretFile(line, `${text}\n`, 'invite');
  await writeSecretFile(page, invitePage(facts), 'page');
  assert.equal((await stat(page)).mode & 0o777, 0o600);
  for (const given of [` ${text}\n`, line, page]) assert.equal(await readInvite(given), text);
  // A card is passed on, for the message that says what it is.
  assert.equal(await readInvite('KITH:CARD:abc'), 'KITH:CARD:abc');
  await assert.rejects(readInvite(join(folder, 'nothing')), (error) => isKithError(error, 'usage'));
});

test('a file that is there already is left as it is', async (t) => {
  const folder = await tempFolder(t);
  await mkdir(folder, { recursive: true });
  const path = join(folder, 'letter');
  await writeFile(path, 'Dear Ben');
  await assert.rejects(writeSecretFile(path, text, 'invite'), /something is there already/);
  assert.equal(await readFile(path, 'utf8'), 'Dear Ben');
});
