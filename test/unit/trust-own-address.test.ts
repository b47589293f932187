import assert from 'node:assert/strict';
import type { NetworkInterfaceInfo } from 'node:os';
import { describe, it } from 'node:test';
import { toHex } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { encodeAddressRecord, verifyAddressRecord } from '../../lib/format/friend-records.ts';
import { bodyOf } from '../../lib/trust/card.ts';
import { listenEndpoints } from '../../lib/trust/listen-endpoints.ts';
import { OwnAddress } from '../../lib/trust/own-address.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { endpointOf, SamplePerson } from '../support/sample-card.ts';

const ada = new SamplePerson('Ada');
const device = {
  vaultId: ada.identity,
  deviceId: ada.device(1).publicKey,
  deviceSecretKey: ada.device(1).secretKey,
};
const nowMs = 1_780_000_000_000;

/** A home on a disk in memory, with a clock that is set by hand. */
class Home {
  disk = new FaultDisk();
  nowMs = nowMs;

  async make(): Promise<this> {
    await this.disk.makeFolder('/home/tmp');
    return this;
  }

  async open(of: typeof device = device): Promise<OwnAddress> {
    return await OwnAddress.open({
      disk: this.disk,
      home: '/home',
      tempFolder: '/home/tmp',
      device: of,
      clock: { nowNs: () => BigInt(this.nowMs) * 1_000_000n, monotonicMs: () => 0 },
    });
  }
}

const here = [endpointOf(4000)];

void describe('the own address', () => {
  void it('is signed by the device, and stays the same until something changes', async () => {
    const home = await new Home().make();
    const own = await home.open();
    assert.equal(own.record, undefined);
    assert.deepEqual(own.endpoints, []);
    const record = await own.publish('Ada', here);
    verifyAddressRecord(ada.identity, record);
    assert.equal(record.counter, nowMs);
    assert.deepEqual(bodyOf(record), { name: 'Ada', endpoints: here, extensions: [] });
    home.nowMs++;
    assert.equal(await own.publish('Ada', here), record);
    const moved = await own.publish('Ada', [endpointOf(4001)]);
    assert.ok(moved.counter > record.counter);
    const renamed = await own.publish('Countess', [endpointOf(4001)]);
    assert.ok(renamed.counter > moved.counter);
    assert.deepEqual(own.record, renamed);
  });

  void it('is there again in the next process, and after a power cut', async () => {
    const home = await new Home().make();
    const record = await (await home.open()).publish('Ada', here);
    home.disk = home.disk.afterCrash('lose-unsynced');
    const again = await home.open();
    assert.deepEqual(again.record, record);
    assert.deepEqual(again.endpoints, here);
    assert.equal(
      toHex(encodeAddressRecord(await again.publish('Ada', here))),
      toHex(encodeAddressRecord(record)),
    );
  });

  void it('never goes back: not with a clock that does, nor with a home that was lost', async () => {
    const home = await new Home().make();
    const own = await home.open();
    const record = await own.publish('Ada', here);
    home.nowMs -= 1_000_000;
    const next = await own.publish('Ada', []);
    assert.equal(next.counter, record.counter + 1);

    const lost = await new Home().make();
    lost.nowMs = nowMs + 5;
    assert.equal((await (await lost.open()).publish('Ada', here)).counter, nowMs + 5);
    const early = await new Home().make();
    early.nowMs = -5;
    assert.equal((await (await early.open()).publish('Ada', here)).counter, 0);
  });

  void it('jumps above a newer record of its own that it is shown', async () => {
    const home = await new Home().make();
    const own = await home.open();
    const record = await own.publish('Ada', here);
    assert.equal(own.sawOwn(record.counter), false, 'its own record is no news');
    assert.equal(await own.publish('Ada', here), record);
    assert.equal(own.sawOwn(nowMs + 1_000_000), true);
    assert.equal(own.sawOwn(3), true, 'an older one afterwards changes nothing');
    const above = await own.publish('Ada', here);
    assert.equal(above.counter, nowMs + 1_000_001);
    assert.equal(own.sawOwn(above.counter), false);
    assert.equal(await own.publish('Ada', here), above);
  });

  void it('has no number after the last', async () => {
    const own = await (await new Home().make()).open();
    own.sawOwn(Number.MAX_SAFE_INTEGER);
    await assert.rejects(own.publish('Ada', here), (error) => isKithError(error, 'limit-exceeded'));
    assert.equal(own.record, undefined);
  });

  void it('that is damaged in the home, or another’s, is as good as none', async () => {
    const home = await new Home().make();
    await (await home.open()).publish('Ada', here);
    const bytes = home.disk.peek('/home/address');
    assert.ok(bytes !== undefined);
    for (let at = 0; at < bytes.length; at++) {
      home.disk.poke(
        '/home/address',
        bytes.map((byte, i) => (i === at ? byte ^ 1 : byte)),
      );
      assert.equal((await home.open()).record, undefined, `byte ${at}`);
    }
    for (const length of [0, 1, 9, 10, 50, bytes.length - 1]) {
      home.disk.poke('/home/address', bytes.slice(0, length));
      assert.equal((await home.open()).record, undefined, `${length} bytes`);
    }
    home.disk.poke('/home/address', new Uint8Array(10_000));
    assert.equal((await home.open()).record, undefined);
    home.disk.poke('/home/address', bytes);
    assert.ok((await home.open()).record !== undefined);
    const { publicKey: deviceId, secretKey: deviceSecretKey } = ada.device(2);
    assert.equal((await home.open({ ...device, deviceId, deviceSecretKey })).record, undefined);
  });

  void it('is not handed out before it is durable', async () => {
    const home = await new Home().make();
    const own = await home.open();
    const first = await own.publish('Ada', here);
    home.disk.failAt(home.disk.steps + 1, 'EIO');
    await assert.rejects(own.publish('Ada', []), (error) => isKithError(error, 'io-error'));
    assert.equal(own.record, first);
    assert.ok((await own.publish('Ada', [])).counter > first.counter);
  });

  void it('made by two at once is one after the other', async () => {
    const own = await (await new Home().make()).open();
    const [a, b] = await Promise.all([own.publish('Ada', here), own.publish('Ada', [])]);
    assert.ok(b.counter > a.counter);
    assert.deepEqual(own.record, b);
  });

  void it('has limits on what people type', async () => {
    const own = await (await new Home().make()).open();
    await assert.rejects(own.publish('x'.repeat(256), []), (error) => isKithError(error, 'limit-exceeded'));
  });
});

function card(family: 'IPv4' | 'IPv6', address: string, internal = false): NetworkInterfaceInfo {
  const common = { address, netmask: '', mac: '', internal, cidr: null };
  return family === 'IPv4' ? { ...common, family } : { ...common, family, scopeid: 0 };
}

const interfaces = {
  lo: [card('IPv4', '127.0.0.1', true), card('IPv6', '::1', true)],
  eth0: [card('IPv6', '2001:db8::7'), card('IPv4', '192.168.1.7'), card('IPv6', 'fe80::7')],
  zeroconf: [card('IPv4', '169.254.3.3')],
  none: undefined,
};

void describe('where a process listens', () => {
  const listening = { port: 4000, direct: true, dht: false };
  const hostsOf = (host: string, of: Parameters<typeof listenEndpoints>[1] = interfaces): string[] =>
    listenEndpoints([{ ...listening, host }], of).map((endpoint) => endpoint.host);

  void it('is said as it is, or as the machine’s addresses for all of them', () => {
    assert.deepEqual(hostsOf('127.0.0.1'), ['127.0.0.1']);
    assert.deepEqual(hostsOf('::1'), ['::1']);
    assert.deepEqual(hostsOf('0.0.0.0'), ['192.168.1.7']);
    assert.deepEqual(hostsOf('::'), ['192.168.1.7', '2001:db8::7']);
  });

  void it('is nothing where a link is all there is and IPv6 is listened on, else this machine alone', () => {
    const link = { lo: interfaces.lo, eth0: [card('IPv6', 'fe80::3')] };
    const every = ['0.0.0.0', '::'].map((host) => ({ ...listening, host }));
    assert.deepEqual(listenEndpoints(every, link), []);
    assert.deepEqual(hostsOf('0.0.0.0', link), ['127.0.0.1']);
  });

  void it('is this machine alone where there is no network', () => {
    assert.deepEqual(hostsOf('0.0.0.0', { lo: interfaces.lo }), ['127.0.0.1']);
    assert.deepEqual(
      hostsOf('::', { lo: interfaces.lo, eth0: [card('IPv6', 'fe80::3')] }),
      [],
      'a link is a network',
    );
    assert.deepEqual(hostsOf('::', { lo: interfaces.lo }), ['127.0.0.1', '::1']);
    assert.deepEqual(hostsOf('::', {}), []);
  });

  void it('is nowhere on port 0 or without a way', () => {
    assert.deepEqual(listenEndpoints([{ ...listening, host: '127.0.0.1', port: 0 }], interfaces), []);
    assert.deepEqual(listenEndpoints([{ ...listening, host: '127.0.0.1', direct: false }], interfaces), []);
    assert.deepEqual(listenEndpoints([], interfaces), []);
  });

  void it('names a place once, with every way to it', () => {
    const both = [
      { host: '127.0.0.1', port: 4000, direct: true, dht: false },
      { host: '127.0.0.1', port: 4000, direct: false, dht: true },
      { host: '127.0.0.1', port: 4001, direct: false, dht: true },
    ];
    assert.deepEqual(listenEndpoints(both, interfaces), [{ ...both[0], dht: true }, both[2]]);
  });

  void it('has the DHT on IPv4 only', () => {
    const everywhere = [
      { host: '0.0.0.0', port: 4000, direct: true, dht: true },
      { host: '::', port: 4000, direct: true, dht: false },
    ];
    const said = (listens: Parameters<typeof listenEndpoints>[0]): string[] =>
      listenEndpoints(listens, interfaces).map(
        ({ host, direct, dht }) => `${host}${direct ? ' direct' : ''}${dht ? ' dht' : ''}`,
      );
    const both = ['192.168.1.7 direct dht', '2001:db8::7 direct'];
    assert.deepEqual(said(everywhere), both);
    assert.deepEqual(said([{ host: '::', port: 4000, direct: true, dht: true }]), both);
    assert.deepEqual(said([{ host: '::', port: 4000, direct: false, dht: true }]), ['192.168.1.7 dht']);
  });

  void it('is bounded, also on a machine with a hundred addresses', () => {
    const many = Array.from({ length: 100 }, (_, i) => card('IPv4', `10.0.0.${i}`));
    assert.equal(hostsOf('0.0.0.0', { many }).length, 16);
  });
});
