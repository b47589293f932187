import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KithError } from '../../lib/base/errors.ts';
import type { Holder } from '../../lib/holders/holder.ts';
import { inTime, unlessAborted } from '../../lib/vault/holders/in-time.ts';
import { atEnd } from '../support/at-end.ts';

const friend = { kind: 'friend', id: 'f', name: 'ben' } as unknown as Holder;
const drive = { kind: 'drive', id: 'd', name: 'usb' } as unknown as Holder;

/** A question that ends only when it is called off, by its reason. */
function untilCalledOff(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason as Error));
  });
}

function codeOf(error: unknown): string {
  return error instanceof KithError ? error.code : String(error);
}

test('a friend that takes too long is unavailable, and the question is called off', async () => {
  let given: AbortSignal | undefined;
  const late = inTime(friend, 1, (signal) => {
    given = signal;
    return new Promise<never>(() => {});
  });
  await assert.rejects(late, (error) => codeOf(error) === 'holder-unavailable');
  assert.equal(given?.aborted, true);
});

test('who asks may call it off as well, before and while it is under way; an answer is an answer', async () => {
  const why = new KithError('interrupted', 'others were sooner');
  const callOff = new AbortController();
  const asked = inTime(friend, 1_000_000, untilCalledOff, callOff.signal);
  callOff.abort(why);
  await assert.rejects(asked, (error) => error === why);
  const ask = async (signal: AbortSignal | undefined): Promise<boolean | undefined> => signal?.aborted;
  assert.equal(await inTime(friend, 1_000_000, ask, callOff.signal), true);
  assert.equal(await inTime(friend, 1_000_000, ask), false);
  assert.equal(await inTime(drive, 1, ask, callOff.signal), true);
  assert.equal(await inTime(drive, 1, ask), undefined);
});

test('many questions may go by one signal without a word on stderr', async (t) => {
  const warnings: string[] = [];
  const onWarning = ({ name }: Error): void => void warnings.push(name);
  process.on('warning', onWarning);
  atEnd(t, () => process.off('warning', onWarning));
  const ways = [
    (signal: AbortSignal) => inTime(friend, 1_000_000, untilCalledOff, signal),
    (signal: AbortSignal) => unlessAborted(signal, () => new Promise<never>(() => {})),
  ];
  for (const way of ways) {
    const callOff = new AbortController();
    const all = Array.from({ length: 30 }, () => way(callOff.signal));
    callOff.abort(new KithError('interrupted', 'enough'));
    for (const each of all) await assert.rejects(each, (error) => codeOf(error) === 'interrupted');
  }
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(warnings, []);
});
