import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { KithError } from '../../lib/base/errors.ts';
import { headStartMs, mostTelling, tryWays, wordsOf } from '../../lib/net/dialling/dial-ways.ts';
import { FakeTimers } from '../support/fake-timers.ts';
import { turns } from '../support/net-peers.ts';

/** Ways that end when a test says so. */
function manualWays(count: number) {
  const begun: number[] = [];
  const ends: ((error: KithError | undefined) => void)[] = [];
  const ways = Array.from({ length: count }, (_, number) => ({
    run: () => {
      begun.push(number);
      return new Promise<KithError | undefined>((resolve) => {
        ends[number] = resolve;
      });
    },
  }));
  return { ways, begun, ends };
}

const error = (words: string, relays?: number): KithError =>
  new KithError('peer-unreachable', words, relays === undefined ? {} : { details: { relays } });

void describe('ways to a device', () => {
  void it('are tried with head starts, and none is tried where one before it has made a session', async () => {
    const timers = new FakeTimers();
    const { ways, begun, ends } = manualWays(3);
    const result = tryWays(ways, timers);
    assert.deepEqual(begun, [0]);
    timers.advance(headStartMs - 1);
    await turns(3);
    assert.deepEqual(begun, [0]);
    timers.advance(1);
    await turns(3);
    assert.deepEqual(begun, [0, 1]);
    ends[1]?.(undefined);
    ends[0]?.(error('called off'));
    assert.equal(await result, undefined);
    assert.deepEqual(begun, [0, 1]);
    assert.equal(timers.pending, 0);
  });

  void it('that led there just now are tried at once', async () => {
    const timers = new FakeTimers();
    const { ways, begun, ends } = manualWays(3);
    const proven = ways.map((way, number) => ({ ...way, isProven: number === 1 }));
    const result = tryWays(proven, timers);
    assert.deepEqual(begun, [0, 1]);
    ends[1]?.(undefined);
    ends[0]?.(error('called off'));
    assert.equal(await result, undefined);
    assert.deepEqual(begun, [0, 1]);
    assert.equal(timers.pending, 0);
  });

  void it('that have failed are tried again when there is more to them, as long as others are under way', async () => {
    const timers = new FakeTimers();
    const { ways, begun, ends } = manualWays(2);
    let tell = (): void => {};
    const more = (until: AbortSignal): Promise<void> =>
      new Promise((resolve) => {
        tell = resolve;
        until.addEventListener('abort', () => resolve(), { once: true });
      });
    const asking = ways.map((way, number) => (number === 1 ? { ...way, isProven: true, more } : way));
    const result = tryWays(asking, timers);
    assert.deepEqual(begun, [0, 1]);
    for (const count of [2, 3]) {
      ends[1]?.(error('nobody is there'));
      await turns(3);
      tell();
      await turns(3);
      assert.equal(begun.filter((number) => number === 1).length, count);
    }
    ends[1]?.(error('nobody is there'));
    await turns(3);
    ends[0]?.(error('no answer'));
    assert.deepEqual(
      (await result)?.map(({ message }) => message),
      ['no answer', 'nobody is there'],
    );
    const alone = tryWays(asking.slice(1), timers);
    ends[1]?.(error('nobody is there'));
    assert.equal((await alone)?.length, 1);
  });

  void it('follow at once where those before have failed', async () => {
    const timers = new FakeTimers();
    const { ways, begun, ends } = manualWays(3);
    const result = tryWays(ways, timers);
    for (let number = 0; number < 3; number++) {
      ends[number]?.(error(`way ${number}`));
      await turns(3);
    }
    assert.deepEqual(begun, [0, 1, 2]);
    assert.deepEqual(
      (await result)?.map(({ message }) => message),
      ['way 0', 'way 1', 'way 2'],
    );
    assert.equal(timers.pending, 0);
  });

  void it('are told of by the one that says most, and by what relays said', () => {
    const refused = new KithError('peer-refused', 'refused');
    assert.equal(mostTelling([error('a'), refused, error('c')]), refused);
    assert.equal(wordsOf([error('a'), error('b')]), 'a');
    assert.equal(wordsOf([error('a'), error('b'), error('no friend relays')]), 'a');
    assert.equal(wordsOf([error('a'), error('b'), error('fay relays no more', 1)]), 'a; fay relays no more');
    assert.equal(wordsOf([error('fay relays no more', 1)]), 'fay relays no more');
    assert.match(wordsOf([]), /no transport/);
  });
});
