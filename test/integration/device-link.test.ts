import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { dialLink } from '../../lib/daemon/join-link.ts';
import { decodeLinkText, encodeLinkText } from '../../lib/format/device-link.ts';
import { encodeJoinHello } from '../../lib/format/join-messages.ts';
import { signKeyPair } from '../../lib/crypto/sign.ts';
import { joinVault, type JoinOptions, type JoinSummary } from '../../lib/vault/index.ts';
import { hasLan } from '../support/has-lan.ts';
import { eventually, runHome, type RunningHome } from '../support/own-nodes.ts';
import { failure, VaultFixture } from '../support/vault-fixture.ts';
import { atEnd } from '../support/at-end.ts';

const listen = { host: '127.0.0.1', port: 0 };
const spread = { k: 2, n: 3 };

function joining(
  fixture: VaultFixture,
  home: string,
  link: string,
  options: Partial<JoinOptions> = {},
): Promise<JoinSummary> {
  const { root, surroundings } = fixture;
  return joinVault({ home: join(root, home), link, dial: dialLink, surroundings, ...options });
}

/** Links a further home to one that runs; both ends must have shown the same words. */
async function linkHome(desktop: RunningHome, fixture: VaultFixture, home: string): Promise<JoinSummary> {
  const { vault } = desktop;
  const { phrase } = fixture;
  const { id, link } = await vault.deviceLinkBegin({ phrase, listen });
  const shown: string[] = [];
  const joined = joining(fixture, home, link, { name: home, onWords: (words) => shown.push(words) });
  const came = await vault.deviceLinkWait(id);
  assert.equal(came.name, home);
  assert.deepEqual(shown, [came.words]);
  assert.equal(came.words.split(' ').length, 5);
  await vault.status();
  const device = await vault.deviceLinkFinish(id, { phrase });
  const { reasons } = await vault.status();
  assert.ok(!reasons.some((reason) => reason.includes('new device')), 'nobody is warned of what they did');
  assert.equal(device.id, came.deviceId);
  assert.equal(device.name, home, 'the name is known at once');
  return await joined;
}

async function started(t: TestContext): Promise<{ fixture: VaultFixture; desktop: RunningHome }> {
  const fixture = await VaultFixture.create(t, { drives: 3, spread });
  await fixture.backup({ tags: ['first'] });
  await fixture.unplug(0, 1, 2);
  return { fixture, desktop: await runHome(t, fixture, 'home') };
}

test('a linked device has all logs and keys, meets the other by itself, and backs up into the same vault', async (t) => {
  const { fixture, desktop } = await started(t);
  const summary = await linkHome(desktop, fixture, 'laptop');
  assert.equal(summary.id, fixture.id);
  assert.equal(summary.name, 'tester');
  assert.equal(summary.snapshots, 1);
  const laptop = await runHome(t, fixture, 'laptop');
  await eventually('the session', () => laptop.node.ownDevicesOnline().length === 1);
  await eventually('the name', async () =>
    (await desktop.vault.deviceList()).some(({ name, online }) => name === 'laptop' && online),
  );
  await fixture.plugIn(0, 1, 2);
  const backup = await laptop.vault.backup({ paths: [fixture.source], tags: ['second'], spread });
  assert.equal(backup.state, 'complete');
  assert.ok(backup.dataAdded < 500, 'all of it was stored by the other');
  await eventually('the snapshot', async () => (await desktop.vault.snapshots()).length === 2);
  assert.equal((await desktop.vault.snapshots({ host: 'elsewhere' })).length, 0);
});

test('a link lets one in, once, and nobody after it expired or was called off', async (t) => {
  const { fixture, desktop } = await started(t);
  const { vault } = desktop;
  const { phrase } = fixture;
  const first = await vault.deviceLinkBegin({ phrase, listen });
  const second = await vault.deviceLinkBegin({ phrase, listen });
  assert.ok(
    ['peer-unreachable', 'peer-refused'].includes((await failure(joining(fixture, 'a', first.link))).code),
  );
  await vault.deviceLinkCancel(second.id);
  assert.equal((await failure(vault.deviceLinkWait(second.id))).code, 'failed');
  const spent = await failure(joining(fixture, 'a', second.link));
  assert.ok(['peer-unreachable', 'peer-refused'].includes(spent.code));
  assert.match(spent.message, /^this link is of no use any more.* kith device link --phrase-file/);
  assert.doesNotMatch(spent.message, /ECONN/);
  const late = { ...decodeLinkText(first.link), expiresNs: 0n };
  assert.equal((await failure(joining(fixture, 'a', encodeLinkText(late)))).code, 'failed');
  assert.equal(
    (await failure(vault.deviceLinkBegin({ phrase: 'abandon '.repeat(24), listen }))).code,
    'wrong-phrase',
  );
  const stop = new AbortController();
  const third = await vault.deviceLinkBegin({ phrase, listen });
  const waiting = vault.deviceLinkWait(third.id, { signal: stop.signal });
  stop.abort();
  await assert.rejects(waiting);
  assert.equal((await failure(vault.deviceLinkFinish(third.id, { phrase }))).code, 'failed');
  assert.equal((await vault.deviceList()).length, 1);
});

test('one whose words do not match is sent away, and nothing is left of it', async (t) => {
  const { fixture, desktop } = await started(t);
  const { vault } = desktop;
  const { id, link } = await vault.deviceLinkBegin({ phrase: fixture.phrase, listen });
  const joined = failure(joining(fixture, 'laptop', link));
  await vault.deviceLinkWait(id);
  await vault.deviceLinkCancel(id);
  assert.equal((await joined).code, 'peer-refused');
  assert.equal((await vault.deviceList()).length, 1);
  assert.equal((await failure(fixture.inHome('laptop', () => fixture.snapshots()))).code, 'vault-missing');
  // The same home is free for the next link.
  assert.equal((await linkHome(desktop, fixture, 'laptop')).snapshots, 1);
});

test('who speaks for keys that it does not have is not heard', async (t) => {
  const { fixture, desktop } = await started(t);
  const { id, link } = await desktop.vault.deviceLinkBegin({ phrase: fixture.phrase, listen });
  const thief = await dialLink(decodeLinkText(link));
  const { publicKey } = signKeyPair(new Uint8Array(32).fill(1));
  const { secretKey } = signKeyPair(new Uint8Array(32).fill(2));
  const hello = encodeJoinHello(
    { deviceId: publicKey, boxKey: publicKey, name: 'thief' },
    thief.handshakeHash,
    secretKey,
  );
  await assert.rejects(thief.ask(hello));
  await thief.close();
  // The door still stands open for the one that is waited for.
  const joined = joining(fixture, 'laptop', link);
  await desktop.vault.deviceLinkWait(id);
  await desktop.vault.deviceLinkFinish(id, { phrase: fixture.phrase });
  assert.equal((await joined).snapshots, 1);
});

test('a link whose addresses lead nowhere is found in the local network, unless that is turned off', async (t) => {
  if (!(await hasLan())) return t.skip('no local network on loopback here');
  const { fixture, desktop } = await started(t);
  const { phrase } = fixture;
  const lost = async (lan: 'on' | 'off'): Promise<{ readonly id: string; readonly link: string }> => {
    await desktop.vault.configSet('net.lan', lan);
    const { id, link } = await desktop.vault.deviceLinkBegin({ phrase, listen });
    atEnd(t, () => desktop.vault.deviceLinkCancel(id).catch(() => undefined));
    const endpoints = [{ host: '127.0.0.1', port: 1, direct: true, dht: false }];
    return { id, link: encodeLinkText({ ...decodeLinkText(link), endpoints }) };
  };
  const silent = await lost('off');
  const { code } = await failure(joining(fixture, 'laptop', silent.link));
  assert.ok(['peer-unreachable', 'peer-refused'].includes(code), code);
  await desktop.vault.deviceLinkCancel(silent.id);
  const { id, link } = await lost('on');
  const cancel = new AbortController();
  const joined = joining(fixture, 'laptop', link).finally(() => cancel.abort());
  joined.catch(() => undefined);
  await desktop.vault.deviceLinkWait(id, { signal: cancel.signal });
  await desktop.vault.deviceLinkFinish(id, { phrase });
  assert.equal((await joined).id, fixture.id);
});
