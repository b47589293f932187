import { BatchOpener } from './open-batch.ts';
import type { OpenJob, OpenSetup } from './open-job.ts';
import type { WorkHandler } from './thread.ts';

/** The kind `open`: each job is an OpenJob, each result an OpenResult. */
export function start(setup: unknown): WorkHandler {
  const opener = new BatchOpener(setup as OpenSetup);
  return { run: (job) => opener.run(job as OpenJob), expect: (job) => opener.expect(job as OpenJob) };
}
