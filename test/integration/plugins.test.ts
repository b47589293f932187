import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { textOf, toHex, utf8 } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { isServiceName } from '../../lib/net/sessions/hello.ts';
import { pluginNames } from '../../lib/plugins/plugin-names.ts';
import { RunningPlugins, type PluginSurroundings } from '../../lib/plugins/running-plugins.ts';
import { befriend, closeAll, connect, testPeer, until, type TestPeer } from '../support/net-peers.ts';
import { installExample, installPackage } from '../support/plugin-home.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { atEnd } from '../support/at-end.ts';

const guestbook = 'guestbook/notes';

/** One computer with plug-ins: what they said in the log, and whom they are granted to. */
interface Computer {
  readonly home: string;
  readonly plugins: RunningPlugins;
  readonly said: string[];
  readonly grants: Set<string>;
  peer: TestPeer | undefined;
}

async function computer(
  test: TestContext,
  names: readonly string[],
  install: (home: string) => Promise<void>,
): Promise<Computer> {
  const home = await tempFolder(test);
  await install(home);
  const said: string[] = [];
  const grants = new Set<string>();
  let self: Computer | undefined;
  const around: PluginSurroundings = {
    names,
    home,
    identity: 'ab'.repeat(32),
    ownName: 'anna',
    log: (level, text) => void said.push(`${level} ${text}`),
    friends: () => [],
    caller: (friendId, service) => {
      const peer = self?.peer;
      if (peer === undefined) throw new Error('not linked yet');
      return peer.network.caller(Buffer.from(friendId, 'hex'), service);
    },
    allows: (_, service) => grants.has(service),
  };
  const plugins = await RunningPlugins.start(around);
  atEnd(test, () => plugins.close());
  self = { home, plugins, said, grants, peer: undefined };
  return self;
}

/** Links two computers, each granting what it grants at this moment. */
async function link(test: TestContext, a: Computer, b: Computer): Promise<{ a: TestPeer; b: TestPeer }> {
  a.peer = testPeer(1, { services: a.plugins.services });
  b.peer = testPeer(2, { services: b.plugins.services });
  const peers = { a: a.peer, b: b.peer };
  befriend(peers.a, peers.b);
  atEnd(test, () => closeAll(peers.a, peers.b));
  connect(peers.a, peers.b);
  await until(() => peers.a.network.peers().length === 1 && peers.b.network.peers().length === 1);
  return peers;
}

const withGuestbook = (home: string): Promise<void> => installExample(home, 'kith-guestbook');

/** The example as its first release was: version 1 of the service only. */
async function withOldGuestbook(home: string): Promise<void> {
  await installPackage(home, 'kith-guestbook', {
    'package.json': JSON.stringify({
      name: 'kith-guestbook',
      version: '1.0.0',
      type: 'module',
      kith: { api: 1, plugin: './index.js' },
    }),
    'index.js': `
      export default {
        start: (host) => ({
          services: [{
            name: 'guestbook/notes',
            versions: { min: 1, max: 1 },
            open: (caller, version) => ({
              async handle(call) {
                host.log('info', 'version ' + version + ', method ' + call.method);
                if (call.method !== 0) throw host.error('usage', 'no such method');
                return { body: new Uint8Array() };
              },
            }),
          }],
        }),
      };`,
  });
}

void describe("a third party's plug-in", () => {
  void it('serves friends who are granted it, and keeps its data in a folder of its own', async (test) => {
    const a = await computer(test, ['kith-guestbook'], withGuestbook);
    const b = await computer(test, ['kith-guestbook'], withGuestbook);
    assert.deepEqual(a.said, ['info plug-in kith-guestbook 2.1.0 runs: guestbook/notes']);
    b.grants.add(guestbook);
    const peers = await link(test, a, b);
    a.plugins.presence(toHex(peers.b.identity), true);
    await until(() => a.said.some((line) => line.includes('left a note')), 'the note');
    const path = join(b.home, 'plugins', 'data', 'kith-guestbook', 'notes.jsonl');
    assert.deepEqual(JSON.parse(await readFile(path, 'utf8')), {
      from: toHex(peers.a.identity),
      note: 'anna was here',
    });
    const caller = peers.a.network.caller(peers.b.identity, guestbook);
    const { body } = await caller.call(1, new Uint8Array());
    assert.equal(textOf(body), '1');
    await assert.rejects(caller.call(0, utf8('x'.repeat(1001))), (error) =>
      isKithError(error, 'limit-exceeded'),
    );
  });

  void it('is not there for friends who are not granted it', async (test) => {
    const a = await computer(test, ['kith-guestbook'], withGuestbook);
    const b = await computer(test, ['kith-guestbook'], withGuestbook);
    const peers = await link(test, a, b);
    assert.equal(peers.a.network.caller(peers.b.identity, guestbook).connected, false);
    b.grants.add(guestbook);
    peers.b.network.regrant();
    const caller = peers.a.network.caller(peers.b.identity, guestbook);
    await until(() => caller.connected, 'the grant');
    b.grants.delete(guestbook);
    peers.b.network.regrant();
    await until(() => !caller.connected, 'the end of the grant');
  });

  void it('works with an older release of itself, in the version that both know', async (test) => {
    const a = await computer(test, ['kith-guestbook'], withGuestbook);
    const b = await computer(test, ['kith-guestbook'], withOldGuestbook);
    a.grants.add(guestbook);
    b.grants.add(guestbook);
    const peers = await link(test, a, b);
    const toOld = peers.a.network.caller(peers.b.identity, guestbook);
    await toOld.call(0, utf8('to the old one'));
    assert.equal(b.said.at(-1), 'info kith-guestbook: version 1, method 0');
    const toNew = peers.b.network.caller(peers.a.identity, guestbook);
    await toNew.call(0, utf8('to the new one'));
    // What came with version 2 isn't there in version 1.
    await assert.rejects(toNew.call(1, new Uint8Array()), (error) => isKithError(error, 'usage'));
  });
});

/** A package whose module is this text. */
function module(text: string, kith: unknown = { api: 1, plugin: './index.js' }): Record<string, string> {
  return {
    'package.json': JSON.stringify({ name: 'odd', version: '1.0.0', type: 'module', kith }),
    'index.js': text,
  };
}

const service = (name: string, versions = '{ min: 1, max: 1 }'): string =>
  `export default { start: () => ({ services: [{ name: '${name}', versions: ${versions}, open() {} }] }) };`;

void describe('a plug-in that is no good', () => {
  const cases: readonly (readonly [string, Record<string, string>, RegExp])[] = [
    ['has no interface in its package.json', module('', null), /has no "kith"/],
    [
      'is written for another interface',
      module('', { api: 2, plugin: './index.js' }),
      /interface 2.*update kith/,
    ],
    ['lies outside its package', module('', { api: 1, plugin: '../../../x.js' }), /outside the package/],
    ['has a broken package.json', { 'package.json': '{' }, /can't be read/],
    ['fails as it is loaded', module('throw new Error("odd thing")'), /odd thing/],
    ['exports nothing', module('export const start = 1;'), /no default export/],
    ['fails as it starts', module('export default { start() { throw new Error("no luck") } };'), /no luck/],
    ['gives no services', module('export default { start: () => ({}) };'), /list of at most 8/],
    ["takes a name of kith's own", module(service('kith/store')), /can't be the name/],
    ['has a name that is none', module(service('Guest Book')), /can't be the name/],
    ['has versions that are none', module(service('odd/thing', '{ min: 2, max: 1 }')), /versions from 1 on/],
  ];
  for (const [what, files, expected] of cases) {
    void it(`is told and left out where it ${what}`, async (test) => {
      const { plugins, said } = await computer(test, ['odd', 'kith-guestbook'], async (home) => {
        await installPackage(home, 'odd', files);
        await withGuestbook(home);
      });
      assert.match(said[0] ?? '', /^error the plug-in odd doesn't run/);
      assert.match(said[0] ?? '', expected);
      // The next one runs all the same.
      assert.deepEqual(
        plugins.services.map(({ name }) => name),
        [guestbook],
      );
    });
  }

  void it('is told with the command to install it where it is missing', async (test) => {
    const { said, home } = await computer(test, ['@some/where'], async () => {});
    assert.ok(said[0]?.includes(`npm install --prefix ${join(home, 'plugins')} @some/where`), said[0]);
  });

  void it('that fails over a call or a presence harms nobody', async (test) => {
    const odd = module(`export default { start: (host) => {
      host.onPresence(() => { throw new Error('oops'); });
      return {
        services: [{ name: 'odd/thing', versions: { min: 1, max: 1 }, open: () => ({
          handle() { throw new Error('secret words'); },
          closed() { throw new Error('again'); },
        }) }],
        close() { throw new Error('and again'); },
      };
    } };`);
    const install = (home: string): Promise<void> => installPackage(home, 'odd', odd);
    const a = await computer(test, ['odd'], install);
    const b = await computer(test, ['odd'], install);
    b.grants.add('odd/thing');
    const peers = await link(test, a, b);
    a.plugins.presence(toHex(peers.b.identity), true);
    assert.match(a.said.at(-1) ?? '', /oops/);
    const call = peers.a.network.caller(peers.b.identity, 'odd/thing').call(0, new Uint8Array());
    await assert.rejects(call, (error) => {
      assert.ok(isKithError(error, 'failed'));
      assert.ok(!error.message.includes('secret words'));
      return true;
    });
    assert.equal(peers.a.network.peers().length, 1);
    await b.plugins.close();
    assert.match(b.said.at(-1) ?? '', /didn't end in good order: and again/);
  });
});

void describe('names of plug-ins', () => {
  void it('are names of packages, each once', () => {
    assert.deepEqual(pluginNames(' kith-guestbook, @a/b.c '), ['kith-guestbook', '@a/b.c']);
    assert.deepEqual(pluginNames(''), []);
    for (const bad of ['../x', 'a/b', '@a', 'A', 'a,a', '.x', 'a/../b', '@a/../b'])
      assert.throws(
        () => pluginNames(bad),
        (error) => isKithError(error, 'usage'),
        bad,
      );
  });

  void it("are no services of kith's", () => {
    assert.equal(isServiceName(guestbook), true);
    assert.equal(isServiceName('guestbook'), false);
  });
});
