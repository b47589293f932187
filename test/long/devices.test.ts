import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { Circle, Member } from '../cli/circle.ts';
import { exitErrorOf, jsonLines, summaryOf } from '../cli/harness.ts';
import { poll } from '../support/poll.ts';
import { atEnd } from '../support/at-end.ts';

interface DeviceJson {
  readonly id: string;
  readonly name: string;
  readonly this: boolean;
  readonly online: boolean;
  readonly revoked: string | null;
}

const flags = ['--no-dht'];

test('a second computer: linked, at home with friends who did nothing, and revoked', async (t) => {
  const circle = await Circle.start(t, ['ann'], { flags });
  const { owner } = circle;
  const ann = circle.friend('ann');
  await mkdir(owner.path('files'));
  await writeFile(owner.path('files', 'letter.txt'), 'Dear friend');
  await owner.ok(['backup', owner.path('files'), '--spread', '1/1']);

  const laptop = new Member('laptop', join(circle.folder, 'laptop'));
  atEnd(t, () => laptop.kill());
  await mkdir(laptop.folder);
  let link: string | undefined;
  const linking = owner.kith(
    ['device', 'link', '--phrase-file', 'phrase.txt', '--listen', '127.0.0.1:0', '--yes', '--json'],
    { onStdout: (text) => (link ??= /"link":"(kith:link:[a-z2-7]+)"/.exec(text)?.[1]) },
  );
  await poll('the link', async () => link !== undefined);
  const joined = await laptop.ok(['device', 'join', link ?? '', '--name', 'laptop', '--json']);
  assert.equal(summaryOf(joined)['snapshots'], 1);
  const linked = await linking;
  assert.equal(linked.code, 0, linked.stderr);
  const shown = (text: string): unknown =>
    jsonLines(text).find((line) => line['words'] !== undefined)?.['words'];
  assert.equal(shown(joined.stdout), shown(linked.stdout));

  await laptop.up(flags);
  await laptop.sees('ann');
  const listed = async (): Promise<DeviceJson[]> => await owner.json<DeviceJson[]>(['device', 'list']);
  await poll('both computers', async () =>
    (await listed()).some((device) => device.name === 'laptop' && device.online && !device.this),
  );
  assert.equal((await ann.friendSeen('you')).devices.length, 2, 'one friend with two computers');
  await laptop.ok(['restore', 'latest', '--target', laptop.path('back')]);
  await writeFile(owner.path('files', 'second.txt'), 'from the laptop');
  await laptop.ok(['backup', owner.path('files'), '--spread', '1/1']);
  await poll('the laptop’s snapshot', async () => (await (await owner.remote()).snapshots()).length === 2);

  const revoked = await owner.json<{ told: string[] }>([
    'device',
    'revoke',
    'laptop',
    '--phrase-file',
    'phrase.txt',
  ]);
  assert.deepEqual(revoked.told, ['ann']);
  assert.ok((await listed()).some(({ name, revoked: when }) => name === 'laptop' && when !== null));
  await poll('ann knows', async () => (await ann.friendSeen('you')).devices.length === 1);
  await poll('the laptop says so', async () => (await laptop.kith(['status'])).code === 1);
  const says = await laptop.kith(['status', '--json']);
  assert.equal(exitErrorOf(says)['error'], 'device-revoked');
  const late = await laptop.kith(['backup', owner.path('files'), '--spread', '1/1', '--json']);
  assert.equal(late.code, 1);
  assert.match(String(exitErrorOf(late)['message']), /this computer was revoked/);
  await owner.ok(['backup', owner.path('files'), '--spread', '1/1']);
  await owner.ok(['restore', 'latest', '--target', owner.path('back')]);
});
