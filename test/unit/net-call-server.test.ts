import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BulkBudget } from '../../lib/net/bulk-budget.ts';
import { callKind, encodeCall, encodeCallId } from '../../lib/net/call-codec.ts';
import { CallServer } from '../../lib/net/call-server.ts';
import { SendGate } from '../../lib/net/send-gate.ts';
import { bulkMessageBytes } from '../../lib/net/service.ts';
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
  const server = new CallServer({ send, gate, timers, onBroken }, handler, 'anna', budgets);
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
