import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  addressGroup,
  HalfOpen,
  halfOpenCountMax,
  halfOpenPerAddressMax,
} from '../../lib/net/direct/half-open.ts';

class Connection {
  dropped = false;
  destroy(): void {
    this.dropped = true;
  }
}

function fill(halfOpen: HalfOpen<Connection>, address: string, count: number): Connection[] {
  return Array.from({ length: count }, () => {
    const connection = new Connection();
    halfOpen.add(connection, address);
    return connection;
  });
}

const left = (connections: readonly Connection[]): boolean[] => connections.map(({ dropped }) => !dropped);

void describe('connections in their handshake', () => {
  void it('are few of one address, the newest', () => {
    const halfOpen = new HalfOpen<Connection>();
    const friend = fill(halfOpen, '10.0.0.1', 1);
    const flood = fill(halfOpen, '10.0.0.2', 1000);
    assert.equal(halfOpen.count, 1 + halfOpenPerAddressMax);
    assert.deepEqual(left(friend), [true]);
    assert.ok(left(flood).slice(-halfOpenPerAddressMax).every(Boolean));
    assert.equal(left(flood).filter(Boolean).length, halfOpenPerAddressMax);
  });

  void it('are few altogether; the address with most makes room', () => {
    const halfOpen = new HalfOpen<Connection>();
    const friend = fill(halfOpen, '10.0.0.1', 1);
    const floods = Array.from({ length: 20 }, (_, i) => fill(halfOpen, `10.0.1.${i}`, 8));
    assert.equal(halfOpen.count, halfOpenCountMax);
    assert.deepEqual(left(friend), [true]);
    assert.equal(floods.flatMap(left).filter(Boolean).length, halfOpenCountMax - 1);
    for (const connection of floods.flat()) halfOpen.delete(connection);
    assert.equal(halfOpen.count, 1);
    halfOpen.destroyAll();
    assert.deepEqual(left(friend), [false]);
    assert.equal(halfOpen.count, 0);
    halfOpen.destroyAll();
  });

  void it('of one network, or of one address in two writings, count together', () => {
    assert.equal(addressGroup('::ffff:10.0.0.1'), addressGroup('10.0.0.1'));
    assert.equal(addressGroup('2001:db8:1:2::1'), addressGroup('2001:0db8:1:2:9:9:9:9'));
    assert.equal(addressGroup('2001:db8::1'), '2001:db8:0:0');
    assert.equal(addressGroup('fe80::1%eth0'), addressGroup('fe80::2'));
    assert.notEqual(addressGroup('2001:db8:1:2::1'), addressGroup('2001:db8:1:3::1'));
    assert.notEqual(addressGroup('10.0.0.1'), addressGroup('10.0.0.2'));
    assert.equal(addressGroup('::1'), '0:0:0:0');
    assert.equal(addressGroup(''), '');
  });
});
