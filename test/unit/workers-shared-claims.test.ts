import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { SharedClaims } from '../../lib/workers/shared-claims.ts';
import { noise } from '../support/noise.ts';

function idsOf(seed: number, count: number): Uint8Array[] {
  const bytes = noise(seed, count * 32);
  return Array.from({ length: count }, (_, i) => bytes.subarray(i * 32, (i + 1) * 32));
}

test('an id is claimed once, however many tables there are', () => {
  const claims = new SharedClaims({ expected: 0 });
  const ids = idsOf(1, 300_000);
  for (const [i, id] of ids.entries()) {
    assert.equal(claims.claim(id), true);
    if (i % 1000 === 0) claims.grow();
  }
  assert.ok(claims.buffers.length > 1, 'the first table was crowded');
  for (const id of ids) assert.equal(claims.claim(id), false);
});

test('ids that differ in one bit of the first sixteen bytes are different, wherever it is', () => {
  const claims = new SharedClaims({ expected: 10 });
  const [id] = idsOf(2, 1);
  assert.ok(id !== undefined);
  assert.equal(claims.claim(id), true);
  for (let bit = 0; bit < 128; bit++) {
    const other: Uint8Array = id.slice();
    other[bit >> 3] = (other[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert.equal(claims.claim(other), true);
    assert.equal(claims.claim(other), false);
  }
});

test('a table that is full lets blobs be stored twice, and never says that one is there that is not', () => {
  const claims = new SharedClaims({ expected: 0 });
  const ids = idsOf(3, 200_000);
  for (const id of ids) assert.equal(claims.claim(id), true);
  const twice = ids.filter((id) => claims.claim(id)).length;
  assert.ok(twice > 0 && twice < 150_000, `${twice} would be stored twice`);
});

test('of threads that claim the same ids at the same time one gets each', async () => {
  const claims = new SharedClaims({ expected: 200_000 });
  const url = new URL('../../lib/workers/shared-claims.js', import.meta.url).href;
  const code = `
    const { parentPort, workerData } = require('node:worker_threads');
    import(workerData.url).then(({ SharedClaims }) => {
      const claims = new SharedClaims({ buffers: workerData.buffers });
      const gate = new Int32Array(workerData.gate);
      Atomics.add(gate, 0, 1);
      while (Atomics.load(gate, 0) < workerData.threads);
      const ids = new Uint8Array(workerData.ids);
      const won = [];
      for (let at = 0; at < ids.length; at += 32) if (claims.claim(ids.subarray(at, at + 32))) won.push(at);
      parentPort.postMessage(won);
    });`;
  const count = 100_000;
  const ids = new SharedArrayBuffer(count * 32);
  new Uint8Array(ids).set(noise(4, count * 32));
  const gate = new SharedArrayBuffer(4);
  const threads = 3;
  const workerData = { url, buffers: claims.buffers, ids, gate, threads };
  const won = await Promise.all(
    Array.from(
      { length: threads },
      () =>
        new Promise<number[]>((resolve, reject) => {
          const worker = new Worker(code, { eval: true, workerData });
          worker.once('message', resolve);
          worker.once('error', reject);
        }),
    ),
  );
  const all = won.flat();
  assert.equal(all.length, count);
  assert.equal(new Set(all).size, count);
});
