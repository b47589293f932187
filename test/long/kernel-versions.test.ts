import { describeChunker } from '../support/chunker-checks.ts';
import { describeCoder } from '../support/coder-checks.ts';
import { kernelVersions } from '../support/kernel-versions.ts';

for (const [version, kernels] of kernelVersions()) {
  if (version === 'plain') continue;
  describeChunker(version, kernels);
  describeCoder(version, kernels.coder);
}
