import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TaskSet } from '../../lib/base/concurrency.ts';
import { concatBytes } from '../../lib/base/bytes.ts';
import { AnswerStream } from '../../lib/net/calls/bulk-pace.ts';
import { BulkBudget } from '../../lib/net/calls/bulk-budget.ts';
import {
  callKind,
  decodeCredit,
  decodeData,
  decodeFailure,
  encodeCall,
  encodeCallId,
  encodeDataParts,
  encodePace,
} from '../../lib/net/calls/call-codec.ts';
import { freeFlow, type CallFlow } from '../../lib/net/calls/call-flow.ts';
import { CallServer } from '../../lib/net/calls/call-server.ts';
import { SendGate } from '../../lib/net/calls/send-gate.ts';
import { bulkMessageBytes, type IncomingCall } from '../../lib/net/service.ts';
import { FakeTimers } from '../support/fake-timers.ts';

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a call that is cancelled in the middle of its download gets no more of it, and holds nothing any more', async () => {
  const timers = new FakeTimers();
  const sent: number[] = [];
  const gate = new SendGate(timers, () => undefined);
  const downloads = new BulkBudget();
  // A slow line: it takes one message, and the next when it has drained.
  const send = (kind: number): boolean => {
    sent.push(kind);
    return false;
  };
  const onBroken = (error: unknown): void => assert.fail(String(error));
  const download = [new Uint8Array(16 * bulkMessageBytes)];
  const handler = {
    handle: () => Promise.resolve({ body: new Uint8Array(0), download }),
    closed: () => undefined,
  };
  const budgets = { bodies: new BulkBudget(), uploads: new BulkBudget(), downloads };
  const server = new CallServer(
    { send, gate, answers: new AnswerStream(() => 0), timers, onBroken },
    handler,
    'anna',
    budgets,
    new TaskSet(),
  );
  const downloadBytesMax = download[0]?.length ?? 0;
  const call = { id: 1, method: 0, uploadBytes: 0, downloadBytesMax, body: new Uint8Array(0) };
  server.kinds[callKind.call]?.(encodeCall(call));
  for (let i = 0; i < 2; i++) {
    await settle();
    gate.drained();
  }
  await settle();
  assert.deepEqual(sent, [callKind.reply, callKind.data, callKind.data]);
  assert.equal(downloads.heldBytes, downloadBytesMax);
  server.kinds[callKind.cancel]?.(encodeCallId(1));
  for (let i = 0; i < 4; i++) {
    gate.drained();
    await settle();
  }
  assert.deepEqual(sent, [callKind.reply, callKind.data, callKind.data, callKind.failure]);
  assert.equal(downloads.heldBytes, 0);
  assert.equal(server.openCount, 0);
});

/** Somebody's uploads to one process: each call sends what it is told to, as credit comes. */
function uploader(timers: FakeTimers, uploads: BulkBudget, peer: string) {
  const failures: string[] = [];
  const credited = new Set<number>();
  const done: number[] = [];
  const send = (kind: number, ...parts: Uint8Array[]): boolean => {
    const bytes = concatBytes(...parts);
    if (kind === callKind.failure) failures.push(decodeFailure(bytes).words);
    if (kind === callKind.credit) credited.add(decodeCredit(bytes).id);
    return true;
  };
  const handler = {
    handle: async (call: IncomingCall) => {
      done.push((await call.receive()).length);
      return { body: new Uint8Array(0) };
    },
    closed: () => undefined,
  };
  const gate = new SendGate(timers, () => undefined);
  const onBroken = (error: unknown): void => assert.fail(String(error));
  const budgets = { bodies: new BulkBudget(), uploads, downloads: new BulkBudget() };
  const server = new CallServer(
    { send, gate, answers: new AnswerStream(() => 0), timers, onBroken },
    handler,
    peer,
    budgets,
    new TaskSet(),
  );
  const call = (id: number, uploadBytes: number): void => {
    const message = { id, method: 0, uploadBytes, downloadBytesMax: 0, body: new Uint8Array(0) };
    server.kinds[callKind.call]?.(encodeCall(message));
  };
  const data = (id: number, count: number): void => {
    for (let left = count; left > 0; left -= bulkMessageBytes) {
      const bytes = new Uint8Array(Math.min(left, bulkMessageBytes));
      server.kinds[callKind.data]?.(concatBytes(...encodeDataParts({ id, bytes })));
    }
  };
  return { failures, credited, done, call, data };
}

test('uploads that trickle give their memory to others who wait for it, and keep it while nobody does', async () => {
  const timers = new FakeTimers();
  const mib = 2 ** 20;
  const uploads = new BulkBudget(24 * mib, 14 * mib);
  const [ann, ben, cleo] = ['ann', 'ben', 'cleo'].map((peer) => uploader(timers, uploads, peer));
  assert.ok(ann !== undefined && ben !== undefined && cleo !== undefined);
  for (const slow of [ann, ben]) for (const id of [1, 2, 3]) slow.call(id, 4 * mib);
  await settle();
  assert.equal(uploads.heldBytes, 24 * mib);
  const minute = async (): Promise<void> => {
    for (const slow of [ann, ben])
      for (const id of slow.credited) if (slow.failures.length === 0) slow.data(id, 1);
    for (let seconds = 0; seconds < 50; seconds += 10) {
      timers.advance(10_000);
      await settle();
    }
    for (const slow of [ann, ben])
      for (const id of slow.credited) if (slow.failures.length === 0) slow.data(id, 1);
    timers.advance(10_000);
    await settle();
  };
  for (let minutes = 0; minutes < 5; minutes++) await minute();
  assert.deepEqual([ann.failures, ben.failures], [[], []], 'nobody else wants it');
  cleo.call(1, 8 * mib);
  await settle();
  assert.equal(cleo.credited.size, 0);
  await minute();
  assert.equal(cleo.credited.size, 1, 'within a minute');
  assert.match([...ann.failures, ...ben.failures].join(), /too slowly, and others wait/);
  cleo.data(1, 8 * mib);
  await settle();
  assert.deepEqual(cleo.done, [8 * mib]);
});

test('an upload at a steady, low pace is let be, though others wait', async () => {
  const timers = new FakeTimers();
  const mib = 2 ** 20;
  const uploads = new BulkBudget(9 * mib, 9 * mib);
  const [slow, other] = ['slow', 'other'].map((peer) => uploader(timers, uploads, peer));
  assert.ok(slow !== undefined && other !== undefined);
  slow.call(1, 6 * mib);
  await settle();
  other.call(1, 6 * mib);
  await settle();
  for (let minutes = 0; minutes < 30; minutes++) {
    assert.equal(other.credited.size, 0);
    slow.data(1, 105_000);
    timers.advance(50_000);
    slow.data(1, Math.min(105_000, 6 * mib - 105_000 * (2 * minutes + 1)));
    timers.advance(10_000);
    await settle();
    if (slow.done.length > 0) break;
  }
  assert.deepEqual([slow.done, slow.failures], [[6 * mib], []]);
  assert.equal(other.credited.size, 1);
});

/** Somebody who reads answers of one process: each call lets come what it is told to. With `isSlow` the stream wants no more after each message of bulk, until `drained`. */
function reader(
  timers: FakeTimers,
  downloads: BulkBudget,
  peer: string,
  flow: CallFlow = freeFlow,
  isSlow = false,
) {
  const failures: string[] = [];
  const answered = new Set<number>();
  let bytes = 0;
  let sentBytes = 0;
  const send = (kind: number, ...parts: Uint8Array[]): boolean => {
    const message = concatBytes(...parts);
    sentBytes += message.length;
    if (kind === callKind.failure) failures.push(decodeFailure(message).words);
    if (kind === callKind.reply) answered.add(answered.size + 1);
    if (kind === callKind.data) bytes += decodeData(message).bytes.length;
    return !isSlow || kind !== callKind.data;
  };
  const handler = {
    handle: (call: IncomingCall) =>
      Promise.resolve({ body: new Uint8Array(0), download: [new Uint8Array(call.downloadBytesMax)] }),
    closed: () => undefined,
  };
  const gate = new SendGate(timers, () => undefined);
  const onBroken = (error: unknown): void => assert.fail(String(error));
  const budgets = { bodies: new BulkBudget(), uploads: new BulkBudget(), downloads };
  const answers = new AnswerStream(() => sentBytes);
  const wiring = { send, gate, answers, timers, onBroken, flow };
  const server = new CallServer(wiring, handler, peer, budgets, new TaskSet());
  const pace = (id: number, count: number): void => {
    server.kinds[callKind.pace]?.(encodePace({ id, bytes: count }));
  };
  const call = (id: number, downloadBytesMax: number, paced = 0): void => {
    const message = { id, method: 0, uploadBytes: 0, downloadBytesMax, body: new Uint8Array(0) };
    pace(id, paced);
    server.kinds[callKind.call]?.(encodeCall(message));
  };
  return {
    failures,
    answered,
    call,
    pace,
    drained: () => gate.drained(),
    get bytes() {
      return bytes;
    },
  };
}

/** Ten seconds six times. */
async function minute(timers: FakeTimers, work: () => void = () => undefined): Promise<void> {
  for (let seconds = 0; seconds < 60; seconds += 10) {
    work();
    await settle();
    timers.advance(10_000);
    await settle();
  }
}

test('answers that are read by a trickle give their memory to others who wait for it, and keep it while nobody does', async () => {
  const timers = new FakeTimers();
  const mib = 2 ** 20;
  const downloads = new BulkBudget(16 * mib, 9 * mib);
  const [ann, ben, cleo] = ['ann', 'ben', 'cleo'].map((peer) => reader(timers, downloads, peer));
  assert.ok(ann !== undefined && ben !== undefined && cleo !== undefined);
  for (const slow of [ann, ben]) for (const id of [1, 2]) slow.call(id, 4 * mib);
  await settle();
  assert.equal(downloads.heldBytes, 16 * mib);
  const trickle = (): void => {
    for (const slow of [ann, ben]) for (const id of slow.answered) slow.pace(id, 1);
  };
  for (let minutes = 0; minutes < 5; minutes++) await minute(timers, trickle);
  assert.deepEqual([ann.failures, ben.failures], [[], []], 'nobody else wants it');
  cleo.call(1, 8 * mib, 8 * mib);
  await settle();
  assert.equal(cleo.answered.size, 0);
  await minute(timers, trickle);
  assert.equal(cleo.bytes, 8 * mib, 'within a minute');
  assert.match([...ann.failures, ...ben.failures].join(), /read too slowly, and others wait/);
  await settle();
  assert.equal(downloads.heldBytes, 16 * mib - 4 * mib * (ann.failures.length + ben.failures.length));
});

test('an answer that is read at a steady, low pace is let be, though others wait', async () => {
  const timers = new FakeTimers();
  const mib = 2 ** 20;
  const downloads = new BulkBudget(9 * mib, 9 * mib);
  const [slow, other] = ['slow', 'other'].map((peer) => reader(timers, downloads, peer));
  assert.ok(slow !== undefined && other !== undefined);
  slow.call(1, 6 * mib);
  await settle();
  other.call(1, 6 * mib, 6 * mib);
  await settle();
  for (let minutes = 0; minutes < 30; minutes++) await minute(timers, () => slow.pace(1, 35_000));
  assert.deepEqual([slow.bytes, slow.failures], [6 * mib, []]);
  assert.equal(other.bytes, 6 * mib);
});

test('an answer that our own rate holds back is not given up, however long it takes', async () => {
  const timers = new FakeTimers();
  const mib = 2 ** 20;
  const downloads = new BulkBudget(9 * mib, 9 * mib);
  // A piece every three minutes.
  const flow: CallFlow = {
    ...freeFlow,
    send: () => new Promise((resolve) => void timers.after(180_000, resolve)),
  };
  const slow = reader(timers, downloads, 'slow', flow);
  const other = reader(timers, downloads, 'other');
  slow.call(1, 6 * mib, 6 * mib);
  await settle();
  other.call(1, 6 * mib, 6 * mib);
  for (let minutes = 0; minutes < 3 * 24 + 1; minutes++) await minute(timers);
  assert.deepEqual([slow.bytes, slow.failures], [6 * mib, []]);
  assert.equal(other.bytes, 6 * mib);
});

/** Reads `count` messages of the stream in a minute. */
async function readMessages(timers: FakeTimers, { drained }: ReturnType<typeof reader>, count: number) {
  for (let i = 0; i < count; i++) {
    drained();
    await settle();
    timers.advance(60_000 / count);
    await settle();
  }
}

for (const sizes of [[9], [4, 4, 4, 4]]) {
  test(`answers of ${sizes.join(' + ')} MiB give way where the stream is read by a trickle`, async () => {
    const timers = new FakeTimers();
    const mib = 2 ** 20;
    const downloads = new BulkBudget(16 * mib, 16 * mib);
    const slow = reader(timers, downloads, 'slow', freeFlow, true);
    const other = reader(timers, downloads, 'other');
    for (const [i, size] of sizes.entries()) slow.call(i + 1, size * mib, size * mib);
    await readMessages(timers, slow, 10);
    other.call(1, 9 * mib, 9 * mib);
    // 256 KiB a minute: more than half an hour.
    for (let minutes = 0; minutes < 5; minutes++) await readMessages(timers, slow, 1);
    assert.equal(other.bytes, 9 * mib);
    assert.match(slow.failures.join(), /read too slowly, and others wait/);
  });
}

test('an answer that waits behind others on a stream that is read fast enough is let be', async () => {
  const timers = new FakeTimers();
  const mib = 2 ** 20;
  const downloads = new BulkBudget(17 * mib, 17 * mib);
  const steady = reader(timers, downloads, 'steady', freeFlow, true);
  const other = reader(timers, downloads, 'other');
  // The large one has one turn of five, and half of what is to go.
  steady.call(1, 8 * mib, 8 * mib);
  for (let id = 2; id <= 5; id++) steady.call(id, 2 * mib, 2 * mib);
  await settle();
  other.call(1, 4 * mib, 4 * mib);
  for (let minutes = 0; minutes < 30; minutes++) await readMessages(timers, steady, 3);
  assert.deepEqual([steady.bytes, steady.failures], [16 * mib, []]);
});
