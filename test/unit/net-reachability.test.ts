import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { reachabilityLines } from '../../cli/reachability-words.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { addressClass, hostOf } from '../../lib/net/address-class.ts';
import { reachabilityOf } from '../../lib/net/router/reachability.ts';
import type { ReachabilityFacts } from '../../lib/net/router/reachability.ts';
import { meetingPointsMax, meetingPointsOf } from '../../lib/vault/settings/net-settings.ts';

const athome: ReachabilityFacts = {
  addresses: ['192.168.7.20:4000'],
  announced: [],
  cameInFrom: [],
  seenAs: null,
  mapping: null,
  meetingPoints: [],
  publicDht: false,
};

void describe('who can use an address', () => {
  void it('is told of IPv4 and IPv6, with and without a zone', () => {
    const expected = {
      loopback: ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1'],
      link: ['169.254.1.1', 'fe80::1', 'fe80::1%eth0', 'febf::1'],
      private: ['10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', 'fd00::7', '::ffff:10.0.0.1'],
      shared: ['100.64.0.1', '100.127.255.255'],
      public: ['172.32.0.1', '100.128.0.1', '8.8.8.8', '2001:db8::7', '::ffff:8.8.8.8'],
    };
    for (const [kind, hosts] of Object.entries(expected)) {
      for (const host of hosts) assert.equal(addressClass(host), kind, host);
    }
    for (const host of ['', 'example.org', '1.2.3', '300.1.1.1']) assert.equal(addressClass(host), undefined);
    assert.equal(hostOf('[2001:db8::7]:4000'), '2001:db8::7');
    assert.equal(hostOf('10.0.0.1:4000'), '10.0.0.1');
  });
});

const friendsFrom = (...addresses: string[]): ReachabilityFacts['cameInFrom'] =>
  addresses.map((address) => ({ address, isOwn: false }));

void describe('whether friends can dial this computer', () => {
  const state = (facts: Partial<ReachabilityFacts>): string => reachabilityOf({ ...athome, ...facts }).state;

  void it('is no behind a router, with everything to choose from', () => {
    const said = reachabilityOf({ ...athome, seenAs: '198.51.100.7' });
    assert.equal(said.state, 'behind-router');
    assert.match(said.words, /lets nobody in.*198\.51\.100\.7/);
    assert.deepEqual(
      said.choices.map(({ id }) => id),
      ['port-mapping', 'open-port', 'ipv6', 'meeting-point', 'public-dht'],
    );
    const [first = '', ...rest] = reachabilityLines(said);
    assert.match(first, /Choose:$/);
    assert.equal(rest.length, 5);
    assert.match(
      rest.join('\n'),
      /kith up --role meeting-point.*kith config set net\.meeting_points HOST:PORT/,
    );
  });

  void it('is what the user says of a forwarded port, until somebody came in', () => {
    const said = reachabilityOf({ ...athome, announced: ['home.example.org:4747'] });
    assert.equal(said.state, 'unknown');
    assert.match(said.words, /home\.example\.org:4747/);
    assert.deepEqual(said.choices, []);
    assert.equal(
      state({ announced: ['home.example.org:4747'], cameInFrom: friendsFrom('198.51.100.9:5') }),
      'reachable',
    );
  });

  void it('is yes once one came from outside, or the router says so', () => {
    assert.equal(state({ cameInFrom: friendsFrom('192.168.7.9:1', '198.51.100.9:5') }), 'reachable');
    assert.equal(state({ cameInFrom: friendsFrom('[2001:db8::9]:5') }), 'reachable');
    // From the same network, or a provider's, it proves nothing.
    assert.equal(
      state({ cameInFrom: friendsFrom('192.168.7.9:1', '[fd00::9]:1', '100.64.3.3:1') }),
      'behind-router',
    );
    assert.equal(state({ mapping: { host: '198.51.100.7', port: 4000 } }), 'reachable');
  });

  void it('is yes as well once another computer of mine came from outside, which is no friend', () => {
    const own = { address: '198.51.100.9:5', isOwn: true };
    const said = reachabilityOf({ ...athome, cameInFrom: [own] });
    assert.deepEqual([said.state, said.choices], ['reachable', []]);
    assert.match(said.words, /another computer of yours came from 198\.51\.100\.9/);
    assert.doesNotMatch(said.words, /[Ff]riend/);
    const both = reachabilityOf({ ...athome, cameInFrom: [own, ...friendsFrom('203.0.113.4:5')] });
    assert.match(both.words, /^Friends outside .* one came from 203\.0\.113\.4\.$/);
    assert.equal(state({ cameInFrom: [{ ...own, address: '192.168.7.9:1' }] }), 'behind-router');
  });

  void it('is no behind a second router', () => {
    const double = reachabilityOf({ ...athome, mapping: { host: '100.64.1.1', port: 4000 } });
    assert.equal(double.state, 'behind-router');
    assert.match(double.words, /behind another router \(100\.64\.1\.1\)/);
    assert.ok(double.choices.every(({ id }) => id !== 'port-mapping'));
  });

  void it('can’t be told with a public address alone', () => {
    assert.equal(state({ addresses: ['198.51.100.7:4000'] }), 'unknown');
    assert.equal(state({ addresses: ['127.0.0.1:4000', '[::1]:4000'] }), 'unknown');
    assert.equal(state({ addresses: [] }), 'unknown');
    assert.match(reachabilityOf({ ...athome, addresses: [] }).words, /own network they find it/);
    const six = reachabilityOf({ ...athome, addresses: [...athome.addresses, '[2001:db8::7]:4000'] });
    assert.equal(six.state, 'unknown');
    assert.match(six.words, /2001:db8::7/);
  });

  void it('is asked once: what was chosen is named, and nothing more is offered', () => {
    for (const [chosen, words] of [
      [{ meetingPoints: ['198.51.100.1:4000'] }, /by way of 198\.51\.100\.1:4000/],
      [{ meetingPoints: 'none' as const }, /the port is open/],
      [{ publicDht: true }, /public meeting points/],
    ] as const) {
      const said = reachabilityOf({ ...athome, ...chosen });
      assert.deepEqual(said.choices, []);
      assert.match(said.words, words);
      assert.deepEqual(reachabilityLines(said), [said.words]);
    }
  });
});

void describe('the setting net.meeting_points', () => {
  void it('is a list, or none, and says what is wrong', () => {
    assert.deepEqual(meetingPointsOf(''), []);
    assert.equal(meetingPointsOf(' none '), 'none');
    assert.deepEqual(meetingPointsOf('10.0.0.1:4000, [2001:db8::1]:5 ,home.example.org:6'), [
      { host: '10.0.0.1', port: 4000 },
      { host: '2001:db8::1', port: 5 },
      { host: 'home.example.org', port: 6 },
    ]);
    const many = Array.from({ length: meetingPointsMax + 1 }, (_, i) => `10.0.0.1:${i + 1}`).join(',');
    for (const wrong of ['home', '10.0.0.1:0', '10.0.0.1:99999', many]) {
      assert.throws(
        () => meetingPointsOf(wrong),
        (error) => isKithError(error, 'usage'),
        wrong,
      );
    }
  });
});
