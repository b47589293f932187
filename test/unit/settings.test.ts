import assert from 'node:assert/strict';
import { test } from 'node:test';
import { utf8 } from '../../lib/base/bytes.ts';
import { CatalogState } from '../../lib/catalog/catalog-state.ts';
import { encodeSetting } from '../../lib/format/catalog-records.ts';
import { recordKinds } from '../../lib/format/log-kinds.ts';
import { Settings } from '../../lib/vault/settings/settings.ts';
import { FaultDisk } from '../support/fault-disk.ts';

const nobody = { vaultId: new Uint8Array(32), isDevice: (): boolean => false };

async function settingsWith(
  toml: string | Uint8Array | undefined,
  set: Record<string, string> = {},
): Promise<Settings> {
  const disk = new FaultDisk();
  await disk.makeFolder('/home');
  if (toml !== undefined) disk.poke('/home/kith.toml', typeof toml === 'string' ? utf8(toml) : toml);
  const state = new CatalogState(nobody);
  for (const [key, value] of Object.entries(set)) {
    state.apply(recordKinds.setting, encodeSetting({ key, value, atNs: 1n }));
  }
  return await Settings.load(disk, '/home', state);
}

test('kith.toml wins over what was set, which wins over the default', async () => {
  const none = await settingsWith(undefined);
  assert.deepEqual([none.entry('spread').value, none.entry('spread').origin], ['auto', 'default']);
  const set = await settingsWith('', { spread: '2/3' });
  assert.deepEqual([set.entry('spread').value, set.entry('spread').origin], ['2/3', 'settings']);
  const toml = await settingsWith('spread = "3/5"\n', { spread: '2/3' });
  assert.deepEqual([toml.entry('spread').value, toml.entry('spread').origin], ['3/5', 'kith.toml']);
});

test('tables and dotted keys say the same', async () => {
  for (const text of ['[shard]\nqueue = "1GB"\n', 'shard.queue = "1GB"', 'shard = { queue = "1GB" }']) {
    assert.equal((await settingsWith(text)).value('shard.queue'), '1GB');
  }
});

test('an empty value set means the default again', async () => {
  assert.equal((await settingsWith('', { 'shard.queue': '' })).entry('shard.queue').origin, 'default');
});

test('the later of two settings counts, in whichever order the logs are read', () => {
  for (const order of [
    [1n, 2n],
    [2n, 1n],
  ]) {
    const state = new CatalogState(nobody);
    for (const atNs of order) {
      state.apply(recordKinds.setting, encodeSetting({ key: 'spread', value: `${atNs}/5`, atNs }));
    }
    assert.equal(state.setting('spread'), '2/5');
  }
});

const wrong: Readonly<Record<string, RegExp>> = {
  'sprad = "3/5"': /no setting "sprad"/,
  'constructor = "x"': /no setting "constructor"/,
  '[toString]\nx = 1': /no setting "toString\.x"/,
  '"__proto__" = 1': /__proto__/,
  'spread = "5/3"': /spread.*5\/3/,
  'spread = 3': /spread.*not a spread/,
  'shard.queue = "much"': /shard\.queue.*much/,
  'shard.queue = [1, 2]': /shard\.queue/,
  'free.floor = "-1"': /free\.floor/,
  'repair.grace = "soon"': /repair\.grace.*soon/,
  'audit.interval = 5': /audit\.interval/,
  'spread = ': /kith\.toml, line 1: the value must stand in quotation marks/,
  'spread = 2/3': /kith\.toml, line 1: the value must stand in quotation marks\.\n {2}spread = 2\/3\n/,
  'spread = “3/5”': /line 1: the quotation marks must be plain ones/,
  '# mine\nspread "3/5"': /line 2: there must be = between/,
  'spread = "3/5': /line 1: a quotation mark " is missing.* such as: spread = "3\/5"/s,
  '# mine\n\nspread = "5/3"': /kith\.toml, line 3: spread: /,
  '[limits]\nupload = "x"': /line 2: limits\.upload/,
  'spread = "3/5"\nspread = "2/3"': /line 2: it sets something that the lines above have set already/,
};

for (const [text, message] of Object.entries(wrong)) {
  test(`kith.toml with ${JSON.stringify(text)} is an error that says where`, async () => {
    await assert.rejects(settingsWith(text), (error: unknown) => {
      assert.ok(error instanceof Error && 'code' in error);
      assert.equal(error.code, 'usage');
      assert.match(error.message, message);
      assert.match(error.message, /kith\.toml/);
      assert.doesNotMatch(error.message, /TOML document/);
      return true;
    });
  });
}

test('a kith.toml that is no text, or endless, is an error', async () => {
  await assert.rejects(settingsWith(new Uint8Array([0xff, 0xfe])), { code: 'usage' });
  await assert.rejects(settingsWith(new Uint8Array(300 * 1024).fill(0x23)), { code: 'limit-exceeded' });
});

test('a key that is none, and a value that makes no sense, are refused before they are written', () => {
  for (const key of ['nonsense', '__proto__', 'toString', '']) {
    assert.throws(() => Settings.check(key, 'x'), { code: 'usage' });
  }
  assert.throws(() => Settings.check('spread', '9'), { code: 'usage' });
  Settings.check('spread', '3/5');
});

test('every default passes its own check, and every setting has words', async () => {
  for (const { key, value, help } of (await settingsWith(undefined)).all()) {
    Settings.check(key, value);
    assert.ok(help.length > 10, key);
  }
});

test('a line of kith.toml that is shown drives no terminal', async () => {
  await assert.rejects(settingsWith('a = \u001b[2J'), (error: unknown) => {
    assert.ok(error instanceof Error && error.message.includes('[2J'));
    assert.ok(!error.message.includes('\u001b'));
    return true;
  });
});

test('rates and budgets that nothing could be done with are refused, with what can be said instead', () => {
  for (const [key, value, words] of [
    ['limits.upload', '1', /least is 10KB/],
    ['limits.download', '9KB', /least is 10KB/],
    ['limits.schedule', 'mon 08:00-18:00 upload=0', /least is 10KB/],
    ['relay.rate', '0', /least is 10KB/],
    ['relay.rate', '100', /least is 10KB/],
    ['relay.rate', 'auto', /give a rate/],
    ['relay.budget', '1', /or 0 so that nothing/],
    ['relay.budget', '500KB', /least is 1MB/],
  ] as const) {
    assert.throws(
      () => Settings.check(key, value),
      (error) =>
        error instanceof Error && 'code' in error && error.code === 'usage' && words.test(error.message),
      `${key} ${value}`,
    );
  }
  for (const [key, value] of [
    ['relay.rate', '10KB'],
    ['relay.rate', '2MB/s'],
    ['relay.rate', 'none'],
    ['relay.budget', '1MB'],
    ['relay.budget', '0'],
    ['relay.budget', 'none'],
  ] as const)
    Settings.check(key, value);
});
