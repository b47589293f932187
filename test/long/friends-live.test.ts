import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { basename } from 'node:path';
import { describe, it } from 'node:test';
import { decodeCard, encodeCard } from '../../lib/format/card.ts';
import { decodeCardText, encodeCardText } from '../../lib/format/card-text.ts';
import { hostedFiles } from '../support/hosted-files.ts';
import { assertShape } from '../support/json-shape.ts';
import { poll } from '../support/poll.ts';
import { socketsAreTold, socketsOf, isLoopback, isNowhere } from '../support/process-sockets.ts';
import { SamplePerson } from '../support/sample-card.ts';
import { befriend, Circle, type FriendJson, type Member } from '../cli/circle.ts';
import { exitErrorOf, summaryOf } from '../cli/harness.ts';
import { describeFolder, makeSample, noise } from '../cli/sample.ts';
import { atEnd } from '../support/at-end.ts';

interface WhereJson {
  readonly packs: readonly {
    readonly pack_id: string;
    readonly spread: string;
    readonly shards: readonly {
      readonly index: number;
      readonly holder: string | null;
      readonly holder_id: string | null;
      readonly kind: string | null;
      readonly state: string;
    }[];
  }[];
}

const friendShape = {
  name: 'string',
  id: 'hex64',
  online: 'boolean',
  via: 'string?',
  quota_given: 'number',
  used_by_them: 'number?',
  quota_received: 'number?',
  used_by_me: 'number?',
  allow: 'strings',
} as const;

/** Shows that what both sides say of the room used is what lies on the friend's disk, to the byte, and gives the shards' names. */
async function checkUse(owner: Member, friend: Member): Promise<readonly string[]> {
  const ownerId = await owner.id();
  return poll(`a quiet moment at ${friend.name}`, async () => {
    const before = await hostedFiles(friend.home, ownerId);
    const mine = await owner.friendSeen(friend.name);
    const theirs = await friend.friendSeen(owner.name);
    const after = await hostedFiles(friend.home, ownerId);
    if (before.bytes !== after.bytes) return undefined;
    assert.equal(mine.usedByMe, after.bytes, `${owner.name} of ${friend.name}`);
    assert.equal(theirs.usedByThem, after.bytes, `${friend.name} of ${owner.name}`);
    assert.deepEqual([theirs.reservedByThem, theirs.trashOfThem], [0, 0]);
    return after.shards.map(({ path }) => basename(path)).sort();
  });
}

describe('friends over the network', { skip: process.platform === 'win32' }, () => {
  it('take a backup at 2/5 and at 3/5, and everybody says what lies on their disks', async (t) => {
    const circle = await Circle.start(t, ['ann', 'ben', 'cid', 'dot', 'eve']);
    const { owner, friends } = circle;
    await mkdir(owner.path('files'));
    await makeSample(owner.path('files'));
    const first = summaryOf(
      await owner.ok(['backup', owner.path('files'), '--spread', '2/5', '--no-progress', '--json']),
    );
    await writeFile(owner.path('files', 'more.raw'), noise(2_000_000, 11));
    const second = summaryOf(await owner.ok(['backup', owner.path('files'), '--spread', '3/5', '--json']));
    for (const [summary, spread, tolerates] of [
      [first, '2/5', 3],
      [second, '3/5', 2],
    ] as const) {
      assertShape(summary, {
        snapshot_id: 'hex64',
        files_new: 'number',
        files_changed: 'number',
        files_unmodified: 'number',
        total_files_processed: 'number',
        total_bytes_processed: 'number',
        data_added: 'number',
        data_stored: 'number',
        packs_new: 'number',
        shards_placed: 'number',
        shards_missing: 'number',
        packs_below_k: 'number',
        total_duration: 'number',
      });
      assert.deepEqual(
        [summary['spread'], summary['state'], summary['shards_missing'], summary['packs_below_k']],
        [spread, 'complete', 0, 0],
      );
      assert.equal(summary['tolerates'], tolerates);
    }
    assert.equal(second['files_new'], 1);

    // What `where` says is what lies there, and nothing else does.
    const told = new Map<string, Set<string>>(friends.map(({ name }) => [name, new Set()]));
    for (const { snapshot_id: id } of [first, second]) {
      const { packs } = await owner.json<WhereJson>(['where', String(id)]);
      assert.ok(packs.length > 0);
      for (const { pack_id: packId, spread, shards } of packs) {
        assert.match(packId, /^[0-9a-f]{64}$/);
        assert.match(spread, /^[23]\/5$/);
        assert.equal(new Set(shards.map(({ holder_id: holderId }) => holderId)).size, 5);
        for (const { index, holder, kind, state } of shards) {
          assert.deepEqual([kind, state], ['friend', 'held']);
          told.get(holder ?? '')?.add(`${packId}-${index.toString(16).padStart(2, '0')}.shard`);
        }
      }
    }
    let stored = 0;
    for (const friend of friends) {
      assert.deepEqual(await checkUse(owner, friend), [...(told.get(friend.name) ?? [])].sort());
      stored += (await hostedFiles(friend.home, await owner.id())).shardBytes;
    }
    const said = Number(first['data_stored']) + Number(second['data_stored']);
    assert.ok(said > 0 && said <= stored, `${said} bytes sent, ${stored} bytes lie there`);

    const status = await owner.json<Record<string, unknown> & { friends: FriendJson[] }>(['status']);
    assertShape(status, {
      verdict: 'string',
      reasons: 'strings',
      next_step: 'string?',
      last_complete: 'time?',
      last_drill: 'time?',
      tolerates: 'number?',
      offsite_tolerates: 'number?',
      survives_home_loss: 'boolean',
      id: 'hex64',
      name: 'string',
      listen: 'string',
      friends: 'list',
      drives: 'list',
      snapshots: 'list',
    });
    assert.equal(status['verdict'], 'Safe');
    assert.equal(status['listen'], owner.daemon?.listen);
    assert.equal(status['tolerates'], 2);
    for (const list of [status.friends, await owner.json<FriendJson[]>(['friend', 'list'])]) {
      assert.deepEqual(list.map(({ name }) => name).sort(), friends.map(({ name }) => name).sort());
      for (const friend of list) {
        assertShape({ ...friend }, friendShape);
        assert.deepEqual([friend.online, friend.via], [true, 'direct']);
        assert.deepEqual([friend.quota_given, friend.quota_received], [5e9, 5e9]);
        assert.deepEqual([...friend.allow].sort(), ['cards', 'store']);
      }
    }
    const shown = await circle.friend('ann').json<Record<string, unknown>>(['friend', 'show', 'you']);
    const lies = await hostedFiles(circle.friend('ann').home, await owner.id());
    assert.deepEqual(
      [shown['quota_bytes'], shown['used_bytes'], shown['reserved_bytes'], shown['trash_bytes']],
      [5e9, lies.bytes, 0, 0],
    );
    const ping = await owner.json<{ ok: boolean; steps: { ok: boolean }[] }>(['friend', 'ping', 'ann']);
    assert.ok(ping.ok && ping.steps.some(({ ok }) => ok));

    await owner.ok(['restore', 'latest', '--target', owner.path('back'), '--json']);
    assert.deepEqual(
      await describeFolder(owner.path('back', owner.path('files'))),
      await describeFolder(owner.path('files')),
    );
  });

  it('use the ways they were told to use, and listen nowhere else', { skip: !socketsAreTold }, async (t) => {
    const circle = await Circle.make(t, ['ann']);
    const { owner } = circle;
    const ann = circle.friend('ann');
    const both = [owner, ann];
    let at: string[] = [];
    for (const flags of [[], ['--no-dht'], ['--no-direct']]) {
      const tcp = !flags.includes('--no-direct');
      const udp = !flags.includes('--no-dht');
      // Each where it was before: without a DHT they know of each other only that.
      await owner.up(flags, at.length === 0 ? {} : { listen: at[0] ?? null });
      await ann.up(
        [...flags, ...(udp ? ['--bootstrap', owner.daemon?.listen ?? ''] : [])],
        at.length === 0 ? {} : { listen: at[1] ?? null },
      );
      at = both.map(({ daemon }) => daemon?.listen ?? '');
      if (flags.length === 0) await befriend(owner, ann, 5e9);
      await owner.sees('ann');
      await ann.sees('you');
      for (const member of both) {
        const via = (await member.friendsSeen()).map((friend) => friend.via);
        assert.deepEqual(via, [tcp ? 'direct' : 'punched'], `${member.name} with ${flags.join(' ')}`);
        const sockets = await socketsOf(member.pid);
        const port = Number(member.daemon?.listen.split(':').at(-1));
        const listening = sockets.filter(({ listens }) => listens);
        assert.deepEqual(
          listening.map((each) => `${each.host}:${each.port}`),
          tcp ? [`127.0.0.1:${port}`] : [],
        );
        const datagrams = sockets.filter(({ protocol }) => protocol === 'udp');
        assert.equal(
          datagrams.some((each) => each.port === port),
          udp,
          'UDP on the same number',
        );
        if (!udp) assert.deepEqual(datagrams, []);
        for (const { host, peerHost } of sockets) {
          assert.ok(isLoopback(host), `a socket on ${host}`);
          assert.ok(isLoopback(peerHost) || isNowhere(peerHost), `a socket to ${peerHost}`);
        }
      }
      await Promise.all(both.map((member) => member.down()));
    }
    const neither = await owner.kith(['up', '--no-dht', '--no-direct', '--listen', '127.0.0.1:0']);
    assert.equal(neither.code, 2);
  });

  it('are told of a port that is taken, and of cards that are none', async (t) => {
    const circle = await Circle.make(t, ['ann']);
    const { owner } = circle;
    const ann = circle.friend('ann');

    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    atEnd(t, () => taken.close());
    const udpTaken = createSocket('udp4').bind(0, '127.0.0.1');
    await once(udpTaken, 'listening');
    atEnd(t, () => udpTaken.close());
    const { port } = taken.address() as { port: number };
    for (const at of [port, udpTaken.address().port]) {
      const up = await owner.kith(['up', '--listen', `127.0.0.1:${at}`, '--json']);
      assert.equal(up.code, 1, up.stdout);
      assert.equal(up.stdout, '');
      const error = exitErrorOf(up);
      assert.equal(error['error'], 'address-taken');
      assert.match(String(error['message']), new RegExp(`127.0.0.1:${at} is taken .*kith up --listen`));
    }

    await owner.up();
    await ann.ok(['card', '--out', 'card.txt']);
    await owner.ok(['card', '--out', 'card.txt']);
    const line = (await readFile(ann.path('card.txt'), 'utf8')).trim();
    const bytes = decodeCardText(line);
    const card = decodeCard(bytes);
    const other = new SamplePerson('mallory').card();
    const spliced = {
      ...card,
      addresses: card.addresses.map((record) => ({
        ...record,
        signature: other.addresses[0]?.signature ?? record.signature,
      })),
    };
    const borrowed = { ...card, certificates: other.certificates, addresses: [] };
    const flipped = [20, bytes.length >> 1, bytes.length - 5].map((at) =>
      encodeCardText(bytes.map((byte, index) => (index === at ? byte ^ 1 : byte))),
    );
    const typo = `${line.slice(0, 60)}${line[60] === 'q' ? 'p' : 'q'}${line.slice(61)}`;
    const bad = [typo, ...flipped, encodeCardText(encodeCard(spliced)), encodeCardText(encodeCard(borrowed))];
    for (const [index, text] of bad.entries()) {
      await writeFile(owner.path('bad.txt'), `${text}\n`);
      const refused = await owner.kith(['friend', 'add', 'bad.txt', '--json']);
      assert.equal(refused.code, 1, `${index}: ${refused.stdout}${refused.stderr}`);
      const error = exitErrorOf(refused);
      assert.match(String(error['error']), /^(malformed|not-authentic|too-new)$/);
      assert.match(
        String(error['message']),
        /copy the whole line again|again; they get it with: kith card/,
        `${index}`,
      );
    }
    assert.deepEqual(await owner.friendsSeen(), []);
    const own = await owner.kith(['friend', 'add', 'card.txt', '--json']);
    assert.match(String(exitErrorOf(own)['message']), /your own card/);
    assert.notEqual(own.code, 0);
    await writeFile(owner.path('letter.txt'), 'Dear Ann');
    const letter = await owner.kith(['friend', 'add', 'letter.txt']);
    assert.notEqual(letter.code, 0);
    assert.match(letter.stderr, /kith card/);
    await owner.ok(['friend', 'add', ann.path('card.txt'), '--name', 'ann']);
    const twice = await owner.kith(['friend', 'add', ann.path('card.txt'), '--json']);
    assert.equal(twice.code, 1);
    assert.equal(exitErrorOf(twice)['error'], 'friend-exists');
    assert.equal((await owner.friendsSeen()).length, 1);
  });
});
