import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isKithError } from '../../lib/base/errors.ts';
import { gatewaysOfRoutes, likelyGateways } from '../../lib/net/router/gateways.ts';
import {
  decodeAddressAnswer,
  decodeMappingAnswer,
  encodeAddressRequest,
  encodeMappingRequest,
} from '../../lib/net/router/nat-pmp.ts';
import { PortMapping } from '../../lib/net/router/port-mapping.ts';
import type { OpenPort, PortMappingOptions } from '../../lib/net/router/port-mapping.ts';
import { elementOf, gatewayOf, locationOf } from '../../lib/net/router/upnp.ts';
import { granting, natPmpRouter, upnpRouter } from '../support/fake-router.ts';
import { FakeTimers } from '../support/fake-timers.ts';
import { fuzzDecoder } from '../support/fuzz.ts';

interface Mapper {
  readonly mapping: PortMapping;
  readonly timers: FakeTimers;
  readonly said: (OpenPort | null)[];
  readonly notes: string[];
}

function mapper(options: Pick<PortMappingOptions, 'natPmp' | 'upnp'>): Mapper {
  const timers = new FakeTimers();
  const said: (OpenPort | null)[] = [];
  const notes: string[] = [];
  const mapping = new PortMapping({
    port: 4001,
    protocols: ['tcp', 'udp'],
    timers,
    onChange: (open) => said.push(open),
    note: (text) => notes.push(text),
    ...options,
  });
  return { mapping, timers, said, notes };
}

const open: OpenPort = { host: '198.51.100.7', tcp: 4001, udp: 4001 };

void describe('a port that the router opens', () => {
  void it('by NAT-PMP: is asked for, renewed, and taken back', async (test) => {
    const router = await natPmpRouter(test, granting);
    const { mapping, timers, said, notes } = mapper({ natPmp: [router], upnp: 'off' });
    await mapping.start();
    assert.deepEqual(said, [open]);
    assert.match(notes.join(), /port 4001 of 198\.51\.100\.7/);
    // 0x0fa1 is 4001, 0x0e10 an hour.
    assert.deepEqual(router.asked, ['0000', '000200000fa10fa100000e10', '000100000fa10fa100000e10']);
    timers.advance(30 * 60_000);
    await mapping.close();
    // Asked anew after half the time (as far as that came), then taken back; nothing changed in between.
    assert.deepEqual(router.asked.slice(-2), ['000200000fa1000000000000', '000100000fa1000000000000']);
    assert.deepEqual(said, [open]);
    assert.equal(timers.pending, 0);
  });

  void it('by UPnP, where nobody answers NAT-PMP', async (test) => {
    const router = await upnpRouter(test);
    const { mapping, said } = mapper({ natPmp: [], upnp: router });
    await mapping.start();
    assert.deepEqual(said, [open]);
    await mapping.close();
    assert.deepEqual(router.asked, [
      'GetExternalIPAddress',
      'AddPortMapping 4001 TCP 4001 127.0.0.1 1 kith 3600',
      'AddPortMapping 4001 UDP 4001 127.0.0.1 1 kith 3600',
      'DeletePortMapping 4001 TCP',
      'DeletePortMapping 4001 UDP',
    ]);
  });

  void it('isn’t there where the router refuses, and is asked for again later', async (test) => {
    const natPmp = await natPmpRouter(test, (question) => {
      const answer = Buffer.from(granting(question));
      if (question[1] !== 0) answer[3] = 2;
      return answer;
    });
    const upnp = await upnpRouter(test, { refuses: true });
    const { mapping, timers, said } = mapper({ natPmp: [natPmp], upnp });
    await mapping.start();
    assert.deepEqual(said, []);
    assert.equal(timers.pending, 1);
    await mapping.close();
    await mapping.close();
  });

  void it('isn’t asked of a host that the description names elsewhere', async (test) => {
    const router = await upnpRouter(test, { controlHost: '127.0.0.2:9' });
    const { mapping, said } = mapper({ natPmp: [], upnp: router });
    await mapping.start();
    assert.deepEqual([said, router.asked], [[], []]);
    await mapping.close();
  });
});

void describe('who is asked for a port', () => {
  void it('is the default gateway that Linux names', () => {
    const routes = `Iface\tDestination\tGateway\n\neth0\t00000000\t0107A8C0\t0003\neth0\t0007A8C0\t00000000\t0001\nwg0\t00000000\t00000000\n`;
    assert.deepEqual(gatewaysOfRoutes(routes), ['192.168.7.1']);
    assert.deepEqual(gatewaysOfRoutes('\n\nnonsense 00000000 zz\n'), []);
  });

  void it('is the first address of each private network elsewhere', () => {
    const card = (address: string, netmask: string, internal = false) =>
      ({ family: 'IPv4', address, netmask, internal, mac: '', cidr: null }) as const;
    assert.deepEqual(
      likelyGateways({
        lo: [card('127.0.0.1', '255.0.0.0', true)],
        a: [card('192.168.7.20', '255.255.255.0'), card('198.51.100.3', '255.255.255.0')],
        b: [card('10.2.3.4', '255.255.0.0'), card('172.16.0.1', '255.255.255.0')],
      }),
      ['192.168.7.1', '10.2.0.1'],
    );
  });

  void it('is a device that speaks for itself, near by', () => {
    const answer = (url: string): string => `HTTP/1.1 200 OK\r\nLocation: ${url}\r\nST: x\r\n\r\n`;
    assert.equal(locationOf(answer('http://192.168.7.1:80/a'), '192.168.7.1')?.pathname, '/a');
    for (const [url, from] of [
      ['http://192.168.7.2/a', '192.168.7.1'],
      ['http://198.51.100.1/a', '198.51.100.1'],
      ['https://192.168.7.1/a', '192.168.7.1'],
      ['file:///etc/passwd', '192.168.7.1'],
      ['nonsense', '192.168.7.1'],
    ] as const) {
      assert.equal(locationOf(answer(url), from), undefined, url);
    }
    assert.equal(locationOf('HTTP/1.1 200 OK\r\n\r\n', '192.168.7.1'), undefined);
    assert.equal(gatewayOf('<service>'.repeat(5000), new URL('http://192.168.7.1/')), undefined);
    assert.equal(elementOf('<a><b x="1"> 7 </b></a>', 'b'), '7');
    assert.equal(elementOf('<a></a>', 'b'), undefined);
    // Read in one pass, however it is made.
    assert.equal(elementOf(`<b>${' '.repeat(120_000)}`.repeat(1), 'b'), undefined);
  });

  void it('is believed only in answers to the question', () => {
    const wanted = { protocol: 'tcp', internalPort: 4001, externalPort: 4001, lifetime: 60 } as const;
    const answer = granting(Buffer.from(encodeMappingRequest(wanted)));
    assert.deepEqual(decodeMappingAnswer(answer, 'tcp'), wanted);
    const malformed = (error: unknown): boolean => isKithError(error, 'malformed');
    assert.throws(() => decodeMappingAnswer(answer, 'udp'), malformed);
    assert.throws(() => decodeAddressAnswer(answer), malformed);
  });
});

fuzzDecoder('NAT-PMP address', [granting(Buffer.from(encodeAddressRequest()))], decodeAddressAnswer);
fuzzDecoder(
  'NAT-PMP mapping',
  [granting(Buffer.from([0, 2, 0, 0, 15, 161, 15, 161, 0, 0, 14, 16]))],
  (bytes) => decodeMappingAnswer(bytes, 'tcp'),
);
