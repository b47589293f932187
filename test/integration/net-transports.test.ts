import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { utf8 } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { openTransports } from '../../lib/net/transports.ts';
import type { Transports, TransportsOptions } from '../../lib/net/transports.ts';
import { closeAfter, loopback, newEnd, patience, readMessage, targetOf } from '../support/net-fixture.ts';
import type { End } from '../support/net-fixture.ts';
import { openSockets, socketsAreTold } from '../support/net-sockets.ts';
import type { OpenSocket } from '../support/net-sockets.ts';
import { atEnd } from '../support/at-end.ts';

type Where = Partial<Omit<TransportsOptions, 'keyPair' | 'admits' | 'onLink'>>;

async function open(test: TestContext, end: End, where: Where = {}): Promise<Transports> {
  const options = { direct: true, dht: true, bootstrap: [], ...end.options, ...where };
  return closeAfter(test, await openTransports(options));
}

const anyPort = { host: '127.0.0.1', port: 0 };

/** Sockets that were opened while `work` ran. */
async function socketsOpenedBy(work: () => Promise<unknown>): Promise<OpenSocket[]> {
  const before = await openSockets();
  await work();
  const known = new Set(before.map(({ protocol, host, port }) => `${protocol} ${host} ${port}`));
  return (await openSockets()).filter(
    ({ protocol, host, port }) => !known.has(`${protocol} ${host} ${port}`),
  );
}

void describe('transports together', () => {
  void it('meet on one port number, over TCP and over UDP', async (test) => {
    const friend: End = newEnd(() => [me.keyPair]);
    const me = newEnd(() => []);
    const there = await open(test, friend, { listen: anyPort });
    const here = await open(test, me);
    assert.equal(here.listening, undefined);
    const port = there.listening?.port ?? 0;
    assert.ok(port > 0);
    assert.deepEqual(
      here.transports.map(({ name }) => name),
      ['direct', 'dht'],
    );
    for (const transport of here.transports) {
      const out = await transport.dial(targetOf(me, friend, loopback(port)), patience());
      const into = await friend.next();
      assert.equal(out.via, transport.name === 'direct' ? 'direct' : 'punched');
      assert.equal(out.remoteAddress, `127.0.0.1:${port}`);
      out.stream.write(utf8('hello'));
      into.stream.write(await readMessage(into));
      assert.deepEqual(await readMessage(out), utf8('hello'));
    }
  });

  void it('leave out what is switched off', { skip: !socketsAreTold }, async (test) => {
    const listen = { host: '127.0.0.2', port: 0 };
    const noDht = await socketsOpenedBy(() =>
      open(
        test,
        newEnd(() => []),
        { listen, dht: false },
      ),
    );
    assert.deepEqual(
      noDht.map(({ protocol, host }) => [protocol, host]),
      [['tcp', '127.0.0.2']],
    );
    const noDirect = await socketsOpenedBy(() =>
      open(
        test,
        newEnd(() => []),
        { listen, direct: false },
      ),
    );
    assert.ok(noDirect.length > 0);
    assert.ok(noDirect.every(({ protocol, host }) => protocol === 'udp' && host === '127.0.0.2'));
    const both = await socketsOpenedBy(() =>
      open(
        test,
        newEnd(() => []),
        { listen },
      ),
    );
    assert.deepEqual([...new Set(both.map(({ host }) => host))], ['127.0.0.2']);
    assert.equal(both.filter(({ protocol }) => protocol === 'tcp').length, 1);
    const neither = await socketsOpenedBy(() =>
      open(
        test,
        newEnd(() => []),
        { bootstrap: [{ host: '127.0.0.2', port: 9 }] },
      ),
    );
    assert.ok(neither.every(({ protocol, host }) => protocol === 'udp' && host === '127.0.0.1'));
  });

  void it('say that the port is taken, be it TCP or UDP, and leave nothing open', async (test) => {
    const taken = await open(
      test,
      newEnd(() => []),
      { listen: anyPort, dht: false },
    );
    const port = taken.listening?.port ?? 0;
    await assert.rejects(
      open(
        test,
        newEnd(() => []),
        { listen: { ...anyPort, port } },
      ),
      (error) => isKithError(error, 'address-taken'),
    );
    const udp = createSocket('udp4');
    udp.bind(0, '127.0.0.1');
    await once(udp, 'listening');
    atEnd(test, () => udp.close());
    const refused = open(
      test,
      newEnd(() => []),
      { listen: { ...anyPort, port: udp.address().port } },
    );
    await assert.rejects(
      refused,
      (error) => isKithError(error, 'address-taken') && /UDP/.test(error.message),
    );
    // TCP, which was bound first, has been given back.
    const again = await open(
      test,
      newEnd(() => []),
      {
        listen: { ...anyPort, port: udp.address().port },
        dht: false,
      },
    );
    assert.equal(again.listening?.port, udp.address().port);
  });

  void it('listen on a name, and refuse one that is not ours', async (test) => {
    const named = await open(
      test,
      newEnd(() => []),
      { listen: { host: 'localhost', port: 0 } },
    );
    assert.equal(named.listening?.host, '127.0.0.1');
    await assert.rejects(
      open(
        test,
        newEnd(() => []),
        { listen: { host: '203.0.113.7', port: 0 } },
      ),
      (error) => isKithError(error, 'usage'),
    );
    await assert.rejects(
      open(
        test,
        newEnd(() => []),
        { listen: { host: '::1', port: 0 } },
      ),
      (error) => isKithError(error, 'usage'),
    );
    const direct = await open(
      test,
      newEnd(() => []),
      { listen: { host: '::1', port: 0 }, dht: false },
    );
    assert.equal(direct.listening?.host, '::1');
  });

  void it('let the process end once closed', async () => {
    const worker = fileURLToPath(new URL('../support/net-process.js', import.meta.url));
    const child = spawn(process.execPath, [worker], { stdio: ['ignore', 'pipe', 'inherit'] });
    const said: string[] = [];
    child.stdout.setEncoding('utf8');
    child.stdout.on('data', (text: string) => said.push(text));
    const [status] = (await once(child, 'close', { signal: patience() })) as [number];
    assert.equal(status, 0);
    assert.equal(said.join(''), 'direct\npunched\nclosed\n');
  });
});
