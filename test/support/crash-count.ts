import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { extname } from 'node:path';
import type { TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { CrashAnswer, CrashTask } from './crash-worker.ts';
import type { CrashMode } from './fault-disk.ts';

const threads = Math.min(4, availableParallelism());

/**
 * Cuts a scenario at each of its steps, on all processors; fails if any cut leaves what it mustn't, or if there are
 * fewer cuts than `floor`. Prints the count.
 */
export async function countCrashPoints(
  test: Pick<TestContext, 'diagnostic'>,
  scenario: string,
  kind: { readonly mode: CrashMode; readonly seed?: number },
  floor: number,
): Promise<void> {
  const { mode, seed = 1 } = kind;
  const answers = await Promise.all(
    Array.from({ length: threads }, (_, i) =>
      runWorker({ scenario, mode, seed, firstStep: 1 + i, stride: threads }),
    ),
  );
  const failures = answers.map(({ failure }) => failure).filter((failure) => failure !== undefined);
  assert.ok(failures.length === 0, `${scenario}: ${failures.join('\n')}`);
  const count = answers.reduce((sum, answer) => sum + answer.count, 0);
  test.diagnostic(`crash points: ${scenario} ${count}, ${mode} (seed ${seed})`);
  assert.ok(count >= floor, `${scenario} was cut at ${count} steps only; it should be ${floor} at least`);
}

function runWorker(task: CrashTask): Promise<CrashAnswer> {
  const script = new URL(`./crash-worker${extname(import.meta.url)}`, import.meta.url);
  const worker = new Worker(script, { workerData: task });
  return new Promise((resolve, reject) => {
    let answer: CrashAnswer | undefined;
    worker.on('message', (message: CrashAnswer) => {
      answer = message;
    });
    worker.on('error', reject);
    worker.on('exit', (code) => {
      if (answer === undefined) reject(new Error(`the thread ended with ${code} and no answer`));
      else resolve(answer);
    });
  });
}
