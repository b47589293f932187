import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { Circle } from '../cli/circle.ts';
import { exitErrorOf, jsonLines, summaryOf } from '../cli/harness.ts';

interface InviteJson {
  readonly invite: string;
  readonly id: string;
  readonly state: string;
  readonly friend: string | null;
  readonly safety_words: string | null;
}

interface AcceptJson {
  readonly state: string;
  readonly name: string;
  readonly via: string | null;
  readonly quota_given: number;
  readonly quota_received: number | null;
  readonly safety_words: string;
}

describe('invites between processes', { skip: process.platform === 'win32' }, () => {
  it('make two people friends who then keep each other’s backups, through kill -9 of either', async (t) => {
    const circle = await Circle.make(t, ['ben', 'cleo']);
    const { owner: anna } = circle;
    const [ben, cleo] = [circle.friend('ben'), circle.friend('cleo')];
    await anna.up(['--no-dht']);
    // Ben takes the page as soon as it is there, and Anna's command waits for that.
    let accepting: Promise<AcceptJson> | undefined;
    const waited = await anna.ok(
      ['invite', '--page', anna.path('page.html'), '--quota', '4GB', '--wait', '--json'],
      {
        onStdout: (stdout) => {
          if (stdout.includes('\n'))
            accepting ??= ben.json<AcceptJson>(['accept', anna.path('page.html'), '--quota', '3GB']);
        },
      },
    );
    const [made, ended] = jsonLines(waited.stdout) as unknown as InviteJson[];
    const accepted = await accepting;
    assert.ok(made !== undefined && ended !== undefined && accepted !== undefined);
    assert.deepEqual(
      [ended.state, ended.friend, accepted.state, accepted.name],
      ['used', 'ben', 'friends', 'you'],
    );
    assert.equal(ended.safety_words, accepted.safety_words);
    assert.deepEqual([accepted.quota_given, accepted.quota_received], [3e9, 4e9]);

    const late = await cleo.ok(['accept', made.invite, '--json'], { code: 1 });
    assert.equal(exitErrorOf(late)['error'], 'invite-used');

    // What was answered is on the disk.
    const { listen = '' } = anna.daemon ?? {};
    await anna.kill();
    await anna.up(['--no-dht'], { listen });
    await ben.up(['--no-dht']);
    await anna.sees('ben');
    await mkdir(ben.path('letters'));
    await writeFile(ben.path('letters/one'), 'Dear Anna');
    assert.equal(summaryOf(await ben.ok(['backup', 'letters', '--json']))['state'], 'complete');
    const words = (await anna.ok(['friend', 'show', 'ben'])).stdout;
    assert.ok(words.includes(accepted.safety_words), words);
  });

  it('reach the inviter over the DHT alone', async (t) => {
    const circle = await Circle.make(t, ['ben']);
    const ben = circle.friend('ben');
    await circle.owner.up(['--no-direct']);
    await ben.up(['--no-direct']);
    const { invite } = await circle.owner.json<InviteJson>(['invite']);
    const accepted = await ben.json<AcceptJson>(['accept', invite]);
    assert.deepEqual([accepted.state, accepted.via], ['friends', 'punched']);
    await circle.owner.sees('ben');
  });

  it('wait for an inviter who is off, also through the end of the command', async (t) => {
    const circle = await Circle.make(t, ['ben']);
    const { owner: anna } = circle;
    const ben = circle.friend('ben');
    const { listen } = await anna.up(['--no-dht']);
    const { invite } = await anna.json<InviteJson>(['invite']);
    await anna.kill();
    await ben.up(['--no-dht']);
    // What `kith accept` does, without its ten seconds of waiting.
    await (await ben.remote()).accept(invite);
    await ben.kill();
    await ben.up(['--no-dht']);
    assert.equal((await ben.friendSeen('you')).invite, 'pending');
    await anna.up(['--no-dht'], { listen });
    await anna.sees('ben');
    assert.equal((await (await ben.remote()).acceptWait('you', 10_000)).invite, null);
  });
});
