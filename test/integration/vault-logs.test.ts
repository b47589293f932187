import assert from 'node:assert/strict';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { toHex } from '../../lib/base/bytes.ts';
import { newAppendLog } from '../../lib/catalog/append-keys.ts';
import { systemRandom } from '../../lib/crypto/random.ts';
import { encodeSetting } from '../../lib/format/catalog-records.ts';
import { decodeKeyRecord } from '../../lib/format/key-record.ts';
import { recordKinds } from '../../lib/format/log-kinds.ts';
import { sealLogRecord } from '../../lib/format/log-record.ts';
import {
  decodeSegment,
  encodeSegment,
  logRoles,
  segmentFileName,
  segmentHash,
} from '../../lib/format/segment.ts';
import { currentEpoch } from '../../lib/trust/identity.ts';
import { openVault, type Problem } from '../../lib/vault/index.ts';
import { branchedVault, settingOf } from '../support/branched-vault.ts';
import { keepHome, putBack, tagsOf } from '../support/put-back-home.ts';
import { failure, filesBelow, flipByte, item, VaultFixture } from '../support/vault-fixture.ts';

const spread = { k: 1, n: 2 };

/** Segments of a role below a folder, in order of their names. */
async function segmentsOf(folder: string, role: number): Promise<string[]> {
  const paths: string[] = [];
  for (const path of await filesBelow(join(folder, 'logs')))
    if (decodeSegment(await readFile(path)).head.role === role) paths.push(path);
  return paths;
}

test('joining two branches is done again after a crash', async (t) => {
  const diesAt = await branchedVault(t);
  // At every write of it: test/long/branches-joined.test.ts. It is the last ones that keep both branches.
  for (const cut of [2, 7]) assert.ok(await diesAt(cut));
});

test('a home put back to another branch of a log that was joined before loses nothing of it', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 1, spread: { k: 1, n: 1 } });
  await fixture.backup({ tags: ['before'] });
  await keepHome(fixture);
  await fixture.use((vault) => vault.configSet('audit.interval', '2h'));
  for (const [key, value] of [
    ['trash.keep', '9d'],
    ['custody.grace', '48h'],
  ] as const) {
    await putBack(fixture);
    await fixture.unplug(0);
    await fixture.use((vault) => vault.configSet(key, value));
    await fixture.plugIn(0);
    await fixture.backup();
  }
  await fixture.recover('bare', [0]);
  await fixture.inHome('bare', async () => {
    assert.equal(await settingOf(fixture, 'audit.interval'), '2h');
    assert.equal(await settingOf(fixture, 'trash.keep'), '9d');
    assert.equal(await settingOf(fixture, 'custody.grace'), '48h');
  });
});

test('branches of which a record cannot be opened stay open, and do not grow the logs for ever', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 1, spread: { k: 1, n: 1 } });
  await fixture.session(async ({ device }) => {
    const log = newAppendLog(logRoles.catalog, device, systemRandom);
    const { vaultId, deviceId } = device;
    const setting = (index: number, key: string, value: string): Uint8Array => {
      const place = { vaultId, deviceId, logKey: log.logKey, index };
      const body = encodeSetting({ key, value, atNs: 5n });
      return sealLogRecord(recordKinds.setting, 0, currentEpoch(device).catalog, place, body, systemRandom);
    };
    const head = { ...log, vaultId };
    const first = { ...head, firstIndex: 0, previous: new Uint8Array(32) };
    const shared = encodeSegment(first, [setting(0, 'audit.interval', '2h')], log.appendSecretKey);
    const next = { ...head, firstIndex: 1, previous: segmentHash(shared) };
    const ours = encodeSegment(next, [setting(1, 'trash.keep', '9d')], log.appendSecretKey);
    const sealedWithOther = Buffer.concat([Buffer.from([4, 0, 1, 1, 0, 0, 0, 0, 60]), Buffer.alloc(60)]);
    const theirs = encodeSegment(
      next,
      [setting(1, 'custody.grace', '48h'), sealedWithOther],
      log.appendSecretKey,
    );
    for (const [folder, second] of [
      [join(fixture.home, 'logs'), ours],
      [join(fixture.drive(0), 'logs', fixture.id), theirs],
    ] as const) {
      const path = join(folder, toHex(log.logKey));
      await mkdir(path, { recursive: true });
      await writeFile(join(path, segmentFileName(0)), shared);
      await writeFile(join(path, segmentFileName(1)), second);
    }
  });
  const logs = (): Promise<number> =>
    fixture.session((session) => Promise.resolve(session.logs.heads().length));
  for (let i = 0; i < 3; i++) {
    const { problems } = await fixture.backup();
    assert.ok(
      problems.some(({ message }) => message.includes('another branch') && message.includes('can’t be read')),
    );
    assert.equal(await logs(), 5, 'the first two, the forked one, and two that go on from it, once');
    assert.equal(await settingOf(fixture, 'trash.keep'), '9d');
    assert.equal(await settingOf(fixture, 'custody.grace'), '48h');
  }
});

test('a damaged log of this home is not gone on with, and is mended from a drive', async (t) => {
  for (const role of [logRoles.catalog, logRoles.ledger]) {
    const fixture = await VaultFixture.create(t, { drives: 2, spread });
    await fixture.backup({ tags: ['one'] });
    await fixture.write('two', '2');
    await fixture.backup({ tags: ['two'] });
    const bad = item(await segmentsOf(fixture.home, role), -2);
    const before = await readFile(bad);
    await flipByte(bad, -100);
    await fixture.unplug(0, 1);
    // Appends, where no drive can mend anything first.
    await fixture.use((vault) => vault.configSet('trash.keep', '9d'));
    assert.equal(await settingOf(fixture, 'trash.keep'), '9d', 'it is there at the next opening');
    assert.notDeepEqual(await readFile(bad), before);
    const changed = await readFile(bad);
    changed[changed.length - 100] = (changed.at(-100) ?? 0) ^ 0x55;
    assert.deepEqual(changed, before, 'nothing was written over the damaged segment');
    await fixture.plugIn(0, 1);
    await fixture.repair();
    assert.deepEqual(await readFile(bad), before, 'it is whole again');
    assert.deepEqual((await fixture.repair()).problems, []);
    assert.deepEqual(await tagsOf(fixture), ['one', 'two']);
    assert.equal(await settingOf(fixture, 'trash.keep'), '9d');
  }
});

test('a segment on a drive that cannot be read costs its own log alone', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, spread });
  await fixture.backup({ tags: ['one'] });
  await fixture.recover('second', [0]);
  await fixture.inHome('second', () => fixture.backup({ tags: ['by the second'] }));
  await fixture.repair();
  const huge = item(await segmentsOf(fixture.drive(0), 1), 0);
  const bytes = await readFile(huge);
  await writeFile(huge, Buffer.alloc(9 * 1024 * 1024));
  await fixture.unplug(1);
  const { summary, problems } = await fixture.recover('bare', [0]);
  assert.equal(summary.witnesses, 1);
  assert.equal(summary.snapshots, 2, 'what the log said of snapshots is in the packs');
  assert.ok(problems.some(({ message }) => message.includes("can't be read")));
  await fixture.repair();
  assert.deepEqual(await readFile(huge), bytes, 'a home that has it all makes it good');
  assert.deepEqual((await fixture.repair()).problems, []);
});

test('a key record on a drive that cannot be read does not hide the logs beside it', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, spread });
  await fixture.backup({ tags: ['one'] });
  await fixture.unplug(1);
  await fixture.write('two', '2');
  await fixture.backup({ tags: ['two'] });
  await fixture.plugIn(1);
  const keys = join(fixture.drive(0), 'keys', `${fixture.id}.keys`);
  await writeFile(keys, Buffer.alloc(9 * 1024 * 1024));
  // Drive 1, which has a good one, doesn't know of the second snapshot.
  const { summary, problems } = await fixture.recover('bare', [0, 1]);
  assert.equal(summary.snapshots, 2);
  assert.equal(summary.witnesses, 2);
  assert.equal(summary.agreed, 1);
  assert.ok(problems.some(({ code }) => code === 'limit-exceeded'));
  assert.deepEqual(
    await readFile(keys),
    await readFile(join(fixture.drive(1), 'keys', `${fixture.id}.keys`)),
  );
});

test('agreed counts the drives that had the newest state before anything was given to them', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread: { k: 1, n: 3 } });
  await fixture.backup();
  await fixture.unplug(1, 2);
  await fixture.write('b', 'b');
  await fixture.backup();
  await fixture.plugIn(1, 2);
  for (const [home, drives] of [
    ['bare-1', [1, 0]],
    ['bare-2', [0, 1, 2]],
  ] as const) {
    await fixture.unplug(2);
    await cp(fixture.drive(1), join(fixture.root, 'image'), { recursive: true });
    await fixture.plugIn(2);
    const { summary } = await fixture.recover(home, drives);
    assert.equal(summary.witnesses, 3);
    assert.equal(summary.agreed, home === 'bare-1' ? 1 : 3, 'after the first recovery all have it');
    await rm(join(fixture.root, 'image'), { recursive: true });
  }
});

test('a record that must not be ignored ends the operation that meets it, and every later one', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, spread });
  await fixture.backup({ tags: ['one'] });
  await fixture.session(async ({ device }) => {
    const log = newAppendLog(logRoles.ledger, device, systemRandom);
    const record = Buffer.concat([Buffer.from([99, 0, 2, 1, 0, 0, 0, 0, 40]), Buffer.alloc(40)]);
    const head = { ...log, vaultId: device.vaultId, firstIndex: 0, previous: new Uint8Array(32) };
    const path = join(fixture.drive(0), 'logs', fixture.id, toHex(log.logKey), segmentFileName(0));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, encodeSegment(head, [record], log.appendSecretKey));
  });
  await fixture.write('two', '2');
  for (const run of [
    () => fixture.backup(),
    () => fixture.backup(),
    () => fixture.status(),
    () => fixture.repair(),
  ]) {
    const error = await failure(run());
    assert.equal(error.code, 'too-new');
    assert.match(error.message, /newer kith/);
  }
  assert.equal((await failure(fixture.recover('bare', [0]))).code, 'too-new');
});

test('what opening a home meets is told by every operation, and is a reason in the status', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, spread });
  await fixture.backup();
  await fixture.write('b', 'b');
  await fixture.backup();
  await flipByte(item(await segmentsOf(fixture.home, logRoles.catalog), -1), -100);
  const told: Problem[] = [];
  const onProblem = (problem: Problem): void => void told.push(problem);
  const vault = await openVault({ home: fixture.home, surroundings: fixture.surroundings, onProblem });
  try {
    assert.ok(
      told.some((problem) => problem.item.startsWith('log ')),
      'told at once, whatever is done then',
    );
    const { reasons } = await vault.status();
    assert.ok(
      reasons.some((reason) => reason.includes('ends at record')),
      reasons.join(' '),
    );
    told.length = 0;
    const heard: Problem[] = [];
    await vault.backup({ paths: [fixture.source], spread, onProblem: (problem) => void heard.push(problem) });
    assert.deepEqual(
      heard.filter((problem) => problem.item.startsWith('log ')),
      [],
      'and not twice',
    );
    assert.deepEqual(told, [], 'an operation with a listener of its own tells that one');
  } finally {
    await vault.close();
  }
});

test('names of people and computers are not in what a drive can read', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 1, spread: { k: 1, n: 1 } });
  await fixture.recover('second', [0]);
  const record = decodeKeyRecord(await readFile(join(fixture.drive(0), 'keys', `${fixture.id}.keys`)));
  assert.equal(record.certificates.length, 2);
  for (const { name, deviceId } of record.certificates) {
    assert.equal(name, `device ${toHex(deviceId).slice(0, 4)}`);
    assert.ok(!name.includes('tester') && !name.includes(`@${hostname()}`));
  }
  assert.equal(
    await fixture.inHome('second', () => fixture.use((vault) => Promise.resolve(vault.name))),
    'tester',
  );
});

test('a setting that makes no sense to this kith counts as its default, and is told', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 1, spread: { k: 1, n: 1 } });
  await fixture.backup();
  await writeFile(join(fixture.home, 'kith.toml'), '');
  await fixture.session(async (session) => {
    const entries = ['shard.queue', 'free.floor', 'spread'].map((key) => ({
      kind: recordKinds.setting,
      body: encodeSetting({ key, value: 'as the moon wanes', atNs: 2n ** 60n }),
    }));
    await session.logs.append(logRoles.catalog, entries);
  });
  const told: Problem[] = [];
  const onProblem = (problem: Problem): void => void told.push(problem);
  const vault = await openVault({ home: fixture.home, surroundings: fixture.surroundings, onProblem });
  try {
    assert.equal((await vault.configGet('shard.queue')).at(0)?.origin, 'default');
    assert.equal((await vault.configGet('spread')).at(0)?.value, 'auto');
    assert.deepEqual(told.map(({ item: key }) => key).sort(), ['free.floor', 'shard.queue', 'spread']);
    assert.equal((await vault.configSet('free.floor', '0')).value, '0', 'and can be set anew');
    assert.equal((await vault.backup({ paths: [fixture.source] })).state, 'complete');
  } finally {
    await vault.close();
  }
});
