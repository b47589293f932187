import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { isKithError } from '../../lib/base/errors.ts';
import { RelayBudget } from '../../lib/net/relay/relay-budget.ts';
import { pipeMessageBytes, pipeWindowBytes, relayEnd } from '../../lib/net/relay/relay-codec.ts';
import { farewellMsMax, RelayJoint } from '../../lib/net/relay/relay-joint.ts';
import type { JointEnd } from '../../lib/net/relay/relay-joint.ts';
import { RelayPipe } from '../../lib/net/relay/relay-pipe.ts';
import { RelayRate } from '../../lib/net/relay/relay-rate.ts';
import { FakeTimers } from '../support/fake-timers.ts';
import { turns, until } from '../support/net-peers.ts';
import { noise } from '../support/noise.ts';

const malformed = (error: unknown): boolean => isKithError(error, 'malformed');

/** Two pipes and the relay between them, without a network: messages arrive at once, or never while `stuck`. */
function relayed(limits: { perDay?: number; perSecond?: number } = {}) {
  const timers = new FakeTimers();
  const state = { stuck: false, over: 0, ended: [] as [string, number][] };
  const waiting: (() => void)[] = [];
  const pipes = new Map<string, RelayPipe>();
  const end = (name: string): JointEnd => ({
    identityHex: name,
    sendData: async (bytes, wanted) => {
      if (state.stuck) await new Promise<void>((resolve) => waiting.push(resolve));
      if (wanted()) pipes.get(name)?.receive(bytes);
    },
    sendCredit: (bytes) => pipes.get(name)?.grant(bytes),
    sendEnd: (reason) => {
      state.ended.push([name, reason]);
      pipes.get(name)?.endedBy(reason);
    },
  });
  const ends = { a: end('a'), d: end('d') };
  const joint = new RelayJoint({
    dialler: ends.a,
    dialled: ends.d,
    budget: new RelayBudget(timers, () => limits.perDay ?? Number.POSITIVE_INFINITY),
    rate: new RelayRate(timers, () => limits.perSecond ?? Number.POSITIVE_INFINITY),
    after: (ms, work) => timers.after(ms, work),
    onOver: () => void state.over++,
  });
  for (const [name, own] of Object.entries(ends)) {
    const pipe = new RelayPipe({
      sendData: async (bytes, wanted) => {
        await turns(1);
        if (wanted()) joint.data(own, bytes);
      },
      sendCredit: (bytes) => joint.credit(own, bytes),
      sendEnd: () => joint.leave(own),
      onOver: () => undefined,
    });
    pipe.on('error', () => {});
    pipes.set(name, pipe);
  }
  const [a, d] = [pipes.get('a'), pipes.get('d')];
  if (a === undefined || d === undefined) throw new Error('no pipes');
  const letGo = (): void => {
    state.stuck = false;
    for (const go of waiting.splice(0)) go();
  };
  return { a, d, joint, ends, timers, state, letGo };
}

async function readAll(pipe: RelayPipe, bytes: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  pipe.on('data', (part: Uint8Array) => {
    parts.push(part);
    length += part.length;
  });
  await until(() => length >= bytes, `${bytes} bytes`);
  return Buffer.concat(parts);
}

void describe('a pipe through a relay', () => {
  void it('carries bytes both ways at once, whole and in order', async () => {
    const { a, d } = relayed();
    const [there, back] = [noise(1, 2_000_000), noise(2, 1_500_000)];
    a.write(there);
    d.write(back);
    const [atD, atA] = await Promise.all([readAll(d, there.length), readAll(a, back.length)]);
    assert.ok(Buffer.from(there).equals(atD));
    assert.ok(Buffer.from(back).equals(atA));
  });

  void it('holds the sender back where nobody reads: a window in all, the other direction goes on', async () => {
    const { a, d, joint } = relayed();
    a.write(new Uint8Array(3 * pipeWindowBytes));
    await turns(300);
    assert.equal(d.heldBytes + joint.heldBytes, pipeWindowBytes);
    d.write(noise(2, 100_000));
    assert.equal((await readAll(a, 100_000)).length, 100_000);
    assert.equal((await readAll(d, 3 * pipeWindowBytes)).length, 3 * pipeWindowBytes);
  });

  void it('keeps a window at most at the relay when the line to the receiver is stuck', async () => {
    const { a, d, joint, state, letGo } = relayed();
    state.stuck = true;
    a.write(new Uint8Array(3 * pipeWindowBytes));
    await turns(300);
    assert.equal(joint.heldBytes, pipeWindowBytes);
    letGo();
    assert.equal((await readAll(d, 3 * pipeWindowBytes)).length, 3 * pipeWindowBytes);
    assert.equal(joint.heldBytes, 0);
  });

  void it('that is ended brings what was sent before, then the end', async () => {
    const { a, d, state } = relayed();
    d.write('x');
    await readAll(a, 1);
    a.end(noise(3, 300_000));
    const ended = once(d, 'end');
    assert.equal((await readAll(d, 300_000)).length, 300_000);
    await ended;
    await until(() => d.destroyed && a.destroyed, 'both pipes to be closed');
    assert.deepEqual(state.ended, [['d', relayEnd.closed]]);
    assert.equal(state.over, 1);
  });

  void it('is freed when the receiver doesn’t take what was sent before the end', async () => {
    const { a, joint, state, timers } = relayed();
    state.stuck = true;
    a.write(new Uint8Array(100_000));
    await turns(50);
    a.destroy();
    assert.ok(joint.heldBytes > 0);
    timers.advance(farewellMsMax);
    assert.equal(joint.heldBytes, 0);
    assert.equal(state.over, 1);
    assert.deepEqual(state.ended, [['d', relayEnd.closed]]);
  });

  void it('tells who dialled nothing but that nobody is here, if the other left without a word', async () => {
    const { a, d, state } = relayed();
    a.write(new Uint8Array(10));
    await turns(20);
    d.destroy();
    await until(() => a.destroyed);
    assert.deepEqual(state.ended, [['a', relayEnd.notHere]]);
    assert.equal(a.endReason, relayEnd.notHere);
  });

  void it('ends for both when the budget is used up, in the middle of a write', async () => {
    const { a, d, state, joint } = relayed({ perDay: 3 * pipeMessageBytes });
    const received: number[] = [];
    d.on('data', (bytes: Uint8Array) => received.push(bytes.length));
    const written = new Promise<Error | null | undefined>((resolve) => {
      a.write(new Uint8Array(5 * pipeMessageBytes), resolve);
    });
    assert.ok(isKithError(await written, 'holder-unavailable'));
    assert.deepEqual(
      state.ended.map(([, reason]) => reason),
      [relayEnd.budgetUsed, relayEnd.budgetUsed],
    );
    assert.equal(joint.heldBytes, 0);
    assert.ok(received.reduce((sum, bytes) => sum + bytes, 0) <= 3 * pipeMessageBytes);
  });

  void it('goes no faster than the rate', async () => {
    const { a, d, timers } = relayed({ perSecond: pipeMessageBytes });
    let received = 0;
    d.on('data', (bytes: Uint8Array) => void (received += bytes.length));
    a.write(new Uint8Array(10 * pipeMessageBytes));
    await turns(100);
    assert.equal(received, pipeMessageBytes);
    for (let second = 0; second < 4; second++) {
      timers.advance(1_000);
      await turns(20);
    }
    assert.ok(received >= 4 * pipeMessageBytes && received <= 5 * pipeMessageBytes, `${received} bytes`);
    a.destroy();
    d.destroy();
  });

  void it('is broken by a byte or a credit more than there may be', () => {
    const { joint, ends, a, d } = relayed();
    assert.throws(() => joint.credit(ends.d, 1), malformed);
    for (let sent = 0; sent < pipeWindowBytes; sent += pipeMessageBytes) {
      joint.data(ends.a, new Uint8Array(pipeMessageBytes));
    }
    assert.throws(() => joint.data(ends.a, new Uint8Array(1)), malformed);
    assert.throws(() => a.grant(1), malformed);
    for (let sent = 0; sent < pipeWindowBytes; sent += pipeMessageBytes) {
      a.receive(new Uint8Array(pipeMessageBytes));
    }
    assert.throws(() => a.receive(new Uint8Array(1)), malformed);
    a.destroy();
    d.destroy();
  });
});
