import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { concatBytes, equalBytes, toHex } from '../../lib/base/bytes.ts';
import { pairSecret } from '../../lib/crypto/pair-secret.ts';
import {
  EndpointHints,
  hintGapMs,
  hintMsMax,
  hintsPerDeviceMax,
} from '../../lib/net/dialling/endpoint-hints.ts';
import { triedCountMax, triedEndpoints } from '../../lib/net/dialling/tried-endpoints.ts';
import {
  beaconBytes,
  beaconEntryBytes,
  beaconEntryCount,
  beaconSaltBytes,
  decodeBeacon,
  encodeBeacon,
} from '../../lib/net/lan/lan-beacon.ts';
import {
  LanBudget,
  lanComparisonsMax,
  lanPacketsPerAddressMax,
  lanWindowMs,
} from '../../lib/net/lan/lan-budget.ts';
import { answerGapMs, beaconDelaysMs, LanDiscovery } from '../../lib/net/lan/lan-discovery.ts';
import { entriesByTag, entryContext, PairKeys } from '../../lib/net/lan/lan-entry.ts';
import { lanPlaces } from '../../lib/net/lan/lan-places.ts';
import type { KeyPair } from '../../lib/net/links/link.ts';
import { FakeTimers } from '../support/fake-timers.ts';
import { canonical, fuzzDecoder } from '../support/fuzz.ts';
import { checkGolden } from '../support/golden.ts';
import { keyPairOf } from '../support/net-peers.ts';
import { Seeded } from '../support/seeded.ts';

const anna = keyPairOf(1);
const ben = keyPairOf(2);

function keysOf(own: KeyPair, other: KeyPair): PairKeys {
  const keys = PairKeys.between(own, other.publicKey);
  assert.ok(keys !== undefined);
  return keys;
}

function sampleBeacon(port: number, address = '192.168.7.20'): Uint8Array {
  const seeded = new Seeded(7);
  const head = { salt: seeded.bytes(beaconSaltBytes), hour: 495_000 };
  const entry = keysOf(anna, ben).seal(entryContext(head, address), port);
  const others = Array.from({ length: beaconEntryCount - 1 }, () => seeded.bytes(beaconEntryBytes));
  return encodeBeacon({ ...head, entries: [...others, entry] });
}

function openAs(own: KeyPair, from: KeyPair, packet: Uint8Array, address: string): number | undefined {
  const beacon = decodeBeacon(packet);
  return keysOf(own, from).open(entryContext(beacon, address), entriesByTag(beacon.entries));
}

void describe('the beacon on the local network', () => {
  void it('is written as ever', () => {
    const make = (): Uint8Array => sampleBeacon(49737);
    checkGolden('beacon.json', 'one friend', make, decodeBeacon, encodeBeacon);
  });

  void it('is read by the friend alone, from the address alone, in its direction alone', () => {
    const packet = sampleBeacon(49737);
    assert.equal(packet.length, beaconBytes);
    assert.equal(openAs(ben, anna, packet, '192.168.7.20'), 49737);
    assert.equal(openAs(ben, anna, packet, '192.168.7.21'), undefined);
    assert.equal(openAs(keyPairOf(3), anna, packet, '192.168.7.20'), undefined);
    // Shown to who made it, it isn't the friend's word.
    assert.equal(openAs(anna, ben, packet, '192.168.7.20'), undefined);
    // Each side has its own name for the interface behind an address of a link.
    const onLink = sampleBeacon(49737, 'fe80::20%eth0');
    assert.equal(openAs(ben, anna, onLink, 'fe80::20%wlan0'), 49737);
    assert.equal(openAs(ben, anna, onLink, 'fe80::21%eth0'), undefined);
    for (const port of [0, 1, 65535])
      assert.equal(openAs(ben, anna, sampleBeacon(port), '192.168.7.20'), port);
  });

  void it('is nobody’s with any bit of its entry, its salt or its hour altered', () => {
    const packet = sampleBeacon(49737);
    const entryAt = packet.length - beaconEntryBytes;
    const places = [...Array.from({ length: 21 }, (_, at) => at).slice(1), ...range(entryAt, packet.length)];
    for (const at of places) {
      for (let bit = 0; bit < 8; bit++) {
        const altered = packet.slice();
        altered[at] = (altered[at] ?? 0) ^ (1 << bit);
        assert.equal(openAs(ben, anna, altered, '192.168.7.20'), undefined, `byte ${at}, bit ${bit}`);
      }
    }
  });

  void it('is made with a secret that both have and a broken key hasn’t', () => {
    const mine = pairSecret(anna, ben.publicKey);
    const theirs = pairSecret(ben, anna.publicKey);
    assert.ok(mine !== undefined && theirs !== undefined);
    assert.ok(equalBytes(mine, theirs));
    const one = new Uint8Array(32);
    one[0] = 1;
    for (const key of [new Uint8Array(32), one, new Uint8Array(32).fill(0xff), new Uint8Array(31)]) {
      assert.equal(pairSecret(anna, key), undefined, toHex(key));
    }
  });
});

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, at) => from + at);
}

fuzzDecoder('a beacon', [sampleBeacon(1)], canonical(decodeBeacon, encodeBeacon));

/** Everybody in one network hears everybody, from addresses of their own. */
class Air {
  readonly timers: FakeTimers = new FakeTimers();
  readonly members: { readonly address: string; readonly discovery: LanDiscovery }[] = [];
  packets: { readonly from: string; readonly packet: Uint8Array }[] = [];
  nowMs = 1_800_000_000_000;

  join(
    number: number,
    knows: readonly KeyPair[],
    port = 4000 + number,
  ): { found: string[]; connected: Set<string>; discovery: LanDiscovery } {
    const found: string[] = [];
    const connected = new Set<string>();
    const address = `10.0.0.${number}`;
    const seeded = new Seeded(number);
    const discovery = new LanDiscovery({
      device: keyPairOf(number),
      port,
      peers: () => knows.map(({ publicKey }) => publicKey),
      connected: (deviceId) => connected.has(toHex(deviceId)),
      onFound: (deviceId, host, at) => found.push(`${toHex(deviceId).slice(0, 8)} ${host}:${at}`),
      timers: this.timers,
      random: (count) => seeded.bytes(count),
      nowMs: () => this.nowMs,
    });
    this.members.push({ address, discovery });
    discovery.start({
      send: (make) => {
        const packet = make(address);
        this.packets.push({ from: address, packet });
        for (const member of this.members) member.discovery.hear(packet, address);
      },
      close: () => Promise.resolve(),
    });
    return { found, connected, discovery };
  }
}

function foundAs(number: number, port = 4000 + number): string {
  return `${toHex(keyPairOf(number).publicKey).slice(0, 8)} 10.0.0.${number}:${port}`;
}

void describe('finding friends in the local network', () => {
  void it('works both ways from one packet, and says nothing to strangers', () => {
    const air = new Air();
    const a = air.join(1, [ben]);
    air.timers.advance(0);
    const stranger = air.join(9, [keyPairOf(8)]);
    const b = air.join(2, [anna]);
    air.timers.advance(1000);
    assert.deepEqual([...new Set(a.found)], [foundAs(2)]);
    // Ben came after Anna's first packet: she answers his.
    assert.deepEqual(b.found, [foundAs(1)]);
    assert.deepEqual(stranger.found, []);
    for (const { packet } of air.packets) assert.equal(packet.length, beaconBytes);
  });

  void it('is asked by one that listens nowhere', () => {
    const air = new Air();
    const a = air.join(1, [ben]);
    air.timers.advance(0);
    const b = air.join(2, [anna], 0);
    air.timers.advance(1000);
    assert.deepEqual(a.found, []);
    assert.deepEqual(b.found, [foundAs(1)]);
  });

  void it('is quiet when nobody is missing, and eager when somebody went', () => {
    const air = new Air();
    const { connected, discovery } = air.join(1, [ben]);
    connected.add(toHex(ben.publicKey));
    air.timers.advance(3_600_000);
    assert.equal(air.packets.length, 0);
    connected.clear();
    discovery.look();
    air.timers.advance(13_000);
    // At once, after 2 s and after 10 more.
    assert.equal(air.packets.length, 3);
    air.timers.advance(3_600_000);
    const sent = air.packets.map(({ from }) => from);
    assert.ok(sent.length < beaconDelaysMs.length + 15, sent.join());
  });

  void it('names everybody in turn where there are more than one packet holds', () => {
    const air = new Air();
    const many = Array.from({ length: 400 }, (_, i) => keyPairOf(100 + i));
    air.join(1, many);
    air.timers.advance(2_500);
    // Two rounds of eight packets.
    const mine = air.packets.filter(({ from }) => from === '10.0.0.1');
    assert.equal(mine.length, 16);
    for (const keys of many) {
      assert.ok(mine.some(({ packet }) => openAs(keys, anna, packet, '10.0.0.1') === 4001));
    }
  });

  void it('passes over packets of another day, other lengths, and its own', () => {
    const air = new Air();
    const a = air.join(1, [ben, anna]);
    air.nowMs -= 26 * 3_600_000;
    const b = air.join(2, [anna]);
    air.timers.advance(0);
    air.nowMs += 26 * 3_600_000;
    assert.deepEqual(b.found.length > 0, true);
    const { discovery } = a;
    a.found.length = 0;
    for (const { packet, from } of air.packets) {
      discovery.hear(packet, from === '10.0.0.1' ? from : '10.0.0.2');
      discovery.hear(packet.subarray(1), '10.0.0.2');
      discovery.hear(concatBytes(packet, new Uint8Array(1)), '10.0.0.2');
    }
    assert.deepEqual(a.found, []);
  });

  void it('answers one friend every ten seconds at most', () => {
    const air = new Air();
    air.join(1, [ben]);
    air.timers.advance(20_000);
    const before = air.packets.length;
    const seeded = new Seeded(3);
    const { discovery } = air.members[0] ?? assert.fail();
    const shout = (): void => {
      const head = { salt: seeded.bytes(beaconSaltBytes), hour: Math.floor(air.nowMs / 3_600_000) };
      const entry = keysOf(ben, anna).seal(entryContext(head, '10.0.0.2'), 1);
      const others = Array.from({ length: beaconEntryCount - 1 }, () => seeded.bytes(beaconEntryBytes));
      discovery.hear(encodeBeacon({ ...head, entries: [entry, ...others] }), '10.0.0.2');
    };
    for (let ms = 0; ms < answerGapMs; ms += 500) {
      shout();
      air.timers.advance(500);
    }
    assert.equal(air.packets.length - before, 1);
  });
});

void describe('what strangers in the local network can make us do', () => {
  void it('is limited for one address, and in all', () => {
    const budget = new LanBudget();
    const taken = range(0, 1000).filter(() => budget.take('10.0.0.9', 200, 0)).length;
    assert.equal(taken, lanPacketsPerAddressMax);
    assert.ok(budget.take('10.0.0.2', 200, 0));
    const more = range(0, 100_000).filter((i) => budget.take(`10.1.${i >> 8}.${i & 255}`, 1024, 1)).length;
    assert.ok(more * 1024 <= lanComparisonsMax && more > 100, `${more}`);
    assert.ok(budget.take('10.0.0.2', 200, lanWindowMs));
  });
});

void describe('hints of where a device is', () => {
  const place = (port: number) => ({ host: '10.0.0.2', port, direct: true, dht: true });
  const peer = { identity: anna.publicKey, deviceId: ben.publicKey, endpoints: [place(1), place(9)] };

  void it('come before the card’s, each once, the newest first, and end', () => {
    let nowMs = 0;
    const hints = new EndpointHints(() => nowMs);
    assert.deepEqual(hints.merged(peer), peer);
    assert.ok(hints.put(ben.publicKey, place(2)));
    assert.ok(hints.put(ben.publicKey, place(9)));
    assert.equal(hints.put(ben.publicKey, place(2)), false);
    assert.deepEqual(
      hints.merged(peer).endpoints.map(({ port }) => port),
      [9, 2, 1],
    );
    nowMs = hintGapMs;
    assert.ok(hints.put(ben.publicKey, place(2)), 'worth another try');
    nowMs = hintMsMax + hintGapMs;
    assert.deepEqual(hints.merged(peer).endpoints, peer.endpoints);
    for (let port = 10; port < 30; port++) hints.put(ben.publicKey, place(port));
    assert.equal(hints.merged(peer).endpoints.length, 2 + hintsPerDeviceMax);
  });

  void it('have room for a cable and a radio on both sides: none of them is new at each beacon', () => {
    const hints = new EndpointHints(() => 0);
    const zoned = ['a', 'b'].flatMap((ours) => ['eth0', 'wlan0'].map((zone) => `fe80::${ours}%${zone}`));
    const hosts = ['10.0.0.2', '10.0.0.3', ...zoned];
    const put = (host: string): boolean =>
      hints.put(ben.publicKey, { host, port: 1, direct: true, dht: true });
    assert.ok(hosts.every((host) => put(host)));
    assert.ok(!hosts.some((host) => put(host)));
    for (let port = 10; port < 30; port++) hints.put(ben.publicKey, { ...place(port), lan: true });
    const tried = triedEndpoints(hints.merged(peer).endpoints);
    assert.equal(tried.length, hintsPerDeviceMax + 2);
    assert.deepEqual(tried.slice(-2), peer.endpoints, 'what the card says is tried as well');
    const many = Array.from({ length: 100 }, (_, port) => place(port));
    assert.equal(triedEndpoints(many).length, triedCountMax);
  });
});

void describe('where beacons are sent from', () => {
  const info = (address: string, internal: boolean, cidr: string) =>
    ({ address, internal, cidr, family: 'IPv4', netmask: '', mac: '' }) as const;
  const interfaces = {
    lo: [info('127.0.0.1', true, '127.0.0.1/8')],
    eth0: [info('192.168.7.20', false, '192.168.7.20/24')],
    wlan0: [info('10.1.1.5', false, '10.1.1.5/16')],
  };
  const from = (host: string) => lanPlaces(host, interfaces).map(({ address }) => address);

  void it('is what we listen on, and loopback only where that was asked for', () => {
    assert.deepEqual(from('0.0.0.0'), ['192.168.7.20', '10.1.1.5']);
    assert.deepEqual(from('10.1.1.5'), ['10.1.1.5']);
    assert.deepEqual(from('127.0.0.1'), ['127.0.0.1']);
    assert.deepEqual(from('127.0.0.7'), ['127.0.0.1']);
    assert.deepEqual(from('10.9.9.9'), []);
    assert.deepEqual(
      lanPlaces('0.0.0.0', { lo: interfaces.lo }).map(({ address }) => address),
      ['127.0.0.1'],
    );
  });

  const six = (address: string, internal: boolean, scopeid: number) =>
    ({ address, internal, cidr: `${address}/64`, family: 'IPv6', netmask: '', mac: '', scopeid }) as const;
  const both = {
    lo: [...interfaces.lo, six('::1', true, 0), six('fe80::1', true, 1)],
    eth0: [...interfaces.eth0, six('2001:db8::20', false, 0), six('fe80::20', false, 2)],
    wlan0: [six('fe80::30', false, 3), six('fe80::31', false, 3)],
  };

  void it('is one address of each link as well where IPv6 is listened on, with the interface’s name', () => {
    const zone = (name: string, scopeid: number): string =>
      process.platform === 'win32' ? `${scopeid}` : name;
    const [eth0, wlan0] = [zone('eth0', 2), zone('wlan0', 3)];
    const at = (host: string): string[] => lanPlaces(host, both).map(({ address }) => address);
    const [first, second, third, ...rest] = at('::');
    assert.deepEqual([first, second, rest], ['192.168.7.20', `fe80::20%${eth0}`, []]);
    assert.match(third ?? '', new RegExp(`^fe80::3[01]%${wlan0}$`));
    assert.deepEqual(at('0.0.0.0'), ['192.168.7.20'], 'what isn’t listened on is told to nobody');
    assert.deepEqual(at('2001:db8::20'), ['2001:db8::20']);
    assert.deepEqual(at(`fe80::20%${eth0}`), [`fe80::20%${eth0}`]);
    assert.deepEqual(at(`fe80::20%${wlan0}`), []);
    assert.deepEqual(at('::1'), [], 'IPv6 has no way to all on loopback');
    // A cable without a router: the link is all there is, beside loopback.
    const alone = lanPlaces('::', { lo: both.lo, wlan0: both.wlan0 }).map(({ address }) => address);
    assert.equal(alone.filter((address) => address.startsWith('fe80::3')).length, 1);
  });

  void it('is no more than a few addresses of each family', () => {
    const many = Object.fromEntries(
      range(0, 50).map((i) => [
        `e${i}`,
        [info(`10.0.${i}.1`, false, `10.0.${i}.1/24`), six(`fe80::${i}`, false, i)],
      ]),
    );
    assert.equal(lanPlaces('::', many).length, 16);
  });
});
